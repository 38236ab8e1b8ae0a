// SPDX-License-Identifier: GPL-3.0-or-later
#include "file.hh"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "access.hh"

namespace cmsaf {
namespace {

using XrdCl::ResponseHandler;
using XrdCl::XRootDStatus;

// The client takes a URL without a protocol for one of root's.
std::string full(const std::string& url) {
  return url.find("://") == std::string::npos ? "root://" + url : url;
}

// Writes what was read to a descriptor. The client reads into memory only.
class ToDescriptor : public XrdCl::ResponseHandler {
 public:
  ToDescriptor(uint32_t size, XrdCl::Optional<uint64_t> fdoff, int fd, ResponseHandler* handler)
      : buffer_(new char[size]), fdoff_(fdoff), fd_(fd), handler_(handler) {}

  void* buffer() { return buffer_.get(); }

  void HandleResponseWithHosts(XRootDStatus* status, XrdCl::AnyObject* response,
                               XrdCl::HostList* hosts) override {
    XrdCl::ChunkInfo* chunk = nullptr;
    if (response != nullptr) response->Get(chunk);
    if (status->IsOK() && chunk != nullptr) {
      if (const int error = write(chunk->length); error != 0) {
        *status = XRootDStatus(XrdCl::stError, XrdCl::errLocalError, static_cast<uint32_t>(error));
        delete response;
        response = nullptr;
      } else {
        chunk->buffer = nullptr;
      }
    }
    handler_->HandleResponseWithHosts(status, response, hosts);
    delete this;
  }

 private:
  int write(uint32_t length) {
    for (uint32_t done = 0; done < length;) {
      const char* rest = buffer_.get() + done;
      // Upstream's Optional is true where it is empty.
      const ssize_t put =
          fdoff_ ? ::write(fd_, rest, length - done)
                 : ::pwrite(fd_, rest, length - done, static_cast<off_t>(*fdoff_ + done));
      if (put < 0 && errno != EINTR) return errno;
      if (put > 0) done += static_cast<uint32_t>(put);
    }
    return 0;
  }

  std::unique_ptr<char[]> buffer_;
  XrdCl::Optional<uint64_t> fdoff_;
  int fd_;
  ResponseHandler* handler_;
};

#if CMSAF_XRDCL_6
// What one of our files hands to another for cloning; the source may be gone
// by the time it is used.
class Template : public XrdCl::ExportedFileTemplate {
 public:
  Template(std::weak_ptr<XrdCl::File> file, std::string login)
      : file_(std::move(file)), login_(std::move(login)) {}
  std::shared_ptr<XrdCl::File> file() const { return file_.lock(); }
  const std::string& login() const { return login_; }

