# SPDX-License-Identifier: GPL-3.0-or-later
"""A user who wants what is not his: from his server, then from a job beside another's worker.

Runs in his kernel, which has answer() and "given": tries (the program tries.py), job (the program intruder_job.py),
other (what victim.py said), doors (addresses nobody here needs) and the names of hosts. Answers what was tried, and
what belongs to him and has to be got in the same ways, each by its name.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import classad2
import htcondor2
from cmsaf_dask import HTCondorCluster
from cmsaf_dask.agent import Agent
from XRootD.client import File, FileSystem
from XRootD.client.flags import DirListFlags, MkDirFlags, OpenFlags

given, answer = globals()["given"], globals()["answer"]
folder = Path(tempfile.mkdtemp())
(folder / "tries.py").write_text(given["tries"])
sys.path.insert(0, str(folder))
from tries import dask, http, look, out_of_the_container, refusing, something, tcp, write, xrootd  # noqa: E402

other, me = given["other"], os.environ["JUPYTERHUB_USER"]
token, api = os.environ["JUPYTERHUB_API_TOKEN"], os.environ["JUPYTERHUB_API_URL"]
secrets = Path("/etc/cmsaf-secrets")
gateway, my_name = given["gateway"] + ":8786", os.environ["CMSAF_DASK_NAME"]
my_pages, his_pages = (urlsplit(url) for url in (os.environ["JUPYTERHUB_PUBLIC_URL"], other["pages"]))
agent = Agent()
agent.locate(os.environ["CMSAF_COLLECTOR"], os.environ["CMSAF_SCHEDD_NAME"])
collector = agent._collector()


def by_api(method, path, body=None):
    return lambda: http(f"{api}{path}", method, body, token)


def page(place, path, name):
    """At the proxy, which goes by the name that is asked for."""
    return lambda: http(f"{given['proxy']}{place.path}{path}", token=token, host=name.netloc)


def theirs(path):
    return page(his_pages, path, his_pages)


def act(action):
    result = agent.schedd.act(action, other["job"], "mine now")
    return something(result["TotalSuccess"], f"{result}")


def edit(attribute, value):
    return something(agent.edit(other["job"], attribute, value), "nothing was changed")


def fetch():
    """Into the directory that the job names for it, which is the other's own in his server."""
    where = Path(agent.query(other["job"], ["SUBMIT_Iwd"])[0]["SUBMIT_Iwd"])
    where.mkdir(parents=True, exist_ok=True)
    agent.schedd.retrieve(other["job"])
    return something([path.name for path in where.iterdir()], "nothing came")


def granted(answer):
    """An answer of the queue about its users."""
    if answer["Result"] != 0:
        raise PermissionError(answer["ErrorString"])
    return "granted"


LINES = {
    "executable": "/bin/true",
    "transfer_executable": "false",
    "requirements": "false",
    "output": "out",
    "error": "err",
}


def submitted(lines, attribute, expected, *, spool=True):
    """The attribute of a job of these lines, if it is not what the access point is to make of it."""
    cluster = agent.submit({"universe": "vanilla", **LINES, **lines}, ["x"], spool)
    try:
        found = agent.query(f"ClusterId == {cluster}", [attribute])[0].get(attribute)
        return something(found != expected and found, f"{attribute} is {found} all the same")
    finally:
        agent.remove(f"ClusterId == {cluster}", "it was only to see")


def daemon(kind, constraint=None):
    return next(iter(collector.query(kind, constraint=constraint)))


def claims_of_slots():
    return something([dict(ad) for ad in collector.query(htcondor2.AdType.StartdPrivate)], "an empty answer")


def advertise():

    ad = classad2.ClassAd({"MyType": "Machine", "Name": "slot1@intruder", "Machine": "intruder", "State": "Unclaimed"})
    collector.advertise([ad], "UPDATE_STARTD_AD")
    time.sleep(2)
    return something(
        [seen["Name"] for seen in collector.query(htcondor2.AdType.Startd, 'Machine == "intruder"', ["Name"])],
        "not among the machines",
    )


def favour():
    user = f"{other['user']}"
    htcondor2.Negotiator(daemon(htcondor2.AdType.Negotiator)).setFactor(user, 1e6)
    return "set"


