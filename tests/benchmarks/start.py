# SPDX-License-Identifier: GPL-3.0-or-later
"""From the click on start to the first cell, stage by stage: which of them takes the time.

Users log in and start their servers twice, the first time without a home. When each stage ends is seen from outside: in the
hub's log, in watches of pods and events, in the server's log, in the stream of progress that the browser has too. Beside them
the same pod with the same home and the same image is made with no hub and no hooks, as kubectl would; its JupyterLab knows no
hub either.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import ProtocolError

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from users import Facility, Hub, end  # type: ignore[import-not-found]  # found by the line before

LIMIT = 600
# The stages in their order, by what ends them.
STAGES = {
    "credentials": "hooks: credentials made",
    "pod": "pod made",
    "scheduled": "node chosen",
    "sandbox": "volumes and network there",
    "image": "image there",
    "container": "container started",
    "listens": "server listens",
    "ready": "hub says ready",
    "page": "JupyterLab's page loaded",
    "kernel": "kernel answers",
    "cell": "first cell done",
}
# What a bare pod has of them.
BARE = ("pod", "scheduled", "sandbox", "image", "container", "listens", "answers")
CELL = "import awkward, hist, uproot\nanswer(True)"
LISTENS = " is running at:"
BARE_POD = "cmsaf-bench-bare"
PORT = 8888


def moment(text: str) -> float:
    """Seconds of the epoch of a line of a container's log."""
    whole, rest = text.rstrip("Z").split(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{rest}")


class Seen:
    """When a pod was seen in each of its stages, by this machine's clock."""

    def __init__(self, api: Any, namespace: str) -> None:
        self.api = api
        self.namespace = namespace
        self.times: dict[str, dict[str, float]] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        watches = [watch.Watch(), watch.Watch()]
        reads: list[tuple[Callable[..., Any], Callable[[dict[str, Any]], None]]] = [
            (self.api.list_namespaced_pod, self._pod),
            (self.api.list_namespaced_event, self._event),
        ]
        for one, (read, take) in zip(watches, reads, strict=True):
            threading.Thread(target=self._follow, args=(one, read, take), daemon=True).start()
        try:
            yield
        finally:
            for one in watches:
                one.stop()

    def _follow(self, one: watch.Watch, read: Callable[..., Any], take: Callable[[dict[str, Any]], None]) -> None:
        version = read(self.namespace, limit=1).metadata.resource_version
        # Which is how a watch ends that is stopped.
        with suppress(ProtocolError):
            for event in one.stream(read, self.namespace, resource_version=version):
                if event["type"] != "DELETED":
                    take(event["raw_object"])

    def _note(self, pod: str, stage: str) -> None:
        self.times.setdefault(pod, {}).setdefault(stage, time.time())

    def _pod(self, pod: dict[str, Any]) -> None:
        name = pod["metadata"]["name"]
        self._note(name, "pod")
        true = {one["type"] for one in pod["status"].get("conditions", []) if one["status"] == "True"}
        if "PodScheduled" in true:
            self._note(name, "scheduled")
        if "PodReadyToStartContainers" in true:
            self._note(name, "sandbox")

    def _event(self, event: dict[str, Any]) -> None:
        stage = {"Pulled": "image", "Started": "container"}.get(event.get("reason", ""))
        if stage:
            self._note(event["involvedObject"]["name"], stage)

    def log(self, pod: str, words: str, since: float) -> float:
        """When a line that ends with these words was written."""
        lines = self.api.read_namespaced_pod_log(pod, self.namespace, timestamps=True, since_seconds=LIMIT).splitlines()
        found = [moment(line.split(" ", 1)[0]) for line in lines if line.endswith(words)]
        later = [when for when in found if when >= since]
        if not later:
            raise RuntimeError(f"the log of {pod} has no line that ends with {words!r} since the start: {lines[-5:]}")
        return later[0]


def progress(hub: Hub) -> float:
    """Follow the start as the page of the start does; when the hub said that the server is ready."""
    url = f"{hub.session.url}/hub/api/users/{hub.user}/server/progress"
    with hub.http.get(url, stream=True, timeout=LIMIT) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            event = json.loads(line[5:]) if line.startswith(b"data:") else {}
            if event.get("failed"):
                raise RuntimeError(f"the start of {hub.session.user} failed: {event.get('message')}")
            if event.get("ready"):
                return time.time()
    raise RuntimeError(f"the progress of {hub.session.user} ended before the server was ready")


def start(hub: Hub, password: str, profile: str, seen: Seen, hub_pod: str) -> dict[str, float]:
    """One start, from the click to the first cell; when each stage ended."""
    hub.login(password)
    pod = f"jupyter-{hub.session.user}"
    seen.times.pop(pod, None)
    place = f"{hub.session.url}/hub/api/users/{hub.user}/server"
    times = {"asked": time.time()}
    hub.http.post(place, json={"profile": profile}, timeout=LIMIT).raise_for_status()
    times["ready"] = progress(hub)
    page = hub.http.get(f"{hub.place}/lab", timeout=LIMIT)
    page.raise_for_status()
    times["page"] = time.time()
    hub.open_kernel()
    hub.run("answer(True)", LIMIT)
    times["kernel"] = time.time()
    hub.run(CELL, LIMIT)
    times["cell"] = time.time()
    times["credentials"] = seen.log(hub_pod, f"credentials for {hub.session.user}", times["asked"])
    times["listens"] = seen.log(pod, LISTENS, times["asked"])
    return times | seen.times[pod]


def bare(api: Any, namespace: str, like: dict[str, Any], seen: Seen) -> dict[str, float]:
    """The same pod, made without a hub; when each stage ended."""
    seen.times.pop(BARE_POD, None)
    times = {"asked": time.time()}
    api.create_namespaced_pod(namespace, like)
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            api.connect_get_namespaced_pod_proxy_with_path(f"{BARE_POD}:{PORT}", namespace, "api")
        except ApiException:
            time.sleep(0.1)
        else:
            break
    else:
        raise RuntimeError(f"the bare pod does not answer after {LIMIT} s")
    times["answers"] = time.time()
    times["listens"] = seen.log(BARE_POD, LISTENS, times["asked"])
    remove(api, namespace)
    return times | seen.times[BARE_POD]


def remove(api: Any, namespace: str) -> None:
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            api.delete_namespaced_pod(BARE_POD, namespace, grace_period_seconds=0)
        except ApiException as problem:
            if problem.status != 404:
                raise
            return
        time.sleep(0.5)


def without_hub(pod: dict[str, Any]) -> dict[str, Any]:
    """A user's pod as one without credentials, and with a JupyterLab that knows no hub."""
    spec = copy.deepcopy(pod["spec"])
    hidden = {volume["name"] for volume in spec["volumes"] if "secret" in volume}
    for name in ("nodeName", "serviceAccountName", "serviceAccount"):
        spec.pop(name, None)
    spec["affinity"] = {}
    spec["volumes"] = [volume for volume in spec["volumes"] if volume["name"] not in hidden]
    container = spec["containers"][0]
    container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] not in hidden]
    container["env"] = [item for item in container["env"] if not item["name"].startswith(("JUPYTERHUB", "JPY"))]
    container["args"] = ["cmsaf-start", "jupyter", "lab", "--no-browser", "--ip=0.0.0.0", f"--port={PORT}"]
    container.pop("command", None)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": BARE_POD}, "spec": spec}


