"""`joint` from counts to a result: one patch, where its time goes, the whole Bedroom."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

import xrfsr_dask as xs
from benchmarks import paintings
from benchmarks.measure import say, used
from xrfsr_dask.methods import super_resolve
from xrfsr_dask.methods.protocol import Scene
from xrfsr_dask.options import BedroomOptions, RunOptions, SolveOptions
from xrfsr_dask.phantom import write_painting
from xrfsr_dask.solver import plan_run, solve
from xrfsr_dask.store.painting import linear_light
from xrfsr_dask.tiling.executor import Executor, LocalExecutor

_PATCH = {"px": [345, 490], "channels": 1024}
_MEMORY = 2**31
_RUN = """
import sys, psutil
import xrfsr_dask as xs
solve = xs.super_resolve
print(psutil.Process().memory_info().rss, flush=True)
solve(sys.argv[1], method=sys.argv[2], atoms=int(sys.argv[3]), workers=2)
"""


def patch() -> None:
    """`fuse` on one patch with two threads, with one, and beside `palette`, the best of those in memory."""
    scene = paintings.room()

    def joint(workers: int) -> None:
        xs.fuse(scene.counts, scene.photo, factor=paintings.FACTOR, energy=scene.energy_kev, workers=workers)

    joint(2)  # compiles
    with used() as palette:
        given = Scene(scene.counts, linear_light(scene.photo, "srgb"), paintings.FACTOR, "poisson")
        super_resolve("palette", given, atoms=50, seed=0, memory=_MEMORY)
    with used() as one:
        joint(1)
    with used() as two:
        joint(2)
    say("fuse of one patch by joint, s", two.wall, cpu_s=round(two.cpu, 1), threads=2, goal=60, **_PATCH)
    say("fuse of one patch by joint, one thread / two", one.wall / two.wall, cpu=round(two.cpu / one.cpu, 3))
    say("CPU of joint / CPU of palette", one.cpu / palette.cpu, palette_s=round(palette.wall, 1), **_PATCH)


def profile() -> None:
    """CPU of one patch by kind of task, one thread, reading and writing included."""
    scene = paintings.room()
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(2):  # the first compiles
            painting = paintings.stored(
                Path(folder) / f"{turn}.zarr", scene.photo, scene.counts.astype("u2"), scene.energy_kev
            )
            executor = Timed(LocalExecutor(1))
            plan = plan_run(
                painting, name="r", options=SolveOptions(), resources=RunOptions(memory=_MEMORY), slots=1
            )
            with used() as whole:
                solve(plan, executor)
    spent = executor.spent
    spent["in the driver"] = whole.cpu - sum(spent.values())
    for name, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        say(f"share of the CPU of joint: {name}", seconds / whole.cpu, cpu_s=round(seconds, 2), **_PATCH)


def bedroom(atoms: int = 50, method: str = "joint") -> None:
    """The whole painting, ten patches, from counts to a result, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bedroom.zarr"
        write_painting(path, BedroomOptions.bedroom())
        began = time.perf_counter()
        process = psutil.Popen(
            [sys.executable, "-c", _RUN, str(path), method, str(atoms)], stdout=subprocess.PIPE
        )
        with _watched(process) as seen:
            imported = int(process.stdout.readline() or 0)
            if process.wait():
                raise subprocess.SubprocessError("the run failed; see above.")
        goal, most = {50: (360, 0.6), 200: (1500, 1.5)}.get(atoms, (None, None))
        context: dict[str, Any] = {"atoms": atoms, "threads": 2}
        say(f"whole Bedroom by {method}, s", time.perf_counter() - began, cpu_s=round(seen["cpu"]),
            goal=goal if method == "joint" else None, **context)  # fmt: skip
        say(f"whole Bedroom by {method}, GB beyond imports", (seen["rss"] - imported) / 1e9, goal=most,
            peak_gb=round(seen["rss"] / 1e9, 3), **context)  # fmt: skip


@contextmanager
def _watched(process: psutil.Popen) -> Iterator[dict[str, float]]:
    """Most resident memory of a process and all it starts, bytes, and its CPU so far, s, seen often."""
    seen, over = {"rss": 0.0, "cpu": 0.0}, threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            try:
                all_of_it = [process, *process.children(recursive=True)]
                seen["rss"] = max(seen["rss"], sum(p.memory_info().rss for p in all_of_it))
                seen["cpu"] = max(seen["cpu"], sum(sum(p.cpu_times()[:2]) for p in all_of_it))
            except psutil.Error:  # one of them has just ended
                continue

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


class Timed:
    """An executor with one slot that notes the CPU of this process for every task."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.tasks: dict[str, list[tuple[Any, float]]] = defaultdict(list)
        """By the name of the function: tasks, and their CPU seconds."""
        self.slots, self.task_bytes = executor.slots, executor.task_bytes

    @property
    def spent(self) -> dict[str, float]:
        """CPU seconds by the name of the function."""
        return {name: sum(seconds for _, seconds in done) for name, done in self.tasks.items()}

    def map(self, fn: Callable[[Any], Any], tasks: Any, done: Any) -> list[Any]:
        """See `Executor`."""
        return self._executor.map(self._timed(fn), tasks, done)

    def reduce(self, fn: Callable[[Any], Any], tasks: Any, merge: Any, done: Any) -> Any:
        """See `Executor`."""
        return self._executor.reduce(self._timed(fn), tasks, merge, done)

    def _timed(self, fn: Callable[[Any], Any]) -> Callable[[Any], Any]:
        name = getattr(fn, "func", fn).__name__

        def call(task: Any) -> Any:
            before = time.process_time()
            out = fn(task)
            self.tasks[name].append((task, time.process_time() - before))
            return out

        return call
