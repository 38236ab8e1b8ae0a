// SPDX-License-Identifier: GPL-3.0-or-later
// forward_test HOST PORT FOLDER: does everything that the interface offers
// below FOLDER of a real server, once straight and once through the plug-in,
// and compares answers and what is left on the server.
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <future>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "check.hh"
#include "plugin.hh"
#if CMSAF_XRDCL_6
#include "XrdCl/XrdClDefaultEnv.hh"
#include "XrdCl/XrdClPlugInManager.hh"
#endif

namespace {

using XrdCl::ResponseHandler;
using XrdCl::XRootDStatus;
using Flags = XrdCl::OpenFlags;
using Results = std::vector<std::pair<std::string, std::string>>;

const XrdCl::Access::Mode rw = XrdCl::Access::UR | XrdCl::Access::UW;
const std::string letters = [] {
  std::string text;
  for (unsigned i = 0; i < 8192; ++i) text += static_cast<char>('a' + i % 23);
  return text;
}();

std::string buffer_text(const char* data, std::size_t size) {
  return std::to_string(size) + " bytes, hash " +
         std::to_string(std::hash<std::string>{}(data == nullptr ? "" : std::string(data, size)));
}

// Whatever a response holds that is the same each time.
std::string told(XrdCl::AnyObject& response) {
  XrdCl::ChunkInfo* chunk = nullptr;
  response.Get(chunk);
  if (chunk != nullptr)
    return "chunk " + std::to_string(chunk->offset) + " " +
           buffer_text(static_cast<char*>(chunk->buffer), chunk->length);
  XrdCl::PageInfo* page = nullptr;
  response.Get(page);
  if (page != nullptr)
    return "page " + std::to_string(page->GetCksums().size()) + " " +
           buffer_text(static_cast<char*>(page->GetBuffer()), page->GetLength());
  XrdCl::VectorReadInfo* vector = nullptr;
  response.Get(vector);
  if (vector != nullptr) {
    std::string text = "vector";
    for (const auto& part : vector->GetChunks())
      text += " " + buffer_text(static_cast<char*>(part.buffer), part.length);
    return text;
  }
  XrdCl::StatInfo* stat = nullptr;
  response.Get(stat);
  if (stat != nullptr)
    return "stat " + std::to_string(stat->GetSize()) + " " + std::to_string(stat->GetFlags());
  XrdCl::StatInfoVFS* vfs = nullptr;
  response.Get(vfs);
  if (vfs != nullptr) return "vfs " + std::to_string(vfs->GetNodesRW());
  XrdCl::LocationInfo* location = nullptr;
  response.Get(location);
  if (location != nullptr) return "locations " + std::to_string(location->GetSize());
  XrdCl::DirectoryList* list = nullptr;
  response.Get(list);
  if (list != nullptr) {
    std::vector<std::string> names_of;
    for (uint32_t i = 0; i < list->GetSize(); ++i) names_of.push_back(list->At(i)->GetName());
    std::sort(names_of.begin(), names_of.end());
    std::string text = "list";
    for (const auto& name : names_of) text += " " + name;
    return text;
  }
  XrdCl::ProtocolInfo* protocol = nullptr;
  response.Get(protocol);
  if (protocol != nullptr) return "protocol " + std::to_string(protocol->GetVersion());
  std::vector<XrdCl::XAttr>* attributes = nullptr;
  response.Get(attributes);
  if (attributes != nullptr) {
    std::string text = "attributes";
    for (const auto& one : *attributes) text += " " + one.name + "=" + one.value;
    return text;
  }
  std::vector<XrdCl::XAttrStatus>* statuses = nullptr;
  response.Get(statuses);
  if (statuses != nullptr) {
    std::string text = "statuses";
    for (const auto& one : *statuses) text += " " + one.name + "=" + one.status.ToString();
    return text;
  }
  XrdCl::Buffer* buffer = nullptr;
  response.Get(buffer);
  if (buffer != nullptr) return "buffer " + buffer->ToString();
  return "something else";
}

class Waiting : public ResponseHandler {
 public:
  void HandleResponse(XRootDStatus* status, XrdCl::AnyObject* response) override {
    std::string text = status->ToString();
    if (response != nullptr) text += ", " + told(*response);
    delete status;
    delete response;
    text_.set_value(text);
  }
  std::string text() { return text_.get_future().get(); }