def stages(times: dict[str, float], names: tuple[str, ...]) -> dict[str, float]:
    """Seconds of each stage after those before it; what was seen late, as watches may, has ended by then."""
    taken, last = {}, times["asked"]
    for name in names:
        ended = max(last, times[name])
        taken[name], last = ended - last, ended
    return taken


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def column(row: dict[str, float], name: str) -> str:
    return f"{row[name]:14.2f}" if name in row else " " * 14


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="with settings.json, ca.crt and kubeconfig")
    parser.add_argument("--starts", type=int, default=5, help="users, each of whom starts twice, and bare pods")
    parser.add_argument("--together", type=int, default=1, help="users who start at once")
    parser.add_argument("--profile", default="coffea", help="of the servers to choose from")
    parser.add_argument("--namespace", default="hub", help="where the hub runs")
    options = parser.parse_args()
    facility = Facility.told(options.directory)
    config.load_kube_config(str(options.directory / "kubeconfig"))
    api, namespace = client.CoreV1Api(), options.namespace
    users = [f"bench{number}" for number in range(options.starts)]
    hubs = [Hub(facility.session(user)) for user in users]
    homes = [f"claim-{user}" for user in users]
    there = {claim.metadata.name for claim in api.list_namespaced_persistent_volume_claim(namespace).items}
    if there & set(homes):
        sys.exit(
            f"{', '.join(sorted(there & set(homes)))} are there already: remove them, as a first start makes a home"
        )
    hub_pod = (
        api.list_namespaced_pod(namespace, label_selector="app.kubernetes.io/component=hub").items[0].metadata.name
    )
    seen = Seen(api, namespace)
    found: dict[str, list[dict[str, float]]] = {"first": [], "again": [], "bare": []}
    like: dict[str, Any] = {}
    try:
        with seen.watching(), ThreadPoolExecutor(options.together) as crowd:
            for turn in ("first", "again"):
                for times in crowd.map(lambda hub: start(hub, facility.password, options.profile, seen, hub_pod), hubs):
                    found[turn].append(stages(times, tuple(STAGES)))
                    print(f"{turn}: {sum(found[turn][-1].values()):.1f} s", flush=True)
                raw = api.read_namespaced_pod(f"jupyter-{users[0]}", namespace)
                like = without_hub(client.ApiClient().sanitize_for_serialization(raw))
                list(crowd.map(lambda hub: end(hub, LIMIT), hubs))
            for _turn in range(options.starts):
                found["bare"].append(stages(bare(api, namespace, like, seen), BARE))
                print(f"bare: {sum(found['bare'][-1].values()):.1f} s", flush=True)
    finally:
        for hub in hubs:
            end(hub, LIMIT)
        remove(api, namespace)
        for home in homes:
            try:
                api.delete_namespaced_persistent_volume_claim(home, namespace)
            except ApiException as problem:
                if problem.status != 404:
                    raise
    show(options, {name: medians(rows) for name, rows in found.items()})
    return 0


def show(options: argparse.Namespace, rows: dict[str, dict[str, float]]) -> None:
    print(f"\n{options.starts} users, {options.together} at once, seconds of each stage, medians")
    print(f"{'until':28}{'first start':>14}{'again':>14}{'bare pod':>14}")
    for name, text in {**STAGES, "answers": "bare pod answers"}.items():
        print(f"{text:28}" + "".join(column(row, name) for row in rows.values()))
    print(f"{'all':28}" + "".join(f"{sum(row.values()):14.2f}" for row in rows.values()))
    for turn in ("first", "again"):
        slowest = max(rows[turn], key=lambda name: rows[turn][name])
        print(f"slowest of the {turn} start: {STAGES[slowest]}, {rows[turn][slowest]:.1f} s")
    until_ready = list(STAGES)[: list(STAGES).index("ready") + 1]
    ours, other = sum(rows["again"][name] for name in until_ready), sum(rows["bare"].values())
    print(f"from the click to ready {ours:.1f} s, bare pod {other:.1f} s, ratio {ours / other:.2f}")


if __name__ == "__main__":
    sys.exit(main())
