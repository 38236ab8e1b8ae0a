// SPDX-License-Identifier: GPL-3.0-or-later
#include "token.hh"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>

#include "alias.hh"

namespace cmsaf {
namespace {

// The most that a server's -maxsz can allow.
constexpr std::size_t longest = 524288;

class Descriptor {
 public:
  explicit Descriptor(const char* path) : fd_(::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string prefix() { return std::string("root://") + alias_host + " has no token: "; }

std::string octal(unsigned mode) {
  std::string digits;
  for (unsigned rest = mode & 07777U; rest != 0; rest >>= 3U)
    digits.insert(digits.begin(), static_cast<char>('0' + (rest & 7U)));
  return "0" + digits;
}

// A token put where its file's name belongs is not to reach a message.
std::string named(const std::string& path) {
  return path.front() == '/' ? "'" + shown(path) + "'" : "a file";
}

Token checked(std::string_view text, const std::string& where) {
  Token token;
  if (text.size() >= longest)
    token.error = prefix() + where + " holds " + std::to_string(text.size()) +
                  " characters, more than any token has; put the token there, and nothing else";
  else if (!is_token(text))
    token.error = prefix() + where +
                  " holds characters that no token has; put the token there, and nothing else";
  else
    token.value = text;
  return token;
}

// `variable` is what leads to `path`, and what a message names.
Token from_file(const std::string& path, const std::string& variable, bool may_be_missing) {
  Token token;
  const std::string where = prefix() + variable + " leads to " + named(path) + ", which ";
  const Descriptor file(path.c_str());
  struct stat status = {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) {
    const int error = errno;
    if (error == ENOENT && may_be_missing) return token;
    token.error = where + "cannot be read: " + std::strerror(error) +
                  "; let it name a file that user " + std::to_string(::geteuid()) +
                  " can read, or unset it";
    return token;
  }
  if (!S_ISREG(status.st_mode)) {
    token.error = where + "is no file; let it name the file that holds the token, or unset it";
    return token;
  }
  std::string text(std::min(static_cast<std::size_t>(status.st_size), longest), '\0');
  std::size_t length = 0;
  while (length < text.size()) {
    const ssize_t got = ::read(file.get(), &text[length], text.size() - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      token.error = where + "cannot be read: " + std::strerror(errno);
      return token;
    }
    if (got == 0) break;
    length += static_cast<std::size_t>(got);
  }
  text.resize(length);
  const std::string_view found = stripped(text);
  if (found.empty()) return token;
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    token.error = where + "has mode " + octal(status.st_mode) +
                  ": XRootD takes no token that others than the owner can read or change; " +
                  "give it mode 0600";
    return token;
  }
  token = checked(found, variable + " (" + named(path) + ")");
  token.file = path;
  return token;
}

}  // namespace

std::string_view stripped(std::string_view text) {
  constexpr std::string_view space = " \f\n\r\t\v";
  const auto begin = text.find_first_not_of(space);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(space) + 1 - begin);
}

bool is_token(std::string_view text) {
  const auto padding = std::min(text.find('='), text.size());
  const auto allowed = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           std::string_view("-._~+/").find(c) != std::string_view::npos;
  };
  return padding > 0 &&
         std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(padding), allowed) &&
         text.find_first_not_of('=', padding) == std::string_view::npos;
}

Token find_token(Environment environment, unsigned long uid, const std::string& tmp) {
  if (const char* value = environment("BEARER_TOKEN")) {
    const std::string_view found = stripped(value);
    if (!found.empty()) return checked(found, "BEARER_TOKEN");
  }
  const std::string name = "/bt_u" + std::to_string(uid);
  if (const char* path = environment("BEARER_TOKEN_FILE"); path != nullptr && *path != '\0') {
    Token token = from_file(path, "BEARER_TOKEN_FILE", false);
    if (!token.value.empty() || !token.error.empty()) return token;
  }
  if (const char* folder = environment("XDG_RUNTIME_DIR"); folder != nullptr && *folder != '\0') {
    Token token = from_file(folder + name, "XDG_RUNTIME_DIR", true);
    if (!token.value.empty() || !token.error.empty()) return token;
  }
  return from_file(tmp + name, "the default, with no BEARER_TOKEN or BEARER_TOKEN_FILE set,", true);
}

unsigned login_of(const std::string& token) {
  // Hash and number in one word: no lock that a fork could leave taken, and no
  // copy of the token that stays.
  static std::atomic<std::uint64_t> state{0};
  const std::uint64_t hash = std::uint64_t{std::hash<std::string>{}(token)} >> 16U;
  std::uint64_t seen = state.load();
  while (seen >> 16U != hash || (seen & 0xffffU) == 0) {
    // 0 is the number of no login.
    const std::uint64_t number = (seen & 0xffffU) % 0xffffU + 1;
    if (state.compare_exchange_weak(seen, hash << 16U | number)) return static_cast<unsigned>(number);
  }
  return static_cast<unsigned>(seen & 0xffffU);
}

}  // namespace cmsaf
