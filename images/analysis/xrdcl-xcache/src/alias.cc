// SPDX-License-Identifier: GPL-3.0-or-later
#include "alias.hh"

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace cmsaf {
namespace {

// Start and length of host[:port] in protocol://[user[:password]@]host[:port]/path
struct Authority {
  std::string::size_type begin = std::string::npos;
  std::string::size_type length = 0;
};

Authority authority_of(const std::string& url) {
  Authority found;
  const auto scheme = url.find("://");
  if (scheme == std::string::npos) return found;
  const std::string protocol = url.substr(0, scheme);
  if (protocol != "root" && protocol != "roots" && protocol != "xroot" && protocol != "xroots")
    return found;
  auto begin = scheme + 3;
  const auto end = std::min(url.find_first_of("/?", begin), url.size());
  const auto user = url.rfind('@', end);
  if (user != std::string::npos && user >= begin && user < end) begin = user + 1;
  found.begin = begin;
  found.length = end - begin;
  return found;
}

bool is_host(const std::string& host) {
  if (host.empty() || host.size() > 253) return false;
  if (host.front() == '[') {
    return host.size() > 4 && host.back() == ']' &&
           std::all_of(host.begin() + 1, host.end() - 1, [](unsigned char c) {
             return std::isxdigit(c) || c == ':' || c == '.';
           });
  }
  return host.front() != '.' && host.front() != '-' &&
         std::all_of(host.begin(), host.end(), [](unsigned char c) {
           return std::isalnum(c) || c == '.' || c == '-';
         });
}

bool is_port(const std::string& port) {
  if (port.empty() || port.size() > 5) return false;
  if (!std::all_of(port.begin(), port.end(), [](unsigned char c) { return std::isdigit(c); }))
    return false;
  const int number = std::atoi(port.c_str());
  return number >= 1 && number <= 65535;
}

// Where `name=` begins among the parameters.
std::string::size_type parameter_at(const std::string& url, const std::string& name) {
  auto at = url.find('?');
  while (at != std::string::npos) {
    ++at;
    if (url.compare(at, name.size(), name) == 0 && url.compare(at + name.size(), 1, "=") == 0)
      return at;
    at = url.find('&', at);
  }
  return std::string::npos;
}

std::string prefix() { return std::string("root://") + alias_host + " cannot be resolved: "; }

}  // namespace

Target target_from(const char* host, const char* port) {
  Target target;
  if (host == nullptr || *host == '\0') {
    target.error = prefix() + "XCACHE_HOST is not set; set it to the host name of the cache";
  } else if (!is_host(host)) {
    target.error = prefix() + "XCACHE_HOST is '" + shown(host) +
                   "', which is no host name; set it to the host name of the cache alone";
  } else if (port == nullptr || *port == '\0') {
    target.error = prefix() + "XCACHE_PORT is not set; set it to the port of the cache, mostly 1094";
  } else if (!is_port(port)) {
    target.error = prefix() + "XCACHE_PORT is '" + shown(port) +
                   "', which is no port; set it to a number of 1 to 65535";
  } else {
    target.host = host;
    target.port = port;
  }
  return target;
}

bool is_alias(const std::string& url) {
  const Authority found = authority_of(url);
  if (found.begin == std::string::npos) return false;
  const std::string authority = url.substr(found.begin, found.length);
  return authority.substr(0, authority.find(':')) == alias_host;
}

std::string rewrite(const std::string& url, const Target& target) {
  if (!is_alias(url)) return url;
  const Authority found = authority_of(url);
  std::string result = url;
  result.replace(found.begin, found.length, target.host + ":" + target.port);
  return result;
}

std::string with_tls(const std::string& url) {
  for (const char* plain : {"root://", "xroot://"}) {
    const std::string scheme = plain;
    if (url.compare(0, scheme.size(), scheme) == 0)
      return url.substr(0, scheme.size() - 3) + "s" + url.substr(scheme.size() - 3);
  }
  return url;
}

bool has_parameter(const std::string& url, const std::string& name) {
  return parameter_at(url, name) != std::string::npos;
}

std::string with_parameter(const std::string& url, const std::string& name, const std::string& value) {
  const auto question = url.find('?');
  std::string result = url;
  if (question == std::string::npos)
    result += '?';
  else if (question + 1 < url.size() && url.back() != '&')
    result += '&';
  return result + name + "=" + value;
}

std::string without_parameter(const std::string& url, const std::string& name) {
  std::string result = url;
  for (auto at = parameter_at(result, name); at != std::string::npos;
       at = parameter_at(result, name)) {
    const auto end = result.find('&', at);
    // With the separator behind it, or else the one before it.
    if (end == std::string::npos)
      result.erase(at - 1);
    else
      result.erase(at, end + 1 - at);
  }
  return result;
}

std::string shown(const std::string& value) {
  std::string result = value.substr(0, 80);
  std::replace_if(
      result.begin(), result.end(), [](unsigned char c) { return c < 0x20 || c > 0x7e; }, '?');
  return value.size() > result.size() ? result + "..." : result;
}

}  // namespace cmsaf
