"""Solve a painting: plan it, find where to run it, run it, and say how it went."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from xrfsr_dask.cluster import executor_for
from xrfsr_dask.options import RunOptions, SolveOptions
from xrfsr_dask.progress import Progress
from xrfsr_dask.solver import Plan, plan_run, solve
from xrfsr_dask.solver.outer import task_count
from xrfsr_dask.solver.state import discard_finished
from xrfsr_dask.store import Painting, open_painting


def solve_painting(
    path: str | Path,
    *,
    name: str | None = None,
    options: SolveOptions,
    resources: RunOptions,
    client: Any = None,
    progress: Progress | None = None,
    resume: bool = False,
    restart: bool = False,
) -> dict[str, Any]:
    """Solve and write ``results/<name>``; the summary holds figures for people and machines.

    Parameters
    ----------
    path : str or Path
        A painting store with at least one patch.
    name : str, optional
        Name of the result; the method's where not given.
    options, resources : SolveOptions, RunOptions
    client : distributed.Client, optional
        Where to run, in place of what `resources` say.
    progress : Progress, optional
    resume, restart : bool
        Insist on going on with an unfinished run, or discard it.
    """
    began, painting = time.monotonic(), open_painting(path)
    named = options.method if name is None else name
    if resume and discard_finished(painting, named):  # killed between the last rename and the end
        return {"result": named, "seconds": 0.0}
    with executor_for(resources, client) as executor:
        plan = _planned(painting, name, options, resources, executor.slots)
        state = solve(plan, executor, progress=progress, resume=resume, restart=restart)
    return {
        "result": plan.name,
        "iterations": state.iteration,
        **(state.history[-1] if state.history else {}),
        "seconds": round(time.monotonic() - began, 1),
        "tile_px": plan.tile,
    }


def dry_run(
    path: str | Path, *, name: str | None = None, options: SolveOptions, resources: RunOptions
) -> dict[str, Any]:
    """What a run would do and need, without doing it."""
    painting = open_painting(path)
    with executor_for(resources) as executor:
        return _described(_planned(painting, name, options, resources, executor.slots), executor.slots)


def _planned(
    painting: Painting, name: str | None, options: SolveOptions, resources: RunOptions, slots: int
) -> Plan:
    named = options.method if name is None else name
    return plan_run(painting, name=named, options=options, resources=resources, slots=slots)


def _described(plan: Plan, slots: int) -> dict[str, Any]:
    ny, nx = plan.painting.shape
    generation = 4 * ny * nx * plan.atoms
    return {
        "photograph_px": [ny, nx],
        "patches": len(plan.painting.patches),
        "cell_px": plan.cell,
        "tile_px": plan.tile,
        "tiles": len(plan.tiles()),
        "chunks_of_counts": len(plan.chunks()),
        "tasks": task_count(plan),
        "tasks_at_once": slots,
        "bytes_per_task": plan.task_bytes(plan.tile),
        "bytes_on_disk_while_running": 2 * generation,
        "bytes_of_result": generation,
    }
