// SPDX-License-Identifier: GPL-3.0-or-later
#ifndef CMSAF_XCACHE_FILESYSTEM_HH
#define CMSAF_XCACHE_FILESYSTEM_HH

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "access.hh"
#include "client.hh"

namespace cmsaf {

// The alias as a file system: every call goes to a plain file system at the
// cache, or tells which setting is missing. It outlives a token: each call
// goes by the token of its moment.
class XcacheFileSystem : public XrdCl::FileSystemPlugIn {
 public:
  explicit XcacheFileSystem(std::string url);

  XrdCl::XRootDStatus Locate(const std::string& path, XrdCl::OpenFlags::Flags flags,
                             XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus DeepLocate(const std::string& path, XrdCl::OpenFlags::Flags flags,
                                 XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus Mv(const std::string& source, const std::string& destination,
                         XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus Query(XrdCl::QueryCode::Code code, const XrdCl::Buffer& argument,
                            XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus Truncate(const std::string& path, uint64_t size,
                               XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus Rm(const std::string& path, XrdCl::ResponseHandler* handler,
                         Timeout timeout) override;
  XrdCl::XRootDStatus MkDir(const std::string& path, XrdCl::MkDirFlags::Flags flags,
                            XrdCl::Access::Mode mode, XrdCl::ResponseHandler* handler,
                            Timeout timeout) override;
  XrdCl::XRootDStatus RmDir(const std::string& path, XrdCl::ResponseHandler* handler,
                            Timeout timeout) override;
  XrdCl::XRootDStatus ChMod(const std::string& path, XrdCl::Access::Mode mode,
                            XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus Ping(XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus Stat(const std::string& path, XrdCl::ResponseHandler* handler,
                           Timeout timeout) override;
  XrdCl::XRootDStatus StatVFS(const std::string& path, XrdCl::ResponseHandler* handler,
                              Timeout timeout) override;
  XrdCl::XRootDStatus Protocol(XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus DirList(const std::string& path, XrdCl::DirListFlags::Flags flags,
                              XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus SendInfo(const std::string& info, XrdCl::ResponseHandler* handler,
                               Timeout timeout) override;
  XrdCl::XRootDStatus Prepare(const std::vector<std::string>& files,
                              XrdCl::PrepareFlags::Flags flags, uint8_t priority,
                              XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus SetXAttr(const std::string& path,
                               const std::vector<XrdCl::xattr_t>& attributes,
                               XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus GetXAttr(const std::string& path, const std::vector<std::string>& names,
                               XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus DelXAttr(const std::string& path, const std::vector<std::string>& names,
                               XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus ListXAttr(const std::string& path, XrdCl::ResponseHandler* handler,
                                Timeout timeout) override;
  bool SetProperty(const std::string& name, const std::string& value) override;
  bool GetProperty(const std::string& name, std::string& value) const override;

 private:
  template <typename Call>
  XrdCl::XRootDStatus at_cache(XrdCl::ResponseHandler* handler, const Call& call);
  std::shared_ptr<XrdCl::FileSystem> reached_by(const Access& access) const;

  const std::string url_;
  mutable std::mutex mutex_;  // guards what follows
  mutable std::shared_ptr<XrdCl::FileSystem> fs_;
  mutable std::string reached_;  // fs_'s URL
  mutable std::string login_;
  std::map<std::string, std::string> properties_;
};

}  // namespace cmsaf

#endif
