# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user sees in JupyterLab: python lab.py STATE REPORT

Each example notebook is opened and run whole in a browser, and no cell of it may end in an error. Then clusters are made by
"+ NEW" of Dask's sidebar, and one more by keyboard alone; one is made larger there, its dashboard's plots are shown through the
hub, a kernel finds it by its name and computes; all are shut down there, and no job of theirs is left. At last
the sidebar has to say why a cluster of "+ NEW" cannot start, and why the workers of a kernel's cluster died.
STATE holds settings.json (url, ca, password_file). REPORT gets pictures, wide and narrow, light and dark, and lab.json.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from browser import JOBS, WIDE, browser_page, failure_pictured, open_lab, picture, until
from playwright.sync_api import Locator, Page
from users import ROOT, Facility, Hub, start_fresh  # type: ignore[import-not-found]  # found by the line before

USER = "looker"
LIMIT = 300
EXAMPLES = sorted(path.stem for path in (ROOT / "images/analysis/examples").glob("*.ipynb"))
# How many plots each shows.
PLOTS = {"missing_et": 1, "dimuon": 2}

COPY = """
import shutil
from pathlib import Path
for path in Path("/opt/cmsaf/share/cmsaf/examples").glob("*.ipynb"):
    shutil.copy(path, Path.home())
answer(True)
"""
CELLS = """
import json, time
from pathlib import Path
text = ""
while not text.rstrip().endswith("}}"):  # it may be in the middle of being written
    time.sleep(0.2)
    text = Path.home().joinpath("{name}.ipynb").read_text()
cells = json.loads(text)["cells"]
answer([
    dict(
        ran=cell["execution_count"] is not None,
        error=" ".join(str(out.get("evalue")) for out in cell["outputs"] if out["output_type"] == "error"),
        plots=sum("image/png" in out.get("data", ()) for out in cell["outputs"]),
    )
    for cell in cells if cell["cell_type"] == "code"
])
"""
# The second of them, by its name, from a kernel that has not made it.
COMPUTE = """
from cmsaf_dask import HTCondorCluster, list_clusters
name = list_clusters()[1].name
with HTCondorCluster.from_name(name).get_client() as client:
    answer(client.submit(sum, [20, 22]).result(60))
"""

# An image that no registry has.
NO_IMAGE = """
import os, time
from cmsaf_dask import HTCondorCluster
registry = os.environ["CMSAF_WORKER_IMAGE"].partition("/")[0]
with HTCondorCluster(cores=1, memory="512 MiB", worker_image=registry + "/cmsaf/not-there:1") as cluster:
    cluster.scale(1)
    end = time.monotonic() + 180
    while "image is not to be had" not in (said := str(cluster.explain())) and time.monotonic() < end:
        time.sleep(1)
answer(said)
"""

# For all clusters of a server that is started with it: what no slot has, and the pool is not asked before.
NEVER = """
from pathlib import Path
path = Path.home() / ".config/dask/never.yaml"
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text("jobqueue: {cmsaf: {memory: 900 GiB, check-pool: false}}")
answer(True)
"""
NEVER_MORE = """
from pathlib import Path
(Path.home() / ".config/dask/never.yaml").unlink()
answer(True)
"""
# Its workers die of an argument that they do not know.
DYING = """
from cmsaf_dask import HTCondorCluster
cluster = HTCondorCluster(cores=1, memory="512 MiB", worker_extra_args=["--not-an-option"])
cluster.scale(1)
answer(cluster.name)
"""
CLOSE = """
cluster.close()
answer(True)
"""

ITEM = ".dask-ClusterListingItem"
PLOT = ".jp-NotebookPanel:visible .jp-RenderedImage img"


def over(cells: list[dict[str, Any]]) -> bool:
    """Whether all have run, or none will after one that broke."""
    return all(cell["ran"] for cell in cells) or any(cell["error"] for cell in cells)


