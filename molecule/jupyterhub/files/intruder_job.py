# SPDX-License-Identifier: GPL-3.0-or-later
"""The intruder's job, in a container on the machine of another's worker; prints what it tried as JSON.

In its directory are tries.py, workercert.pem of the intruder's own server, and given.json, which intruder.py describes.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import classad2
import htcondor2
from tries import dask, http, look, out_of_the_container, refusing, something, tcp, xrootd
from XRootD.client import File, FileSystem
from XRootD.client.flags import OpenFlags

SCRATCH = os.environ["_CONDOR_SCRATCH_DIR"]
CERTIFICATE = str(Path(SCRATCH) / "workercert.pem")

given = json.loads(Path("given.json").read_text())
other, hosts = given["other"], given["hosts"]


def neighbours():
    around = Path(SCRATCH).parent
    return something([path.name for path in around.iterdir() if str(path) != SCRATCH], f"nothing else in {around}")


def without_a_token():
    ad = htcondor2.Collector(given["collector"]).locate(htcondor2.DaemonType.Schedd, given["schedd"])
    return something(ad, "no answer")


def machine(kind="Machine"):
    """The daemon of this machine that runs jobs. The bindings give orders to what they know as another kind."""
    ad = classad2.parseOne(Path(".machine.ad").read_text())
    ad["MyType"] = kind
    return ad


def tokens():
    """Files that a daemon of the pool would take for a token of its issuer."""
    heads = {path.name: path.read_bytes()[:3] for path in Path(SCRATCH).rglob("*") if path.is_file()}
    return something([name for name, head in heads.items() if head == b"eyJ"], f"none among {sorted(heads)}")


def read(url):
    return xrootd(File().open(url, OpenFlags.READ)[0])


def push(repository):
    return http(f"https://{hosts['mirror']}/v2/{repository}/blobs/uploads/", "POST", {})


def stays():
    """A process that wants to outlive the job; whether it does is seen on the machine."""
    subprocess.Popen(["sleep", given["mark"]], start_new_session=True)


cluster = f"https://{hosts['control_plane']}:6443/api/v1/namespaces"
kubelet = f"https://{hosts['worker']}:10250"
stays()
tries = out_of_the_container(SCRATCH) | {
    "look into others' directories": neighbours,
    "find a token for the pool": tokens,
    "read the cluster's Secrets": lambda: http(f"{cluster}/hub/secrets"),
    "start a pod": lambda: http(f"{cluster}/hub/pods", "POST", {"kind": "Pod", "apiVersion": "v1"}),
    "list a node's pods": lambda: http(f"{kubelet}/pods"),
    "run a command in a pod": lambda: http(f"{kubelet}/run/hub/hub/hub?cmd=id", "POST", {}),
    "read a node's logs": lambda: http(f"{kubelet}/logs/"),
    "ask the kubelet's open port": lambda: tcp(hosts["worker"], 10255),
    "read etcd": lambda: http(f"https://{hosts['control_plane']}:2379/version"),
    "ask the cloud who this is": lambda: http("http://169.254.169.254/latest/meta-data/"),
    # By what answers: a site's way out may take connections to any address.
    "reach the hub within": lambda: http(f"http://{given['hub']}:8081/hub/api/"),
    "reach the other's server": lambda: http(f"http://{other['address']}:8888/user/{other['user_name']}/api"),
    "reach his scheduler": lambda: dask(f"{other['address']}:8786", other["dask_name"], CERTIFICATE),
    "speak with his scheduler": lambda: dask(f"{hosts['gateway']}:8786", other["dask_name"], CERTIFICATE),
    "speak with his worker": lambda: dask(other["worker"], other["dask_name"], CERTIFICATE),
    "mint a token": lambda: http(f"https://{hosts['access_point']}:9620/v1/token", "POST", {"user": other["owner"]}),
    "mint it with my certificate": lambda: http(
        f"https://{hosts['access_point']}:9620/v1/token", "POST", {"user": other["owner"]}, certificate=CERTIFICATE
    ),
    "push an image": lambda: push("mine"),
    "push over the facility's": lambda: push("cmsaf/analysis"),
    "put a file on the mirror": lambda: http(f"https://{hosts['mirror']}/mine", "PUT", {}),
    "read from the cache without a token": lambda: read(f"root://{hosts['xcache']}:1094/{given['path']}"),
    "read from the origin": lambda: read(f"root://{hosts['origin']}:1094/{given['path']}"),
    "remove at the origin": lambda: xrootd(FileSystem(f"root://{hosts['origin']}:1094").rm(given["path"])[0]),
}
in_turn = {
    "ask the pool without a token": refusing(without_a_token),
    "drain this machine": refusing(lambda: htcondor2.Startd(machine()).drainJobs()),
    "throw the other's job out": refusing(lambda: htcondor2.Startd(machine()).vacate()),
    "stop this machine's daemon": refusing(
        lambda: htcondor2.send_command(machine("DaemonMaster"), htcondor2.DaemonCommand.OffFast) or "sent"
    ),
}
# What is open to everybody, in the same way: a job that reaches nothing at all would be refused everything.
own = {
    "ask the mirror": lambda: http(f"https://{hosts['mirror']}/v2/"),
    "ask the gateway's port of schedulers": lambda: tcp(hosts["gateway"], 8786),
}
time.sleep(1)
said = {"tried": look(tries) | look(in_turn, at_once=1), "own": look(own), "uid": os.getuid()}
json.dump(said, sys.stdout)