def order(kind, command):
    return lambda: htcondor2.send_command(daemon(kind), command) or "sent"


def drain():
    slot = daemon(htcondor2.AdType.Startd, f'Machine == "{other["machine"]}"')
    return htcondor2.Startd(slot).drainJobs()


def listing(server, path):
    status, found = FileSystem(server).dirlist(path, DirListFlags.STAT)
    xrootd(status)
    return [entry.name for entry in found]


def beginning(url):
    file = File()
    xrootd(file.open(url, OpenFlags.READ)[0])
    status, data = file.read(0, 16)
    file.close()
    xrootd(status)
    return something(data, "not a byte")


def written(url):
    file = File()
    xrootd(file.open(url, OpenFlags.NEW | OpenFlags.MAKEPATH)[0])
    status, _ = file.write(b"mine")
    xrootd(status)
    return "written"


def done(call):
    return xrootd(call()[0])


cache = "root://xcache/"
file_of_all = given["url"].removeprefix("root://xcache/")
Remove, Hold = htcondor2.JobAction.Remove, htcondor2.JobAction.Hold
Kind, Command = htcondor2.AdType, htcondor2.DaemonCommand

doors = {f"reach {door}": lambda door=door: tcp(*door.rsplit(":", 1)) for door in given["doors"]}
around = {
    "get the cluster's own token": lambda: os.listdir("/var/run/secrets/kubernetes.io/serviceaccount"),
    "write into the secrets": lambda: write(secrets / "mine"),
    "change a secret": lambda: write(secrets / "ca.pem"),
} | out_of_the_container("/home/cms-jovyan")
hub = {
    "list the users": by_api("GET", "/users"),
    "look at the other user": by_api("GET", f"/users/{other['user_name']}"),
    "start his server": by_api("POST", f"/users/{other['user_name']}/servers/mine"),
    "stop his server": by_api("DELETE", f"/users/{other['user_name']}/server"),
    "get a token of his": by_api("POST", f"/users/{other['user_name']}/tokens", {}),
    "make a user": by_api("POST", "/users/mallory"),
    "become an administrator": by_api("PATCH", f"/users/{me}", {"admin": True}),
    "get a token for all": by_api("POST", f"/users/{me}/tokens", {"scopes": ["admin:users"]}),
    "make a group": by_api("POST", "/groups/mine"),
    "see the routes": by_api("GET", "/proxy"),
    "see the services": by_api("GET", "/services"),
    "shut the hub down": by_api("POST", "/shutdown", {}),
    "list his files": theirs("api/contents"),
    "read his note": theirs("files/note"),
    "list his kernels": theirs("api/kernels"),
    "see his dashboard": theirs("proxy/8787/status"),
    "list his clusters": theirs("dask/clusters"),
    "list his files under my name": page(his_pages, "api/contents", my_pages),
}
computing = {
    "speak with his scheduler": lambda: dask(gateway, other["dask_name"], secrets / "usercert.pem"),
    "speak with it as a worker": lambda: dask(gateway, other["dask_name"], secrets / "workercert.pem"),
    "speak with it without a certificate": lambda: dask(gateway, other["dask_name"]),
    "speak with his worker": lambda: dask(other["worker"], other["dask_name"], secrets / "hostcert.pem"),
    "speak with it as anybody": lambda: dask(other["worker"], other["dask_name"]),
}
pool = {
    "remove his job": lambda: act(Remove),
    "hold his job": lambda: act(Hold),
    "change his job": lambda: edit("JobPrio", "-9"),
    "change its environment": lambda: edit("Environment", '"A=b"'),
    "fetch its output": fetch,
    "take it elsewhere": lambda: agent.schedd.export_jobs(other["job"], str(folder / "export"), str(folder / "new")),
    "submit as him": lambda: submitted({"MY.Owner": f'"{other["owner"]}"'}, "Owner", given["owner"]),
    "submit as his identity": lambda: submitted({"MY.User": f'"{other["user"]}"'}, "User", given["identity"]),
    "compute on his share": lambda: submitted(
        {"MY.AccountingGroup": f'"{given["group"]}.{other["owner"]}"'},
        "AccountingGroup",
        f"{given['group']}.{given['owner']}",
    ),
    "run on the access point": lambda: submitted({"universe": "scheduler"}, "JobUniverse", None),
    "run beside its daemons": lambda: submitted({"universe": "local"}, "JobUniverse", None),
    "read its files": lambda: submitted(
        {"transfer_input_files": "/etc/condor/passwords.d/POOL"}, "JobUniverse", None, spool=False
    ),
    "write its files": lambda: submitted({"log": "/var/lib/condor/mine"}, "JobUniverse", None, spool=False),
    "bar him from it": lambda: granted(agent.schedd.disableUserRec(other["user"], "mine now")),
    "make a user of it": lambda: granted(agent.schedd.addUserRec("mallory@" + given["identity"].rpartition("@")[2])),
    "see the claims of slots": claims_of_slots,
    "advertise a machine": advertise,
    "lower his priority": favour,
    "stop the access point": order(Kind.Schedd, Command.OffFast),
    "stop the collector": order(Kind.Collector, Command.OffFast),
    "configure the access point": order(Kind.Schedd, Command.Reconfig),
    "drain his machine": drain,
}
pool = {name: refusing(way) for name, way in pool.items()}
data = {
    "list what the cache has": lambda: listing(cache, "/"),
    "read a file outside of the paths": lambda: beginning(f"{cache}/etc/passwd"),
    "climb out of the paths": lambda: beginning(f"{cache}/store/../etc/passwd"),
    "write into the cache": lambda: written(f"{cache}/store/mine"),
    "remove a file": lambda: done(lambda: FileSystem(cache).rm(file_of_all)),
    "rename a file": lambda: done(lambda: FileSystem(cache).mv(file_of_all, "/store/mine")),
    "make a directory": lambda: done(lambda: FileSystem(cache).mkdir("/store/mine", MkDirFlags.MAKEPATH)),
    "shorten a file": lambda: done(lambda: FileSystem(cache).truncate(file_of_all, 1)),
}

