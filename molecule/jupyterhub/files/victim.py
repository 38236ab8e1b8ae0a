# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user has running while another tries to get at it; runs in the kernel of the former, which has answer()."""

import os
import socket
from pathlib import Path

from cmsaf_dask import HTCondorCluster
from cmsaf_dask.agent import Agent
from distributed import Client

note = Path("~/note").expanduser()
note.write_text("private")
# A server may have more than one.
cluster, second = (HTCondorCluster(cores=1, memory="1 GiB", name=name) for name in ("first", "second"))
client, other_client = Client(cluster), Client(second)
for one, its_client in ((cluster, client), (second, other_client)):
    one.scale(1)
    its_client.wait_for_workers(1, timeout=300)
agent = Agent()
agent.locate(os.environ["CMSAF_COLLECTOR"], os.environ["CMSAF_SCHEDD_NAME"])
mine = f'DaskClusterName == "{cluster.name}"'
job = agent.query(mine, ["ClusterId", "ProcId", "Owner", "User", "RemoteHost", "EnteredCurrentStatus"])[0]
answer(  # noqa: F821
    {
        "address": socket.gethostbyname(socket.gethostname()),
        "dask_name": os.environ["CMSAF_DASK_NAME"],
        "pages": os.environ["JUPYTERHUB_PUBLIC_URL"],
        "shared": {space: Path("/shared", space, "note").read_text() for space in os.listdir("/shared")},
        "second": other_client.submit(sum, [1, 2]).result(60),
        "schedulers": [cluster.scheduler_address, second.scheduler_address],
        "dashboards": [cluster.dashboard_link, second.dashboard_link],
        "worker": next(iter(client.scheduler_info()["workers"])).removeprefix("tls://"),
        "machine": job["RemoteHost"].rpartition("@")[2],
        "owner": job["Owner"],
        "user": job["User"],
        "job": f"ClusterId == {job['ClusterId']} && ProcId == {job['ProcId']}",
    }
)
