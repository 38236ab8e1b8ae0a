# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs in the user's server, as cells of a notebook. Braces hold values that are put in as Python literals."""

from __future__ import annotations

from typing import Any

__all__ = ["CLOSE", "LOCAL", "PLOT", "PRESENT", "PROBE_CACHE", "PROBE_SCHEDD", "RUN", "SCALE", "WAIT", "cell"]

LOCAL = """
import missing_et
from distributed import Client, LocalCluster

urls = missing_et.files()
with LocalCluster(n_workers={workers}, threads_per_worker=1, dashboard_address=None) as local, Client(local) as here:
    here.run(lambda: bool(__import__("missing_et")))
    alone = missing_et.run(here, urls)
answer(alone.as_dict())
"""

SCALE = """
from cmsaf_dask import HTCondorCluster

cluster = HTCondorCluster(cores=1, memory={memory})
cluster.scale({workers})
client = cluster.get_client()
answer({{"cluster": cluster.name, "scheduler": cluster.scheduler.contact_address, "dashboard": cluster.dashboard_link}})
"""

# How long the first and the last worker took is counted from scale().
WAIT = """
import time

# The client's own scheduler_info() is overwritten by its heartbeat, which asks for no workers.
def registered():
    return [
        {{"name": worker.name, "address": address}}
        for address, worker in list(cluster.scheduler.workers.items())
    ]

began, first = time.perf_counter(), None
while len(registered()) < {workers} and time.perf_counter() - began < {limit}:
    if first is None and registered():
        first = time.perf_counter() - began
    time.sleep(0.2)
last = time.perf_counter() - began
answer({{"workers": registered(), "first": first if first is not None else last, "last": last}})
"""

RUN = """
import missing_et

client.run(lambda: bool(__import__("missing_et")))
result = missing_et.run(client, missing_et.files())
answer(result.as_dict())
"""

PLOT = """
import base64, io, warnings
warnings.simplefilter("ignore")
import matplotlib
matplotlib.use("agg")
buffer = io.BytesIO()
missing_et.plot(result).savefig(buffer, format="png", dpi=80, bbox_inches="tight")
answer(base64.b64encode(buffer.getvalue()).decode())
"""

# A pool may send workers back at any time; others have come in their place.
PRESENT = """
ended = " (ended)"
answer({{
    "workers": registered(),
    "ended": dict(
        (name.removesuffix(ended), str(text)[-2000:])
        for name, text in cluster.logs().items() if name.endswith(ended)
    ),
}})
"""

CLOSE = """
client.close()
cluster.close()
answer(cluster.status.name)
"""

# The access point as seen with the user's own token, with none, and with another. The address is asked for with the
# own token, so that it is the access point that refuses and not the collector. What it should refuse is a submission.
PROBE_SCHEDD = """
import json, os, subprocess, sys, tempfile

PROGRAM = '''
import json, sys
from cmsaf_dask.agent import Agent
import os

agent = Agent()
if len(sys.argv) > 1:
    import classad2
    agent.schedd = agent.condor.Schedd(classad2.ClassAd(json.loads(sys.argv[1])))
else:
    ad = agent.condor.Collector(os.environ["CMSAF_COLLECTOR"]).locate(
        agent.condor.DaemonType.Schedd, os.environ["CMSAF_SCHEDD_NAME"])
    agent.schedd = agent.condor.Schedd(ad)
    print(json.dumps(dict((name, str(ad[name])) for name in ("MyAddress", "Name", "CondorVersion") if name in ad)))
try:
    lines = dict(universe="vanilla", executable="/bin/true", transfer_executable="false", requirements="false")
    cluster = agent.submit(lines, ["probe"])
    agent.remove("ClusterId == %d" % cluster, "probe of the verification")
    print("accepted: cluster %d" % cluster)
except Exception as error:
    print("refused: " + " ".join(str(error).split()))
'''

def attempt(token, *arguments):
    environment = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        if token is not None:
            environment["_CONDOR_SEC_TOKEN_DIRECTORY"] = folder
            environment["_CONDOR_SEC_TOKEN_SYSTEM_DIRECTORY"] = folder
            environment["HOME"] = folder
            if token:
                path = os.path.join(folder, "token")
                with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                    file.write(token)
        done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], env=environment, text=True,
                              capture_output=True, timeout=90)
    return (done.stdout.strip() or done.stderr.strip()[-500:]).splitlines()

own = attempt(None)
address = own[0]
answer({{"own": own[-1], "anonymous": attempt("", address)[-1], "expired": attempt({token}, address)[-1]}})
"""

# The cache as seen with the user's own token, with none, and with another: a file that it certainly holds by now. By its
# own name where it should refuse: the plug-in would not even ask it without a token.
PROBE_CACHE = """
import os, subprocess, sys, tempfile
import missing_et

alias = missing_et.files()[0]
direct = alias.replace("root://xcache/", "roots://%s:%s/" % (os.environ["XCACHE_HOST"], os.environ["XCACHE_PORT"]))
PROGRAM = '''
import sys
from XRootD import client
from XRootD.client.flags import OpenFlags

file = client.File()
status, _ = file.open(sys.argv[1], OpenFlags.READ, timeout=60)
if status.ok:
    status, data = file.read(0, 1024)
    print("accepted: %d bytes read" % len(data) if status.ok else "refused: " + status.message.strip())
else:
    print("refused: " + " ".join(status.message.split()))
'''

def attempt(token):
    environment = dict(os.environ, XRD_CONNECTIONRETRY="1", XRD_REQUESTTIMEOUT="60")
    with tempfile.TemporaryDirectory() as folder:
        if token is not None:
            environment.pop("BEARER_TOKEN", None)
            environment.pop("XDG_RUNTIME_DIR", None)
            environment["CMSAF_SECRETS"] = environment["CMSAF_RUN"] = folder
            environment["BEARER_TOKEN_FILE"] = os.path.join(folder, "token")
            with open(os.open(environment["BEARER_TOKEN_FILE"], os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                file.write(token)
        url = alias if token is None else direct
        done = subprocess.run([sys.executable, "-c", PROGRAM, url], env=environment, text=True, capture_output=True,
                              timeout=150)
    return (done.stdout.strip() or done.stderr.strip()[-500:]).splitlines()[-1]

answer({{"own": attempt(None), "anonymous": attempt(""), "expired": attempt({token})}})
"""


def cell(text: str, **values: Any) -> str:
    """The cell with its values in place."""
    return text.format(**{name: repr(value) for name, value in values.items()})
