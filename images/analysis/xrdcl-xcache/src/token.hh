// SPDX-License-Identifier: GPL-3.0-or-later
// Finds the bearer token in WLCG's order of places, as XRootD's ztn does.
// No XRootD inside.
#ifndef CMSAF_XCACHE_TOKEN_HH
#define CMSAF_XCACHE_TOKEN_HH

#include <string>
#include <string_view>

namespace cmsaf {

struct Token {
  std::string value;  // empty: there is none, or error says what is wrong
  std::string error;  // never holds a token
  std::string file;   // where the value is from, if it is from a file
};

// A variable's value; a null pointer is an unset variable.
using Environment = const char* (*)(const char* name);

// BEARER_TOKEN, BEARER_TOKEN_FILE, $XDG_RUNTIME_DIR/bt_u<uid>, /tmp/bt_u<uid>.
// Reads the file anew each time. An empty token leads on to the next place, as
// does a file of the last two that is not there; anything else that is no
// token ends the search with an error.
Token find_token(Environment environment, unsigned long uid, const std::string& tmp = "/tmp");

// `text` without white space around it.
std::string_view stripped(std::string_view text);

// Is it of RFC 6750's characters?
bool is_token(std::string_view text);

// A number of this process for this token: another one after each change.
unsigned login_of(const std::string& token);

}  // namespace cmsaf

#endif
