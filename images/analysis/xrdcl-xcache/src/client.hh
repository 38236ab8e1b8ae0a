// SPDX-License-Identifier: GPL-3.0-or-later
// What differs between the releases of XRootD's client, and what both halves
// of the plug-in need of it.
#ifndef CMSAF_XCACHE_CLIENT_HH
#define CMSAF_XCACHE_CLIENT_HH

#include <string>
#include <tuple>
#include <utility>

#include "XrdCl/XrdClPlugInInterface.hh"
#include "XrdVersion.hh"

// Cloning, reading ahead and Fcntl with a code came with release 6.
#if XrdVNUMBER >= 60000
#define CMSAF_XRDCL_6 1
#else
#define CMSAF_XRDCL_6 0
#endif

namespace cmsaf {

// The type of a timeout, which release 6 has widened.
template <typename Method>
struct LastOf;
template <typename Result, typename Class, typename... Arguments>
struct LastOf<Result (Class::*)(Arguments...)> {
  using type = std::tuple_element_t<sizeof...(Arguments) - 1, std::tuple<Arguments...>>;
};
using Timeout = LastOf<decltype(&XrdCl::FilePlugIn::Sync)>::type;

inline XrdCl::XRootDStatus wrong_settings(const std::string& error) {
  return XrdCl::XRootDStatus(XrdCl::stError, XrdCl::errConfig, 0, error);
}

inline bool is_login_failure(const XrdCl::XRootDStatus& status) {
  return !status.IsOK() && status.code == XrdCl::errAuthFailed;
}

inline void explain(XrdCl::XRootDStatus& status, const std::string& hint) {
  if (!is_login_failure(status)) return;
  const std::string& said = status.GetErrorMessage();
  status.SetErrorMessage(said.empty() ? hint : said + "; " + hint);
}

// Adds to a failed login's message what may have led to it.
class Explaining : public XrdCl::ResponseHandler {
 public:
  Explaining(std::string hint, XrdCl::ResponseHandler* handler)
      : hint_(std::move(hint)), handler_(handler) {}

  void HandleResponseWithHosts(XrdCl::XRootDStatus* status, XrdCl::AnyObject* response,
                               XrdCl::HostList* hosts) override {
    const bool more = status->IsOK() && status->code == XrdCl::suContinue;
    explain(*status, hint_);
    handler_->HandleResponseWithHosts(status, response, hosts);
    if (!more) delete this;
  }

 private:
  std::string hint_;
  XrdCl::ResponseHandler* handler_;
};

// Makes an asynchronous call, with the hint where there is one.
template <typename Call>
XrdCl::XRootDStatus explained(const std::string& hint, XrdCl::ResponseHandler* handler,
                              const Call& call) {
  if (hint.empty() || handler == nullptr) return call(handler);
  auto* explaining = new Explaining(hint, handler);
  XrdCl::XRootDStatus status = call(explaining);
  // Then nobody will answer.
  if (!status.IsOK()) {
    delete explaining;
    explain(status, hint);
  }
  return status;
}

}  // namespace cmsaf

#endif
