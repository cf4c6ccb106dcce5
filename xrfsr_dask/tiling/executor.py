"""Map and reduce plain functions over many small task descriptions: locally, in threads, or on a cluster.

A function and its task must be picklable and small; data travel through the store, never through here.
Reductions must not care for order or grouping (see `tiling.sums`), so every executor may merge as it likes.
"""

from __future__ import annotations

import functools
import queue
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import dask
import dask.threaded
from dask.callbacks import Callback

from xrfsr_dask.errors import ClusterError, ClusterWarning
from xrfsr_dask.interrupts import raise_heard
from xrfsr_dask.tiling.blas import one_thread
from xrfsr_dask.tiling.budget import WORKER, one_heap

T = TypeVar("T")
R = TypeVar("R")
Done = Callable[[int, Any], None]
"""Told the number of a finished task and what it returned."""

_FAN_IN = 8  # parts merged by one task
_WINDOW = 3  # tasks in flight per thread of a cluster
_POLL_S = 0.5
_ALONE_S = 10.0  # without a task that ends, before workers are asked for
_NO_WORKER = (
    "the cluster has no worker left{}; this run waits for one. Start some with `dask worker`, or interrupt it "
    "with Ctrl-C: it goes on from its last checkpoint when the same command is repeated."
)
_ALL_PAUSED = " but such as Dask has paused, as they have too little memory"
_PAUSED = 0.8  # of its limit at which Dask pauses a worker (distributed.worker.memory.pause)


class Executor(Protocol):
    """Where tasks run."""

    @property
    def slots(self) -> int:
        """How many tasks run at the same time."""

    @property
    def task_bytes(self) -> int | None:
        """Bytes one task may need where it runs; None where only the plan says."""

    def map(self, fn: Callable[[T], R], tasks: Sequence[T], done: Done) -> list[R]:
        """`fn` of every task, in the order of `tasks`; `done` is called after each, in this process."""

    def reduce(self, fn: Callable[[T], R], tasks: Sequence[T], merge: Callable[[list[R]], R], done: Done) -> R:
        """All ``fn(task)`` merged where they were made; `done` is called after each task, which is
        not told what it returned."""


class LocalExecutor:
    """Dask's threaded scheduler in this process, or its synchronous one for a single slot."""

    def __init__(self, threads: int) -> None:
        self._threads = max(1, threads)

    @property
    def slots(self) -> int:
        """How many tasks run at the same time."""
        return self._threads

    @property
    def task_bytes(self) -> int | None:
        """None: this process has no limit of its own."""
        return None

    def map(self, fn: Callable[[T], R], tasks: Sequence[T], done: Done) -> list[R]:
        """See `Executor`."""
        graph = _leaves(fn, tasks)
        return list(self._get(graph, list(graph), set(graph), done))

    def reduce(self, fn: Callable[[T], R], tasks: Sequence[T], merge: Callable[[list[R]], R], done: Done) -> R:
        """See `Executor`."""
        whole: list[R] = []
        lock = threading.Lock()

        def add(task: T) -> None:
            part = fn(task)
            with lock:  # merged at once, so that no more parts are in memory than tasks are running
                whole[:] = [merge([*whole, part])]

        graph = _leaves(add, tasks)
        self._get(graph, list(graph), set(graph), done)
        return whole[0]

    def _get(self, graph: dict[Any, Any], keys: Any, leaves: set[Any], done: Done) -> Any:
        def after(key: Any, value: Any, *_: Any) -> None:
            if key in leaves:
                done(key[1], value)
            raise_heard()

        with Callback(posttask=after):
            if self._threads == 1:
                return dask.get(graph, keys)
            return dask.threaded.get(graph, keys, num_workers=self._threads)


