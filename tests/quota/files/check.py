#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes held to their size by a kernel that can: the first process of a virtual machine, whose last line says how it went.

Each kind of volume is filled by its user, while another one's is written on; what the file system says of itself, which is what
JupyterLab shows, is compared with what could be written.
"""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path

from cmsaf_dask import home

MIB = 1 << 20
SIZE, LARGER = 64 * MIB, 96 * MIB
USER = 6440
PROGRAM = "/cmsaf/cmsaf-volume"
# What is in a file system besides its files, at most.
OVERHEAD = 0.2


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.returncode} {done.stdout} {done.stderr}")
    return done.stdout


def said(*command):
    """What a command that has to fail says."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode, f"{command} did not fail: {done.stdout}"
    return done.stderr


def volume(*arguments):
    return run(PROGRAM, *arguments)


def as_user(work):
    """In a process of the user's, without the privileges that quotas do not hold for; for the number that it returns."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        try:
            os.setgid(USER)
            os.setuid(USER)
            os.write(writer, str(work()).encode())
            os._exit(0)
        except BaseException:  # noqa: BLE001 # whatever it is, the process ends here
            traceback.print_exc()
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader) as answer:
        found = answer.read()
    assert os.waitpid(child, 0)[1] == 0, "the user's process failed"
    return int(found)


def fill(directory, name="data"):
    """Bytes that the user could write until he was refused."""

    def work():
        written, block = 0, b"x" * (256 << 10)
        descriptor = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            while True:
                written += os.write(descriptor, block)
                os.fsync(descriptor)
        except OSError as error:
            assert error.errno in (errno.EDQUOT, errno.ENOSPC), error
        return written

    return as_user(work)


def write(directory, size, name="more"):
    def work():
        with open(directory / name, "wb") as file:
            file.write(b"y" * size)
            file.flush()
            os.fsync(file.fileno())
        return size

    return as_user(work)


def shown(directory, size=SIZE):
    return home.look(directory, size)


def held(parent, options=(), reader=lambda directory: directory):
    """The life of two users' volumes.

    :param reader: where the user meets a directory
    """
    alice, bob = parent / "pvc-1_hub_claim-alice", parent / "pvc-2_hub_claim-bob"
    for one in (alice, bob):
        volume("make", one, SIZE, *options)
        # Once more, as after a start that was cut off.
        volume("make", one, SIZE, *options)
    here, there = reader(alice), reader(bob)
    empty = shown(here)
    assert empty.size is not None and (1 - OVERHEAD) * SIZE <= empty.size <= SIZE, empty
    assert empty.used < MIB and empty.level == "", empty
    written = fill(here)
    full = shown(here)
    assert empty.size - MIB <= written <= empty.size, (written, empty)
    assert abs(full.used - written) <= MIB and full.level == "full", (written, full)
    # The other one notices nothing of it.
    write(there, 32 * MIB)
    assert abs(shown(there).used - 32 * MIB) <= MIB, shown(there)
    assert shown(there).level == ""
    # A file in a directory below, and one that was moved there, count as well.
    as_user(lambda: os.remove(here / "data") or os.mkdir(here / "deep") or 0)
    assert fill(here / "deep") >= written - 2 * MIB
    volume("limit", alice, LARGER)
    grown = shown(here, LARGER)
    assert grown.size > (1 - OVERHEAD) * LARGER and grown.level == "", grown
    write(here, 16 * MIB)
    return alice, bob, written


def projects(device, kind, mkfs):
    parent = Path(f"/volumes/{kind}")
    parent.mkdir(parents=True)
    run(*mkfs, device)
    run("mount", "-o", "prjquota", device, parent)
    looked = volume("look", parent)
    assert '"projects": true' in looked, looked
    alice, bob, written = held(parent)
    print(f"{kind}: {written / MIB:.1f} of {SIZE / MIB:.0f} MiB written, then refused", flush=True)

    # One that was there before there were quotas: what is in it counts, and what it links to does not.
    old = parent / "pvc-3_hub_claim-old"
    old.mkdir()
    old.chmod(0o777)
    (old / "below").mkdir()
    (old / "below").chmod(0o777)
    write(old / "below", 40 * MIB)
    os.symlink("/etc/passwd", old / "link")
    os.mkfifo(old / "pipe")
    assert shown(old).size is None
    volume("limit", old, SIZE)
    assert abs(shown(old).used - 40 * MIB) <= MIB, shown(old)
    assert 20 * MIB <= fill(old / "below") <= 25 * MIB

    # What is removed leaves neither a number nor a limit.
    for one in (alice, bob, old):
        volume("remove", one)
        volume("remove", one)
    assert not list(parent.iterdir()) or kind == "ext4", list(parent.iterdir())
    report = run("repquota", "-P", "-n", parent)
    assert "#1000000" not in report.replace("#0", ""), report
    volume("make", alice, SIZE)
    assert shown(alice).used < MIB
    assert fill(alice) >= written - MIB

    nfs(parent, kind)


def nfs(parent, kind):
    """On a server with such a file system a directory that is mounted over NFS is held to its size, and says it."""
    mount = Path(f"/nfs/{kind}")
    mount.mkdir(parents=True)
    run("exportfs", "-o", "rw,no_root_squash,fsid=" + str(len(kind)), f"127.0.0.1:{parent}")
    run("mount", "-t", "nfs4", "-o", "vers=4.2,soft", f"127.0.0.1:{parent}", mount)
    claim = parent / "pvc-4_hub_claim-carol"
    volume("make", claim, SIZE)
    # The node has all of the export mounted, and the pod a directory of it.
    inside = Path(f"/pods/{kind}")
    inside.mkdir(parents=True)
    run("mount", "--bind", mount / claim.name, inside)
    before = shown(inside)
    written = fill(inside)
    assert before.size == SIZE and abs(written - SIZE) <= MIB, (before, written)
    assert shown(inside).level == "full", shown(inside)
    print(f"{kind} over NFS: {written / MIB:.1f} MiB written, then refused; shown {shown(inside)}", flush=True)
    # A directory that the cluster makes over NFS has no limit: it is not for the client to set one.
    plain = mount / "pvc-5_hub_claim-dave"
    volume("make", plain, SIZE)
    assert shown(plain).size is None
    volume("make", mount / "pvc-6", SIZE, "--image")
    assert not (mount / "pvc-6.img").exists()
    print(said(PROGRAM, "limit", plain, SIZE).strip(), flush=True)
    run("umount", inside)
    run("umount", mount)


def images(device, kind, mkfs):
    parent = Path(f"/volumes/images-{kind}")
    parent.mkdir(parents=True)
    run(*mkfs, device)
    run("mount", device, parent)
    assert '"projects": false' in volume("look", parent)
    alice, bob, written = held(parent, ["--image"])
    print(f"images on {kind}: {written / MIB:.1f} of {SIZE / MIB:.0f} MiB written, then refused", flush=True)
    print(said(PROGRAM, "limit", alice, SIZE).strip(), flush=True)
    # The host starts anew: until all is mounted nothing is written below.
    for one in (alice, bob):
        run("umount", one)
        assert not list(one.iterdir())
        try:
            (one / "lost").touch()
        except PermissionError:
            continue
        raise AssertionError(f"{one} is written to while its image is not mounted")
    volume("mount", parent)
    volume("mount", parent)
    assert (alice / "deep" / "data").stat().st_size >= written - 2 * MIB
    # One that cannot be mounted is said, and the others are.
    run("umount", alice)
    run("umount", bob)
    with open(parent / f"{alice.name}.img", "r+b") as file:
        file.write(b"\0" * MIB)
    assert alice.name in said(PROGRAM, "mount", parent)
    assert os.path.ismount(bob) and not os.path.ismount(alice)
    for one in (alice, bob):
        volume("remove", one)
        volume("remove", one)
    assert [path.name for path in parent.iterdir()] in ([], ["lost+found"]), list(parent.iterdir())
    assert not run("losetup", "--noheadings", "--list").strip()
    # One that was cut off while it was made.
    (parent / f"{alice.name}.img.part").write_bytes(b"half")
    volume("make", alice, SIZE, "--image")
    assert shown(alice).size > (1 - OVERHEAD) * SIZE
    # Removed files give the disk its room back.
    fill(alice)
    taken = (parent / f"{alice.name}.img").stat().st_blocks * 512
    as_user(lambda: os.remove(alice / "data") or 0)
    os.sync()
    # The file system says it when it comes to it.
    end = time.monotonic() + 120
    while (left := (parent / f"{alice.name}.img").stat().st_blocks * 512) >= taken / 4:
        assert time.monotonic() < end, (taken, left)
        time.sleep(1)
    volume("remove", alice)


def none(device):
    """A file system without any: the directory is made, and what is shown is no limit."""
    parent = Path("/volumes/none")
    parent.mkdir(parents=True)
    run("mkfs.ext4", "-q", device)
    run("mount", device, parent)
    one = parent / "pvc-1"
    volume("make", one, SIZE)
    assert shown(one).size is None and shown(one).answer()["text"] == "Home: no limit"
    write(one, 2 * SIZE)
    print(said(PROGRAM, "limit", one, SIZE).strip(), flush=True)
    volume("remove", one)


def prepare():
    for kind, place in (("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/run"), ("tmpfs", "/tmp")):
        subprocess.run(["mount", "-t", kind, kind, place], check=False)
    run("mount", "-o", "remount,rw", "/")
    for directory in ("/volumes", "/nfs", "/pods", "/run/rpcbind", "/var/lib/nfs/v4recovery"):
        os.makedirs(directory, exist_ok=True)
    for module in ("loop", "xfs", "quota_v2", "btrfs", "nfsd", "nfsv4"):
        run("modprobe", module)
    run("ip", "link", "set", "lo", "up")
    run("mount", "-t", "nfsd", "nfsd", "/proc/fs/nfsd")
    run("rpc.nfsd", "--no-nfs-version", "3", "4")
    # It says of each protocol that it does not have that there is none.
    subprocess.Popen(["rpc.mountd", "--no-nfs-version", "3", "--foreground"], stderr=subprocess.DEVNULL)


def main():
    os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    try:
        prepare()
        print(f"kernel {os.uname().release}", flush=True)
        projects("/dev/vdb", "xfs", ["mkfs.xfs", "-q"])
        projects("/dev/vdc", "ext4", ["mkfs.ext4", "-q", "-O", "quota,project"])
        images("/dev/vdd", "ext4", ["mkfs.ext4", "-q"])
        images("/dev/vde", "btrfs", ["mkfs.btrfs", "-q"])
        none("/dev/vdf")
        print("CMSAF-QUOTA-HOLDS", flush=True)
    except BaseException:  # noqa: BLE001 # the first process of a machine must not end
        traceback.print_exc()
        print("CMSAF-QUOTA-FAILED", flush=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os.sync()
    # Of linux/reboot.h: power off.
    ctypes.CDLL(None).reboot(0x4321FEDC)


main()
