// SPDX-License-Identifier: GPL-3.0-or-later
#ifndef CMSAF_XCACHE_CHECK_HH
#define CMSAF_XCACHE_CHECK_HH

#include <cstdio>
#include <string>

inline int failures = 0;

inline void holds(const std::string& what, bool true_of_it) {
  if (true_of_it) return;
  ++failures;
  std::fprintf(stderr, "FAILED %s\n", what.c_str());
}

inline void equal(const std::string& what, const std::string& found, const std::string& wanted) {
  if (found == wanted) return;
  ++failures;
  std::fprintf(stderr, "FAILED %s: found '%s', wanted '%s'\n", what.c_str(), found.c_str(),
               wanted.c_str());
}

inline void names(const std::string& what, const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return;
  ++failures;
  std::fprintf(stderr, "FAILED %s: '%s' does not name %s\n", what.c_str(), text.c_str(),
               part.c_str());
}

#endif
