// SPDX-License-Identifier: GPL-3.0-or-later
// What XrdCl loads: the factory of files and file systems of the alias.
#include <string>

#include "XrdCl/XrdClPlugInInterface.hh"
#include "XrdVersion.hh"
#include "file.hh"
#include "filesystem.hh"

namespace {

class Factory : public XrdCl::PlugInFactory {
 public:
  XrdCl::FilePlugIn* CreateFile(const std::string&) override { return new cmsaf::XcacheFile(); }
  XrdCl::FileSystemPlugIn* CreateFileSystem(const std::string& url) override {
    return new cmsaf::XcacheFileSystem(url);
  }
};

}  // namespace

// XRootD compares this with its own version before it loads the plug-in.
XrdVERSIONINFO(XrdClGetPlugIn, XrdClXcache)

extern "C" XrdEXPORT void* XrdClGetPlugIn(const void*) {
  return static_cast<XrdCl::PlugInFactory*>(new Factory());
}
