// SPDX-License-Identifier: GPL-3.0-or-later
// Every virtual function of the interface this was compiled with is
// overridden: a slot in the table of ours that holds the same function as the
// interface's own is one that would answer "not implemented". The compiler
// lays the tables out from upstream's header, so what upstream adds is seen.
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#include "check.hh"
#include "file.hh"
#include "filesystem.hh"

namespace {

// A virtual function after all of the interface's: its slot is their number.
template <typename Interface>
struct After : Interface {
  virtual void after() {}
};

template <typename Interface>
std::size_t slots() {
  const auto pointer = &After<Interface>::after;
  std::uintptr_t offset = 0;
  std::memcpy(&offset, &pointer, sizeof offset);
  // One architecture's C++ ABI marks a virtual function in the lowest bit.
  return (offset & ~std::uintptr_t{1}) / sizeof(void*);
}

template <typename Interface>
void check(const char* name, const Interface& ours) {
  const Interface plain{};
  void* const* theirs = nullptr;
  void* const* table = nullptr;
  std::memcpy(&theirs, &plain, sizeof theirs);
  std::memcpy(&table, &ours, sizeof table);
  const std::size_t count = slots<Interface>();
  for (std::size_t slot = 0; slot < count; ++slot) {
    Dl_info info = {};
    const bool known = ::dladdr(theirs[slot], &info) != 0 && info.dli_sname != nullptr;
    holds(std::string(name) + ": not overridden, slot " + std::to_string(slot) + ", " +
              (known ? info.dli_sname : "?"),
          table[slot] != theirs[slot]);
  }
  std::printf("%s: %zu functions\n", name, count);
  // Fewer than release 5 has: then it is this test that is wrong.
  holds("counts", count >= 22);
}

}  // namespace

int main() {
  check<XrdCl::FilePlugIn>("FilePlugIn", cmsaf::XcacheFile());
  check<XrdCl::FileSystemPlugIn>("FileSystemPlugIn", cmsaf::XcacheFileSystem("root://xcache"));
  return failures == 0 ? 0 : 1;
}
