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

// `url` with the alias's host and port replaced by the target's; any other
// URL comes back as it is.
std::string rewrite(const std::string& url, const Target& target);

// Does this URL name the alias?
bool is_alias(const std::string& url);

// The URL with TLS asked for: root becomes roots.
std::string with_tls(const std::string& url);

// Parameters of what stands after the first question mark, as XRootD takes them.
bool has_parameter(const std::string& url, const std::string& name);
std::string with_parameter(const std::string& url, const std::string& name, const std::string& value);
std::string without_parameter(const std::string& url, const std::string& name);

// A value of the user's, fit for a message: of bounded length, printable.
std::string shown(const std::string& value);

}  // namespace cmsaf

#endif
