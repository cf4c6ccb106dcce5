"""Shared by the tests of the engine: a narrow painting of many tiles, runs of it, and their processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import overpainted, painted_patch, small_truth
from solver.test_solve import InterruptAfter, result_hash

from xrfsr_dask.options import RunOptions, SolveOptions
from xrfsr_dask.solver import plan_run, solve
from xrfsr_dask.store import Painting, PatchSpec, create_painting, open_painting, placement
from xrfsr_dask.store.journal import read_record
from xrfsr_dask.store.staging import work_area
from xrfsr_dask.tiling.executor import LocalExecutor

PAPER = SolveOptions(method="paper", atoms=5, iterations=3, steps=6, tolerance=0)
JOINT = SolveOptions(atoms=4, hidden_atoms=3, iterations=3, tolerance=0)
OPTIONS = {"paper": PAPER, "joint": JOINT}
SHAPE = (260, 60)
"""Tiles of 50, 100, 250 and 500 px are 12, 3, 2 and 1."""

PLACES = {
    "a": (placement(at_mm=(5, 5), step_mm=5), (30, 10), "box", None),
    "b": (placement(at_mm=(110, 9), step_mm=4.7, rotation_deg=1.7), (28, 9), "gaussian", 6.0),
}
"""An aligned patch, and a turned one with a Gaussian beam that overlaps it; 1 mm is 1 px."""

N_CHANNEL = 24


def narrow_painting(path: Path, patches: str = "ab", *, gain: float = 1.0, bands: int = 3) -> Painting:
    """A painting of `SHAPE` px with the patches named, added in that order; of three bands at most."""
    photo = small_truth(*SHAPE, n_channel=N_CHANNEL)[2][..., :bands]
    create_painting(path, photo, width_mm=float(SHAPE[1]), transfer="linear")
    for name in patches:
        add_narrow_patch(path, name, gain=gain)
    return open_painting(path)


def add_narrow_patch(path: Path, name: str, *, gain: float = 1.0) -> None:
    """One patch of `PLACES`, the same counts whatever else is in the store."""
    A, D = overpainted(*small_truth(*SHAPE, n_channel=N_CHANNEL)[:2])
    transform, spots, footprint, spot_mm = PLACES[name]
    spec = PatchSpec(
        shape=(*spots, N_CHANNEL),
        dtype="u2",
        transform=transform,
        energy_kev=0.1 + 0.5 * np.arange(N_CHANNEL),
        spot_mm=spot_mm,
        footprint=footprint,  # type: ignore[arg-type]
        gain=gain,
    )
    painted_patch(path, name, spec, A, D)


def planned(path: Path, options: SolveOptions = PAPER, *, tile: int | None = 50, name: str = "r", **resources):
    """A plan of the run `r`."""
    run = RunOptions(tile=tile, **resources)
    return plan_run(open_painting(path), name=name, options=options, resources=run, slots=2)


def solved_hash(path: Path, executor, options: SolveOptions = PAPER, *, tile: int = 50, **flags) -> str:
    """Solve the run `r` and give the hash of its result."""
    solve(planned(path, options, tile=tile), executor, **flags)
    return result_hash(path)


def run_folder(path: Path) -> Path:
    """Where the run `r` has its lock and checkpoint."""
    return work_area(path) / "r"


def checkpoint(path: Path) -> dict:
    """Where the run `r` stands, as its checkpoint tells."""
    return dict(read_record(run_folder(path) / "checkpoint.json")["state"])


def words(path: Path, method: str, *more: object) -> list[str]:
    """The command that solves the run `r` in a process of its own."""
    o = OPTIONS[method]
    given = {"--method": method, "--atoms": o.atoms, "--hidden-atoms": o.hidden_atoms, "--tolerance": 0}
    given |= {"--iterations": o.iterations, "--steps": o.steps, "--name": "r", "--tile": 50}
    return [*PYTHON, "solve", str(path), *(str(w) for pair in given.items() for w in pair), *map(str, more)]


__all__ = ["InterruptAfter", "result_hash"]

PYTHON = [sys.executable, "-m", "xrfsr_dask"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def started(command: list[str], **kwargs) -> subprocess.Popen:
    """A process with its output caught."""
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, **kwargs
    )


def figures(command: list[str]) -> dict:
    """What a command says with ``--json``."""
    done = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True, env=ENVIRONMENT)
    return dict(json.loads(done.stdout))


def wait_for(ready: Callable[[], bool], process: subprocess.Popen, seconds: float = 120) -> None:
    """Until something has come about, while a process lives."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


def interrupt_in_a_visit(run) -> None:
    """Stop a run with four receipts of a visit: the first (joint), or that of the second iteration (paper)."""

    class Stop(InterruptAfter):
        def advance(self, n: int = 1) -> None:
            if list(run.work.glob("gen-*")) and self.in_a_visit():
                raise KeyboardInterrupt

        def in_a_visit(self) -> bool:
            newest = max(run.work.glob("gen-*"))
            lines = len((newest / "receipts.jsonl").read_text().splitlines())
            least = 1 if run.options.method == "joint" else run.options.steps + 1
            return int(newest.name[4:]) >= least and lines >= 5

    with pytest.raises(KeyboardInterrupt):
        solve(run, LocalExecutor(1), progress=Stop(0))


def has_passes(path: Path, n: int = 1) -> bool:
    """Whether the run `r` has a checkpoint with so many passes."""
    return (run_folder(path) / "checkpoint.json").exists() and checkpoint(path)["passes"] >= n
