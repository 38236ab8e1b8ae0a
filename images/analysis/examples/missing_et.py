# SPDX-License-Identifier: GPL-3.0-or-later
"""Missing transverse energy of a muon data set: one histogram, by any Dask client.

In a notebook:

    from cmsaf_dask import HTCondorCluster
    import missing_et

    cluster = HTCondorCluster()
    cluster.scale(4)
    result = missing_et.run(cluster.get_client(), missing_et.files())
    missing_et.plot(result)
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coffea import processor
from coffea.nanoevents import NanoAODSchema
from hist import Hist

if TYPE_CHECKING:
    from distributed import Client
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MissingET", "Result", "analyse", "canvas", "empty", "files", "main", "plot", "run"]

DIRECTORY = "/store/cmsaf/nano_dimuon"
NUMBER = 20
TREE = "Events"


def files(host: str = "xcache", directory: str = DIRECTORY, number: int = NUMBER) -> list[str]:
    """The data set's files. xcache stands for the site's cache, wherever it is."""
    return [f"root://{host}/{directory}/nano_dimuon_{index:03d}.root" for index in range(number)]


def empty() -> Hist:
    """The histogram before the first event; whole numbers, so that equal means equal."""
    return Hist.new.Reg(50, 0, 200, name="met", label=r"$E_\mathrm{T}^\mathrm{miss}$ [GeV]").Int64()


class MissingET(processor.ProcessorABC):
    """Fills MET of every event; only the columns used are read."""

    def process(self, events: Any) -> dict[str, Any]:
        histogram = empty()
        histogram.fill(met=events.MET.pt)
        return {"met": histogram, "events": len(events)}

    def postprocess(self, accumulator: dict[str, Any]) -> dict[str, Any]:
        return accumulator


@dataclass
class Result:
    """The histogram, and what it took."""

    histogram: Hist
    events: int
    seconds: float
    bytes_read: int
    workers: int

    @property
    def rate(self) -> float:
        """Events a second, from the first file opened to the histogram."""
        return self.events / self.seconds

    def as_dict(self) -> dict[str, Any]:
        """Plain values: bin contents with underflow and overflow, and the figures."""
        return {
            "counts": [int(count) for count in self.histogram.values(flow=True)],
            "edges": [float(edge) for edge in self.histogram.axes[0].edges],
            "events": self.events,
            "seconds": round(self.seconds, 3),
            "rate": round(self.rate, 1),
            "bytes_read": self.bytes_read,
            "workers": self.workers,
        }


def analyse(
    client: Client, urls: Sequence[str], what: processor.ProcessorABC, chunksize: int = 100_000, status: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a processor makes of the files by the workers of this client, and coffea's figures of it."""
    runner = processor.Runner(
        executor=processor.DaskExecutor(client=client, status=status, retries=2),
        schema=NanoAODSchema,
        chunksize=chunksize,
        savemetrics=True,
    )
    found: tuple[dict[str, Any], dict[str, Any]] = runner(
        {"nano_dimuon": {"files": dict.fromkeys(urls, TREE)}}, what, treename=TREE
    )
    return found


def run(client: Client, urls: Sequence[str], chunksize: int = 100_000, status: bool = False) -> Result:
    """Analyse the files by the workers of this client."""
    started = time.perf_counter()
    output, metrics = analyse(client, urls, MissingET(), chunksize, status)
    seconds = time.perf_counter() - started
    # Asked of the scheduler: the client's own list is overwritten by its heartbeat, which asks for no workers.
    workers = len(client.nthreads())
    return Result(output["met"], output["events"], seconds, int(metrics.get("bytesread", 0)), workers)


def plain(paths: Iterable[str]) -> Result:
    """The same histogram by uproot and numpy alone, file after file: what the others are compared with."""
    import uproot

    histogram, events = empty(), 0
    started = time.perf_counter()
    for path in paths:
        with uproot.open(path) as file:
            values = file[TREE]["MET_pt"].array(library="np")
        histogram.fill(met=values)
        events += len(values)
    return Result(histogram, events, time.perf_counter() - started, 0, 1)


@contextmanager
def canvas() -> Iterator[tuple[Figure, Axes]]:
    """A figure in CMS style, and its axes to draw into."""
    import matplotlib.pyplot as plt
    import mplhep

    # A notebook's backend has plots shown from when it is loaded. Loaded within the style, as it is with the first figure, it
    # would be forgotten with the style that they are to be shown, and no later plot would be.
    plt.switch_backend(plt.get_backend())
    with plt.style.context(mplhep.style.CMS):
        yield plt.subplots(figsize=(10, 8))


def plot(result: Result) -> Figure:
    """The histogram in CMS style."""
    import mplhep

    with canvas() as (figure, axes):
        mplhep.histplot(result.histogram, ax=axes, histtype="fill", alpha=0.6, label=f"{result.events:,} events")
        axes.set_ylabel("Events / 4 GeV")
        axes.set_xlabel(result.histogram.axes[0].label)
        axes.set_xlim(0, 200)
        axes.legend()
        mplhep.cms.label(ax=axes, data=True, text="Open example", rlabel=f"{result.rate:,.0f} events/s")
    return figure


def main() -> int:
    """python -m missing_et: the analysis by processes of this machine."""
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=os.cpu_count(), threads_per_worker=1) as cluster, Client(cluster) as client:
        result = run(client, files())
    plot(result).savefig("missing_et.png")
    print(f"{result.events} events, {result.seconds:.1f} s, {result.rate:.0f} events/s: missing_et.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
