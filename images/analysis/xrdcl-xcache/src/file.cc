// SPDX-License-Identifier: GPL-3.0-or-later
#include "file.hh"

#include <utility>

#include "alias.hh"

namespace cmsaf {
namespace {

using XrdCl::ResponseHandler;
using XrdCl::XRootDStatus;

// What one of our files hands to another for cloning; the source may be gone
// by the time it is used.
class Template : public XrdCl::ExportedFileTemplate {
 public:
  explicit Template(std::weak_ptr<XrdCl::File> file) : file_(std::move(file)) {}
  std::shared_ptr<XrdCl::File> file() const { return file_.lock(); }

 private:
  std::weak_ptr<XrdCl::File> file_;
};

std::shared_ptr<XrdCl::File> file_of(const XrdCl::ExportedFileTemplate* source) {
  const auto* ours = dynamic_cast<const Template*>(source);
  return ours == nullptr ? nullptr : ours->file();
}

XRootDStatus wrong_source() {
  return XRootDStatus(XrdCl::stError, XrdCl::errInvalidArgs, 0,
                      "the source is not an open file of the alias xcache");
}

}  // namespace

XcacheFile::XcacheFile() : file_(std::make_shared<XrdCl::File>(false)) {}

XRootDStatus XcacheFile::Open(const std::string& url, XrdCl::OpenFlags::Flags flags,
                              XrdCl::Access::Mode mode, ResponseHandler* handler, time_t timeout) {
  const Target target = target_from_environment();
  if (is_alias(url) && !target.error.empty())
    return XRootDStatus(XrdCl::stError, XrdCl::errConfig, 0, target.error);
  return file_->Open(rewrite(url, target), flags, mode, handler, timeout);
}

XRootDStatus XcacheFile::OpenUsingTemplate(XrdCl::ExportedFileTemplate* source,
                                           const std::string& url, XrdCl::OpenFlags::Flags flags,
                                           XrdCl::Access::Mode mode, ResponseHandler* handler,
                                           time_t timeout) {
  const Target target = target_from_environment();
  if (is_alias(url) && !target.error.empty())
    return XRootDStatus(XrdCl::stError, XrdCl::errConfig, 0, target.error);
  const auto file = file_of(source);
  if (!file) return wrong_source();
  return file_->OpenUsingTemplate(*file, rewrite(url, target), flags, mode, handler, timeout);
}

XRootDStatus XcacheFile::Close(ResponseHandler* handler, time_t timeout) {
  return file_->Close(handler, timeout);
}

XRootDStatus XcacheFile::Stat(bool force, ResponseHandler* handler, time_t timeout) {
  return file_->Stat(force, handler, timeout);
}

XRootDStatus XcacheFile::Read(uint64_t offset, uint32_t size, void* buffer,
                              ResponseHandler* handler, time_t timeout) {
  return file_->Read(offset, size, buffer, handler, timeout);
}

XRootDStatus XcacheFile::PgRead(uint64_t offset, uint32_t size, void* buffer,
                                ResponseHandler* handler, time_t timeout) {
  return file_->PgRead(offset, size, buffer, handler, timeout);
}

XRootDStatus XcacheFile::Write(uint64_t offset, uint32_t size, const void* buffer,
                               ResponseHandler* handler, time_t timeout) {
  return file_->Write(offset, size, buffer, handler, timeout);
}

XRootDStatus XcacheFile::Write(uint64_t offset, XrdCl::Buffer&& buffer, ResponseHandler* handler,
                               time_t timeout) {
  return file_->Write(offset, std::move(buffer), handler, timeout);
}

XRootDStatus XcacheFile::Write(uint64_t offset, uint32_t size, XrdCl::Optional<uint64_t> fdoff,
                               int fd, ResponseHandler* handler, time_t timeout) {
  return file_->Write(offset, size, fdoff, fd, handler, timeout);
}

XRootDStatus XcacheFile::PgWrite(uint64_t offset, uint32_t size, const void* buffer,
                                 std::vector<uint32_t>& checksums, ResponseHandler* handler,
                                 time_t timeout) {
  return file_->PgWrite(offset, size, buffer, checksums, handler, timeout);
}

XRootDStatus XcacheFile::Sync(ResponseHandler* handler, time_t timeout) {
  return file_->Sync(handler, timeout);
}

XRootDStatus XcacheFile::Truncate(uint64_t size, ResponseHandler* handler, time_t timeout) {
  return file_->Truncate(size, handler, timeout);
}

XRootDStatus XcacheFile::PreRead(const XrdCl::TractList& tracts, ResponseHandler* handler,
                                 time_t timeout) {
  return file_->PreRead(tracts, handler, timeout);
}

XRootDStatus XcacheFile::VectorRead(const XrdCl::ChunkList& chunks, void* buffer,
                                    ResponseHandler* handler, time_t timeout) {
  return file_->VectorRead(chunks, buffer, handler, timeout);
}

XRootDStatus XcacheFile::VectorWrite(const XrdCl::ChunkList& chunks, ResponseHandler* handler,
                                     time_t timeout) {
  return file_->VectorWrite(chunks, handler, timeout);
}

XRootDStatus XcacheFile::WriteV(uint64_t offset, const struct iovec* vector, int count,
                                ResponseHandler* handler, time_t timeout) {
  return file_->WriteV(offset, vector, count, handler, timeout);
}

XRootDStatus XcacheFile::Fcntl(const XrdCl::Buffer& argument, ResponseHandler* handler,
                               time_t timeout) {
  return file_->Fcntl(argument, handler, timeout);
}

XRootDStatus XcacheFile::Fcntl(XrdCl::QueryCode::Code code, const XrdCl::Buffer& argument,
                               ResponseHandler* handler, time_t timeout) {
  return file_->Fcntl(code, argument, handler, timeout);
}

XRootDStatus XcacheFile::Visa(ResponseHandler* handler, time_t timeout) {
  return file_->Visa(handler, timeout);
}

bool XcacheFile::IsOpen() const { return file_->IsOpen(); }

bool XcacheFile::SetProperty(const std::string& name, const std::string& value) {
  return file_->SetProperty(name, value);
}

bool XcacheFile::GetProperty(const std::string& name, std::string& value) const {
  return file_->GetProperty(name, value);
}

std::unique_ptr<XrdCl::ExportedFileTemplate> XcacheFile::ExportTemplate() const {
  return std::make_unique<Template>(file_);
}

XRootDStatus XcacheFile::Clone(const XrdCl::CloneLocations& locations, ResponseHandler* handler,
                               time_t timeout) {
  XrdCl::CloneLocations plain;
  for (const auto& location : locations.locations) {
    const auto file = file_of(location.file.get());
    if (!file) return wrong_source();
    plain.Add(*file, location.dstOffs, location.srcOffs, location.srcLen);
  }
  return file_->Clone(plain, handler, timeout);
}

}  // namespace cmsaf
