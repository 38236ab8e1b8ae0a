# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults made for real: what is killed on which host, and when it was back by itself.

Times are seconds of the epoch, by the clocks of the hosts.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

KUBECTL = "kubectl --kubeconfig=/etc/kubernetes/admin.conf --request-timeout=3s"
NAMESPACE = "hub"
CONTROL = "kube_control_plane[0]"
# Tries, five a second, for what was killed to be back.
TRIES = 1500
SERVERS = "cmsaf.facility/server"
# What the names of the soak's users, of their objects and of no others have in them.
USERS = "soak"


class FaultError(RuntimeError):
    """A host did not do what it should; the message says which, and what it said."""


class Hosts:
    """The hosts of an inventory, by Ansible."""

    def __init__(self, inventory: str) -> None:
        self.inventory = inventory

    def begin(self, pattern: str, script: str) -> subprocess.Popen[str]:
        command = ["ansible", "-i", self.inventory, pattern, "--module-name", "ansible.builtin.shell"]
        return subprocess.Popen(
            [*command, "--args", json.dumps({"cmd": script})],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self, begun: subprocess.Popen[str]) -> list[str]:
        """The lines that it has written, without Ansible's own."""
        text = begun.communicate()[0]
        if begun.returncode or "rc=0 >>\n" not in text:
            raise FaultError(text.strip()[-1000:])
        return text.split("rc=0 >>\n", 1)[1].strip().splitlines()

    def run(self, pattern: str, script: str) -> list[str]:
        return self.end(self.begin(pattern, script))

    def servers(self) -> list[str]:
        """Node, name, identity and restarts of the pods of the soak's users."""
        columns = "{.spec.nodeName} {.metadata.name} {.metadata.uid} {.status.containerStatuses[0].restartCount}"
        return sorted(line for line in self.pods(SERVERS, columns) if f"-{USERS}" in line)

    def left(self) -> dict[str, int]:
        """How much of the servers of the soak's users is there: their objects by kind, and jobs in the queue."""
        kinds = ("pods", "secrets", "services")
        each = "; ".join(f"{self.get(kind, SERVERS)} --output=name | grep -e -{USERS} | wc -l" for kind in kinds)
        jobs = f"""condor_q -allusers -constraint 'regexp("^{USERS}[0-9]+$", Owner)' -af ClusterId | wc -l"""
        counts = [*self.run(CONTROL, each), *self.run("condor_access_point[0]", jobs)]
        return dict(zip((*kinds, "jobs"), map(int, counts), strict=True))

    def get(self, kind: str, selector: str) -> str:
        return f"{KUBECTL} --namespace={NAMESPACE} get {kind} --selector={selector}"

    def pods(self, selector: str, columns: str) -> list[str]:
        return self.run(CONTROL, f"{self.get('pods', selector)} --output=jsonpath='{_each(columns)}'")


@dataclass(frozen=True)
class Fault:
    """What is done, answers when it was done and when all was back."""

    name: str
    strike: Callable[[Hosts], tuple[float, float]]
    # Whether Dask's connections do not go through it.
    keeps_workers: bool = True


def _each(columns: str) -> str:
    return "{range .items[*]}" + columns.replace(" ", '{" "}') + '{"\\n"}{end}'


def _until(true: str) -> str:
    return (
        f"for try in $(seq {TRIES}); do if {true}; then date +%s.%N; exit 0; fi; sleep 0.2; done; echo not back; exit 1"
    )


def process(pattern: str, name: str, back: str) -> Callable[[Hosts], tuple[float, float]]:
    """All processes of this name on a host, with -9."""

    def strike(hosts: Hosts) -> tuple[float, float]:
        kill = f"found=$(pgrep --exact {name}) && date +%s.%N && kill -KILL $found || exit 1"
        killed, was_back = hosts.run(pattern, f"{kill}; {_until(f'{back} >/dev/null 2>&1')}")
        return float(killed), float(was_back)

    return strike


def container(component: str) -> Callable[[Hosts], tuple[float, float]]:
    """All processes of a container of the hub's, with -9 and from outside; the kubelet starts it again."""
    columns = "{.spec.nodeName} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].ready}"

    def strike(hosts: Hosts) -> tuple[float, float]:
        selector = f"app.kubernetes.io/component={component}"
        node, identity = hosts.pods(selector, columns)[0].split()[:2]
        pods = f"{hosts.get('pods', selector)} --output=jsonpath='{_each(columns)}'"
        waits = hosts.begin(CONTROL, _until(f"{pods} 2>&1 | grep -v {identity} | grep -q ' true$'"))
        processes = f"grep -l {identity.rpartition('/')[2]} /proc/[0-9]*/cgroup 2>/dev/null | cut -d/ -f3"
        killed = hosts.run(node, f"found=$({processes}); date +%s.%N; kill -KILL $found")
        return float(killed[0]), float(hosts.end(waits)[0])

    return strike


def pod(component: str) -> Callable[[Hosts], tuple[float, float]]:
    """A pod of the hub's, at once; its Deployment makes another."""
    columns = "{.metadata.uid} {.status.containerStatuses[0].ready}"

    def strike(hosts: Hosts) -> tuple[float, float]:
        selector = f"app.kubernetes.io/component={component}"
        identity = hosts.pods(selector, columns)[0].split()[0]
        get = hosts.get("pods", selector)
        remove = f"{get.replace(' get ', ' delete ')} --grace-period=0 --force --wait=false >/dev/null 2>&1"
        true = f"{get} --output=jsonpath='{_each(columns)}' 2>&1 | grep -v {identity} | grep -q ' true$'"
        killed, was_back = hosts.run(CONTROL, f"date +%s.%N; {remove}; {_until(true)}")
        return float(killed), float(was_back)

    return strike


def kubelet(hosts: Hosts) -> tuple[float, float]:
    """That of the node which has the most servers."""
    nodes = [line.split()[0] for line in hosts.servers()]
    healthy = 'import urllib.request as u; u.urlopen("http://127.0.0.1:10248/healthz", timeout=2)'
    return process(max(set(nodes), key=nodes.count), "kubelet", f"python3 -c '{healthy}'")(hosts)


def release(hosts: Hosts) -> tuple[float, float]:
    """A new version of the hub's release, of which hub and proxy start anew, and the way back to the one before."""
    change = "hub.annotations.soak=upgraded,proxy.chp.resources.requests.cpu=20m"
    waits = "--namespace=hub --wait --timeout=5m 2>&1"
    script = f"""
        export KUBECONFIG=/etc/kubernetes/admin.conf
        chart=$(ls -d /usr/local/share/cmsaf/charts/hub-* | tail -1)
        date +%s.%N
        said=$(helm upgrade hub "$chart" --reuse-values --set {change} {waits} && helm rollback hub {waits}) ||
            {{ echo "$said"; exit 1; }}
        date +%s.%N
    """
    begun, over = hosts.run(CONTROL, script)
    return float(begun), float(over)


FAULTS = (
    Fault("hub killed", container("hub")),
    Fault("hub's pod removed", pod("hub")),
    Fault("proxy killed", container("proxy")),
    Fault("proxy's pod removed", pod("proxy")),
    Fault("hub and proxy upgraded and rolled back", release),
    Fault("gateway killed", process("gateway[0]", "haproxy", "ss -ltn | grep -q :443"), keeps_workers=False),
    Fault("kubelet killed", kubelet),
    Fault("API server killed", process(CONTROL, "kube-apiserver", f"{KUBECTL} get --raw /readyz")),
    Fault(
        "access point's schedd killed", process("condor_access_point[0]", "condor_schedd", "condor_q -allusers -totals")
    ),
)