def run_notebook(page: Page, hub: Hub, name: str, report: Path) -> dict[str, Any]:
    """Open it as a user does, and run all its cells; seconds to the first answer and to the last."""
    page.goto(f"{hub.place}/lab/tree/{name}.ipynb?reset")
    page.locator(".jp-NotebookPanel:visible .jp-CodeCell").first.wait_for()
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    began = time.monotonic()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    def cells() -> list[dict[str, Any]]:
        # The page draws only what is to be seen of it, so the file is asked.
        page.keyboard.press("Control+S")
        return [dict(cell) for cell in hub.run(CELLS.format(name=name), LIMIT)]

    until(f"{name}: the first cell", lambda: cells()[0]["ran"], LIMIT)
    found = {"first cell": round(time.monotonic() - began, 1)}
    until(f"{name}: all cells", lambda: over(cells()), LIMIT)
    found["all cells"] = round(time.monotonic() - began, 1)
    broken = [cell["error"] for cell in cells() if cell["error"]]
    if broken:
        sys.exit(f"{name}: {broken[0]}")
    plots = sum(cell["plots"] for cell in cells())
    if plots < PLOTS.get(name, 0):
        sys.exit(f"{name}: {plots} plots, {PLOTS[name]} are to be seen")
    if plots:
        panel, plot = page.locator(".jp-NotebookPanel:visible .jp-WindowedPanel-outer"), page.locator(PLOT)
        panel.evaluate("it => it.scrollTo(0, 0)")
        until(f"{name}: a plot", lambda: panel.evaluate("it => it.scrollBy(0, 300)") or plot.count() > 0, LIMIT)
        plot.first.scroll_into_view_if_needed()
    picture(page, report / f"{name}.png")
    return found


def names(page: Page) -> list[str]:
    return [str(text) for text in page.locator(f"{ITEM}-title").all_inner_texts()]


def ask_for(page: Page, name: str, workers: int) -> None:
    """By the dialog of the sidebar."""
    page.locator(ITEM).filter(has_text=name).locator(f"{ITEM}-scale").click()
    page.locator(".jp-Dialog .dask-ScalingInput").first.fill(str(workers))
    page.locator(".jp-Dialog .jp-mod-accept").click()


def scale(page: Page, name: str, workers: int) -> float:
    """Seconds until the sidebar counts them."""
    ask_for(page, name, workers)
    item = page.locator(ITEM).filter(has_text=name)
    return until(
        f"{workers} workers in the sidebar", lambda: f"Number of Workers: {workers}" in item.inner_text(), LIMIT
    )


def open_sidebar(page: Page, hub: Hub) -> Locator:
    """Dask's sidebar in a page that is loaded anew; its "+ NEW"."""
    page.goto(f"{hub.place}/lab?reset")
    page.locator(".jp-SideBar [title*=Dask], .jp-SideBar [data-id=dask-dashboard-launcher]").first.click()
    return page.locator(".dask-DaskClusterManager").get_by_text("NEW", exact=True)


def shut_down(page: Page, hub: Hub) -> float:
    """All clusters of the sidebar; seconds until no job is left."""
    while before := len(names(page)):
        page.locator(f"{ITEM}-stop").first.click()
        until("A cluster is shut down", lambda n=before: len(names(page)) < n, LIMIT)
    return until("No job is left", lambda: not hub.run(JOBS, LIMIT), LIMIT)


def sidebar(page: Page, hub: Hub, report: Path) -> dict[str, Any]:
    """Clusters by mouse and by keyboard."""
    found: dict[str, Any] = {}
    new = open_sidebar(page, hub)
    for count in (1, 2):
        new.click()
        found[f'cluster {count} by "+ NEW"'] = until(f"Cluster {count}", lambda n=count: len(names(page)) == n, LIMIT)
    page.keyboard.press("Control+Shift+C")
    page.keyboard.type("Launch New Cluster")
    page.keyboard.press("Enter")
    found["cluster 3 by keyboard"] = until("Cluster 3", lambda: len(names(page)) == 3, LIMIT)
    made = names(page)
    if len(set(made)) != 3:
        sys.exit(f"Clusters of one name: {made}")
    found["two workers by SCALE"] = scale(page, made[1], 2)
    if (right := hub.run(COMPUTE, LIMIT)) != 42:
        sys.exit(f"The cluster of the sidebar, found by its name: computed {right}, not 42")

    page.locator(ITEM).filter(has_text=made[1]).click()
    page.locator(".dask-DashboardListing-item button:enabled").filter(has_text=re.compile("^Workers$")).click()
    drawn = page.frame_locator("#jp-main-dock-panel iframe").first.locator("canvas").first
    drawn.wait_for()
    where = [frame.url for frame in page.frames if "/proxy/" in frame.url]
    if not where or not all(address.startswith(f"{hub.place}/proxy/") for address in where):
        sys.exit(f"The dashboard is not shown through the hub: {where}")
    picture(page, report / "sidebar.png")
    page.set_viewport_size({"width": 700, "height": 900})
    picture(page, report / "sidebar-narrow.png")
    page.set_viewport_size(WIDE)
    page.keyboard.press("Control+Shift+C")
    page.keyboard.type("Use Theme: JupyterLab Dark")
    page.keyboard.press("Enter")
    page.locator("body[data-jp-theme-light=false]").wait_for(state="attached")
    drawn.wait_for()
    picture(page, report / "sidebar-dark.png")

    found["no job left"] = shut_down(page, hub)
    return found