 private:
  std::promise<std::string> text_;
};

// The answer to an asynchronous call.
template <typename Call>
std::string answer(const Call& call) {
  Waiting waiting;
  const XRootDStatus status = call(&waiting);
  return status.IsOK() ? waiting.text() : "at once: " + status.ToString();
}

// The straight client, to prepare and to look at what has come of it.
class Server {
 public:
  Server(std::string base, std::string folder)
      : base_(std::move(base)), folder_(std::move(folder)), fs_(XrdCl::URL(base_), false) {}

  void prepare() {
    std::string ignored;
    for (const char* name : {"f", "g", "new", "moved"}) {
      const XRootDStatus status = fs_.Rm(folder_ + "/" + name);
      (void)status;
    }
    for (const char* name : {"d", "made"}) {
      const XRootDStatus status = fs_.RmDir(folder_ + "/" + name);
      (void)status;
    }
    XRootDStatus status = fs_.MkDir(folder_, XrdCl::MkDirFlags::MakePath, XrdCl::Access::None);
    (void)status;
    status = fs_.MkDir(folder_ + "/d", XrdCl::MkDirFlags::None, XrdCl::Access::UR | XrdCl::Access::UW | XrdCl::Access::UX);
    must("making a folder", status);
    for (const char* name : {"f", "g"}) {
      XrdCl::File file(false);
      must("creating a file", file.Open(base_ + folder_ + "/" + name, Flags::New | Flags::Write, rw));
      must("writing it", file.Write(0, 8192, letters.data()));
      must("closing it", file.Close());
    }
  }

  std::string left() {
    XrdCl::DirectoryList* list = nullptr;
    must("listing", fs_.DirList(folder_, XrdCl::DirListFlags::Stat, list));
    std::vector<std::string> lines;
    for (uint32_t i = 0; i < list->GetSize(); ++i) {
      auto* entry = list->At(i);
      const auto* info = entry->GetStatInfo();
      lines.push_back(entry->GetName() + " " +
                      (info == nullptr ? "?" : std::to_string(info->GetFlags())) + " " +
                      (info == nullptr || info->TestFlags(XrdCl::StatInfo::IsDir) ? "" : content(entry->GetName())));
    }
    delete list;
    std::sort(lines.begin(), lines.end());
    std::string text;
    for (const auto& line : lines) text += line + "; ";
    return text;
  }

 private:
  static void must(const char* what, const XRootDStatus& status) {
    if (status.IsOK()) return;
    std::fprintf(stderr, "forward_test: %s: %s\n", what, status.ToString().c_str());
    std::exit(2);
  }

  std::string content(const std::string& name) {
    XrdCl::File file(false);
    const XRootDStatus opened = file.Open(base_ + folder_ + "/" + name, Flags::Read, XrdCl::Access::None);
    if (!opened.IsOK()) return "cannot be opened";
    std::string text(1 << 16, '\0');
    uint32_t length = 0;
    must("reading", file.Read(0, static_cast<uint32_t>(text.size()), text.data(), length, 0));
    must("closing", file.Close());
    return buffer_text(text.data(), length);
  }

