// SPDX-License-Identifier: GPL-3.0-or-later
// What XrdCl loads: the factory of files and file systems of the alias.
#include "plugin.hh"

#include "file.hh"
#include "filesystem.hh"

namespace cmsaf {

XrdCl::FilePlugIn* Factory::CreateFile(const std::string&) { return new XcacheFile(); }

XrdCl::FileSystemPlugIn* Factory::CreateFileSystem(const std::string& url) {
  return new XcacheFileSystem(url);
}

}  // namespace cmsaf

// The two names that XrdCl looks up; release 5 marks neither as visible.
#pragma GCC visibility push(default)

// XRootD compares this with its own version before it loads the plug-in.
XrdVERSIONINFO(XrdClGetPlugIn, XrdClXcache)

extern "C" void* XrdClGetPlugIn(const void*) {
  return static_cast<XrdCl::PlugInFactory*>(new cmsaf::Factory());
}

#pragma GCC visibility pop
