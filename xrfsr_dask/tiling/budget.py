"""How large a tile may be: memory is bounded before anything is submitted."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import heapq
import itertools
import math
from collections.abc import Callable

from xrfsr_dask.errors import MemoryBudgetError

KERNELS = 64 * 10**6
"""Bytes of a process, whatever it solves: the compiled kernels and what runs them."""

WORKER = 400 * 2**20
"""Bytes of a worker process before it does anything: interpreter, imports and compiled kernels."""

_MMAP_FROM, _TRIM_FROM = 32 * 2**20, 8 * 2**20

HEAP_VARIABLES = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(_MMAP_FROM),
    "MALLOC_TRIM_THRESHOLD_": str(_TRIM_FROM),
}
"""What `one_heap` does, as the environment of a process to be started.

Dask has its workers give back every 64 KiB they free, and so fetch every array anew from the system: half as
much time again.
"""

_LARGEST_TILE_CELLS = 20
_NEARLY = 0.95  # of the best use of slots
_MANY = 50  # tiles a slot: with so many none waits long
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # names of glibc's malloc.h


@functools.cache
def one_heap() -> None:
    """Have all threads of this process share one heap, best before there are threads. Linux with glibc only.

    Otherwise each of Zarr's threads keeps a heap of its own with up to 64 MB of blocks that it has freed,
    more than the tasks themselves need.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, _MMAP_FROM)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_FROM)


def choose_tile(
    bytes_of: Callable[[int], int],
    *,
    asked: int | None,
    cell: int,
    slots: int,
    memory: int,
    shape: tuple[int, int],
    shares: int = 1,
    fixed: int = 0,
    each: int | None = None,
) -> int:
    """Side of a tile, px, such that `slots` tasks at once stay within `memory`, and none waits long for others.

    Parameters
    ----------
    bytes_of : callable
        Bytes one task needs for a tile of that side, px.
    asked : int or None
        The tile the user wants; None chooses the largest that fits, is no more than a share, and keeps all
        slots at work to the end nearly as well as the best of those.
    cell : int
        A tile is a whole number of cells of this many px.
    slots : int
        Tasks that run at the same time.
    memory : int
        Bytes all of them may need together.
    shape : (ny, nx)
        Of the painting, px; no tile need be larger.
    shares : int
        Into how many equal shares the painting must fall at least, so that all slots have work to the end; a
        small one is cut finer for their sake, if need be into cells.
    fixed : int
        Bytes of the memory that go to something else.
    each : int, optional
        Bytes one task may need where it runs, whatever `memory` says.

    Raises
    ------
    MemoryBudgetError
        Even the smallest tile, or the one asked for, does not fit; both numbers are named.
    """
    most = min(_LARGEST_TILE_CELLS, -(-max(shape) // cell))
    sizes = [asked] if asked else [n * cell for n in range(most, 0, -1)]
    px = shape[0] * shape[1]
    fine = [size for size in sizes if shares * min(size, shape[0]) * min(size, shape[1]) <= px] or sizes[-1:]
    fitting = [
        size
        for size in fine
        if fixed + slots * bytes_of(size) <= memory and (each is None or bytes_of(size) <= each)
    ]
    if fitting:
        return _balanced(fitting, shape, slots)
    need = bytes_of(sizes[-1])
    if each is not None and need > each:
        raise MemoryBudgetError(
            f"a task with tiles of {sizes[-1]} px needs {megabytes(need)}, a worker of the cluster leaves "
            f"{megabytes(max(0, each))} to each of its threads; start workers with more memory or fewer threads"
            + (", or ask for a smaller --tile." if asked else ", or use fewer --atoms.")
        )
    need = fixed + slots * need
    raise MemoryBudgetError(
        f"{slots} {'task' if slots == 1 else 'tasks'} at once with tiles of {sizes[-1]} px need "
        f"{megabytes(need)}, the limit is {megabytes(memory)}; raise --memory, "
        + ("or ask for a smaller --tile." if asked else "or use fewer --workers or --atoms.")
    )


def _balanced(sizes: list[int], shape: tuple[int, int], slots: int) -> int:
    """The first of some sizes, from the largest, with which all slots are nearly as busy as with any."""
    busy = [_busy(size, shape, slots) for size in sizes]
    return next(size for size, share in zip(sizes, busy, strict=True) if share >= _NEARLY * max(busy))


def _busy(size: int, shape: tuple[int, int], slots: int) -> float:
    """Share of their time that slots are at work, each taking the next tile, the largest first, once it is
    free."""
    n_tile = math.prod(-(-n // size) for n in shape)
    if n_tile > _MANY * slots:
        return 1.0
    rows, columns = ([min(size, n - at) for at in range(0, n, size)] for n in shape)
    ends = [0] * slots
    for area in sorted((height * width for height, width in itertools.product(rows, columns)), reverse=True):
        heapq.heapreplace(ends, ends[0] + area)
    return math.prod(shape) / (slots * max(ends))


def megabytes(n_bytes: float) -> str:
    """Bytes in words: ``900 kB``, ``512 MB``, ``1.5 GB``."""
    if n_bytes >= 1e9:
        return f"{n_bytes / 1e9:.1f} GB"
    return f"{n_bytes / 1e6:.0f} MB" if n_bytes >= 1e6 else f"{n_bytes / 1e3:.0f} kB"
