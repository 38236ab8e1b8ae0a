// SPDX-License-Identifier: GPL-3.0-or-later
// Discovery of the token, on files of a folder of its own.
#include "token.hh"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <string>

#include "access.hh"
#include "check.hh"

namespace {

std::map<std::string, std::string> variables;
// How often that variable was asked for.
int asked_token = 0;

const char* environment(const char* name) {
  if (std::string(name) == "BEARER_TOKEN") ++asked_token;
  const auto found = variables.find(name);
  return found == variables.end() ? nullptr : found->second.c_str();
}

void put(const std::string& path, const std::string& text, mode_t mode = 0600) {
  ::unlink(path.c_str());
  std::ofstream(path) << text;
  ::chmod(path.c_str(), mode);
}

}  // namespace

int main() {
  char pattern[] = "/tmp/cmsaf-token-test-XXXXXX";
  const std::string folder = ::mkdtemp(pattern);
  ::mkdir((folder + "/run").c_str(), 0700);
  ::mkdir((folder + "/tmp").c_str(), 0700);
  const std::string file = folder + "/token";
  const std::string run = folder + "/run/bt_u77";
  const std::string tmp = folder + "/tmp/bt_u77";
  const auto find = [&] { return cmsaf::find_token(environment, 77, folder + "/tmp"); };

  equal("nowhere", find().value + find().error, "");
  put(tmp, "from-tmp\n");
  equal("/tmp", find().value, "from-tmp");
  variables["XDG_RUNTIME_DIR"] = folder + "/run";
  equal("no file in the runtime folder", find().value, "from-tmp");
  put(run, "  from-run \t\n");
  equal("runtime folder", find().value, "from-run");
  variables["BEARER_TOKEN_FILE"] = "";
  equal("empty variable", find().value, "from-run");
  variables["BEARER_TOKEN_FILE"] = file;
  names("no such file", find().error, "BEARER_TOKEN_FILE leads to '" + file);
  put(file, " \n");
  equal("empty file", find().value, "from-run");
  put(file, "from-file");
  equal("file", find().value, "from-file");
  put(file, "renewed-in-file");
  equal("renewed file", find().value, "renewed-in-file");
  variables["BEARER_TOKEN"] = " \n";
  equal("empty token", find().value, "renewed-in-file");
  variables["BEARER_TOKEN"] = " from-variable\n";
  equal("variable", find().value, "from-variable");

  const std::string canary = "canary token with spaces";
  variables["BEARER_TOKEN"] = canary;
  names("no token's characters", find().error, "BEARER_TOKEN");
  holds("message without the token", find().error.find("canary") == std::string::npos);
  variables.erase("BEARER_TOKEN");

  for (const mode_t mode : {0640U, 0604U, 0660U, 0602U, 0610U}) {
    put(file, "from-file", mode);
    names("mode", find().error, "BEARER_TOKEN_FILE");
    names("fix", find().error, "0600");
    holds("no token", find().value.empty());
  }
  put(file, "from-file", 0400);
  equal("mode 0400", find().value, "from-file");
  put(file, std::string(600000, 'x'));
  names("too long", find().error, "BEARER_TOKEN_FILE");
  put(file, std::string("a\0b", 3));
  names("zero byte", find().error, "BEARER_TOKEN_FILE");
  variables["BEARER_TOKEN_FILE"] = folder;
  names("folder", find().error, "is no file");
  variables["BEARER_TOKEN_FILE"] = "canaryTokenInTheWrongPlace";
  names("token for a file", find().error, "BEARER_TOKEN_FILE");
  holds("message without it", find().error.find("canary") == std::string::npos);
  variables.erase("BEARER_TOKEN_FILE");
  put(run, "from-run", 0644);
  names("runtime folder's file", find().error, "XDG_RUNTIME_DIR");
  variables.erase("XDG_RUNTIME_DIR");
  put(tmp, "from-tmp", 0644);
  names("/tmp's file", find().error, tmp);
  if (::geteuid() != 0) {
    put(tmp, "from-tmp", 0000);
    names("unreadable", find().error, "Permission denied");
  }
  ::unlink(tmp.c_str());
  ::unlink(run.c_str());

  for (const char* good : {"a", "A-._~+/9==", "eyJ.eyJ.sig"}) holds(good, cmsaf::is_token(good));
  for (const char* bad : {"", "=", "a b", "a=b", "a,b", "\xc3\xa9"})
    holds(std::string("no token: ") + bad, !cmsaf::is_token(bad));

  const unsigned first = cmsaf::login_of("a");
  holds("the same token keeps its login", cmsaf::login_of("a") == first);
  const unsigned second = cmsaf::login_of("b");
  holds("another token has another login", second != first && cmsaf::login_of("b") == second);
  holds("a token that comes back logs in again", cmsaf::login_of("a") != first);

  const auto access = [&] { return cmsaf::access_by(environment, 77, folder + "/tmp"); };
  names("settings", access().error, "XCACHE_HOST");
  variables["XCACHE_HOST"] = "cache.test";
  names("settings", access().error, "XCACHE_PORT");
  variables["XCACHE_PORT"] = "1094";
  equal("no token is no error", access().error, "");
  names("but a hint", access().hint, "BEARER_TOKEN_FILE");
  variables["BEARER_TOKEN"] = "abc+/=";
  equal("hint", access().hint, "");
  std::string url = access().file_url("root://xcache//store/f?x=1");
  equal("file", url, "root://cache.test:1094//store/f?x=1&xrdcl.intent=" + access().login);
  equal("reported", cmsaf::reported(url, access().login, false), "root://cache.test:1094//store/f?x=1");
  equal("somebody's intent", access().file_url("root://xcache//f?xrdcl.intent=tpc"),
        "root://cache.test:1094//f?xrdcl.intent=tpc");
  equal("no alias", access().file_url("root://other//f"), "root://other//f");
  equal("path", access().path("/store/f"), "/store/f");
  const std::string before = access().login;
  variables["BEARER_TOKEN"] = "renewed";
  holds("renewed token, new login", access().login != before);
  variables["XCACHE_AUTHZ"] = "yes";
  names("settings", access().error, "XCACHE_AUTHZ");
  variables["XCACHE_AUTHZ"] = "0";
  equal("path", access().path("/store/f"), "/store/f");
  variables["XCACHE_AUTHZ"] = "1";
  variables["BEARER_TOKEN"] = "abc+/=";
  equal("path", access().path("/store/f"), "/store/f?authz=Bearer%20abc%2B%2F%3D");
  equal("own authz", access().path("/f?authz=mine"), "/f?authz=mine");
  url = access().file_url("root://xcache//store/f");
  equal("by TLS alone", url,
        "roots://cache.test:1094//store/f?xrdcl.intent=" + access().login +
            "&authz=Bearer%20abc%2B%2F%3D");
  equal("reported", cmsaf::reported(url, access().login, true), "roots://cache.test:1094//store/f");
  variables.erase("BEARER_TOKEN");
  names("asked for, not there", access().error, "XCACHE_AUTHZ");

  cmsaf::AccessKeeper keeper;
  const auto kept = [&] { return keeper.get(environment, 77, folder + "/tmp"); };
  // Whether nothing but the file's state was looked at.
  const auto at_once = [&] {
    const int asked = asked_token;
    kept();
    return asked_token == asked + 1;
  };
  variables["XCACHE_AUTHZ"] = "0";
  variables["BEARER_TOKEN_FILE"] = file;
  put(file, "one");
  const std::string one = kept().login;
  equal("the same as without", access().login, one);
  holds("a file of this moment is read each time", !at_once());
  put(file, "two");
  const std::string two = kept().login;
  holds("a file changed in the same moment", two != one);
  ::sleep(3);
  equal("an old file", kept().login, two);
  holds("an old file is not read again", at_once());
  ::chmod(file.c_str(), 0644);
  names("a file of others", kept().error, "mode 0644");
  ::chmod(file.c_str(), 0600);
  put(file + ".new", "six");
  ::sleep(3);
  equal("mended", kept().login, two);
  holds("mended, and not read again", at_once());
  ::rename((file + ".new").c_str(), file.c_str());
  holds("another file in its place", kept().login != two);
  variables["XCACHE_HOST"] = "other.test";
  equal("another variable", kept().target.host, "other.test");
  variables["XCACHE_AUTHZ"] = "1";
  equal("in URLs", kept().path("/f"), "/f?authz=Bearer%20six");
  holds("what holds the token is not kept", !at_once());
  variables["XCACHE_AUTHZ"] = "0";
  variables["BEARER_TOKEN"] = "seven";
  holds("another place", !at_once());
  variables.erase("BEARER_TOKEN");
  put(file, " \n");
  put(tmp, "from-tmp");
  ::sleep(3);
  kept();
  holds("a file that leads on to another is not kept", !at_once());
  ::unlink(file.c_str());
  names("no such file any more", kept().error, "BEARER_TOKEN_FILE leads to");

  ::unlink(file.c_str());
  ::rmdir((folder + "/run").c_str());
  ::rmdir((folder + "/tmp").c_str());
  ::rmdir(folder.c_str());
  return failures == 0 ? 0 : 1;
}
