"""A result's abundances in pixels of several sizes: the painting's, and those of the levels beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
import zarr
from dask.base import tokenize

from xrfsr_dask.result.lowrank import Stored, lazy_stored, loaded, product
from xrfsr_dask.store.arrays import open_array, open_group, read_finite
from xrfsr_dask.store.places import as_place
from xrfsr_dask.store.results import level_paths, stored_levels


class Levels:
    """Abundances and where they were measured, by the size of a pixel in px of the painting.

    Stored levels are those of the abundances in the store: a layer, or other values, have none.
    """

    def __init__(self, ds: xr.Dataset) -> None:
        self._of: dict[int, tuple[Any, Any]] = {1: (ds.abundance.data, ds.coverage.data)}
        group = stored_group(ds)
        if group is None:
            return
        whole = tuple(open_array(group, path) for path in level_paths(1))
        for factor, (abundance, measured) in {1: whole, **stored_levels(group)}.items():
            self._of[factor] = Stored(abundance), Stored(measured)

    def __contains__(self, factor: int) -> bool:
        return factor in self._of

    def mixed(self, weights: np.ndarray, factor: int, region: tuple[slice, slice]) -> np.ndarray:
        """Maps of some pixels: their abundances times weights.

        Parameters
        ----------
        weights : float32 array of shape (n_atom, n)
        factor : int
            Size of a pixel, one that is here (``factor in levels``).
        region : (rows, columns)
            Slices in pixels of that size.

        Returns
        -------
        float32 array of shape (ny, nx, n), NaN where nothing was measured
        """
        abundance, measured = self._of[factor]
        weights = np.ascontiguousarray(weights, np.float32)
        if isinstance(abundance, Stored):
            pieces = abundance.pieces(region)
        else:
            pieces = iter([((slice(None), slice(None)), loaded(abundance[region]))])
        out = np.empty((*(part.stop - part.start for part in region), weights.shape[1]), np.float32)
        for place, A in pieces:
            out[place] = product(A.reshape(-1, A.shape[2]), weights).reshape(*A.shape[:2], -1)
        out[loaded(measured[region]) <= 0] = np.nan
        return out

    def measured(self, factor: int, region: tuple[slice, slice]) -> np.ndarray:
        """Share of each pixel of a region that was measured, float32 in [0, 1]; parameters as for `mixed`."""
        values = loaded(self._of[factor][1][region])
        return (values > 0).astype(np.float32) if factor == 1 else values


def store_of(ds: xr.Dataset) -> str | None:
    """The painting that a result or patch is of; None where it lies in memory, or in a file of its own.

    Whatever opens a file says where it lies; only a painting has results and patches.
    """
    source = ds.encoding.get("source")
    folder, name = ("patches", ds.attrs.get("patch")) if "counts" in ds else ("results", ds.attrs.get("result"))
    if not isinstance(source, str) or not isinstance(name, str):
        return None
    return source if (as_place(source) / folder / name / "zarr.json").is_file() else None


def token_of(ds: xr.Dataset) -> str:
    """Of all that a result holds, its names and numbers: the same where these are."""
    return str(tokenize(ds))


def _home_of(ds: xr.Dataset) -> zarr.Group | None:
    source = store_of(ds)
    return None if source is None else open_group(as_place(source) / "results" / str(ds.attrs["result"]))


def known_group(ds: xr.Dataset) -> zarr.Group | None:
    """Where the result that this is, or is a layer or a piece of, is stored; by its endmembers."""
    group = _home_of(ds)
    if group is None:
        return None
    stored = read_finite(open_array(group, "endmember"))
    asked = np.asarray(ds.endmember.values)
    known = {row.tobytes() for row in stored}
    return group if stored.dtype == asked.dtype and all(row.tobytes() in known for row in asked) else None


def stored_group(ds: xr.Dataset) -> zarr.Group | None:
    """Where a result is stored, if it still has the very arrays that it was opened with."""
    group = _home_of(ds)
    if group is None:
        return None
    for part in level_paths(1):
        if part not in ds or getattr(ds[part].data, "name", None) != lazy_stored(open_array(group, part)).name:
            return None
    return group
