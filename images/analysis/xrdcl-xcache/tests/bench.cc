// SPDX-License-Identifier: GPL-3.0-or-later
// bench HOST PORT PATH: opens, stats and vector reads of one file, straight
// and through the alias by turns, and the ratio of the two. The client loads
// the plug-in as it does for its users.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "XrdCl/XrdClFile.hh"
#include "XrdCl/XrdClFileSystem.hh"

namespace {

using Clock = std::chrono::steady_clock;

void must(const std::string& what, const XrdCl::XRootDStatus& status) {
  if (status.IsOK()) return;
  std::fprintf(stderr, "bench: %s: %s\n", what.c_str(), status.ToString().c_str());
  std::exit(1);
}

int number(const char* variable, int otherwise) {
  const char* value = std::getenv(variable);
  return value == nullptr ? otherwise : std::atoi(value);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double seconds(const std::function<void()>& action) {
  const auto begin = Clock::now();
  action();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// One of each by turns, every second time in the other order, and the medians
// of all: what else goes on at the machine falls on both, and what takes the
// processor away for a while on neither.
void compare(const char* what, int times, const std::function<void()>& straight,
             const std::function<void()>& through) {
  std::vector<double> plain;
  std::vector<double> alias;
  for (int i = 0; i < times / 4 + 1; ++i) {
    straight();
    through();
  }
  for (int i = 0; i < times; ++i) {
    if (i % 2 == 0) plain.push_back(seconds(straight));
    alias.push_back(seconds(through));
    if (i % 2 == 1) plain.push_back(seconds(straight));
  }
  const double a = median(plain);
  const double b = median(alias);
  std::printf("%-28s straight %8.0f/s, plug-in %8.0f/s, ratio %.3f\n", what, 1 / a, 1 / b, a / b);
  std::fflush(stdout);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) {
    std::fprintf(stderr, "usage: bench HOST PORT PATH, with XCACHE_HOST and XCACHE_PORT set\n");
    return 2;
  }
  const std::string path = arguments[3];
  const std::string servers[] = {std::string("root://") + arguments[1] + ":" + arguments[2] + "/",
                                 "root://xcache/"};
  const int times = number("BENCH_TIMES", 4000);

  const auto open = [&](const std::string& server) {
    return [url = server + path] {
      XrdCl::File file;
      must("opening " + url, file.Open(url, XrdCl::OpenFlags::Read));
      must("closing " + url, file.Close());
    };
  };
  compare("open and close", times, open(servers[0]), open(servers[1]));

  XrdCl::FileSystem systems[] = {XrdCl::FileSystem(XrdCl::URL(servers[0])),
                                 XrdCl::FileSystem(XrdCl::URL(servers[1]))};
  const auto stat = [&](XrdCl::FileSystem& system) {
    return [&] {
      XrdCl::StatInfo* info = nullptr;
      must("stat", system.Stat(path, info));
      delete info;
    };
  };
  compare("stat", times, stat(systems[0]), stat(systems[1]));

  XrdCl::File files[2];
  for (int i = 0; i < 2; ++i)
    must("opening", files[i].Open(servers[i] + path, XrdCl::OpenFlags::Read));
  std::vector<char> space(32768);
  XrdCl::ChunkList chunks;
  for (unsigned i = 0; i < 16; ++i) chunks.emplace_back(i * 65536U, 2048U, nullptr);
  const auto read = [&](XrdCl::File& file) {
    return [&] {
      XrdCl::VectorReadInfo* info = nullptr;
      must("vector read", file.VectorRead(chunks, space.data(), info));
      delete info;
    };
  };
  compare("vector read, 16 of 2 KiB", times, read(files[0]), read(files[1]));
  chunks.clear();
  space.resize(std::size_t{8} * 32768);
  for (unsigned i = 0; i < 8; ++i) chunks.emplace_back(i * 131072U, 32768U, nullptr);
  compare("vector read, 8 of 32 KiB", times, read(files[0]), read(files[1]));
  for (auto& file : files) must("closing", file.Close());
  return 0;
}
