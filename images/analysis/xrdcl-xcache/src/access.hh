// SPDX-License-Identifier: GPL-3.0-or-later
// How the alias is reached at this moment: the cache, the login, the token.
// No XRootD inside.
#ifndef CMSAF_XCACHE_ACCESS_HH
#define CMSAF_XCACHE_ACCESS_HH

#include <string>

#include "alias.hh"
#include "token.hh"

namespace cmsaf {

// ztn, the client's security protocol for tokens, reads the token when a
// connection logs in and never again, and a server judges each open by the
// token of that login. So each token gets connections of its own: the client
// keeps them apart by xrdcl.intent, which it does not send to the server.
struct Access {
  Target target;
  std::string error;  // a setting is missing or bad, and which; empty: all are good
  std::string hint;   // what to add where the login fails; empty: nothing
  std::string login;  // value of xrdcl.intent
  std::string authz;  // what XCACHE_AUTHZ asks to send in URLs; empty: nothing
  std::string file;   // where the token is from, if it is from a file

  // The cache's URL for the alias's, for opening a file.
  std::string file_url(const std::string& url) const;
  // The same for a file system: a token goes with each path instead.
  std::string server_url(const std::string& url) const;
  // A path of a request of its own.
  std::string path(const std::string& path) const;
};

Access access_by(Environment environment, unsigned long uid, const std::string& tmp = "/tmp");

// access_by() for one thread, without reading the token again while neither the
// variables nor the file that BEARER_TOKEN_FILE names have changed. It keeps no
// token.
class AccessKeeper {
 public:
  Access get(Environment environment, unsigned long uid, const std::string& tmp = "/tmp");

 private:
  std::string key_;  // what kept_ was made of; empty: nothing is kept
  Access kept_;
};

Access access_now();

// A URL that the client reports, without what file_url() added to it.
std::string reported(const std::string& url, const std::string& login, bool with_authz);

}  // namespace cmsaf

#endif
