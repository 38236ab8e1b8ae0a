// SPDX-License-Identifier: GPL-3.0-or-later
#ifndef CMSAF_XCACHE_FILE_HH
#define CMSAF_XCACHE_FILE_HH

#include <memory>
#include <string>
#include <vector>

#include "client.hh"

namespace cmsaf {

// A file at the alias: every call goes to a plain file at the cache.
// XrdCl itself answers extended attributes, checkpoints, ReadV, TryOtherServer
// and IsSecure of a file with a plug-in: there is no way to hand them on.
class XcacheFile : public XrdCl::FilePlugIn {
 public:
  XcacheFile();

  XrdCl::XRootDStatus Open(const std::string& url, XrdCl::OpenFlags::Flags flags,
                           XrdCl::Access::Mode mode, XrdCl::ResponseHandler* handler,
                           Timeout timeout) override;
  XrdCl::XRootDStatus Close(XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus Stat(bool force, XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus Read(uint64_t offset, uint32_t size, void* buffer,
                           XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus Read(uint64_t offset, uint32_t size, XrdCl::Optional<uint64_t> fdoff, int fd,
                           XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus PgRead(uint64_t offset, uint32_t size, void* buffer,
                             XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus Write(uint64_t offset, uint32_t size, const void* buffer,
                            XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus Write(uint64_t offset, XrdCl::Buffer&& buffer,
                            XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus Write(uint64_t offset, uint32_t size, XrdCl::Optional<uint64_t> fdoff, int fd,
                            XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus PgWrite(uint64_t offset, uint32_t size, const void* buffer,
                              std::vector<uint32_t>& checksums, XrdCl::ResponseHandler* handler,
                              Timeout timeout) override;
  XrdCl::XRootDStatus Sync(XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus Truncate(uint64_t size, XrdCl::ResponseHandler* handler,
                               Timeout timeout) override;
  XrdCl::XRootDStatus VectorRead(const XrdCl::ChunkList& chunks, void* buffer,
                                 XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus VectorWrite(const XrdCl::ChunkList& chunks, XrdCl::ResponseHandler* handler,
                                  Timeout timeout) override;
  XrdCl::XRootDStatus WriteV(uint64_t offset, const struct iovec* vector, int count,
                             XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus Fcntl(const XrdCl::Buffer& argument, XrdCl::ResponseHandler* handler,
                            Timeout timeout) override;
  XrdCl::XRootDStatus Visa(XrdCl::ResponseHandler* handler, Timeout timeout) override;
  bool IsOpen() const override;
  bool SetProperty(const std::string& name, const std::string& value) override;
  bool GetProperty(const std::string& name, std::string& value) const override;
#if CMSAF_XRDCL_6
  XrdCl::XRootDStatus OpenUsingTemplate(XrdCl::ExportedFileTemplate* source, const std::string& url,
                                        XrdCl::OpenFlags::Flags flags, XrdCl::Access::Mode mode,
                                        XrdCl::ResponseHandler* handler, Timeout timeout) override;
  XrdCl::XRootDStatus PreRead(const XrdCl::TractList& tracts, XrdCl::ResponseHandler* handler,
                              Timeout timeout) override;
  XrdCl::XRootDStatus Fcntl(XrdCl::QueryCode::Code code, const XrdCl::Buffer& argument,
                            XrdCl::ResponseHandler* handler, Timeout timeout) override;
  std::unique_ptr<XrdCl::ExportedFileTemplate> ExportTemplate() const override;
  XrdCl::XRootDStatus Clone(const XrdCl::CloneLocations& locations, XrdCl::ResponseHandler* handler,
                            Timeout timeout) override;
#endif

 private:
  std::shared_ptr<XrdCl::File> file_;
  // Of the last opening: its login, and whether its URL holds a token.
  std::string login_;
  bool with_authz_ = false;
};

}  // namespace cmsaf

#endif
