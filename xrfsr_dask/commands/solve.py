"""Solve a painting: plan it, find where to run it, run it, and say how it went."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from xrfsr_dask.cluster import cores, executor_for
from xrfsr_dask.errors import StoreError
from xrfsr_dask.options import RunOptions, SolveOptions, as_attributes
from xrfsr_dask.progress import Progress
from xrfsr_dask.solver import Plan, fitting_workers, plan_run, solve
from xrfsr_dask.solver.needs import disk_bytes, result_bytes, task_bytes
from xrfsr_dask.solver.outer import task_count
from xrfsr_dask.solver.planning import roomy
from xrfsr_dask.solver.state import discard_finished
from xrfsr_dask.store import Painting, open_painting
from xrfsr_dask.store.arrays import open_group
from xrfsr_dask.store.names import check_name
from xrfsr_dask.store.places import stands
from xrfsr_dask.store.remarks import remarks
from xrfsr_dask.tiling.budget import megabytes
from xrfsr_dask.tiling.executor import Executor
from xrfsr_dask.values import require


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
    require(
        not (resume and restart), "to go on and to begin anew exclude each other; give --resume or --restart."
    )
    began, painting = time.monotonic(), open_painting(path)
    named = options.method if name is None else name
    check_name(named, "result")
    # what one leaves that was killed between the last rename and the end
    left = not restart and discard_finished(painting, named)
    if left and resume and _was_solved_with(painting, named, options):
        return {"result": named, "seconds": 0.0}
    resources = fitting(painting, options, resources)
    if resources.processes and client is None:  # worker processes take seconds to start
        slots = resources.workers or cores()
        plan_run(painting, name=named, options=options, resources=resources, slots=slots)
    with executor_for(resources, client) as executor:
        plan = _planned(painting, named, options, resources, executor)
        try:
            state = solve(plan, executor, progress=progress, resume=resume, restart=restart)
        except KeyboardInterrupt as stop:
            if not stands(painting.place / "results" / named):
                raise
            raise StoreError(
                f"interrupted at its very end: result '{named}' is in {path} already, whole; do not repeat it."
            ) from stop
    return {
        "result": plan.name,
        "iterations": state.iteration,
        **(state.history[-1] if state.history else {}),
        **remarks(open_group(painting.place / "results" / plan.name), painting.pitch_mm),
        "seconds": round(time.monotonic() - began, 1),
        "tile_px": plan.tile,
    }


def _was_solved_with(painting: Painting, name: str, options: SolveOptions) -> bool:
    told = open_group(painting.place / "results" / name).attrs.get("options")
    return told == json.loads(json.dumps(as_attributes(options)))


def dry_run(
    path: str | Path, *, name: str | None = None, options: SolveOptions, resources: RunOptions
) -> dict[str, Any]:
    """What a run would do and need, without doing it."""
    painting = open_painting(path)
    named = options.method if name is None else name
    with executor_for(fitting(painting, options, resources)) as executor:
        return _described(_planned(painting, named, options, resources, executor), executor.slots)


def fitting(painting: Painting, options: SolveOptions, resources: RunOptions) -> RunOptions:
    """Resources with a worker per core, or as many as the memory has room for, where none were asked for."""
    if resources.workers or resources.scheduler:
        return resources
    return replace(resources, workers=fitting_workers(painting, options, resources, cores()))


def check_room(painting: Painting, options: SolveOptions, resources: RunOptions) -> None:
    """Refuse what a solve would, from where photograph and patches lie alone: tile, memory, no scheduler."""
    with executor_for(fitting(painting, options, resources)) as executor:
        _planned(painting, options.method, options, resources, executor, make=roomy)


def _planned(
    painting: Painting,
    name: str,
    options: SolveOptions,
    resources: RunOptions,
    executor: Executor,
    make: Callable[..., Plan] = plan_run,
) -> Plan:
    return make(
        painting,
        name=name,
        options=options,
        resources=resources,
        slots=executor.slots,
        each=executor.task_bytes,
    )


def _described(plan: Plan, slots: int) -> dict[str, Any]:
    ny, nx = plan.painting.shape
    return {
        "photograph_px": [ny, nx],
        "patches": len(plan.painting.patches),
        "cell_px": plan.cell,
        "tile_px": plan.tile,
        "tiles": len(plan.tiles()),
        "chunks_of_counts": len(plan.chunks()),
        "tasks": task_count(plan),
        "tasks_at_once": slots,
        "bytes_per_task": task_bytes(plan, plan.tile),
        "bytes_on_disk_while_running": disk_bytes(plan),
        "bytes_of_result": result_bytes(plan),
    }


def summary(store: str | Path, solved: dict[str, Any]) -> str:
    """What `solve_painting` gives, as lines for people."""
    terms = [
        f"{key} {solved[key]:.6g}" for key in ("data", "photograph", "prior", "smoothness") if key in solved
    ]
    lines = {"solved": f"result '{solved['result']}' of {store} in {solved['seconds']:.0f} s"}
    if "objective" in solved:
        lines["rounds"] = f"{solved['iterations']}, in tiles of {solved['tile_px']} px"
        lines["objective"] = f"{solved['objective']:.6g} ({', '.join(terms)})"
    quoted = shlex.quote(str(store))
    look = {"look at it": f"xrfsr browse {quoted}   or   xrfsr report {quoted}"}
    told = (words for kind in ("out_of_place", "misdwelt") for words in solved.get(kind, ()))
    notes = [_listed({"note": words}, 12) for words in told]
    return "\n".join([_listed(lines, 12), *notes, _listed(look, 12)])


def _listed(lines: dict[str, str], width: int) -> str:
    return "\n".join(f"{name:<{width}}{what}" for name, what in lines.items())


def in_words(planned: dict[str, Any]) -> str:
    """What `dry_run` gives, as lines for people."""
    ny, nx = planned["photograph_px"]
    lines = {
        "photograph": f"{nx} x {ny} px, {planned['patches']} patches in {planned['chunks_of_counts']} chunks",
        "tiles": f"{planned['tiles']} of {planned['tile_px']} px, in cells of {planned['cell_px']} px",
        "tasks": f"{planned['tasks']}, {planned['tasks_at_once']} at once",
        "memory per task": megabytes(planned["bytes_per_task"]),
        "on disk while running": megabytes(planned["bytes_on_disk_while_running"]),
        "result on disk": megabytes(planned["bytes_of_result"]),
    }
    return _listed(lines, 28)
