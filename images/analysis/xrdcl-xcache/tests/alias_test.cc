// SPDX-License-Identifier: GPL-3.0-or-later
#include "alias.hh"

#include <string>

#include "check.hh"

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

  names("no host", cmsaf::target_from(nullptr, "1094").error, "XCACHE_HOST");
  names("empty host", cmsaf::target_from("", "1094").error, "XCACHE_HOST");
  names("URL as host", cmsaf::target_from("root://cache", "1094").error, "XCACHE_HOST");
  names("host with port", cmsaf::target_from("cache:1094", "1094").error, "XCACHE_HOST");
  names("no port", cmsaf::target_from("cache", nullptr).error, "XCACHE_PORT");
  for (const char* port : {"", "0", "65536", "-1", "1094x", " 1094", "99999999999"})
    names(std::string("port ") + port, cmsaf::target_from("cache", port).error, "XCACHE_PORT");
  const std::string endless(5000, 'x');
  holds("a message is short", cmsaf::target_from(("-" + endless).c_str(), "1").error.size() < 300);
  equal("control characters", cmsaf::shown("a\nb\x7f\xff"), "a?b??");

  equal("root", cmsaf::with_tls("root://h//a"), "roots://h//a");
  equal("xroot", cmsaf::with_tls("xroot://h//a"), "xroots://h//a");
  equal("roots", cmsaf::with_tls("roots://h//a"), "roots://h//a");
  equal("first", cmsaf::with_parameter("root://h//a", "k", "v"), "root://h//a?k=v");
  equal("second", cmsaf::with_parameter("/a?x=1", "k", "v"), "/a?x=1&k=v");
  equal("bare", cmsaf::with_parameter("/a?", "k", "v"), "/a?k=v");
  equal("open", cmsaf::with_parameter("/a?x=1&", "k", "v"), "/a?x=1&k=v");
  equal("only", cmsaf::without_parameter("/a?k=v", "k"), "/a");
  equal("one of two", cmsaf::without_parameter("/a?k=v&x=1", "k"), "/a?x=1");
  equal("last", cmsaf::without_parameter("/a?x=1&k=v", "k"), "/a?x=1");
  equal("twice", cmsaf::without_parameter("/a?k=v&x=1&k=w", "k"), "/a?x=1");
  equal("another", cmsaf::without_parameter("/a?kk=v&xk=1", "k"), "/a?kk=v&xk=1");
  holds("has", cmsaf::has_parameter("/a?x=1&k=v", "k"));
  holds("has none", !cmsaf::has_parameter("/a/k=v?x=k", "k"));
  return failures == 0 ? 0 : 1;
}
