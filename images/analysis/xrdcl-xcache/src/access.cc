// SPDX-License-Identifier: GPL-3.0-or-later
#include "access.hh"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <utility>

namespace cmsaf {
namespace {

constexpr const char* intent = "xrdcl.intent";
constexpr const char* authz_name = "authz";

// What a URL's parameter cannot hold of a token's characters.
std::string escaped(const std::string& token) {
  std::string result;
  for (const char c : token) {
    if (c == '+')
      result += "%2B";
    else if (c == '/')
      result += "%2F";
    else if (c == '=')
      result += "%3D";
    else
      result += c;
  }
  return result;
}

template <typename Value>
void append(std::string& key, const Value& value) {
  key.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// All that an Access depends on; empty where it is not to be kept.
std::string key_of(Environment environment, unsigned long uid) {
  // Seconds after which another change of a file has another time for sure.
  constexpr time_t settled = 2;
  const char* path = environment("BEARER_TOKEN_FILE");
  struct stat status = {};
  if (path == nullptr || *path == '\0' || environment("BEARER_TOKEN") != nullptr ||
      ::stat(path, &status) != 0 || std::time(nullptr) - status.st_ctim.tv_sec < settled)
    return {};
  std::string key;
  for (const char* name : {"XCACHE_HOST", "XCACHE_PORT", "XCACHE_AUTHZ"}) {
    const char* value = environment(name);
    key.append(value == nullptr ? "-" : "+").append(value == nullptr ? "" : value).push_back('\0');
  }
  key.append(path).push_back('\0');
  append(key, uid);
  append(key, status.st_dev);
  append(key, status.st_ino);
  append(key, status.st_mode);
  append(key, status.st_size);
  for (const timespec& time : {status.st_mtim, status.st_ctim}) {
    append(key, time.tv_sec);
    append(key, time.tv_nsec);
  }
  return key;
}

}  // namespace

std::string Access::server_url(const std::string& url) const {
  if (!is_alias(url)) return url;
  std::string result = rewrite(url, target);
  // In the clear, a token would be everybody's on the way.
  if (!authz.empty()) result = with_tls(result);
  // Somebody else's separation, such as a third-party copy's, stays.
  if (!has_parameter(result, intent)) result = with_parameter(result, intent, login);
  return result;
}

std::string Access::file_url(const std::string& url) const {
  return is_alias(url) ? path(server_url(url)) : url;
}

std::string Access::path(const std::string& path) const {
  if (authz.empty() || has_parameter(path, authz_name)) return path;
  return with_parameter(path, authz_name, authz);
}

Access access_by(Environment environment, unsigned long uid, const std::string& tmp) {
  Access access;
  access.target = target_from(environment("XCACHE_HOST"), environment("XCACHE_PORT"));
  access.error = access.target.error;
  if (!access.error.empty()) return access;

  const char* asked = environment("XCACHE_AUTHZ");
  const std::string in_url = asked == nullptr ? "" : asked;
  if (!in_url.empty() && in_url != "0" && in_url != "1") {
    access.error = std::string("root://") + alias_host + " cannot be read: XCACHE_AUTHZ is '" +
                   shown(in_url) + "'; set it to 1 to send the token in URLs, or unset it";
    return access;
  }

  const Token token = find_token(environment, uid, tmp);
  access.error = token.error;
  if (!access.error.empty()) return access;
  access.login = std::string(alias_host) + std::to_string(login_of(token.value));
  access.file = token.file;
  if (token.value.empty())
    access.hint =
        "no token was found in BEARER_TOKEN, the file of BEARER_TOKEN_FILE, XDG_RUNTIME_DIR/bt_u" +
        std::to_string(uid) + " or " + tmp + "/bt_u" + std::to_string(uid);
  if (in_url == "1") {
    if (token.value.empty())
      access.error = std::string("root://") + alias_host +
                     " cannot be read: XCACHE_AUTHZ is 1, and " + access.hint +
                     "; let BEARER_TOKEN_FILE name the token's file, or unset XCACHE_AUTHZ";
    else
      access.authz = "Bearer%20" + escaped(token.value);
  }
  return access;
}

Access AccessKeeper::get(Environment environment, unsigned long uid, const std::string& tmp) {
  // Before the file is read: one that is changed in between has another key the next time.
  std::string key = key_of(environment, uid);
  if (!key.empty() && key == key_) return kept_;
  Access access = access_by(environment, uid, tmp);
  key_.clear();
  if (!key.empty() && access.error.empty() && access.authz.empty() &&
      access.file == environment("BEARER_TOKEN_FILE")) {
    key_ = std::move(key);
    kept_ = access;
  }
  return access;
}

Access access_now() {
  // Each thread has its own: a fork leaves no lock taken.
  thread_local AccessKeeper keeper;
  return keeper.get([](const char* name) -> const char* { return std::getenv(name); }, ::geteuid());
}

std::string reported(const std::string& url, const std::string& login, bool with_authz) {
  std::string result = with_authz ? without_parameter(url, authz_name) : url;
  if (result.find(std::string(intent) + "=" + login) != std::string::npos)
    result = without_parameter(result, intent);
  return result;
}

}  // namespace cmsaf
