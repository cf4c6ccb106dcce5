"""One visit to every tile, from the last generation of abundances into a new one."""

from __future__ import annotations

import math
from collections.abc import Callable

from xrfsr_dask.progress import Progress
from xrfsr_dask.solver import state as states
from xrfsr_dask.solver.run import Plan
from xrfsr_dask.tiling.executor import Executor
from xrfsr_dask.tiling.grid import Rect


def visit(
    plan: Plan,
    generation: int,
    task: Callable[[Rect], states.Receipt],
    executor: Executor,
    progress: Progress,
    *,
    origin: str,
    beside: tuple[str, ...] = (),
) -> None:
    """Let `task` write every tile of a new generation; those an interrupted visit finished are not done again.

    Parameters
    ----------
    plan : Plan
    generation : int
        The one that is written.
    task : callable
        Writes one tile and tells of it.
    executor, progress
    origin : str
        What the tiles are computed from; an interrupted visit of another origin is begun anew.
    beside : tuple of str
        Further arrays of the work folder that `task` writes its tile to.
    """
    done = {receipt.tile for receipt in states.new_generation(plan, generation, origin=origin, beside=beside)}
    progress.advance(len(done))
    tiles = [tile for tile in plan.tiles() if tuple(tile) not in done]

    def finished(_: int, receipt: states.Receipt) -> None:
        states.keep_receipt(plan, generation, receipt)
        progress.advance()

    # largest first: of two that begin last, none is long after the other
    executor.map(task, sorted(tiles, key=lambda tile: -math.prod(tile.shape)), finished)
