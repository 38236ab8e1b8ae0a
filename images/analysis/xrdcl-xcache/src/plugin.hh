// SPDX-License-Identifier: GPL-3.0-or-later
#ifndef CMSAF_XCACHE_PLUGIN_HH
#define CMSAF_XCACHE_PLUGIN_HH

#include <string>

#include "client.hh"

namespace cmsaf {

// Makes files and file systems of the alias.
class Factory : public XrdCl::PlugInFactory {
 public:
  XrdCl::FilePlugIn* CreateFile(const std::string& url) override;
  XrdCl::FileSystemPlugIn* CreateFileSystem(const std::string& url) override;
};

}  // namespace cmsaf

#endif
