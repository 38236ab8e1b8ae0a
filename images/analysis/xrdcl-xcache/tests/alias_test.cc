// SPDX-License-Identifier: GPL-3.0-or-later
#include "alias.hh"

#include <cstdio>
#include <string>

namespace {

int failures = 0;

void equal(const std::string& what, const std::string& found, const std::string& wanted) {
  if (found == wanted) return;
  ++failures;
  std::fprintf(stderr, "%s: found '%s', wanted '%s'\n", what.c_str(), found.c_str(), wanted.c_str());
}

void names(const std::string& what, const cmsaf::Target& target, const std::string& variable) {
  if (target.error.find(variable) != std::string::npos) return;
  ++failures;
  std::fprintf(stderr, "%s: '%s' does not name %s\n", what.c_str(), target.error.c_str(),
               variable.c_str());
}

}  // namespace

int main() {
  const cmsaf::Target cache = cmsaf::target_from("cache.site.test", "1094");
  equal("good settings", cache.error, "");
  const struct {
    const char* url;
    const char* wanted;
  } cases[] = {
      {"root://xcache//store/a.root", "root://cache.site.test:1094//store/a.root"},
      {"root://xcache/", "root://cache.site.test:1094/"},
      {"root://xcache", "root://cache.site.test:1094"},
      {"roots://xcache:1094//store/a", "roots://cache.site.test:1094//store/a"},
      {"xroot://xcache:999//store/a?x=y", "xroot://cache.site.test:1094//store/a?x=y"},
      {"root://me@xcache//store/a@b", "root://me@cache.site.test:1094//store/a@b"},
      {"root://me:pw@xcache:1//a", "root://me:pw@cache.site.test:1094//a"},
      {"root://xcache?a=b", "root://cache.site.test:1094?a=b"},
      {"root://xcache.site.test//store/a", "root://xcache.site.test//store/a"},
      {"root://xcache2//store/a", "root://xcache2//store/a"},
      {"root://xcache@other//store/a", "root://xcache@other//store/a"},
      {"root://other//xcache", "root://other//xcache"},
      {"root://[::1]//store/xcache", "root://[::1]//store/xcache"},
      {"https://xcache/store/a", "https://xcache/store/a"},
      {"/store/a", "/store/a"},
      {"", ""},
      {"://", "://"},
      {"root://", "root://"},
      {"root://@", "root://@"},
  };
  for (const auto& one : cases) equal(one.url, cmsaf::rewrite(one.url, cache), one.wanted);
  equal("IPv6", cmsaf::rewrite("root://xcache//a", cmsaf::target_from("[fd00::1]", "1095")),
        "root://[fd00::1]:1095//a");

  names("no host", cmsaf::target_from(nullptr, "1094"), "XCACHE_HOST");
  names("empty host", cmsaf::target_from("", "1094"), "XCACHE_HOST");
  names("URL as host", cmsaf::target_from("root://cache", "1094"), "XCACHE_HOST");
  names("host with port", cmsaf::target_from("cache:1094", "1094"), "XCACHE_HOST");
  names("no port", cmsaf::target_from("cache", nullptr), "XCACHE_PORT");
  for (const char* port : {"", "0", "65536", "-1", "1094x", " 1094", "99999999999"})
    names(std::string("port ") + port, cmsaf::target_from("cache", port), "XCACHE_PORT");
  return failures == 0 ? 0 : 1;
}
