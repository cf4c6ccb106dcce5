"""What the spots around each block say, solved once and kept: every task that asks about its pixels reads it.

Blocks speak beyond their borders, and so of pixels of other tiles; and most of the work on a block is to solve
the systems of its spots, which ask for no pixel.
"""

from __future__ import annotations

import numpy as np

from xrfsr_dask.kernels.cokriging import Kriged, Neighbours, Prior, solved
from xrfsr_dask.solver.joint import model
from xrfsr_dask.solver.joint.desk import Desk
from xrfsr_dask.solver.joint.picture import neighbours
from xrfsr_dask.solver.run import Plan
from xrfsr_dask.store.arrays import has_chunk, read_finite, write
from xrfsr_dask.tiling.grid import Rect


def krige_area(plan: Plan, area: Rect) -> None:
    """Write the weights of the spots around every block of an area; those that are there stay."""
    desk, array = Desk(plan), model.open_weights(plan)
    field = desk.field(model.LEARNED)
    for block in desk.scan.blocks(area):
        i, j = desk.scan.index_of(block)
        if has_chunk(array, (i, j, 0, 0)):  # written before the run was interrupted
            continue
        weights = np.zeros((1, 1, *array.shape[2:]), np.float32)
        spots = neighbours(desk, desk.scan.around(block), field)
        if spots is not None:
            weights[0, 0, : len(spots.places)] = solved(spots, field.at(spots).prior)
        write(array, (slice(i, i + 1), slice(j, j + 1), slice(None), slice(None)), weights)


def kriged(desk: Desk, block: Rect, spots: Neighbours, prior: Prior) -> Kriged:
    """What the spots `around` a block say by the field as learned."""
    i, j = desk.scan.index_of(block)
    at = slice(i, i + 1), slice(j, j + 1), slice(0, len(spots.places)), slice(None)
    return Kriged.of(spots, prior, read_finite(desk.weights, at)[0, 0])
