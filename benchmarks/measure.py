"""How figures are taken and printed: one JSON line each."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

REPEATS = 5


def say(name: str, value: float, **context: object) -> None:
    """One figure, four digits of it, and what it was taken on."""
    print(json.dumps({"figure": name, "value": float(f"{value:.4g}"), **context}), flush=True)


def seconds(call: Callable[[], object], repeats: int = REPEATS) -> float:
    """Median wall time of a call, after one to warm up."""
    call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


@dataclass
class Used:
    """What a piece of work took, s."""

    wall: float = 0.0
    cpu: float = 0.0
    """User and system time of all threads and of the processes that were started and still run."""


@contextmanager
def used() -> Iterator[Used]:
    """Filled in when the block ends."""
    out = Used()
    began, before = time.perf_counter(), cpu()
    yield out
    out.wall, out.cpu = time.perf_counter() - began, cpu() - before


def peak_gb() -> float:
    """Most memory that this process has had at once, GB; not that of the process it was started from, which
    `resource.getrusage` counts too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e9 for line in lines if line.startswith("VmHWM"))


def cpu() -> float:
    """CPU seconds of this process and of all it started."""
    me = psutil.Process()
    return sum(sum(p.cpu_times()[:2]) for p in [me, *me.children(recursive=True)])
