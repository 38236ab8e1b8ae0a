// SPDX-License-Identifier: GPL-3.0-or-later
// Where the alias leads: pure functions on strings, no XRootD inside.
#ifndef CMSAF_XCACHE_ALIAS_HH
#define CMSAF_XCACHE_ALIAS_HH

#include <string>

namespace cmsaf {

inline constexpr const char* alias_host = "xcache";

struct Target {
  std::string host;   // with brackets where it is an IPv6 address
  std::string port;
  std::string error;  // empty: host and port are good
};

// What XCACHE_HOST and XCACHE_PORT say; a null pointer is an unset variable.
Target target_from(const char* host, const char* port);
Target target_from_environment();

// `url` with the alias's host and port replaced by the target's; any other
// URL comes back as it is.
std::string rewrite(const std::string& url, const Target& target);

// Does this URL name the alias?
bool is_alias(const std::string& url);

}  // namespace cmsaf

#endif
