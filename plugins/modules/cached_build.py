#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: cached_build
short_description: Build files or a container image once for each content
version_added: 0.1.0
description:
  - Runs a command that builds something, unless the same inputs were built before.
  - The key is a sha256 over the name, the content of all inputs, the values, the command and its environment.
  - Files are built in a temporary folder and moved to their places in one step each, so a run that was killed leaves nothing half done.
  - An image is pushed by the command under the tag C(key-<key>). This module then gives it its other tags.
attributes:
  check_mode:
    description: Can run in check mode and predict the change.
    support: full
  diff_mode:
    description: Returns what has changed when run with C(--diff).
    support: none
    details: What is built are binaries. The key and the sha256 of each file are returned.
  idempotent:
    description: Run again with the same inputs it changes nothing.
    support: full
  safe_file_operations:
    description: Uses Ansible's strict file operation functions to ensure proper permissions and avoid data corruption.
    support: partial
    details: Files are checked and moved in one step each, within one file system.
options:
  name:
    description: Name of what is built. The record, the log and the temporary folder are called so.
    type: str
    required: true
  inputs:
    description: Files and folders whose content goes in.
    type: list
    elements: path
    default: []
  values:
    description: Versions and other strings that go in.
    type: list
    elements: str
    default: []
  argv:
    description:
      - The command. It finds E(OUTPUT), an empty folder for its files, E(KEY), and for an image E(IMAGE), the name to push.
    type: list
    elements: str
    required: true
  chdir:
    description: Folder in which the command runs.
    type: path
  environment:
    description: Variables that go into the key and to the command.
    type: dict
    default: {}
  host_environment:
    description: Variables that go to the command alone, such as the places of caches and trust anchors.
    type: dict
    default: {}
  outputs:
    description: The files the command leaves in E(OUTPUT), and where they belong.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the file in E(OUTPUT).
        type: str
        required: true
      path:
        description: Where the file belongs, on the file system of O(directory).
        type: path
        required: true
      sha256:
        description: What the file has to be. Any other is refused. Not checked when empty.
        type: str
        default: ''
  image:
    description: The image the command pushes.
    type: dict
    suboptions:
      registry:
        description: Registry on this host, C(host:port), reached without TLS.
        type: str
        default: 127.0.0.1:5000
      repository:
        description: Repository in it.
        type: str
        required: true
      tags:
        description: Tags that shall stand for the image, besides C(key-<key>).
        type: list
        elements: str
        required: true
  directory:
    description: Folder for records, logs and temporary folders.
    type: path
    required: true
author:
  - The cmsaf.facility authors (@cmsaf)
"""

EXAMPLES = r"""
- name: Build a program
  cmsaf.facility.cached_build:
    name: kubeadm
    inputs: [/usr/local/share/cmsaf/go/kubernetes]
    argv: [go, build, -o, $OUTPUT/kubeadm, k8s.io/kubernetes/cmd/kubeadm]
    chdir: /usr/local/share/cmsaf/go/kubernetes
    outputs:
      - name: kubeadm
        path: /var/cache/cmsaf/files/dl.k8s.io/release/v1.36.3/bin/linux/amd64/kubeadm
    directory: /var/cache/cmsaf/built
"""

RETURN = r"""
key:
  description: The key of the inputs. Empty in check mode when an input does not exist yet.
  type: str
  returned: success
files:
  description: The sha256 of each output, by its path.
  type: dict
  returned: success
digest:
  description: The digest of the image, empty without O(image) and in check mode when it is still to be built.
  type: str
  returned: success
seconds:
  description: How long the command took, 0 when it did not run.
  type: int
  returned: success
log:
  description: Where the command's output went.
  type: str
  returned: success