  std::string base_;
  std::string folder_;
  XrdCl::FileSystem fs_;
};

int memory_file(const std::string& text) {
  const int fd = ::memfd_create("forward_test", 0);
  if (fd < 0 || ::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      ::lseek(fd, 0, SEEK_SET) != 0)
    std::exit(2);
  return fd;
}

// Everything of a file. `make` makes one that is not open.
template <typename Make>
Results of_files(const std::string& base, const std::string& folder, Server& server, const Make& make) {
  Results results;
  const std::string url = base + folder + "/f";
  const auto with_open = [&](const std::string& name, const auto& call) {
    server.prepare();
    auto file = make();
    std::string text = answer([&](ResponseHandler* h) { return file->Open(url, Flags::Update, rw, h, 0); });
    text += " | " + call(*file);
    text += " | " + answer([&](ResponseHandler* h) { return file->Close(h, 0); });
    results.emplace_back(name, text + " | " + server.left());
  };
  const auto ask = [&](const std::string& name, const auto& call) {
    with_open(name, [&](auto& file) { return answer([&](ResponseHandler* h) { return call(file, h); }); });
  };
  std::string space(8192, '\0');
  std::vector<uint32_t> sums;

  server.prepare();
  {
    auto file = make();
    const auto open = [&](const std::string& path, Flags::Flags flags) {
      return answer([&](ResponseHandler* h) { return file->Open(base + path, flags, rw, h, 0); });
    };
    std::string text = open(folder + "/missing", Flags::Read);
    text += " | " + open(folder + "/new", Flags::New | Flags::Write);
    text += " | " + answer([&](ResponseHandler* h) { return file->Close(h, 0); });
    // And a second time by the same object.
    text += " | " + open(folder + "/f", Flags::Read);
    text += " | " + answer([&](ResponseHandler* h) { return file->Close(h, 0); });
    results.emplace_back("Open", text + " | " + server.left());
    results.emplace_back("Close", answer([&](ResponseHandler* h) { return file->Close(h, 0); }));
  }
  ask("Stat", [](auto& f, ResponseHandler* h) { return f.Stat(true, h, 0); });
  ask("Read", [&](auto& f, ResponseHandler* h) { return f.Read(100, 4000, space.data(), h, 0); });
  with_open("Read into a descriptor", [&](auto& f) {
    std::string text(300, '\0');
    if constexpr (std::is_base_of_v<XrdCl::FilePlugIn, std::decay_t<decltype(f)>>) {
      const int fd = memory_file("");
      const std::string said = answer([&](ResponseHandler* h) {
        return f.Read(8000, 300, XrdCl::Optional<uint64_t>(7), fd, h, 0);
      });
      holds("the descriptor's answer: " + said, said.find("chunk 8000 192 bytes") != std::string::npos);
      const ssize_t got = ::pread(fd, text.data(), text.size(), 7);
      ::close(fd);
      return buffer_text(text.data(), static_cast<std::size_t>(got));
    } else {
      return buffer_text(letters.data() + 8000, 192);
    }
  });
  ask("PgRead", [&](auto& f, ResponseHandler* h) { return f.PgRead(4096, 4096, space.data(), h, 0); });
  ask("Write", [](auto& f, ResponseHandler* h) { return f.Write(10, 5, "12345", h, 0); });
  ask("Write of a buffer", [](auto& f, ResponseHandler* h) {
    XrdCl::Buffer buffer;
    buffer.FromString("67890");
    return f.Write(20, std::move(buffer), h, 0);
  });
  const int fd = memory_file("from a descriptor");
  ask("Write from a descriptor", [&](auto& f, ResponseHandler* h) {
    return f.Write(30, 10, XrdCl::Optional<uint64_t>(5), fd, h, 0);
  });
  ::close(fd);
  ask("PgWrite", [&](auto& f, ResponseHandler* h) { return f.PgWrite(4096, 4, "page", sums, h, 0); });
  ask("Sync", [](auto& f, ResponseHandler* h) { return f.Sync(h, 0); });
  ask("Truncate", [](auto& f, ResponseHandler* h) { return f.Truncate(77, h, 0); });
  ask("VectorRead", [&](auto& f, ResponseHandler* h) {
    const XrdCl::ChunkList chunks{{5, 10, nullptr}, {500, 20, nullptr}};
    return f.VectorRead(chunks, space.data(), h, 0);
  });
  char one[] = "one";
  char two[] = "two";
  ask("VectorWrite", [&](auto& f, ResponseHandler* h) {
    const XrdCl::ChunkList chunks{{5, 3, one}, {500, 3, two}};
    return f.VectorWrite(chunks, h, 0);
  });
  const struct iovec parts[] = {{one, 3}, {two, 3}};
  ask("WriteV", [&](auto& f, ResponseHandler* h) { return f.WriteV(60, parts, 2, h, 0); });
  XrdCl::Buffer argument;
  argument.FromString("anything");
  ask("Fcntl", [&](auto& f, ResponseHandler* h) { return f.Fcntl(argument, h, 0); });
  ask("Visa", [](auto& f, ResponseHandler* h) { return f.Visa(h, 0); });
  with_open("IsOpen", [&](auto& f) {
    auto other = make();
    return std::string(f.IsOpen() ? "open" : "shut") + (other->IsOpen() ? "open" : "shut");
  });
  with_open("SetProperty", [](auto& f) {
    std::string before;
    std::string after;
    f.GetProperty("ReadRecovery", before);
    const bool done = f.SetProperty("ReadRecovery", "false");
    f.GetProperty("ReadRecovery", after);
    return before + after + std::to_string(done) + std::to_string(f.SetProperty("None", "x"));
  });
  with_open("GetProperty", [](auto& f) {
    std::string text;
    for (const char* name : {"DataServer", "LastURL", "FollowRedirects", "None"}) {
      std::string value;
      const bool known = f.GetProperty(name, value);
      // A number of its own for each file follows.
      text += std::to_string(known) + value.substr(0, value.find("xrdcl.requuid=")) + " ";
    }
    return text;
  });
#if CMSAF_XRDCL_6
  ask("PreRead", [](auto& f, ResponseHandler*) {
    // The plain client answers this at once, and never calls back.
    const XRootDStatus status = f.PreRead(XrdCl::TractList{}, nullptr, 0);
    return XRootDStatus(XrdCl::stError, XrdCl::errNone, 0, status.IsOK() ? "ok" : "not ok");
  });
  ask("Fcntl with a code", [&](auto& f, ResponseHandler* h) {
    return f.Fcntl(XrdCl::QueryCode::Visa, argument, h, 0);
  });
  // Templates go from one file of the client's to another.
  for (const char* name : {"OpenUsingTemplate", "ExportTemplate", "Clone"}) {
    server.prepare();
    XrdCl::File source;
    XrdCl::File target;
    std::string text = source.Open(url, Flags::Read, XrdCl::Access::None).ToString();
    if (std::strcmp(name, "Clone") == 0) {
      text += " | " + target.Open(base + folder + "/g", Flags::Update, rw).ToString();
      XrdCl::CloneLocations locations;
      locations.Add(source, 0, 4096, 4096);
      text += " | " + target.Clone(locations).ToString();
    } else {
      text += " | " + target.OpenUsingTemplate(source, base + folder + "/new", Flags::New | Flags::Write | Flags::Samefs, rw).ToString();
    }
    if (target.IsOpen()) text += " | " + target.Close().ToString();
    text += " | " + source.Close().ToString();
    results.emplace_back(name, text + " | " + server.left());
  }
#endif
  return results;
}

// Everything of a file system.
template <typename Make>
Results of_file_systems(const std::string& folder, Server& server, const Make& make) {
  Results results;
  auto fs = make();
  const auto ask = [&](const std::string& name, const auto& call) {
    server.prepare();
    const std::string text = answer([&](ResponseHandler* h) { return call(*fs, h); });
    // The server counts what it is asked to prepare.
    const auto end = name == "Prepare" ? text.rfind(':') : text.size();
    results.emplace_back(name, text.substr(0, end) + " | " + server.left());
  };
  const std::string f = folder + "/f";
  const std::vector<std::string> names_of{"one"};
  const std::vector<XrdCl::xattr_t> attributes{{"one", "1"}};
  XrdCl::Buffer argument;
  argument.FromString("role");

  ask("Locate", [&](auto& s, ResponseHandler* h) { return s.Locate(f, Flags::Read, h, 0); });
  ask("DeepLocate", [&](auto& s, ResponseHandler* h) { return s.DeepLocate(f, Flags::Read, h, 0); });
  ask("Mv", [&](auto& s, ResponseHandler* h) { return s.Mv(f, folder + "/moved", h, 0); });
  ask("Query", [&](auto& s, ResponseHandler* h) {
    return s.Query(XrdCl::QueryCode::Config, argument, h, 0);
  });
  ask("Truncate", [&](auto& s, ResponseHandler* h) { return s.Truncate(f, 99, h, 0); });
  ask("Rm", [&](auto& s, ResponseHandler* h) { return s.Rm(f, h, 0); });
  ask("MkDir", [&](auto& s, ResponseHandler* h) {
    return s.MkDir(folder + "/made", XrdCl::MkDirFlags::None, XrdCl::Access::UR | XrdCl::Access::UX, h, 0);
  });
  ask("RmDir", [&](auto& s, ResponseHandler* h) { return s.RmDir(folder + "/d", h, 0); });
  ask("ChMod", [&](auto& s, ResponseHandler* h) { return s.ChMod(f, XrdCl::Access::UR, h, 0); });
  ask("Ping", [](auto& s, ResponseHandler* h) { return s.Ping(h, 0); });
  ask("Stat", [&](auto& s, ResponseHandler* h) { return s.Stat(f, h, 0); });
  ask("StatVFS", [](auto& s, ResponseHandler* h) { return s.StatVFS("/", h, 0); });
  ask("Protocol", [](auto& s, ResponseHandler* h) { return s.Protocol(h, 0); });
  ask("DirList", [&](auto& s, ResponseHandler* h) {
    return s.DirList(folder, XrdCl::DirListFlags::None, h, 0);
  });
  ask("SendInfo", [](auto& s, ResponseHandler* h) { return s.SendInfo("forward_test", h, 0); });
  ask("Prepare", [&](auto& s, ResponseHandler* h) {
    return s.Prepare({f}, XrdCl::PrepareFlags::Stage, 1, h, 0);
  });
  ask("SetXAttr", [&](auto& s, ResponseHandler* h) { return s.SetXAttr(f, attributes, h, 0); });
  ask("GetXAttr", [&](auto& s, ResponseHandler* h) { return s.GetXAttr(f, names_of, h, 0); });
  ask("DelXAttr", [&](auto& s, ResponseHandler* h) { return s.DelXAttr(f, names_of, h, 0); });
  ask("ListXAttr", [&](auto& s, ResponseHandler* h) { return s.ListXAttr(f, h, 0); });
  std::string value;
  std::string text = std::to_string(fs->SetProperty("FollowRedirects", "false"));
  text += std::to_string(fs->SetProperty("None", "x"));
  results.emplace_back("SetProperty", text);
  text = std::to_string(fs->GetProperty("FollowRedirects", value)) + value;
  text += std::to_string(fs->GetProperty("LastURL", value)) + value;
  text += std::to_string(fs->GetProperty("None", value)) + value;
  results.emplace_back("GetProperty", text);
  return results;
}

// A virtual function after all of the interface's, as in slots_test.
template <typename Interface>
struct After : Interface {
  virtual void after() {}
};

template <typename Interface>
std::size_t functions() {
  const auto pointer = &After<Interface>::after;
  std::uintptr_t offset = 0;
  std::memcpy(&offset, &pointer, sizeof offset);
  // A destructor takes two slots.
  return (offset & ~std::uintptr_t{1}) / sizeof(void*) - 2;
}

void compare(const char* what, const Results& straight, const Results& through, std::size_t wanted) {
  holds(std::string(what) + ": as many tries as the interface has functions, " +
            std::to_string(straight.size()) + " of " + std::to_string(wanted),
        straight.size() == wanted && through.size() == wanted);
  std::size_t good = 0;
  for (std::size_t i = 0; i < std::min(straight.size(), through.size()); ++i) {
    equal(std::string(what) + "::" + straight[i].first, through[i].second, straight[i].second);
    if (straight[i].second.find("[SUCCESS]") != std::string::npos) ++good;
    if (std::getenv("FORWARD_TEST_SHOW") != nullptr)
      std::printf("%s::%s: %s\n", what, straight[i].first.c_str(), straight[i].second.c_str());
  }
  std::printf("%s: %zu functions, the same straight and through the plug-in\n", what, good);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) {
    std::fprintf(stderr, "usage: forward_test HOST PORT FOLDER\n");
    return 2;
  }
  ::setenv("XCACHE_HOST", arguments[1], 1);
  ::setenv("XCACHE_PORT", arguments[2], 1);
  const std::string folder = arguments[3];
  const std::string base = std::string("root://") + arguments[1] + ":" + arguments[2] + "/";
  const std::string alias = "root://xcache/";
#if CMSAF_XRDCL_6
  // For the client's own files, which the templates are of; the manager keeps it.
  auto* factory = new cmsaf::Factory();
  if (!XrdCl::DefaultEnv::GetPlugInManager()->RegisterFactory("root://xcache:1094", factory)) return 2;
#else
  const auto factory = std::make_unique<cmsaf::Factory>();
#endif

  Server server(base, folder);
  compare("File", of_files(base, folder, server, [] { return std::make_unique<XrdCl::File>(false); }),
          of_files(alias, folder, server,
                   [&] { return std::unique_ptr<XrdCl::FilePlugIn>(factory->CreateFile(alias)); }),
          functions<XrdCl::FilePlugIn>());
  compare("FileSystem",
          of_file_systems(folder, server,
                          [&] { return std::make_unique<XrdCl::FileSystem>(XrdCl::URL(base), false); }),
          of_file_systems(folder, server,
                          [&] {
                            return std::unique_ptr<XrdCl::FileSystemPlugIn>(
                                factory->CreateFileSystem(alias));
                          }),
          functions<XrdCl::FileSystemPlugIn>());
  return failures == 0 ? 0 : 1;
}
