# SPDX-License-Identifier: GPL-3.0-or-later
"""Resample a small NanoAOD file into a data set of any size.

Rows of the source are drawn with replacement by a seeded generator, one
stream per file, and all branches of a row stay together. Files appear under
their name only when they are whole; those that are there are kept, so a
killed run goes on where it stopped. Last of all comes ``dataset.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import multiprocessing
import multiprocessing.connection
import os
import sys
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

TREE = "Events"
DRAFT_UUID = uuid.UUID("9f0c3f5e-6c0b-4f53-9a55-0d4c5b1e7a61")


@dataclass(frozen=True)
class Dataset:
    """What is to be made; two equal ones give the same events."""

    name: str
    files: int
    events_per_file: int
    seed: int
    source: str
    source_sha256: str


@dataclass
class Draft:
    """A file that is being filled, in memory."""

    columns: dict[str, ak.Array]
    memory: io.BytesIO
    file: Any
    tree: Any


def file_name(dataset: Dataset, index: int) -> str:
    return f"{dataset.name}_{index:03d}.root"


def read_source(path: str) -> dict[str, ak.Array]:
    """The tree's columns as they are written again: one record array for each
    counter with its jagged branches, a plain array for any other branch."""
    with uproot.open(path) as source:
        tree = source[TREE]
        counted: dict[str, dict[str, ak.Array]] = {}
        columns: dict[str, ak.Array] = {}
        counters = {b.count_branch.name for b in tree.branches if b.count_branch is not None}
        for branch in tree.branches:
            if branch.name in counters:
                continue
            array = branch.array(library="ak")
            if branch.count_branch is None:
                columns[branch.name] = array
                continue
            collection = branch.count_branch.name.removeprefix("n")
            counted.setdefault(collection, {})[branch.name] = array
    for collection, branches in counted.items():
        if list(branches) == [collection]:
            columns[collection] = branches[collection]
            continue
        fields = {name.removeprefix(f"{collection}_"): array for name, array in branches.items()}
        columns[collection] = ak.zip(fields, depth_limit=2)
    return columns


def empty_file(columns: dict[str, ak.Array]) -> Draft:
    """A file in memory with the tree and no events yet. Declaring some 1,600
    branches takes a hundred times longer than filling them once, so it is done
    once, and each file is filled in a fork of this process."""
    memory = io.BytesIO()
    sink = uproot.recreate(memory, compression=uproot.ZSTD(1), uuid_function=lambda: DRAFT_UUID)
    types = {name: array.type.content for name, array in columns.items()}
    return Draft(columns, memory, sink, sink.mktree(TREE, types))


def make_file(draft: Draft, dataset: Dataset, index: int, folder: Path, chunk: int) -> None:
    """Write one file; it appears under its name when it is whole."""
    rows = len(next(iter(draft.columns.values())))
    draw = np.random.default_rng([dataset.seed, index])
    left = dataset.events_per_file
    while left:
        picked = draw.integers(rows, size=min(chunk, left))
        left -= len(picked)
        draft.tree.extend({name: array[picked] for name, array in draft.columns.items()})
    # Readers tell files apart by their UUID.
    own = uuid.uuid5(DRAFT_UUID, json.dumps([asdict(dataset), index]))
    content = draft.memory.getvalue().replace(DRAFT_UUID.bytes, own.bytes)
    path = folder / file_name(dataset, index)
    part = folder / f".{path.name}.{os.getpid()}"
    try:
        part.write_bytes(content)
        part.chmod(0o644)
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)


def make_files(dataset: Dataset, folder: Path, chunk: int, processes: int) -> None:
    """Make the files that are not there yet, so many at a time."""
    missing = [i for i in range(dataset.files) if not (folder / file_name(dataset, i)).exists()]
    if not missing:
        return
    draft = empty_file(read_source(dataset.source))
    fork = multiprocessing.get_context("fork")
    running: dict[int, multiprocessing.process.BaseProcess] = {}
    while missing or running:
        while missing and len(running) < processes:
            index = missing.pop(0)
            job = fork.Process(target=make_file, args=(draft, dataset, index, folder, chunk))
            job.start()
            running[job.sentinel] = job
            print(f"{file_name(dataset, index)} of {dataset.files}", flush=True)
        for sentinel in multiprocessing.connection.wait(list(running)):
            job = running.pop(int(sentinel))
            job.join()
            if job.exitcode:
                for other in running.values():
                    other.terminate()
                raise SystemExit(f"a file could not be made: exit code {job.exitcode}")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Resample a NanoAOD file into a data set.")
    parser.add_argument("--source", required=True, help="NanoAOD file to draw from")
    parser.add_argument("--output", required=True, help="folder of the data set")
    parser.add_argument("--name", default="events", help="start of each file's name")
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--events-per-file", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=2020)
    parser.add_argument("--chunk", type=int, default=25_000, help="events of one basket")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    dataset = Dataset(
        name=options.name,
        files=options.files,
        events_per_file=options.events_per_file,
        seed=options.seed,
        source=options.source,
        source_sha256=hashlib.sha256(Path(options.source).read_bytes()).hexdigest(),
    )
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    summary = folder / "dataset.json"
    wanted = asdict(dataset)
    if summary.exists() and json.loads(summary.read_text())["dataset"] != wanted:
        print(f"{summary} is of another data set; give --output another folder", file=sys.stderr)
        return 1
    make_files(dataset, folder, options.chunk, options.processes)
    sizes = {}
    for index in range(dataset.files):
        name = file_name(dataset, index)
        sizes[name] = (folder / name).stat().st_size
    part = summary.with_suffix(".part")
    part.write_text(json.dumps({"dataset": wanted, "files": sizes}, indent=1))
    part.chmod(0o644)
    part.rename(summary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