class ClientExecutor:
    """A `distributed.Client`; tasks are submitted in a moving window, reductions stay on the workers."""

    def __init__(self, client: Any) -> None:
        self._client = client

    @property
    def slots(self) -> int:
        """Threads of the cluster now."""
        return max(1, sum(self._answer(self._client.nthreads).values()))

    @property
    def task_bytes(self) -> int | None:
        """What the smallest worker leaves to a thread before Dask pauses it; a larger task would kill worker
        after worker."""
        workers = self._answer(lambda: self._client.scheduler_info(n_workers=-1))["workers"].values()
        limits = [(w["memory_limit"], w["nthreads"]) for w in workers if w["memory_limit"]]
        return min((int((_PAUSED * most - WORKER) / max(1, n)) for most, n in limits), default=None)

    def map(self, fn: Callable[[T], R], tasks: Sequence[T], done: Done) -> list[R]:
        """See `Executor`."""
        results: dict[int, R] = {}

        def keep(i: int, future: Any) -> None:
            results[i] = future.result()
            done(i, results[i])

        self._run(fn, tasks, keep)
        return [results[i] for i in range(len(tasks))]

    def reduce(self, fn: Callable[[T], R], tasks: Sequence[T], merge: Callable[[list[R]], R], done: Done) -> R:
        """See `Executor`."""
        parts: list[Any] = []

        def keep(i: int, future: Any) -> None:
            parts.append(future)
            done(i, None)
            if len(parts) >= _FAN_IN:
                whole = self._client.submit(merge, list(parts), pure=False)
                parts[:] = [whole]

        self._run(fn, tasks, keep)
        return self._guarded(lambda: self._client.submit(merge, parts, pure=False).result())

    def _run(self, fn: Callable[[T], R], tasks: Sequence[T], keep: Callable[[int, Any], None]) -> None:
        finished: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        running: dict[int, Any] = {}
        waiting = iter(enumerate(tasks))
        # No key is used twice: what a task reads from the store may have changed since it was last asked for.
        name = f"{_name(fn)}-{uuid.uuid4().hex}"

        def submit(n: int) -> None:
            for _, (i, task) in zip(range(n), waiting, strict=False):
                future = self._client.submit(_alone, fn, task, key=f"{name}-{i}")
                running[i] = future
                future.add_done_callback(functools.partial(lambda i, f: finished.put((i, f)), i))

        try:
            submit(_WINDOW * self.slots)
            while running:
                i, future = self._next(finished, running)
                del running[i]
                self._guarded(lambda i=i, future=future: keep(i, future))  # type: ignore[misc]
                submit(1)
        except BaseException:
            self._client.cancel(list(running.values()), force=True)
            raise

    def _next(self, finished: queue.SimpleQueue[tuple[int, Any]], running: dict[int, Any]) -> tuple[int, Any]:
        began, told = time.monotonic(), False
        while True:
            raise_heard()
            try:
                return finished.get(timeout=_POLL_S)
            except queue.Empty:
                for i, future in running.items():
                    if future.status in ("cancelled", "lost"):
                        return i, future
                if not told and time.monotonic() - began > _ALONE_S and not self._awake():
                    told = True
                    idle = _ALL_PAUSED if self._answer(self._client.nthreads) else ""
                    warnings.warn(_NO_WORKER.format(idle), ClusterWarning, stacklevel=2)

    def _awake(self) -> bool:
        """Whether a worker takes tasks: one that is paused for want of memory does not."""
        workers = self._answer(lambda: self._client.scheduler_info(n_workers=-1))["workers"].values()
        return any(worker.get("status") != "paused" for worker in workers)

    def _answer(self, ask: Callable[[], Any]) -> Any:
        """What the scheduler says of itself; a broken connection, of any kind, means that it is gone."""
        try:
            return self._guarded(ask)
        except OSError as error:
            raise _lost(error) from error

    def _guarded(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:
            if type(error).__module__.startswith(("distributed", "asyncio", "concurrent")):
                raise _lost(error) from error
            raise


def _lost(error: Exception) -> ClusterError:
    if type(error).__name__ == "KilledWorker":
        last = getattr(getattr(error, "last_worker", None), "address", "")
        return ClusterError(
            f"workers were killed again and again over one task, the last {last or 'of them'}, most likely for "
            "want of memory; see that none has less than when this run began, and repeat the same command, the "
            "run goes on from its last checkpoint, if it came to one."
        )
    return ClusterError(
        f"the cluster was lost ({type(error).__name__}); start it again and repeat the same command, the run "
        "goes on from its last checkpoint, if it came to one."
    )


def _leaves(fn: Callable[[T], R], tasks: Sequence[T]) -> dict[Any, Any]:
    return {(_name(fn), i): (functools.partial(_alone, fn, task),) for i, task in enumerate(tasks)}


def _name(fn: Callable[[T], R]) -> str:
    return str(getattr(fn, "func", fn).__name__)


def _alone(fn: Callable[[T], R], task: T) -> R:
    one_heap()  # of a worker that somebody else has started, too
    with one_thread():
        return fn(task)
