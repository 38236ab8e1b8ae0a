# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster class on a real pool, with faults made for real. Run by: make soak TARGET=pool"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

POOL = os.environ.get("CMSAF_TEST_POOL")
SCHEDD = os.environ.get("CMSAF_TEST_SCHEDD")
# Puts a command on the access point or the execute host, as root: ssh with its options and without a host.
SSH = os.environ.get("CMSAF_TEST_SSH")
MANAGER = os.environ.get("CMSAF_TEST_MANAGER", POOL or "")
PYTHON = os.environ.get("CMSAF_TEST_PYTHON", sys.executable)

pytestmark = [
    pytest.mark.condor,
    pytest.mark.skipif(
        not (POOL and SCHEDD and SSH),
        reason="needs a pool of its own: 'make soak TARGET=pool' makes one and sets CMSAF_TEST_POOL, _SCHEDD, _SSH",
    ),
]


def until(what: Callable[[], Any], limit: float, say: Callable[[], Any] = lambda: "") -> float:
    """Wait until it is so; the seconds it took."""
    start = time.monotonic()
    while not what():
        if time.monotonic() - start > limit:
            pytest.fail(f"not so after {limit} s: {say()}")
        time.sleep(0.2)
    return time.monotonic() - start


def on(command: str, host: str = MANAGER) -> str:
    done = subprocess.run(
        [*shlex.split(str(SSH)), f"root@{host}", command], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


class Queue:
    """The queue by other eyes than the cluster's."""

    def __init__(self) -> None:
        from cmsaf_dask.agent import Agent

        self.agent = Agent()
        self.agent.locate(POOL, SCHEDD)

    def jobs(self, cluster: str, leaving: bool = False, more: Sequence[str] = ()) -> list[dict[str, Any]]:
        names = ["ClusterId", "ProcId", "JobStatus", "DaskWorkerName", "EnteredCurrentStatus", "ServerTime", *more]
        state = "" if leaving else " && JobStatus != 3"
        for _ in range(30):
            try:
                self.agent.locate(POOL, SCHEDD)
                return self.agent.query(f'DaskClusterName == "{cluster}"{state}', names)
            except Exception:  # noqa: BLE001 # an access point that was started again has another address
                self.agent.schedd = None
                time.sleep(2)
        pytest.fail("the access point does not come back")

    def act(self, action: str, job: dict[str, Any]) -> None:
        from htcondor2 import JobAction

        self.agent.schedd.act(getattr(JobAction, action), f"{job['ClusterId']}.{job['ProcId']}")


@pytest.fixture(scope="module")
def queue() -> Queue:
    return Queue()


@pytest.fixture
def make(queue: Queue) -> Iterator[Callable[..., Any]]:
    """A cluster with short limits; whatever a test leaves is removed, and seen to be gone."""
    import dask
    from cmsaf_dask import HTCondorCluster

    made: list[Any] = []
    config = {
        "watch-interval": 2, "settled-interval": 4, "register-timeout": 40, "failed-rounds": 3, "lost-timeout": 5,
        "query-timeout": 8, "close-timeout": 8, "call-timeout": 15, "idle-grace": 20,
    }  # fmt: skip

    def cluster(**options: Any) -> Any:
        changed = {f"jobqueue.cmsaf.{name}": value for name, value in (config | options.pop("config", {})).items()}
        settings = {"cores": 1, "memory": "1 GiB", "disk": "100 MiB", "python": PYTHON, "collector": POOL,
                    "schedd": SCHEDD, "scheduler_options": {"port": 0, "dashboard_address": ":0"}}  # fmt: skip
        with dask.config.set(changed):
            made.append(HTCondorCluster(**(settings | options)))
        return made[-1]

    yield cluster
    for one in made:
        one.close()
    for one in made:
        until(lambda name=one._name: not queue.jobs(name), 60, lambda name=one._name: queue.jobs(name))


def come(cluster: Any, count: int, limit: float = 90) -> float:
    return until(lambda: len(cluster.observed) == count, limit, lambda: (cluster.explain(), cluster.observed))


def job_of_a_worker(queue: Queue, cluster: Any) -> dict[str, Any]:
    return next(ad for ad in queue.jobs(cluster._name) if ad["DaskWorkerName"] in cluster.observed)


# 1. The truth, read back


def test_another_process_finds_and_scales_it(make: Callable[..., Any]) -> None:
    cluster = make(name="to-be-found")
    program = """
from cmsaf_dask import HTCondorCluster
found = HTCondorCluster.from_name("to-be-found")
found.scale(2)
found.get_client().wait_for_workers(2, timeout=90)
print(found.explain())
found.scale(1)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 0, done.stderr
    assert "2 of 2 workers are here." in done.stdout
    come(cluster, 1)


@pytest.mark.parametrize("action", ["Hold", "Remove", "Vacate", "VacateFast"])
def test_a_job_taken_away_is_replaced(make: Callable[..., Any], queue: Queue, action: str) -> None:
    cluster = make(n_workers=2)
    come(cluster, 2)
    job = job_of_a_worker(queue, cluster)
    queue.act(action, job)
    until(lambda: job["DaskWorkerName"] not in cluster.plan, 15, lambda: cluster.explain())
    come(cluster, 2)
    assert job["DaskWorkerName"] not in cluster.observed
    assert len(queue.jobs(cluster._name)) == 2
    assert len(cluster.plan) == len(cluster.requested) == 2


def test_a_waiting_job_taken_away_is_replaced(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(n_workers=1, job_extra_directives={"requirements": "false"}, config={"check-pool": False})
    until(lambda: queue.jobs(cluster._name), 15)
    for action in ("Hold", "Remove"):
        # Not while its files are still on the way.
        until(lambda: [ad["JobStatus"] for ad in queue.jobs(cluster._name)] == [1], 20)
        job = queue.jobs(cluster._name)[0]
        queue.act(action, job)
        until(
            lambda job=job: (
                [ad["DaskWorkerName"] for ad in queue.jobs(cluster._name)] not in ([], [job["DaskWorkerName"]])
            ),
            20,
            lambda: cluster.explain(),
        )


def test_a_killed_worker_is_replaced(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(n_workers=2)
    come(cluster, 2)
    before = set(cluster.observed)
    with cluster.get_client() as client:
        address = next(iter(cluster.scheduler_info["workers"]))
        pid = client.run(os.getpid, workers=[address])[address]
    on(f"kill -KILL {pid} || pkill -KILL -f -- '--name {next(iter(before))} '", host=os.environ["CMSAF_TEST_EXECUTE"])
    until(lambda: cluster.observed != before, 15)
    come(cluster, 2)


def test_a_worker_that_cannot_start_is_said(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(n_workers=1, python="/bin/sleep")
    until(lambda: cluster._watch.stopped, 120, lambda: cluster.explain())
    assert "ended with exit status 1" in cluster._watch.stopped
    assert "sleep" in cluster._watch.stopped


def test_restart_of_the_client(make: Callable[..., Any]) -> None:
    cluster = make(n_workers=2)
    come(cluster, 2)
    before = set(cluster.observed)
    with cluster.get_client() as client:
        client.restart(timeout=90)
        assert not before & set(cluster.observed)
        assert client.submit(sum, [1, 2]).result(timeout=30) == 3
        cluster.scale(3)
        come(cluster, 3)


def test_scaling_stops_and_says_why(make: Callable[..., Any], queue: Queue) -> None:
    from cmsaf_dask import PoolError

    cluster = make(n_workers=2, worker_extra_args=["--no-such-option"])
    with pytest.raises(PoolError, match=r"do not come.*exit status 2.*no-such-option"):
        cluster.wait_for_workers(2, timeout=120)
    until(lambda: not queue.jobs(cluster._name), 15)
    assert not cluster.plan
    assert "Scaling has stopped" in str(cluster.explain())
    assert any("no-such-option" in str(log) for log in cluster.logs().values())
    cluster._job_kwargs["worker_extra_args"] = []
    cluster.scale(1)
    come(cluster, 1)


def test_a_fifth_of_the_workers_dies_before_it_connects(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(n_workers=6, python=os.environ["CMSAF_TEST_FLAKY"], config={"failed-rounds": 6})
    come(cluster, 6, limit=180)
    assert len(queue.jobs(cluster._name)) == 6


# A pool that fails


@contextlib.contextmanager
def refused_connections(share: float) -> Iterator[None]:
    """This share of new connections to the access point is refused."""
    rule = f"OUTPUT -p tcp --dport 9618 --syn -m statistic --mode random --probability {share} -j REJECT --reject-with tcp-reset"
    host = os.environ["CMSAF_TEST_CLIENT"]
    on(f"iptables -A {rule}", host)
    try:
        yield
    finally:
        on(f"iptables -D {rule}", host)


def test_submissions_that_fail_are_made_again(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make()
    with refused_connections(0.3):
        for count in range(1, 7):
            cluster.scale(count)
            time.sleep(1)
        come(cluster, 6, limit=150)
    until(lambda: len(queue.jobs(cluster._name)) == 6, 20)


@contextlib.contextmanager
def frozen_schedd() -> Iterator[None]:
    on("pkill -STOP -x condor_schedd")
    try:
        yield
    finally:
        on("pkill -CONT -x condor_schedd")


def stalls(cluster: Any, ended: threading.Event, found: list[float]) -> None:
    """How late the event loop is, again and again."""
    while not ended.is_set():
        asked = time.monotonic()
        done = threading.Event()
        cluster.loop.add_callback(done.set)
        done.wait(30)
        found.append(time.monotonic() - asked)
        time.sleep(0.02)


def test_a_frozen_access_point_freezes_nobody(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(n_workers=2)
    come(cluster, 2)
    found: list[float] = []
    ended = threading.Event()
    thread = threading.Thread(target=stalls, args=(cluster, ended, found))
    thread.start()
    with cluster.get_client() as client, frozen_schedd():
        start = time.monotonic()
        cluster.scale(4)
        assert time.monotonic() - start < 3
        assert client.submit(sum, [1, 2]).result(timeout=10) == 3
        time.sleep(20)
        assert "could not be asked" in str(cluster.explain())
        assert len(cluster.observed) == 2
    ended.set()
    thread.join()
    assert sorted(found)[int(len(found) * 0.99)] < 0.5
    come(cluster, 4)
    until(lambda: len(queue.jobs(cluster._name)) == 4, 30, lambda: queue.jobs(cluster._name))


def test_closing_under_a_frozen_access_point_leaves_nothing(
    make: Callable[..., Any], queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = make(n_workers=2)
    come(cluster, 2)
    with frozen_schedd():
        cluster.scale(4)
        time.sleep(3)
        start = time.monotonic()
        cluster.close()
        assert time.monotonic() - start < 30
        assert "may be left. They end by themselves" in caplog.text
    until(lambda: not queue.jobs(cluster._name), 100, lambda: queue.jobs(cluster._name))


def test_a_restarted_access_point(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(n_workers=2)
    come(cluster, 2)
    on("pkill -KILL -x condor_schedd")
    cluster.scale(3)
    come(cluster, 3, limit=150)
    until(lambda: len(queue.jobs(cluster._name)) == 3, 60, lambda: queue.jobs(cluster._name))
    on("systemctl restart condor")
    cluster.scale(4)
    come(cluster, 4, limit=150)
    until(lambda: len(queue.jobs(cluster._name)) == 4, 60, lambda: queue.jobs(cluster._name))


# 2. Orphans

ORPHAN = """
import time, dask
dask.config.set({"jobqueue.cmsaf.check-pool": False, "jobqueue.cmsaf.watch-interval": 2})
from cmsaf_dask import HTCondorCluster
options = dict(cores=1, memory="1 GiB", disk="100 MiB", python=%(python)r, collector=%(pool)r, schedd=%(schedd)r,
               scheduler_options={"port": 0, "dashboard_address": ":0"})
runs = HTCondorCluster(name="orphan-runs", **options)
waits = HTCondorCluster(name="orphan-waits", job_extra_directives={"requirements": "false"}, **options)
runs.scale(3)
waits.scale(3)
runs.wait_for_workers(3)
print("ready", flush=True)
time.sleep(3600)
"""


def test_orphans_end_by_themselves(queue: Queue) -> None:
    script = ORPHAN % {"python": PYTHON, "pool": POOL, "schedd": SCHEDD}
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        # Longer than a lease: it is renewed while somebody is there.
        time.sleep(60)
        assert len(queue.jobs("orphan-waits")) == len(queue.jobs("orphan-runs")) == 3
    finally:
        process.kill()
        process.wait()
    waits = until(lambda: not queue.jobs("orphan-waits"), 60, lambda: queue.jobs("orphan-waits"))
    runs = until(
        lambda: not [ad for ad in queue.jobs("orphan-runs") if ad["JobStatus"] == 2], 90 - waits,
        lambda: queue.jobs("orphan-runs"),
    )  # fmt: skip
    print(f"orphans: idle gone after {waits:.0f} s, running after {waits + runs:.0f} s")


# Evicted

MEMORY = 40


def unique(client: Any, count: int = MEMORY) -> tuple[list[Any], list[Any]]:
    """Futures of what can be made once only, and their results."""
    futures = client.map(lambda number: (number, os.urandom(8)), range(count), pure=False)
    return futures, client.gather(futures)


@pytest.mark.parametrize("action", ["Vacate", "Remove"])
def test_an_evicted_worker_hands_its_data_over(make: Callable[..., Any], queue: Queue, action: str) -> None:
    cluster = make(n_workers=3)
    come(cluster, 3)
    with cluster.get_client() as client:
        futures, before = unique(client)
        holders = {address for places in client.who_has(futures).values() for address in places}
        assert len(holders) == 3
        job = job_of_a_worker(queue, cluster)
        queue.act(action, job)
        until(lambda: job["DaskWorkerName"] not in cluster.observed, 30, lambda: cluster.explain())
        assert client.gather(futures, direct=False) == before
        come(cluster, 3)


def test_an_evicted_worker_does_not_wait_for_its_task(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(n_workers=1)
    come(cluster, 1)
    with cluster.get_client() as client:
        future = client.submit(time.sleep, 300)
        until(lambda: client.processing() and any(client.processing().values()), 20)
        job = job_of_a_worker(queue, cluster)
        queue.act("Vacate", job)
        took = until(lambda: job["DaskWorkerName"] not in cluster.observed, 30, lambda: cluster.explain())
        assert took < 15
        future.cancel()


def gone(queue: Queue, cluster: str, count: int, limit: float) -> float:
    """Jobs in every state, those that are being removed or have ended too."""
    return until(
        lambda: len(queue.jobs(cluster, leaving=True)) == count, limit, lambda: queue.jobs(cluster, leaving=True)
    )


def test_ended_jobs_leave_the_queue_at_once(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(n_workers=4)
    come(cluster, 4)
    cluster.scale(2)
    print(f"scaled away: gone after {gone(queue, cluster._name, 2, 15):.1f} s")
    name = next(iter(cluster.observed))
    on(f"pkill -KILL -f -- '--name {name} '", host=os.environ["CMSAF_TEST_EXECUTE"])
    until(lambda: name not in cluster.observed, 15)
    took = until(lambda: name not in {ad["DaskWorkerName"] for ad in queue.jobs(cluster._name, leaving=True)}, 10)
    print(f"killed: gone after {took:.1f} s")
    come(cluster, 2)
    cluster.close()
    print(f"closed: gone after {gone(queue, cluster._name, 0, 10):.1f} s")


# Whose jobs, and what they reach


def test_two_clusters_of_one_user_do_not_meet(make: Callable[..., Any], queue: Queue) -> None:
    one, other = make(n_workers=2), make(n_workers=2)
    come(one, 2)
    come(other, 2)
    assert one._name != other._name
    assert not set(one.observed) & set(other.observed)
    one.close()
    assert not queue.jobs(one._name)
    with other.get_client() as client:
        assert client.submit(sum, [1, 2]).result(timeout=20) == 3
    assert len(queue.jobs(other._name)) == len(other.observed) == 2


def test_the_access_point_says_whose_share_it_is(make: Callable[..., Any], queue: Queue) -> None:
    lines = {"MY.AccountingGroup": '"cms.prio.bob"', "accounting_group": "cms.prio", "accounting_group_user": "bob"}
    cluster = make(n_workers=1, job_extra_directives=lines | {"requirements": "false"}, config={"check-pool": False})
    until(lambda: [ad["JobStatus"] for ad in queue.jobs(cluster._name)] == [1], 20)
    names = ["AccountingGroup", "AcctGroup", "AcctGroupUser", "DaskClusterName", "CmsafUser", "Owner"]
    (job,) = queue.jobs(cluster._name, more=names)
    assert [job[name] for name in names] == [
        "cms.other.coffea.alice", "cms.other.coffea", "alice", cluster._name, "alice", "alice"
    ]  # fmt: skip
    with pytest.raises(Exception, match="edit"):
        queue.agent.edit(f"ClusterId == {job['ClusterId']}", "AccountingGroup", '"cms.prio.bob"')
    (job,) = queue.jobs(cluster._name, more=names)
    assert job["AccountingGroup"] == "cms.other.coffea.alice"


KEY = "/etc/condor/passwords.d/cmsaf-hub"
SMALL = {
    "universe": "vanilla", "executable": "/bin/sleep", "transfer_executable": "false", "arguments": "1",
    "should_transfer_files": "YES", "when_to_transfer_output": "ON_EXIT", "initialdir": "/tmp",
    "request_cpus": "1", "request_memory": "128", "request_disk": "1000", "requirements": "false",
}  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ({"transfer_input_files": KEY}, "submit with -spool"),
        ({"log": "/etc/condor/passwords.d/mine"}, "submit with -spool"),
        ({"universe": "scheduler"}, "runs nothing itself"),
        ({"universe": "local"}, "runs nothing itself"),
    ],
)
def test_the_access_point_opens_and_runs_nothing_of_its_own(queue: Queue, lines: dict[str, str], says: str) -> None:
    queue.jobs("nobody")
    with pytest.raises(Exception, match=says):
        queue.agent.submit(SMALL | lines, ["thief"], spool=False)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("UserLog", '"/etc/condor/passwords.d/mine"'), ("TransferInput", f'"{KEY}"'), ("Iwd", '"/etc/condor/passwords.d"'),
     ("JobUniverse", "7"), ("HoldReasonCode", "1")],
)  # fmt: skip
def test_a_spooled_job_stays_in_its_directory(queue: Queue, attribute: str, value: str) -> None:
    queue.jobs("nobody")
    cluster = queue.agent.submit(SMALL, ["thief"])
    try:
        with pytest.raises(Exception, match="edit"):
            queue.agent.edit(f"ClusterId == {cluster}", attribute, value)
        assert queue.agent.query(f"ClusterId == {cluster}", [attribute])[0].get(attribute) != value.strip('"')
        queue.agent.edit(f"ClusterId == {cluster}", "JobPrio", "1")
    finally:
        queue.agent.remove(f"ClusterId == {cluster}", "seen")


def test_an_execute_host_can_still_hold(queue: Queue) -> None:
    queue.jobs("nobody")
    cluster = queue.agent.submit(SMALL | {"executable": "/no/such", "requirements": "true"}, ["broken"])
    names = ["JobStatus", "HoldReasonCode"]
    try:
        until(
            lambda: queue.agent.query(f"ClusterId == {cluster}", names)[0].get("HoldReasonCode") == 6, 40,
            lambda: queue.agent.query(f"ClusterId == {cluster}", []),
        )  # fmt: skip
    finally:
        queue.agent.remove(f"ClusterId == {cluster}", "seen")


def test_own_files_travel_beside_the_certificates(make: Callable[..., Any], queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine\n")
    cluster = make(n_workers=1, job_extra_directives={"transfer_input_files": str(tmp_path / "mine.txt")})
    come(cluster, 1)
    with cluster.get_client() as client:
        found = client.run(lambda: Path(os.environ["_CONDOR_SCRATCH_DIR"], "mine.txt").read_text())
    assert list(found.values()) == ["mine\n"]


# 3. Why, in words


def test_explain_which_clause_fails(make: Callable[..., Any]) -> None:
    cluster = make(n_workers=1, memory="900 GiB", config={"check-pool": False})
    until(lambda: "No slot fits" in str(cluster.explain()), 20, lambda: cluster.explain())
    assert "memory (921600 MiB asked for, 32768 MiB is the most there is) holds for 0" in str(cluster.explain())


def test_explain_a_requirement_of_the_users(make: Callable[..., Any]) -> None:
    cluster = make(n_workers=1, job_extra_directives={"requirements": 'Machine == "nowhere"'})
    until(lambda: 'Machine == "nowhere" holds for 0' in str(cluster.explain()), 20, lambda: cluster.explain())


def test_explain_that_all_is_in_use(make: Callable[..., Any]) -> None:
    first = make(n_workers=1, cores=31)
    come(first, 1)
    second = make(n_workers=1, cores=2)
    until(lambda: "slots that fit are in use" in str(second.explain()), 20, lambda: second.explain())


def test_output_of_living_workers(make: Callable[..., Any]) -> None:
    cluster = make(n_workers=1)
    come(cluster, 1)
    with cluster.get_client() as client:
        client.run(lambda: os.write(2, b"a line of its own\n"))
    assert any("a line of its own" in str(log) for log in cluster.logs().values())


# 4. Refused at once


@contextlib.contextmanager
def tokens_in(directory: Path) -> Iterator[None]:
    name = "_CONDOR_SEC_TOKEN_DIRECTORY"
    before = os.environ.get(name)
    os.environ[name] = str(directory)
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


@pytest.mark.parametrize(("place", "says"), [("none", "There is no HTCondor token"), ("expired", "expired at 20")])
def test_without_a_good_token_it_is_refused(make: Callable[..., Any], place: str, says: str) -> None:
    from cmsaf_dask import PoolError

    with tokens_in(Path.home() / place):
        start = time.monotonic()
        with pytest.raises(PoolError, match=says):
            make(n_workers=1)
        assert time.monotonic() - start < 10
        cluster = make()
        cluster._watch.jobs.clear()
        assert says in str(cluster.explain())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"schedd": "nobody@nowhere"}, "knows no access point nobody@nowhere"),
        ({"n_workers": 33}, "have room for 32 of them"),
        ({"memory": "900 GiB"}, "none of the pool's 1 hosts is large enough"),
        ({"worker_image": "docker://a/B"}, "is no name of an image"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[..., Any], options: dict[str, Any], says: str) -> None:
    from cmsaf_dask import PoolError

    start = time.monotonic()
    with pytest.raises(PoolError, match=says):
        make(**({"n_workers": 1} | options))
    assert time.monotonic() - start < 10


# 5. Down, and 6. by itself


def test_scaling_down_loses_nothing(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(n_workers=4)
    come(cluster, 4)
    with cluster.get_client() as client:
        for _ in range(3):
            # Each of these can be made once only.
            futures = client.map(lambda number: (number, os.urandom(8)), range(40), pure=False)
            before = client.gather(futures)
            cluster.scale(1)
            come(cluster, 1, limit=30)
            assert client.gather(futures) == before
            until(lambda: len(queue.jobs(cluster._name)) == 1, 20)
            cluster.scale(4)
            come(cluster, 4)


def test_the_idle_are_retired_first(make: Callable[..., Any]) -> None:
    cluster = make(n_workers=3)
    come(cluster, 3)
    with cluster.get_client() as client:
        busy = next(iter(cluster.scheduler_info["workers"]))
        future = client.submit(time.sleep, 25, workers=[busy])
        time.sleep(2)
        cluster.scale(1)
        come(cluster, 1, limit=30)
        assert busy in cluster.scheduler_info["workers"]
        assert future.result(timeout=60) is None


def test_adaptive_settles(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make()
    cluster.adapt(minimum=0, maximum=4)
    names: set[str] = set()
    with cluster.get_client() as client:
        futures = client.map(lambda number: time.sleep(0.3) or number, range(120), pure=False)
        start = time.monotonic()
        while not all(future.done() for future in futures):
            assert time.monotonic() - start < 180
            names |= {ad["DaskWorkerName"] for ad in queue.jobs(cluster._name)}
            time.sleep(0.5)
        assert client.gather(futures) == list(range(120))
        del futures
        come(cluster, 0, limit=60)
    # No more jobs than workers at a time: none was taken back before it could match.
    assert len(names) <= 5, names
    until(lambda: not queue.jobs(cluster._name), 20)


def test_adaptive_leaves_waiting_jobs_their_time(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(job_extra_directives={"requirements": "false"}, config={"check-pool": False})
    cluster.adapt(minimum=0, maximum=4, interval="500ms")
    with cluster.get_client() as client:
        future = client.submit(time.sleep, 1)
        until(lambda: queue.jobs(cluster._name), 20)
        since = time.monotonic()
        future.cancel()
        del future
        until(lambda: not queue.jobs(cluster._name), 60)
        assert time.monotonic() - since > 15


def test_closing_removes_all_at_once(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(n_workers=3)
    come(cluster, 3)
    cluster.close()
    assert not queue.jobs(cluster._name)


def test_closing_in_the_middle_of_a_submission(make: Callable[..., Any], queue: Queue) -> None:
    for pause in (0.0, 0.2, 0.5):
        cluster = make()
        cluster.scale(8)
        time.sleep(pause)
        cluster.close()
        assert not queue.jobs(cluster._name)


def test_a_stopped_process_is_not_a_worker(make: Callable[..., Any]) -> None:
    cluster = make(n_workers=1, python=os.environ["CMSAF_TEST_STUCK"], config={"register-timeout": 5})
    until(lambda: cluster._watch.stopped, 150, lambda: cluster.explain())
    assert "did not come to the scheduler in 5 s" in cluster._watch.stopped
