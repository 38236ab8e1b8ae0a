// SPDX-License-Identifier: GPL-3.0-or-later
// libFuzzer: whatever the variables, the token's file and the URL hold, the
// plug-in neither fails nor breaks its promises. The first byte says how the
// rest is shared out.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <string_view>

#include "access.hh"

namespace {

std::map<std::string, std::string> variables;

const char* environment(const char* name) {
  const auto found = variables.find(name);
  return found == variables.end() ? nullptr : found->second.c_str();
}

void promise(bool kept) {
  if (!kept) std::abort();
}

std::string_view next(std::string_view& rest) {
  const auto end = rest.find('\n');
  const std::string_view line = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  return line;
}

void urls(const std::string& url) {
  const cmsaf::Target target = cmsaf::target_from("cache.test", "1094");
  const std::string result = cmsaf::rewrite(url, target);
  promise(cmsaf::is_alias(url) || result == url);
  // What has been rewritten is the alias no more, so it ends there.
  promise(!cmsaf::is_alias(result));
  const std::string with = cmsaf::with_parameter(url, "xrdcl.intent", "x1");
  promise(cmsaf::has_parameter(with, "xrdcl.intent"));
  promise(!cmsaf::has_parameter(cmsaf::without_parameter(with, "xrdcl.intent"), "xrdcl.intent"));
  promise(cmsaf::shown(url).size() <= 83);
}

void settings(std::string_view rest) {
  variables.clear();
  for (const char* name : {"XCACHE_HOST", "XCACHE_PORT", "XCACHE_AUTHZ", "BEARER_TOKEN",
                           "BEARER_TOKEN_FILE", "XDG_RUNTIME_DIR"}) {
    const std::string_view line = next(rest);
    if (!line.empty()) variables[name] = line;
  }
  const cmsaf::Access access = cmsaf::access_by(environment, 77, "/nonexistent");
  const std::string url(rest);
  if (!access.error.empty()) {
    // The message names what is to be set, and no token reaches it.
    promise(access.error.find("XCACHE_") != std::string::npos ||
            access.error.find("BEARER_TOKEN") != std::string::npos ||
            access.error.find("XDG_RUNTIME_DIR") != std::string::npos);
    promise(access.error.size() < 1000);
    return;
  }
  // A cache may be called like the alias.
  promise(access.target.host == cmsaf::alias_host || !cmsaf::is_alias(access.file_url(url)));
  if (access.authz.empty())
    promise(access.path(url) == url);
  else if (cmsaf::is_alias(url))
    promise(access.file_url(url).find("s://") != std::string::npos);
}

void files(std::string_view text) {
  static const std::string path = "/tmp/cmsaf-fuzz-" + std::to_string(::getpid());
  std::ofstream(path, std::ios::binary) << text;
  ::chmod(path.c_str(), 0600);
  variables = {{"BEARER_TOKEN_FILE", path}};
  const cmsaf::Token token = cmsaf::find_token(environment, 77, "/nonexistent");
  ::unlink(path.c_str());
  promise(token.value.empty() || token.error.empty());
  promise(token.value.empty() || cmsaf::is_token(token.value));
  promise(token.value.empty() || text.find(token.value) != std::string_view::npos);
  promise(!token.error.empty() || token.value == cmsaf::stripped(text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string text(data + 1, data + size);
  switch (data[0] % 3) {
    case 0: urls(text); break;
    case 1: settings(text); break;
    default: files(text); break;
  }
  return 0;
}
