# SPDX-License-Identifier: GPL-3.0-or-later
"""Mass of two muons in regions and with systematic variations, all in one pass, in the manner of the Analysis Grand Challenge.

In a notebook:

    from cmsaf_dask import HTCondorCluster
    import dimuon

    cluster = HTCondorCluster()
    cluster.scale(4)
    histogram = dimuon.run(cluster.get_client(), dimuon.files())
    dimuon.plot(histogram, "barrel")
    dimuon.write(histogram, "dimuon.root")
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
from coffea import processor
from hist import Hist
from missing_et import analyse, canvas, files

if TYPE_CHECKING:
    from distributed import Client
    from matplotlib.figure import Figure

__all__ = ["REGIONS", "VARIATIONS", "Dimuon", "empty", "files", "plot", "run", "write"]

# Each region is a range of the larger of the two muons' pseudorapidities, without its sign.
REGIONS = {"barrel": (0.0, 1.2), "endcap": (1.2, 2.4)}
# Factor on the muons' momenta, and the isolation that they may have at most. Examples of what an analysis varies, not the
# detector's figures.
VARIATIONS = {
    "nominal": (1.0, 0.15),
    "scale_up": (1.002, 0.15),
    "scale_down": (0.998, 0.15),
    "isolation_loose": (1.0, 0.25),
    "isolation_tight": (1.0, 0.10),
}


def empty() -> Hist:
    """The histogram before the first event. Its counts stay whole numbers, which ROOT files take as floating ones only."""
    return (
        Hist.new.StrCat(list(REGIONS), name="region")
        .StrCat(list(VARIATIONS), name="variation")
        .Reg(60, 60, 120, name="mass", label=r"$m_{\mu\mu}$ [GeV]")
        .Double()
    )


class Dimuon(processor.ProcessorABC):
    """Fills the mass of the two leading muons of events that have a good pair of opposite charge."""

    def process(self, events: Any) -> dict[str, Any]:
        histogram = empty()
        for variation, (scale, isolation) in VARIATIONS.items():
            muons = events.Muon[events.Muon.mediumId & (abs(events.Muon.eta) < 2.4)]
            muons = ak.with_field(muons, muons.pt * scale, "pt")
            muons = muons[(muons.pt > 15) & (muons.pfRelIso04_all < isolation)]
            muons = muons[ak.num(muons) >= 2]
            first, second = muons[:, 0], muons[:, 1]
            good = (first.pt > 25) & (first.charge != second.charge)
            mass = ak.to_numpy((first + second).mass[good])
            eta = np.maximum(abs(ak.to_numpy(first.eta[good])), abs(ak.to_numpy(second.eta[good])))
            for region, (least, below) in REGIONS.items():
                histogram.fill(region=region, variation=variation, mass=mass[(eta >= least) & (eta < below)])
        return {"dimuon": histogram}

    def postprocess(self, accumulator: dict[str, Any]) -> dict[str, Any]:
        return accumulator


def run(client: Client, urls: Sequence[str], chunksize: int = 100_000, status: bool = False) -> Hist:
    """The histogram (region, variation, mass) of the files, by the workers of this client."""
    histogram: Hist = analyse(client, urls, Dimuon(), chunksize, status)[0]["dimuon"]
    return histogram


def plot(histogram: Hist, region: str) -> Figure:
    """A region's mass in CMS style, with the band between the variations."""
    import mplhep

    of_region = histogram[{"region": region}]
    varied = np.stack([of_region[{"variation": name}].values() for name in VARIATIONS])
    edges = histogram.axes["mass"].edges
    with canvas() as (figure, axes):
        mplhep.histplot(of_region[{"variation": "nominal"}], ax=axes, color="black", label=f"{region}, nominal")
        axes.stairs(varied.max(axis=0), edges, baseline=varied.min(axis=0), fill=True, alpha=0.4, label="variations")
        axes.set_ylabel("Events / GeV")
        axes.set_xlabel(histogram.axes["mass"].label)
        axes.set_xlim(edges[0], edges[-1])
        axes.legend()
        mplhep.cms.label(ax=axes, data=True, text="Open example")
    return figure


def write(histogram: Hist, path: str | Path) -> list[str]:
    """Write a histogram for each region and variation into a ROOT file, as a fit reads them; returns their names."""
    import uproot

    names = []
    with uproot.recreate(path) as file:
        for region in REGIONS:
            for variation in VARIATIONS:
                names.append(f"{region}_{variation}")
                file[names[-1]] = histogram[{"region": region, "variation": variation}]
    return names
