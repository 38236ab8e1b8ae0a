# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether all that victim.py made is as it was; runs in the same kernel."""

import time

job_after = agent.query(mine, ["ClusterId", "ProcId", "JobStatus", "JobPrio", "EnteredCurrentStatus"])  # noqa: F821
computed = client.submit(sum, [1, 2, 3]).result(60)  # noqa: F821
workers = len(client.scheduler_info()["workers"])  # noqa: F821
for one in (client, other_client, cluster, second):  # noqa: F821
    one.close()
# The access point takes its time to forget them.
end = time.monotonic() + 30
while (left := agent.query(mine, ["ClusterId"])) and time.monotonic() < end:  # noqa: F821
    time.sleep(0.5)
answer(  # noqa: F821
    {
        "note": note.read_text(),  # noqa: F821
        "computed": computed,
        "workers": workers,
        "jobs": [(ad["JobStatus"], ad["JobPrio"], ad["EnteredCurrentStatus"]) for ad in job_after],
        "before": (2, 0, job["EnteredCurrentStatus"]),  # noqa: F821
        "left": left,
    }
)