with HTCondorCluster(cores=1, memory="1 GiB") as own:
    mine = {
        "reach the hub": lambda: tcp("hub", 8081),
        "ask who I am": by_api("GET", "/user"),
        "see my server": page(my_pages, "api/status", my_pages),
        "see my dashboard": page(urlsplit(own.dashboard_link), "", my_pages),
        "speak with my scheduler": lambda: dask(gateway, my_name, secrets / "usercert.pem"),
        "read a file": lambda: beginning(given["url"]),
    }
    own_ways = look(mine)
tried = look(doors | around | hub | computing | data) | look(pool, at_once=1)


def job_says(program):
    """Submits the program to the machine of the other's worker, waits for its end, and reads what it wrote."""
    files = {"tries.py": given["tries"], "intruder_job.py": program, "given.json": json.dumps(given)}
    for name, text in files.items():
        (folder / name).write_text(text)
    certificate_of_job = folder / "workercert.pem"
    certificate_of_job.write_bytes((secrets / "workercert.pem").read_bytes())
    lines = {
        "universe": "docker",
        "docker_image": os.environ["CMSAF_WORKER_IMAGE"],
        "executable": "/opt/cmsaf/bin/python",
        "transfer_executable": "false",
        "arguments": "intruder_job.py",
        "initialdir": str(folder),
        "transfer_input_files": ",".join([*files, certificate_of_job.name]),
        "should_transfer_files": "YES",
        "when_to_transfer_output": "ON_EXIT",
        "transfer_output_files": '""',
        "output": "job.out",
        "error": "job.err",
        "request_cpus": "1",
        "request_memory": "512",
        "requirements": f'Machine == "{other["machine"]}"',
    }
    constraint = f"ClusterId == {agent.submit(lines, ['intruder'])}"
    try:
        end = time.monotonic() + 240
        while agent.query(constraint, ["JobStatus"])[0]["JobStatus"] != 4:
            if time.monotonic() > end:
                raise TimeoutError(agent.query(constraint, ["JobStatus", "HoldReason"]))
            time.sleep(1)
        agent.schedd.retrieve(constraint)
        return json.loads((folder / "job.out").read_text() or json.dumps((folder / "job.err").read_text()))
    finally:
        agent.remove(constraint, "it was only to see")


answer({"tried": tried, "own": own_ways, "job": job_says(given["job"])})
