// SPDX-License-Identifier: GPL-3.0-or-later
// bench HOST PORT PATH: opens, stats and vector reads of one file, straight
// and through the alias by turns, and the ratio of the two; beside them straight
// by a connection of its own, which says how good the ratios are. The client
// loads the plug-in as it does for its users.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
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

using Actions = std::vector<std::function<void()>>;

// One of each by turns, each of them first as often as the others, and the
// medians: what else goes on at the machine falls on all, and what takes the
// processor away for a while on none.
void compare(const char* what, int times, const Actions& actions) {
  std::vector<std::vector<double>> taken(actions.size());
  for (int i = -times / 4; i < times; ++i) {
    for (std::size_t turn = 0; turn < actions.size(); ++turn) {
      const std::size_t which = (turn + static_cast<std::size_t>(i + times)) % actions.size();
      const double took = seconds(actions[which]);
      if (i >= 0) taken[which].push_back(took);
    }
  }
  const double straight = median(taken[0]);
  const double through = median(taken[2]);
  std::printf("%-26s straight %6.0f/s, plug-in %6.0f/s, %+5.1f us, ratio %.3f (straight by another connection %.3f)\n",
              what, 1 / straight, 1 / through, (through - straight) * 1e6, straight / through,
              straight / median(taken[1]));
  std::fflush(stdout);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) {
    std::fprintf(stderr, "usage: bench HOST PORT PATH, with XCACHE_HOST and XCACHE_PORT set\n");
    return 2;
  }
  const std::string path = arguments[3];
  const std::string straight = std::string("root://") + arguments[1] + ":" + arguments[2] + "/";
  // The plug-in has connections of its own; so has the second, which does without it.
  const std::string other = "?xrdcl.intent=bench";
  const std::string urls[] = {straight + path, straight + path + other, "root://xcache/" + path};
  const std::string servers[] = {straight, straight + other, "root://xcache/"};
  const int times = number("BENCH_TIMES", 4000);

  Actions opens;
  for (const std::string& url : urls)
    opens.emplace_back([url] {
      XrdCl::File file;
      must("opening " + url, file.Open(url, XrdCl::OpenFlags::Read));
      must("closing " + url, file.Close());
    });
  compare("open and close", times, opens);

  std::vector<std::unique_ptr<XrdCl::FileSystem>> systems;
  Actions stats;
  for (const std::string& server : servers) {
    systems.push_back(std::make_unique<XrdCl::FileSystem>(XrdCl::URL(server)));
    stats.emplace_back([&path, system = systems.back().get()] {
      XrdCl::StatInfo* info = nullptr;
      must("stat", system->Stat(path, info));
      delete info;
    });
  }
  compare("stat", times, stats);

  std::vector<char> space(std::size_t{8} * 32768);
  XrdCl::ChunkList small;
  for (unsigned i = 0; i < 16; ++i) small.emplace_back(i * 65536U, 2048U, nullptr);
  XrdCl::ChunkList large;
  for (unsigned i = 0; i < 8; ++i) large.emplace_back(i * 131072U, 32768U, nullptr);
  std::vector<std::unique_ptr<XrdCl::File>> files;
  Actions few;
  Actions many;
  for (const std::string& url : urls) {
    files.push_back(std::make_unique<XrdCl::File>());
    must("opening", files.back()->Open(url, XrdCl::OpenFlags::Read));
    const auto read = [&space, file = files.back().get()](const XrdCl::ChunkList& chunks) {
      XrdCl::VectorReadInfo* info = nullptr;
      must("vector read", file->VectorRead(chunks, space.data(), info));
      delete info;
    };
    few.emplace_back([&small, read] { read(small); });
    many.emplace_back([&large, read] { read(large); });
  }
  compare("vector read, 16 of 2 KiB", times, few);
  compare("vector read, 8 of 32 KiB", times, many);
  for (auto& file : files) must("closing", file->Close());
  return 0;
}
