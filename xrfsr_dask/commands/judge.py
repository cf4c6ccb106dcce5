"""Results of a phantom against its known truth: RMSE, PSNR and SAM, whole and by region, tile by tile."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from xrfsr_dask.beams import centres_mm, within
from xrfsr_dask.methods.cubic import cubic_region
from xrfsr_dask.metrics import Sums, added, factor_sums, row_sums
from xrfsr_dask.options import RunOptions
from xrfsr_dask.progress import Progress, ticking
from xrfsr_dask.result import TRUTH
from xrfsr_dask.store import Painting, open_painting
from xrfsr_dask.store.arrays import open_array, open_group, read, read_finite
from xrfsr_dask.tiling.executor import Executor
from xrfsr_dask.tiling.grid import Rect, blocks

CUBIC = "cubic"

_TILE = 50  # px
_HELD = 12  # bytes per pixel and channel: the cubes that are compared, and their differences


def comparing(painting: Painting, resources: RunOptions, most: int) -> RunOptions:
    """Resources with as many tasks at once as the memory has room for, `most` or fewer; at least 1."""
    task = _TILE**2 * len(painting.energy_kev) * _HELD
    return replace(resources, workers=max(1, min(resources.workers or most, resources.memory // task)))


def judge(
    path: str | Path, methods: list[str], executor: Executor, progress: Progress
) -> dict[str, list[dict[str, Any]]]:
    """Tables of figures (`metrics.Sums.table`) of several methods against ``results/truth``.

    Parameters
    ----------
    path : str or Path
        A phantom.
    methods : list of str
        ``"cubic"``, or names of results in the store.
    executor, progress
        Where tiles are compared, and who is told.

    Returns
    -------
    dict of method -> rows, in counts per measured spot; pixels that no spot covers are left out
    """
    painting = open_painting(path)
    tiles = blocks(painting.shape, _TILE)
    progress.expect(len(methods) * len(tiles))
    return {
        method: executor.reduce(
            partial(compare_tile, painting.path, method), tiles, added, ticking(progress)
        ).table()
        for method in methods
    }


def compare_tile(path: str, method: str, tile: Rect) -> Sums:
    """One tile of one method against the truth."""
    painting = open_painting(path)
    A, D = _factors(painting, TRUTH, tile)
    labels, regions = _regions(painting, tile)
    if method != CUBIC:
        return factor_sums(*_factors(painting, method, tile), A, D, labels, regions)
    estimate = cubic_region(painting, tile.slices).reshape(len(A), -1)
    return row_sums(estimate, A @ D, labels, regions)


def _factors(painting: Painting, name: str, tile: Rect) -> tuple[np.ndarray, np.ndarray]:
    group = open_group(painting.place / "results" / name)
    A = read_finite(open_array(group, "abundance"), tile.slices)
    return A.reshape(-1, A.shape[2]), read_finite(open_array(group, "endmember"))


def _regions(painting: Painting, tile: Rect) -> tuple[np.ndarray, tuple[str, ...]]:
    """Region of each pixel of a tile, -1 where its centre lies in no patch, and the names of all regions."""
    group = open_group(painting.place / "results" / TRUTH)
    region = open_array(group, "region")
    names = tuple(str(region.attrs["flag_meanings"]).split())
    inside = [within(patch, centres_mm(tile, painting.pitch_mm)) for patch in painting.patches]
    labels = read(region, tile.slices).astype(int).ravel()
    return np.where(np.any(inside, axis=0), labels, -1), names
