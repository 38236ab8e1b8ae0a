// SPDX-License-Identifier: GPL-3.0-or-later
#include "filesystem.hh"

#include "alias.hh"

namespace cmsaf {

using XrdCl::ResponseHandler;
using XrdCl::XRootDStatus;

XcacheFileSystem::XcacheFileSystem(const std::string& url) {
  const Target target = target_from_environment();
  error_ = target.error;
  if (error_.empty())
    fs_ = std::make_unique<XrdCl::FileSystem>(XrdCl::URL(rewrite(url, target)), false);
}

XRootDStatus XcacheFileSystem::missing() const {
  return XRootDStatus(XrdCl::stError, XrdCl::errConfig, 0, error_);
}

XRootDStatus XcacheFileSystem::Locate(const std::string& path, XrdCl::OpenFlags::Flags flags,
                                      ResponseHandler* handler, time_t timeout) {
  return fs_ ? fs_->Locate(path, flags, handler, timeout) : missing();
}

XRootDStatus XcacheFileSystem::DeepLocate(const std::string& path, XrdCl::OpenFlags::Flags flags,
                                          ResponseHandler* handler, time_t timeout) {
  return fs_ ? fs_->DeepLocate(path, flags, handler, timeout) : missing();
}

XRootDStatus XcacheFileSystem::Mv(const std::string& source, const std::string& destination,
                                  ResponseHandler* handler, time_t timeout) {
  return fs_ ? fs_->Mv(source, destination, handler, timeout) : missing();
}

XRootDStatus XcacheFileSystem::Query(XrdCl::QueryCode::Code code, const XrdCl::Buffer& argument,
                                     ResponseHandler* handler, time_t timeout) {
  return fs_ ? fs_->Query(code, argument, handler, timeout) : missing();
}

XRootDStatus XcacheFileSystem::Truncate(const std::string& path, uint64_t size,
                                        ResponseHandler* handler, time_t timeout) {
  return fs_ ? fs_->Truncate(path, size, handler, timeout) : missing();
}

XRootDStatus XcacheFileSystem::Rm(const std::string& path, ResponseHandler* handler,
                                  time_t timeout) {
  return fs_ ? fs_->Rm(path, handler, timeout) : missing();
}

XRootDStatus XcacheFileSystem::MkDir(const std::string& path, XrdCl::MkDirFlags::Flags flags,
                                     XrdCl::Access::Mode mode, ResponseHandler* handler,
                                     time_t timeout) {
  return fs_ ? fs_->MkDir(path, flags, mode, handler, timeout) : missing();
}

XRootDStatus XcacheFileSystem::RmDir(const std::string& path, ResponseHandler* handler,
                                     time_t timeout) {
  return fs_ ? fs_->RmDir(path, handler, timeout) : missing();
}

XRootDStatus XcacheFileSystem::ChMod(const std::string& path, XrdCl::Access::Mode mode,
                                     ResponseHandler* handler, time_t timeout) {
  return fs_ ? fs_->ChMod(path, mode, handler, timeout) : missing();
}

XRootDStatus XcacheFileSystem::Ping(ResponseHandler* handler, time_t timeout) {
  return fs_ ? fs_->Ping(handler, timeout) : missing();
}

XRootDStatus XcacheFileSystem::Stat(const std::string& path, ResponseHandler* handler,
                                    time_t timeout) {
  return fs_ ? fs_->Stat(path, handler, timeout) : missing();
}

XRootDStatus XcacheFileSystem::StatVFS(const std::string& path, ResponseHandler* handler,
                                       time_t timeout) {
  return fs_ ? fs_->StatVFS(path, handler, timeout) : missing();
}

XRootDStatus XcacheFileSystem::Protocol(ResponseHandler* handler, time_t timeout) {
  return fs_ ? fs_->Protocol(handler, timeout) : missing();
}

XRootDStatus XcacheFileSystem::DirList(const std::string& path, XrdCl::DirListFlags::Flags flags,
                                       ResponseHandler* handler, time_t timeout) {
  return fs_ ? fs_->DirList(path, flags, handler, timeout) : missing();
}

XRootDStatus XcacheFileSystem::SendInfo(const std::string& info, ResponseHandler* handler,
                                        time_t timeout) {
  return fs_ ? fs_->SendInfo(info, handler, timeout) : missing();
}

XRootDStatus XcacheFileSystem::Prepare(const std::vector<std::string>& files,
                                       XrdCl::PrepareFlags::Flags flags, uint8_t priority,
                                       ResponseHandler* handler, time_t timeout) {
  return fs_ ? fs_->Prepare(files, flags, priority, handler, timeout) : missing();
}

XRootDStatus XcacheFileSystem::SetXAttr(const std::string& path,
                                        const std::vector<XrdCl::xattr_t>& attributes,
                                        ResponseHandler* handler, time_t timeout) {
  return fs_ ? fs_->SetXAttr(path, attributes, handler, timeout) : missing();
}

XRootDStatus XcacheFileSystem::GetXAttr(const std::string& path,
                                        const std::vector<std::string>& names,
                                        ResponseHandler* handler, time_t timeout) {
  return fs_ ? fs_->GetXAttr(path, names, handler, timeout) : missing();
}

XRootDStatus XcacheFileSystem::DelXAttr(const std::string& path,
                                        const std::vector<std::string>& names,
                                        ResponseHandler* handler, time_t timeout) {
  return fs_ ? fs_->DelXAttr(path, names, handler, timeout) : missing();
}

XRootDStatus XcacheFileSystem::ListXAttr(const std::string& path, ResponseHandler* handler,
                                         time_t timeout) {
  return fs_ ? fs_->ListXAttr(path, handler, timeout) : missing();
}

bool XcacheFileSystem::SetProperty(const std::string& name, const std::string& value) {
  return fs_ && fs_->SetProperty(name, value);
}

bool XcacheFileSystem::GetProperty(const std::string& name, std::string& value) const {
  return fs_ && fs_->GetProperty(name, value);
}

}  // namespace cmsaf