def say(page: Page, cluster: str, *texts: str) -> tuple[Locator, float]:
    """What the sidebar says of a cluster, and seconds until all of these texts are in it."""
    region = page.get_by_role("region", name="Workers", exact=True)
    said = region.get_by_role("article").filter(has=page.get_by_role("heading", name=cluster, exact=True))

    def all_there() -> bool:
        now = " ".join(said.all_inner_texts())
        return all(text in now for text in texts)

    return said, until(f"The sidebar says of {cluster}: {' … '.join(texts)}", all_there, LIMIT)


def why(page: Page, hub: Hub, report: Path) -> dict[str, Any]:
    """Why workers are not there, in a server whose clusters ask for what no slot has."""
    found: dict[str, Any] = {}
    open_sidebar(page, hub).click()
    until("Cluster 1", lambda: len(names(page)) == 1, LIMIT)
    (never,) = names(page)
    say(page, never, "made here; its name is dask-", "0 of 0 workers are here.")
    ask_for(page, never, 1)
    texts = "0 of 1 workers are here.", "No slot fits the job, not even an empty one.", "memory (921600 MiB asked for"
    said, found["no slot fits"] = say(page, never, *texts)
    found["its words"] = said.inner_text()

    dying = hub.run(DYING, LIMIT)
    said, found["workers died"] = say(page, dying, "made by process", "ended with exit status", "Last lines of")
    said.locator("summary").first.press("Enter")
    said.locator("pre").first.get_by_text("--not-an-option").wait_for()
    said.scroll_into_view_if_needed()
    picture(page, report / "sidebar-why.png")
    page.set_viewport_size({"width": 700, "height": 900})
    said.scroll_into_view_if_needed()
    picture(page, report / "sidebar-why-narrow.png")
    page.set_viewport_size(WIDE)
    hub.run(CLOSE, LIMIT)
    until("A closed cluster is gone from the sidebar", lambda: not said.count(), LIMIT)
    shut_down(page, hub)
    return found


def main() -> int:
    state, report = (Path(argument) for argument in sys.argv[1:3])
    facility = Facility.told(state)
    hub = Hub(facility.session(USER))
    start_fresh(hub, facility.password, LIMIT)
    hub.run(COPY, LIMIT)
    found: dict[str, Any] = {}
    with browser_page(facility.url) as page, failure_pictured(page, report / "failed.png"):
        began = time.monotonic()
        open_lab(page, hub, facility.password)
        found["from the login to JupyterLab"] = round(time.monotonic() - began, 1)
        for name in EXAMPLES:
            found[name] = run_notebook(page, hub, name, report)
            print(json.dumps({name: found[name]}), flush=True)
        found["an image that is not there"] = hub.run(NO_IMAGE, LIMIT)
        if "image is not to be had" not in found["an image that is not there"]:
            sys.exit(f"An image that is not there: {found['an image that is not there']}")
        found["sidebar"] = sidebar(page, hub, report)
        hub.run(NEVER, LIMIT)
        start_fresh(hub, facility.password, LIMIT)
        try:
            found["why"] = why(page, hub, report)
        finally:
            hub.run(NEVER_MORE, LIMIT)
    hub.stop(LIMIT)
    (report / "lab.json").write_text(json.dumps(found, indent=1))
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
