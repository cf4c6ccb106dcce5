"""Element maps of a result in square tiles, in pixels of any size; those asked for last are kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from xrfsr_dask.kernels.halving import halved
from xrfsr_dask.lines.tables import usual_line
from xrfsr_dask.result.levels import Levels

SIDE = 250
"""Pixels of a tile along each axis; even, so that four tiles make one of pixels twice as large."""

_KEPT_BYTES = 256 * 2**20

Key = tuple[str, str, int, int, int]
"""Element, layer, size of a pixel, row and column of the tile."""


class Tiles:
    """Net counts of elements, float32, NaN where nothing was measured; safe for several threads."""

    def __init__(self, ds: xr.Dataset, levels: Levels) -> None:
        self._ds, self._levels = ds, levels
        self._weights: dict[tuple[str, str], np.ndarray] = {}
        self._kept: OrderedDict[Key, np.ndarray] = OrderedDict()
        self._lock = threading.RLock()

    def shape(self, factor: int) -> tuple[int, int]:
        """(ny, nx) of the whole in pixels of a size that is a power of two."""
        ny, nx = self._ds.abundance.shape[:2]
        return -(-ny // factor), -(-nx // factor)

    def window(
        self, elements: Sequence[str], layer: str, factor: int, region: tuple[slice, slice]
    ) -> dict[str, np.ndarray]:
        """Part of the maps of some elements; what is not kept is read once for all of them.

        Parameters
        ----------
        elements : sequence of str
        layer : {"all", "visible", "hidden"}
        factor : int
            Size of a pixel in px of the painting, a power of two.
        region : (rows, columns)
            Slices in such pixels, within `shape`.
        """
        rows, columns = (range(part.start // SIDE, -(-part.stop // SIDE)) for part in region)
        with self._lock:
            grid = [[self._tile(elements, layer, factor, (i, j)) for j in columns] for i in rows]
        own = tuple(
            slice(part.start - at.start * SIDE, part.stop - at.start * SIDE)
            for part, at in zip(region, (rows, columns), strict=True)
        )
        return {
            element: np.block([[tile[element] for tile in across] for across in grid])[own]
            for element in dict.fromkeys(elements)
        }

    def whole(self, element: str, layer: str) -> np.ndarray:
        """A map in the painting's own pixels, made tile by tile and not kept."""
        ny, nx = self.shape(1)
        out = np.empty((ny, nx), np.float32)
        for i, j in np.ndindex(-(-ny // SIDE), -(-nx // SIDE)):
            part = self._made([element], layer, 1, (i, j))[element]
            out[i * SIDE : i * SIDE + part.shape[0], j * SIDE : j * SIDE + part.shape[1]] = part
        return out

    def _tile(
        self, elements: Sequence[str], layer: str, factor: int, at: tuple[int, int]
    ) -> dict[str, np.ndarray]:
        found, missing = {}, []
        for element in dict.fromkeys(elements):
            key = element, layer, factor, *at
            if key in self._kept:
                self._kept.move_to_end(key)
                found[element] = self._kept[key]
            else:
                missing.append(element)
        if not missing:
            return found
        made = self._made(missing, layer, factor, at)
        self._keep({(element, layer, factor, *at): values for element, values in made.items()})
        return found | made

    def _made(
        self, elements: Sequence[str], layer: str, factor: int, at: tuple[int, int]
    ) -> dict[str, np.ndarray]:
        """A tile from abundances of that size, or from tiles of half the size where there are none."""
        rows, columns = (
            slice(i * SIDE, min((i + 1) * SIDE, n)) for i, n in zip(at, self.shape(factor), strict=True)
        )
        if factor in self._levels:
            weights = np.stack([self._weight(element, layer) for element in elements], axis=1)
            maps = self._levels.mixed(weights, factor, (rows, columns))
            return {element: np.ascontiguousarray(maps[..., i]) for i, element in enumerate(elements)}
        ny, nx = self.shape(factor // 2)
        twice = (
            slice(2 * rows.start, min(2 * rows.stop, ny)),
            slice(2 * columns.start, min(2 * columns.stop, nx)),
        )
        finer = self.window(elements, layer, factor // 2, twice)
        return {element: halved(values) for element, values in finer.items()}

    def _keep(self, made: dict[Key, np.ndarray]) -> None:
        self._kept |= made
        while len(self._kept) > max(len(made), _KEPT_BYTES // (4 * SIDE**2)):
            self._kept.popitem(last=False)

    def _weight(self, element: str, layer: Any) -> np.ndarray:
        """Net counts of an element's usual line in each endmember, float32 (n_atom,)."""
        if (element, layer) not in self._weights:
            line = usual_line(self._ds.energy.values, element)
            self._weights[element, layer] = self._ds.xrf.per_atom(element, line, layer=layer).astype(np.float32)
        return self._weights[element, layer]
