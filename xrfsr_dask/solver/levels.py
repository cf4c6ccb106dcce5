"""Levels of a result: its abundances at half the size, and half of that, for looking at a large painting."""

from __future__ import annotations

from functools import partial

import numpy as np
import zarr

from xrfsr_dask.kernels.halving import halved_mixtures
from xrfsr_dask.progress import Progress, ticking
from xrfsr_dask.solver.run import Plan
from xrfsr_dask.store.arrays import open_array, open_group, read_finite
from xrfsr_dask.store.places import Place
from xrfsr_dask.store.results import level_paths, level_shapes
from xrfsr_dask.tiling.executor import Executor
from xrfsr_dask.tiling.grid import Rect, cells_of


def write_levels(plan: Plan, place: Place, executor: Executor, progress: Progress) -> None:
    """Fill all levels of the result at `place`, each from the one below."""
    for factor in level_shapes(plan.painting.shape):
        task = partial(write_level, plan.cell, place, factor)
        executor.map(task, plan.level_shards(factor), ticking(progress))


def write_level(cell: int, place: Place, factor: int, shard: Rect) -> None:
    """One shard of a level."""
    group = open_group(place, mode="r+")
    abundance, measured = (open_array(group, path) for path in level_paths(factor))
    abundance[shard.slices], measured[shard.slices] = _halves(group, cell, factor, shard)


def _halves(group: zarr.Group, cell: int, factor: int, shard: Rect) -> tuple[np.ndarray, np.ndarray]:
    """Mixtures and shares of a shard, cell by cell from the level below."""
    below = [open_array(group, path) for path in level_paths(factor // 2)]
    A = np.empty((*shard.shape, below[0].shape[2]), np.float32)
    share = np.empty(shard.shape, np.float32)
    for part in cells_of(shard, cell):
        region = _twice(part, below[0].shape)
        mixtures, known = (read_finite(array, region) for array in below)
        at = part.within((shard.y0, shard.x0))
        A[at], share[at] = halved_mixtures(mixtures, np.minimum(np.ceil(known), 1) if factor == 2 else known)
    return A, share


def _twice(part: Rect, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The pixels below those of a part of a level."""
    ny, nx = shape[:2]
    return slice(2 * part.y0, min(2 * part.y1, ny)), slice(2 * part.x0, min(2 * part.x1, nx))
