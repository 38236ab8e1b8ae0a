# SPDX-License-Identifier: GPL-3.0-or-later
"""In each user's kernel: a variable that counts, and a Dask cluster that computes; has "given" and answer()."""

import os
import secrets
import threading
import time

mark = secrets.token_hex(16)
count, counted, pause = 0, time.monotonic(), 0.0


def keep_counting():
    """Ten times a second; what is longest between two counts is kept."""
    global count, counted, pause
    while True:
        time.sleep(0.1)
        now = time.monotonic()
        count, counted, pause = count + 1, now, max(pause, now - counted)


def asked():
    """In a worker: which process it is, and how often it was asked; another one begins at one."""
    import secrets

    from distributed import get_worker

    worker = get_worker()
    if not hasattr(worker, "soak_mark"):
        worker.soak_mark, worker.soak_asked = secrets.token_hex(8), 0
    worker.soak_asked += 1
    return worker.soak_mark, worker.soak_asked


def compute_long():
    """In a worker: goes on until it is told to end."""
    import time

    from distributed import get_worker

    rounds = 0
    while not hasattr(get_worker(), "soak_end"):
        time.sleep(0.1)
        rounds += 1
    return rounds


def tell_to_end(dask_worker):
    dask_worker.soak_end = True


def keep_asking():
    while not over.is_set():
        began = time.time()
        try:
            process, times = client.submit(asked, pure=False).result(timeout=300)
            answers.append((began, time.time(), process, times))
        except Exception as problem:  # noqa: BLE001 # whatever it is, a user would have seen it
            problems.append((time.time(), f"{type(problem).__name__}: {problem}"))
        over.wait(1)


def state():
    """The kernel's own; the same in whatever way and however often it is asked."""
    return {"mark": mark, "process": os.getpid(), "count": count}


def begin():
    """What is longest is counted from now on."""
    global pause
    pause = 0.0
    return time.time()


def seen(since):
    """All of it, since a time that begin() has given."""
    found = {**state(), "pause": round(pause, 2)}
    if cluster is not None:
        good = [record for record in list(answers) if record[1] >= since]
        ends = [since, *(record[1] for record in good), time.time()]
        found["dask"] = {
            # The client's scheduler_info() is overwritten by its own heartbeat, which asks for no workers.
            "workers": sorted(worker.name for worker in list(cluster.scheduler.workers.values())),
            "process": good[-1][2] if good else "",
            "answers": len(good),
            "last": round(ends[-1] - ends[-2], 1),
            "pause": round(max(later - sooner for sooner, later in zip(ends, ends[1:])), 1),
            "problems": [said for at, said in list(problems) if at >= since],
            "long": long.status,
            "jobs": [
                (job["ClusterId"], job["ProcId"], job["JobStatus"]) for job in cluster.sync(cluster._jobs_in_queue)
            ],
        }
    return found


def end(close):
    """Rounds that the long computation has done; what runs is closed, or left to the end of the server."""
    over.set()
    asker.join(300)
    client.run(tell_to_end)
    rounds = long.result(timeout=300)
    if close:
        client.close()
        cluster.close()
    return rounds


threading.Thread(target=keep_counting, daemon=True).start()
cluster = None
if given["cluster"]:  # noqa: F821 # whoever runs this gives it
    from cmsaf_dask import HTCondorCluster

    # A second thread of the same core, so that it can be asked while it computes.
    cluster = HTCondorCluster(cores=1, memory="512 MiB", disk="1 GiB", worker_extra_args=["--nthreads", "2"])
    cluster.scale(1)
    client = cluster.get_client()
    client.wait_for_workers(1, timeout=600)
    answers, problems, over = [], [], threading.Event()
    long = client.submit(compute_long, pure=False)
    asker = threading.Thread(target=keep_asking, daemon=True)
    asker.start()
answer(state())  # noqa: F821 # whoever runs this gives it