 private:
  std::weak_ptr<XrdCl::File> file_;
  std::string login_;
};

const Template* ours(const XrdCl::ExportedFileTemplate* source) {
  return dynamic_cast<const Template*>(source);
}

XRootDStatus wrong_source() {
  return XRootDStatus(XrdCl::stError, XrdCl::errInvalidArgs, 0,
                      "the source is not an open file of the alias xcache");
}
#endif

}  // namespace

XcacheFile::XcacheFile() : file_(std::make_shared<XrdCl::File>(false)) {}

XRootDStatus XcacheFile::Open(const std::string& url, XrdCl::OpenFlags::Flags flags,
                              XrdCl::Access::Mode mode, ResponseHandler* handler, Timeout timeout) {
  const Access access = access_now();
  if (is_alias(full(url)) && !access.error.empty()) return wrong_settings(access.error);
  login_ = access.login;
  with_authz_ = !access.authz.empty();
  return explained(access.hint, handler, [&](ResponseHandler* answer) {
    return file_->Open(access.file_url(full(url)), flags, mode, answer, timeout);
  });
}

XRootDStatus XcacheFile::Close(ResponseHandler* handler, Timeout timeout) {
  return file_->Close(handler, timeout);
}

XRootDStatus XcacheFile::Stat(bool force, ResponseHandler* handler, Timeout timeout) {
  return file_->Stat(force, handler, timeout);
}

XRootDStatus XcacheFile::Read(uint64_t offset, uint32_t size, void* buffer,
                              ResponseHandler* handler, Timeout timeout) {
  return file_->Read(offset, size, buffer, handler, timeout);
}

XRootDStatus XcacheFile::Read(uint64_t offset, uint32_t size, XrdCl::Optional<uint64_t> fdoff,
                              int fd, ResponseHandler* handler, Timeout timeout) {
  auto* writer = new ToDescriptor(size, fdoff, fd, handler);
  XRootDStatus status = file_->Read(offset, size, writer->buffer(), writer, timeout);
  if (!status.IsOK()) delete writer;
  return status;
}

XRootDStatus XcacheFile::PgRead(uint64_t offset, uint32_t size, void* buffer,
                                ResponseHandler* handler, Timeout timeout) {
  return file_->PgRead(offset, size, buffer, handler, timeout);
}

XRootDStatus XcacheFile::Write(uint64_t offset, uint32_t size, const void* buffer,
                               ResponseHandler* handler, Timeout timeout) {
  return file_->Write(offset, size, buffer, handler, timeout);
}

XRootDStatus XcacheFile::Write(uint64_t offset, XrdCl::Buffer&& buffer, ResponseHandler* handler,
                               Timeout timeout) {
  return file_->Write(offset, std::move(buffer), handler, timeout);
}

XRootDStatus XcacheFile::Write(uint64_t offset, uint32_t size, XrdCl::Optional<uint64_t> fdoff,
                               int fd, ResponseHandler* handler, Timeout timeout) {
  return file_->Write(offset, size, fdoff, fd, handler, timeout);
}

XRootDStatus XcacheFile::PgWrite(uint64_t offset, uint32_t size, const void* buffer,
                                 std::vector<uint32_t>& checksums, ResponseHandler* handler,
                                 Timeout timeout) {
  return file_->PgWrite(offset, size, buffer, checksums, handler, timeout);
}

XRootDStatus XcacheFile::Sync(ResponseHandler* handler, Timeout timeout) {
  return file_->Sync(handler, timeout);
}

XRootDStatus XcacheFile::Truncate(uint64_t size, ResponseHandler* handler, Timeout timeout) {
  return file_->Truncate(size, handler, timeout);
}

XRootDStatus XcacheFile::VectorRead(const XrdCl::ChunkList& chunks, void* buffer,
                                    ResponseHandler* handler, Timeout timeout) {
  return file_->VectorRead(chunks, buffer, handler, timeout);
}

XRootDStatus XcacheFile::VectorWrite(const XrdCl::ChunkList& chunks, ResponseHandler* handler,
                                     Timeout timeout) {
  return file_->VectorWrite(chunks, handler, timeout);
}

XRootDStatus XcacheFile::WriteV(uint64_t offset, const struct iovec* vector, int count,
                                ResponseHandler* handler, Timeout timeout) {
  return file_->WriteV(offset, vector, count, handler, timeout);
}

XRootDStatus XcacheFile::Fcntl(const XrdCl::Buffer& argument, ResponseHandler* handler,
                               Timeout timeout) {
  return file_->Fcntl(argument, handler, timeout);
}

XRootDStatus XcacheFile::Visa(ResponseHandler* handler, Timeout timeout) {
  return file_->Visa(handler, timeout);
}

bool XcacheFile::IsOpen() const { return file_->IsOpen(); }

bool XcacheFile::SetProperty(const std::string& name, const std::string& value) {
  return file_->SetProperty(name, value);
}

bool XcacheFile::GetProperty(const std::string& name, std::string& value) const {
  if (!file_->GetProperty(name, value)) return false;
  if (name == "LastURL") value = reported(value, login_, with_authz_);
  return true;
}

#if CMSAF_XRDCL_6
XRootDStatus XcacheFile::OpenUsingTemplate(XrdCl::ExportedFileTemplate* source,
                                           const std::string& url, XrdCl::OpenFlags::Flags flags,
                                           XrdCl::Access::Mode mode, ResponseHandler* handler,
                                           Timeout timeout) {
  Access access = access_now();
  if (is_alias(full(url)) && !access.error.empty()) return wrong_settings(access.error);
  const Template* from = ours(source);
  const auto file = from == nullptr ? nullptr : from->file();
  if (!file) return wrong_source();
  // A server knows the source by a handle of that login.
  access.login = from->login();
  login_ = access.login;
  with_authz_ = !access.authz.empty();
  return explained(access.hint, handler, [&](ResponseHandler* answer) {
    return file_->OpenUsingTemplate(*file, access.file_url(full(url)), flags, mode, answer, timeout);
  });
}

XRootDStatus XcacheFile::PreRead(const XrdCl::TractList& tracts, ResponseHandler* handler,
                                 Timeout timeout) {
  return file_->PreRead(tracts, handler, timeout);
}

XRootDStatus XcacheFile::Fcntl(XrdCl::QueryCode::Code code, const XrdCl::Buffer& argument,
                               ResponseHandler* handler, Timeout timeout) {
  return file_->Fcntl(code, argument, handler, timeout);
}

std::unique_ptr<XrdCl::ExportedFileTemplate> XcacheFile::ExportTemplate() const {
  return std::make_unique<Template>(file_, login_);
}

XRootDStatus XcacheFile::Clone(const XrdCl::CloneLocations& locations, ResponseHandler* handler,
                               Timeout timeout) {
  // Here the client writes the whole URL to its log.
  if (with_authz_)
    return XRootDStatus(XrdCl::stError, XrdCl::errNotSupported, 0,
                        "cloning with XCACHE_AUTHZ set would write the token to the log");
  XrdCl::CloneLocations plain;
  for (const auto& location : locations.locations) {
    const Template* from = ours(location.file.get());
    const auto file = from == nullptr ? nullptr : from->file();
    if (!file) return wrong_source();
    plain.Add(*file, location.dstOffs, location.srcOffs, location.srcLen);
  }
  return file_->Clone(plain, handler, timeout);
}
#endif

}  // namespace cmsaf
