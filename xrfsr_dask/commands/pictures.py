"""Panels of a painting's store: its photograph and its maps, made small enough to draw."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xrfsr_dask.store import Painting
from xrfsr_dask.store.arrays import open_array, open_group, read, read_finite
from xrfsr_dask.view.panels import Panel

PREVIEW_PX = 1200
"""Longest side of a map that is drawn; a photograph may be twice as large."""


def preview_step(shape: tuple[int, int]) -> int:
    """How many pixels of a painting become one that is drawn, along each axis."""
    return max(1, -(-max(shape) // PREVIEW_PX))


def map_panel(values: xr.DataArray, title: str, step: int) -> Panel:
    """A map (y, x) by block means of `step` px, computed."""
    small = values.coarsen(y=step, x=step, boundary="trim").mean().compute()
    return Panel(values=small.values, y_mm=small.y.values, x_mm=small.x.values, title=title)


def photograph_panel(painting: Painting) -> Panel:
    """The photograph, from the level of its pyramid that is just large enough."""
    level, tree = 0, open_group(painting.place / "rgb")
    while max((image := open_array(tree, f"{level}/image")).shape[:2]) > 2 * PREVIEW_PX:
        level += 1
    y, x = (
        read_finite(open_array(tree, f"{level}/{name}", (n,)))
        for name, n in zip("yx", image.shape, strict=False)
    )
    values = read(image) / np.iinfo(image.dtype).max
    values = np.broadcast_to(values, (*values.shape[:2], 3)) if values.shape[2] == 1 else values
    return Panel(values=values, y_mm=y, x_mm=x, title="photograph")
