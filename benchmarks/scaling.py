"""How cost grows with the painting, and what a second core gives."""

from __future__ import annotations

import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import paintings
from benchmarks.joint import Timed
from benchmarks.measure import say, used
from xrfsr_dask.cluster import executor_for
from xrfsr_dask.options import RunOptions, SolveOptions
from xrfsr_dask.progress import Silent
from xrfsr_dask.solver import outer, plan_run, solve, state
from xrfsr_dask.solver.passes import advance_tile
from xrfsr_dask.solver.start import start
from xrfsr_dask.solver.visit import visit
from xrfsr_dask.store import Painting
from xrfsr_dask.tiling.executor import LocalExecutor

LARGEST = 1e6
"""Px of the largest painting, where not told otherwise."""

_SIDES = (500, 1000, 2000, 4000, 7000)  # px, multiples of the room that is mirrored
_JOINT_MOST = 4e6  # px; ten times as many take hours
_CHANNELS = 64
_TILES = {"joint": 100, "paper": 500}
_FEW = {"iterations": 2, "tolerance": 0}
_ONCE = ("sampled_likelihoods", "held_out", "sampled_departures", "sampled_pixels")  # however large it is


def scaling(largest: float = LARGEST) -> None:
    """CPU per HR px of one pass of `paper` and of `joint`, from a quarter of a million px upwards."""
    with tempfile.TemporaryDirectory() as folder:
        small = paintings.rooms(Path(folder) / "p.zarr", 100, _CHANNELS, base=100)
        _paper_cost(small), _joint_costs(small)  # compiles
    first: dict[str, float] = {}
    for costs, most in ((_paper_cost, largest), (_joint_costs, min(largest, _JOINT_MOST))):
        for side in (side for side in _SIDES if side**2 <= most):
            with tempfile.TemporaryDirectory() as folder:
                painting = paintings.rooms(Path(folder) / "p.zarr", side, _CHANNELS)
                for name, per_px in costs(painting).items():
                    first.setdefault(name, per_px)
                    say(f"CPU per px, {name} / that of the smallest", per_px / first[name], px=side**2,
                        us_per_px=round(per_px * 1e6, 3), channels=_CHANNELS)  # fmt: skip


def _joint_costs(painting: Painting) -> dict[str, float]:
    """CPU seconds per px of `joint`, but for what it does once on samples.

    Blocks at the border have fewer spots around them than others, hence the co-kriging of inner tiles apart.
    """
    executor, (ny, nx) = Timed(LocalExecutor(1)), painting.shape
    solve(_plan(painting, "joint", atoms=20, hidden_atoms=6, **_FEW), executor)
    whole = sum(s for name, s in executor.spent.items() if name not in _ONCE)
    inner = [s for t, s in executor.tasks["unmix_tile"] if t.y0 and t.x0 and t.y1 < ny and t.x1 < nx]
    area = _TILES["joint"] ** 2
    per_px = {"co-kriging and unmixing away from the border": float(np.mean(inner)) / area} if inner else {}
    return {"joint": whole / (ny * nx)} | per_px


def _paper_cost(painting: Painting) -> dict[str, float]:
    """CPU seconds per px of five abundance steps on all tiles, read, written and checked."""
    run = _plan(painting, "paper", atoms=20, steps=5)
    quiet = Silent()
    with state.locked(run):
        begun = outer.project(run, start(run, LocalExecutor(2), quiet), LocalExecutor(2), quiet)
        task = partial(advance_tile, run, begun.generation, begun.dictionary, 5)
        with used() as spent:
            visit(run, begun.generation + 5, task, LocalExecutor(1), quiet, origin="bench")
        state.discard(run)
    return {"a pass of paper": spent.cpu / (painting.shape[0] * painting.shape[1])}


def workers() -> None:
    """Wall time of one worker over that of two, and of more where there are cores: threads, and processes."""
    options: dict[str, dict[str, Any]] = {
        "joint": {"atoms": 20, "hidden_atoms": 6, **_FEW},
        "paper": {"atoms": 50, **_FEW},
    }
    with tempfile.TemporaryDirectory() as folder:
        painting = paintings.rooms(Path(folder) / "p.zarr", 1000, _CHANNELS)
        for method, chosen in options.items():
            _solved(painting, method, 2, False, **chosen | {"iterations": 1})  # compiles
            for processes in (False, True):
                kind, one = "processes" if processes else "threads", 0.0
                for n in (n for n in (1, 2, 4, 8, 16) if n <= (os.cpu_count() or 1)):
                    took = _solved(painting, method, n, processes, **chosen)
                    one = one or took
                    if n > 1:
                        say(f"one worker / {n}, {method}, {kind}", one / took, px=1000**2, one_s=round(one, 1),
                            s=round(took, 1), **({"goal": 1.8} if n == 2 else {}))  # fmt: skip


def _solved(painting: Painting, method: str, n: int, processes: bool, **options: Any) -> float:
    """Wall seconds of a run from its start to its result."""
    resources = RunOptions(workers=n, processes=processes, memory=2**31)
    with executor_for(resources) as executor:
        name = f"{method}-{n}-{'p' if processes else 't'}-{time.monotonic_ns()}"
        plan = plan_run(
            painting,
            name=name,
            options=SolveOptions(method=method, **options),
            resources=resources,
            slots=executor.slots,
        )
        began = time.perf_counter()
        solve(plan, executor)
        return time.perf_counter() - began


def _plan(painting: Painting, method: str, **options: Any) -> Any:
    resources = RunOptions(tile=_TILES[method], memory=2**31)
    return plan_run(
        painting,
        name=method,
        options=SolveOptions(method=method, **options),
        resources=resources,
        slots=1,
    )
