#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finish the root file system of a test host (hook of mmdebstrap, gets its directory)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

# Mounts of a container are private; kubelet and containerd need shared ones at every boot.
MOUNTS_UNIT = """\
[Unit]
Description=Shared mounts and the bpf file system for containers
DefaultDependencies=no
Before=sysinit.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/mount --make-rshared /
ExecStart=/bin/sh -c "mkdir -p /sys/fs/bpf && { mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf; }"
[Install]
WantedBy=sysinit.target
"""
FILES = {
    "etc/systemd/system/cmsaf-mounts.service": MOUNTS_UNIT,
    "etc/systemd/journald.conf.d/50-test-host.conf": "[Journal]\nStorage=volatile\nRuntimeMaxUse=64M\n",
    "etc/ssh/sshd_config.d/50-test-host.conf": (
        "PermitRootLogin prohibit-password\nPasswordAuthentication no\nUseDNS no\nMaxSessions 64\nMaxStartups 64\n"
        "HostKey /etc/ssh/ssh_host_ed25519_key\n"
    ),
    "etc/apt/apt.conf.d/50-test-host": 'APT::Install-Recommends "false";\nAcquire::Languages "none";\n',
}
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", re.DOTALL)


def trust(root: Path, bundle: Path) -> None:
    """Add the anchors of ``bundle`` that the root file system does not have yet."""
    known = set(CERTIFICATE.findall((root / "etc/ssl/certs/ca-certificates.crt").read_text()))
    for number, anchor in enumerate(CERTIFICATE.findall(bundle.read_text())):
        if anchor not in known:
            (root / f"usr/local/share/ca-certificates/outside-{number}.crt").write_text(anchor)
    subprocess.run(["chroot", str(root), "update-ca-certificates"], check=True)


def main() -> None:
    """Write the files, enable the unit, drop what must differ between hosts."""
    root = Path(sys.argv[1])
    for name, text in FILES.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    for key in root.glob("etc/ssh/ssh_host_*"):
        key.unlink()
    (root / "etc/machine-id").write_text("")
    systemctl = ["chroot", str(root), "systemctl"]
    subprocess.run([*systemctl, "enable", "cmsaf-mounts.service", "ssh.service"], check=True)
    # A host has the machine's terminal devices, and no business there.
    subprocess.run([*systemctl, "mask", "getty@tty1.service", "console-getty.service", "getty.target"], check=True)
    if bundle := os.environ.get("CMSAF_CA_BUNDLE"):
        trust(root, Path(bundle))


if __name__ == "__main__":
    main()
