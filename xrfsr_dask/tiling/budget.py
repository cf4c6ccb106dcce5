"""How large a tile may be: memory is bounded before anything is submitted."""

from __future__ import annotations

from collections.abc import Callable

from xrfsr_dask.errors import MemoryBudgetError

_LARGEST_TILE_CELLS = 20


def choose_tile(
    bytes_of: Callable[[int], int], *, asked: int | None, cell: int, slots: int, memory: int, longest: int
) -> int:
    """Side of a tile, px, such that `slots` tasks at once stay within `memory`.

    Parameters
    ----------
    bytes_of : callable
        Bytes one task needs for a tile of that side, px.
    asked : int or None
        The tile the user wants; None chooses the largest that fits.
    cell : int
        A tile is a whole number of cells of this many px.
    slots : int
        Tasks that run at the same time.
    memory : int
        Bytes all of them may need together.
    longest : int
        Longer side of the painting, px; no tile need be larger.

    Raises
    ------
    MemoryBudgetError
        Even the smallest tile, or the one asked for, does not fit; both numbers are named.
    """
    most = min(_LARGEST_TILE_CELLS, -(-longest // cell))
    sizes = [asked] if asked else [n * cell for n in range(most, 0, -1)]
    for size in sizes:
        if slots * bytes_of(size) <= memory:
            return size
    need = slots * bytes_of(sizes[-1])
    raise MemoryBudgetError(
        f"{slots} tasks at once with tiles of {sizes[-1]} px need {megabytes(need)}, the limit is "
        f"{megabytes(memory)}; raise --memory, "
        + ("or ask for a smaller --tile." if asked else "or use fewer --workers or --atoms.")
    )


def megabytes(n_bytes: float) -> str:
    """Bytes in words: ``512 MB``, ``1.5 GB``."""
    if n_bytes >= 1e9:
        return f"{n_bytes / 1e9:.1f} GB"
    return f"{n_bytes / 1e6:.0f} MB"
