// SPDX-License-Identifier: GPL-3.0-or-later
#include "filesystem.hh"

#include <thread>
#include <utility>

namespace cmsaf {

using XrdCl::ResponseHandler;
using XrdCl::XRootDStatus;

namespace {

// Of a status that a file system returns at once, the client keeps the code and loses the message: so the answer comes
// later, and from another thread, as an answer does that nobody may wait for under a lock.
XRootDStatus refused(const std::string& error, ResponseHandler* handler) {
  if (handler == nullptr) return wrong_settings(error);
  std::thread([error, handler] {
    handler->HandleResponseWithHosts(new XRootDStatus(wrong_settings(error)), nullptr,
                                     new XrdCl::HostList());
  }).detach();
  return XRootDStatus();
}

}  // namespace

// The file systems of before stay alive for the calls that they are in.
std::shared_ptr<XrdCl::FileSystem> XcacheFileSystem::reached_by(const Access& access) const {
  const std::string url = access.server_url(url_);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!fs_ || url != reached_) {
    fs_ = std::make_shared<XrdCl::FileSystem>(XrdCl::URL(url), false);
    reached_ = url;
    login_ = access.login;
    for (const auto& [name, value] : properties_) fs_->SetProperty(name, value);
  }
  return fs_;
}

template <typename Call>
XRootDStatus XcacheFileSystem::at_cache(ResponseHandler* handler, const Call& call) {
  const Access access = access_now();
  if (!access.error.empty()) return refused(access.error, handler);
  const auto fs = reached_by(access);
  return explained(access.hint, handler,
                   [&](ResponseHandler* answer) { return call(*fs, access, answer); });
}

XcacheFileSystem::XcacheFileSystem(std::string url) : url_(std::move(url)) {}

XRootDStatus XcacheFileSystem::Locate(const std::string& path, XrdCl::OpenFlags::Flags flags,
                                      ResponseHandler* handler, Timeout timeout) {
  return at_cache(handler, [&](XrdCl::FileSystem& fs, const Access& access, ResponseHandler* answer) {
    return fs.Locate(access.path(path), flags, answer, timeout);
  });
}

XRootDStatus XcacheFileSystem::DeepLocate(const std::string& path, XrdCl::OpenFlags::Flags flags,
                                          ResponseHandler* handler, Timeout timeout) {
  return at_cache(handler, [&](XrdCl::FileSystem& fs, const Access& access, ResponseHandler* answer) {
    return fs.DeepLocate(access.path(path), flags, answer, timeout);
  });
}

XRootDStatus XcacheFileSystem::Mv(const std::string& source, const std::string& destination,
                                  ResponseHandler* handler, Timeout timeout) {
  return at_cache(handler, [&](XrdCl::FileSystem& fs, const Access& access, ResponseHandler* answer) {
    return fs.Mv(access.path(source), access.path(destination), answer, timeout);
  });
}

XRootDStatus XcacheFileSystem::Query(XrdCl::QueryCode::Code code, const XrdCl::Buffer& argument,
                                     ResponseHandler* handler, Timeout timeout) {
  return at_cache(handler, [&](XrdCl::FileSystem& fs, const Access& access, ResponseHandler* answer) {
    if (code != XrdCl::QueryCode::Checksum) return fs.Query(code, argument, answer, timeout);
    XrdCl::Buffer path;
    path.FromString(access.path(argument.ToString()));
    return fs.Query(code, path, answer, timeout);
  });
}

XRootDStatus XcacheFileSystem::Truncate(const std::string& path, uint64_t size,
                                        ResponseHandler* handler, Timeout timeout) {
  return at_cache(handler, [&](XrdCl::FileSystem& fs, const Access& access, ResponseHandler* answer) {
    return fs.Truncate(access.path(path), size, answer, timeout);
  });
}

XRootDStatus XcacheFileSystem::Rm(const std::string& path, ResponseHandler* handler,
                                  Timeout timeout) {
  return at_cache(handler, [&](XrdCl::FileSystem& fs, const Access& access, ResponseHandler* answer) {
    return fs.Rm(access.path(path), answer, timeout);
  });
}

XRootDStatus XcacheFileSystem::MkDir(const std::string& path, XrdCl::MkDirFlags::Flags flags,
                                     XrdCl::Access::Mode mode, ResponseHandler* handler,
                                     Timeout timeout) {
  return at_cache(handler, [&](XrdCl::FileSystem& fs, const Access& access, ResponseHandler* answer) {
    return fs.MkDir(access.path(path), flags, mode, answer, timeout);
  });
}

XRootDStatus XcacheFileSystem::RmDir(const std::string& path, ResponseHandler* handler,
                                     Timeout timeout) {
  return at_cache(handler, [&](XrdCl::FileSystem& fs, const Access& access, ResponseHandler* answer) {
    return fs.RmDir(access.path(path), answer, timeout);
  });
}

XRootDStatus XcacheFileSystem::ChMod(const std::string& path, XrdCl::Access::Mode mode,
                                     ResponseHandler* handler, Timeout timeout) {
  return at_cache(handler, [&](XrdCl::FileSystem& fs, const Access& access, ResponseHandler* answer) {
    return fs.ChMod(access.path(path), mode, answer, timeout);
  });
}