"""

import fcntl
import os
import shutil
import tempfile
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cmsaf.facility.plugins.module_utils._cache import (
    CacheError,
    Output,
    Record,
    content_key,
    install,
    read_record,
    reusable,
    write_record,
)
from ansible_collections.cmsaf.facility.plugins.module_utils._registry import (
    Registry,
    RegistryError,
)

TAIL = 30
# The log is there to be read while a build runs, which may take long.
TO_LOG = ("/bin/sh", "-c", 'log="$1"; shift; exec >"$log" 2>&1 </dev/null; exec "$@"', "build")
# Of the shell, for what is no program.
NOT_STARTED = (126, 127)
ARGUMENT_SPEC = {
    "name": {"type": "str", "required": True},
    "inputs": {"type": "list", "elements": "path", "default": []},
    "values": {"type": "list", "elements": "str", "default": []},
    "argv": {"type": "list", "elements": "str", "required": True},
    "chdir": {"type": "path"},
    "environment": {"type": "dict", "default": {}},
    "host_environment": {"type": "dict", "default": {}},
    "outputs": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "sha256": {"type": "str", "default": ""},
        },
    },
    "image": {
        "type": "dict",
        "options": {
            "registry": {"type": "str", "default": "127.0.0.1:5000"},
            "repository": {"type": "str", "required": True},
            "tags": {"type": "list", "elements": "str", "required": True},
        },
    },
    "directory": {"type": "path", "required": True},
}


class Build:
    """One build: its key, what there is already, and the command."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params = module.params
        self.name = module.params["name"]
        self.outputs = [Output(**output) for output in module.params["outputs"]]
        self.image = module.params["image"]
        self.registry = Registry(f"http://{self.image['registry']}") if self.image else None
        self.record_path = os.path.join(self.params["directory"], f"{self.name}.json")
        self.log_path = os.path.join(self.params["directory"], "log", f"{self.name}.log")
        self.key = ""
        self.digest = ""
        self.seconds = 0

    def find_key(self) -> None:
        environment = {name: str(value) for name, value in self.params["environment"].items()}
        self.key = content_key(
            name=self.name,
            inputs=self.params["inputs"],
            values=self.params["values"],
            argv=self.params["argv"],
            environment=environment,
        )

    def built(self) -> bool:
        """Whether there is what the command would make."""
        if self.registry:
            self.digest = self.registry.digest(self.image["repository"], f"key-{self.key}")
            if not self.digest:
                return False
        return not self.outputs or reusable(read_record(self.record_path), self.key, self.outputs)

    def tags_missing(self) -> list[str]:
        """The tags that stand for another image, or for none."""
        if not self.registry:
            return []
        repository = self.image["repository"]
        return [tag for tag in self.image["tags"] if self.registry.digest(repository, tag) != self.digest]

    def predict(self) -> bool:
        """Whether a real run would change anything. What an earlier step is still to make is not there yet."""
        if not all(os.path.exists(path) for path in self.params["inputs"]):
            return True
        self.find_key()
        try:
            return not self.built() or bool(self.tags_missing())
        except RegistryError:
            return True

    def set_tags(self) -> bool:
        """Let the tags stand for the image, and say whether they did not."""
        missing = self.tags_missing()
        if self.registry:
            for tag in missing:
                self.registry.copy_tag(self.image["repository"], f"key-{self.key}", tag)
        return bool(missing)

    def run(self) -> None:
        """Run the command, then put its files where they belong."""
        os.makedirs(os.path.dirname(self.log_path), exist_ok=True)
        folder = tempfile.mkdtemp(dir=self.params["directory"], prefix=f".{self.name}-")
        try:
            self._command(folder)
            files = install(self.name, folder, self.outputs)
            if self.outputs:
                write_record(self.record_path, Record(self.key, files))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _command(self, folder: str) -> None:
        added = {"OUTPUT": folder, "KEY": self.key}
        if self.image:
            added["IMAGE"] = f"{self.image['registry']}/{self.image['repository']}:key-{self.key}"
        given = {**self.params["host_environment"], **self.params["environment"]}
        environment = {name: str(value) for name, value in given.items()} | added
        argv = [part.replace("$OUTPUT", folder) for part in self.params["argv"]]
        started = time.monotonic()
        code = self.module.run_command(
            [*TO_LOG, self.log_path, *argv],
            cwd=self.params["chdir"],
            environ_update=environment,
            expand_user_and_vars=False,
            ignore_invalid_cwd=False,
        )[0]
        self.seconds = round(time.monotonic() - started)
        if code in NOT_STARTED:
            raise CacheError(
                f"Starting {argv[0]} to build {self.name} failed: {self.tail()}. Set the option argv or chdir."
            )
        if code:
            raise CacheError(
                f"Building {self.name} failed after {self.seconds} s with exit code {code}. The log {self.log_path} ends:\n{self.tail()}"
            )

    def tail(self) -> str:
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-TAIL:]).rstrip() or "(it is empty)"

    def ensure(self) -> bool:
        """Build what is missing. Whoever comes second waits, and finds it built."""
        os.makedirs(self.params["directory"], exist_ok=True)
        with open(os.path.join(self.params["directory"], f".{self.name}.lock"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            changed = not self.built()
            if changed:
                self.run()
                if not self.built():
                    raise CacheError(
                        f"Building {self.name} ended without an error, but its image was not pushed as $IMAGE. See the option argv."
                    )
            return self.set_tags() or changed

    def result(self) -> dict[str, object]:
        record = read_record(self.record_path) if self.outputs else None
        files = {place: sha256 for place, (sha256, _size) in record.files.items()} if record else {}
        return {"key": self.key, "digest": self.digest, "files": files, "seconds": self.seconds, "log": self.log_path}


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC, supports_check_mode=True, required_one_of=[("outputs", "image")]
    )
    build = Build(module)
    try:
        if module.check_mode:
            module.exit_json(changed=build.predict(), **build.result())
        build.find_key()
        module.exit_json(changed=build.ensure(), **build.result())
    except (CacheError, RegistryError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(
            msg=f"Building {build.name} failed at {error.filename}: {error.strerror}. See the options directory and outputs."
        )


if __name__ == "__main__":
    main()