XRootDStatus XcacheFileSystem::Ping(ResponseHandler* handler, Timeout timeout) {
  return at_cache(handler, [&](XrdCl::FileSystem& fs, const Access&, ResponseHandler* answer) {
    return fs.Ping(answer, timeout);
  });
}

XRootDStatus XcacheFileSystem::Stat(const std::string& path, ResponseHandler* handler,
                                    Timeout timeout) {
  return at_cache(handler, [&](XrdCl::FileSystem& fs, const Access& access, ResponseHandler* answer) {
    return fs.Stat(access.path(path), answer, timeout);
  });
}

XRootDStatus XcacheFileSystem::StatVFS(const std::string& path, ResponseHandler* handler,
                                       Timeout timeout) {
  return at_cache(handler, [&](XrdCl::FileSystem& fs, const Access& access, ResponseHandler* answer) {
    return fs.StatVFS(access.path(path), answer, timeout);
  });
}

XRootDStatus XcacheFileSystem::Protocol(ResponseHandler* handler, Timeout timeout) {
  return at_cache(handler, [&](XrdCl::FileSystem& fs, const Access&, ResponseHandler* answer) {
    return fs.Protocol(answer, timeout);
  });
}

XRootDStatus XcacheFileSystem::DirList(const std::string& path, XrdCl::DirListFlags::Flags flags,
                                       ResponseHandler* handler, Timeout timeout) {
  return at_cache(handler, [&](XrdCl::FileSystem& fs, const Access& access, ResponseHandler* answer) {
    return fs.DirList(access.path(path), flags, answer, timeout);
  });
}

XRootDStatus XcacheFileSystem::SendInfo(const std::string& info, ResponseHandler* handler,
                                        Timeout timeout) {
  return at_cache(handler, [&](XrdCl::FileSystem& fs, const Access&, ResponseHandler* answer) {
    return fs.SendInfo(info, answer, timeout);
  });
}

XRootDStatus XcacheFileSystem::Prepare(const std::vector<std::string>& files,
                                       XrdCl::PrepareFlags::Flags flags, uint8_t priority,
                                       ResponseHandler* handler, Timeout timeout) {
  return at_cache(handler, [&](XrdCl::FileSystem& fs, const Access& access, ResponseHandler* answer) {
    std::vector<std::string> paths;
    for (const auto& file : files) paths.push_back(access.path(file));
    return fs.Prepare(paths, flags, priority, answer, timeout);
  });
}

XRootDStatus XcacheFileSystem::SetXAttr(const std::string& path,
                                        const std::vector<XrdCl::xattr_t>& attributes,
                                        ResponseHandler* handler, Timeout timeout) {
  return at_cache(handler, [&](XrdCl::FileSystem& fs, const Access& access, ResponseHandler* answer) {
    return fs.SetXAttr(access.path(path), attributes, answer, timeout);
  });
}

XRootDStatus XcacheFileSystem::GetXAttr(const std::string& path,
                                        const std::vector<std::string>& names,
                                        ResponseHandler* handler, Timeout timeout) {
  return at_cache(handler, [&](XrdCl::FileSystem& fs, const Access& access, ResponseHandler* answer) {
    return fs.GetXAttr(access.path(path), names, answer, timeout);
  });
}

XRootDStatus XcacheFileSystem::DelXAttr(const std::string& path,
                                        const std::vector<std::string>& names,
                                        ResponseHandler* handler, Timeout timeout) {
  return at_cache(handler, [&](XrdCl::FileSystem& fs, const Access& access, ResponseHandler* answer) {
    return fs.DelXAttr(access.path(path), names, answer, timeout);
  });
}

XRootDStatus XcacheFileSystem::ListXAttr(const std::string& path, ResponseHandler* handler,
                                         Timeout timeout) {
  return at_cache(handler, [&](XrdCl::FileSystem& fs, const Access& access, ResponseHandler* answer) {
    return fs.ListXAttr(access.path(path), answer, timeout);
  });
}

bool XcacheFileSystem::SetProperty(const std::string& name, const std::string& value) {
  const Access access = access_now();
  if (!access.error.empty() || !reached_by(access)->SetProperty(name, value)) return false;
  const std::lock_guard<std::mutex> lock(mutex_);
  properties_[name] = value;
  return true;
}

bool XcacheFileSystem::GetProperty(const std::string& name, std::string& value) const {
  std::shared_ptr<XrdCl::FileSystem> fs;
  std::string login;
  {
    // That of the last call: the last URL is its.
    const std::lock_guard<std::mutex> lock(mutex_);
    fs = fs_;
    login = login_;
  }
  if (!fs) {
    const Access access = access_now();
    if (!access.error.empty()) return false;
    fs = reached_by(access);
    login = access.login;
  }
  if (!fs->GetProperty(name, value)) return false;
  if (name == "LastURL") value = reported(value, login, false);
  return true;
}

}  // namespace cmsaf
