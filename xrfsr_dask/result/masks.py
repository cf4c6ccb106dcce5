"""Regions as boolean masks: where they lie on a grid, and what they must be."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xrfsr_dask.errors import InputError

_OFF = 0.01  # of a pixel, that coordinates of a mask may be off


def laid(mask: Any, ds: xr.Dataset, dims: tuple[str, str]) -> np.ndarray:
    """A mask as it lies on the grid of a Dataset: a DataArray by its names and coordinates, others as they are.

    Parameters
    ----------
    mask : bool array or DataArray of shape (ny, nx)
    ds : xarray.Dataset
    dims : (name, name)
        Axes of its grid.

    Raises
    ------
    InputError
        It is not boolean, has another shape or lies elsewhere, or is empty.
    """
    shape = tuple(ds.sizes[dim] for dim in dims)
    if isinstance(mask, xr.Dataset):
        raise InputError("the mask is a Dataset; give one of its arrays, such as ds.coverage > 0.")
    if isinstance(mask, xr.DataArray):
        mask = mask.transpose(*dims) if set(mask.dims) == set(dims) else mask
        for dim in dims if mask.shape == shape else ():
            mask = _reordered(mask, ds, dim)
    return checked_mask(np.asarray(mask), shape)


def _reordered(mask: xr.DataArray, ds: xr.Dataset, dim: str) -> xr.DataArray:
    """A mask in the order of a Dataset along one axis, if both have coordinates there."""
    if dim not in mask.indexes or dim not in ds.indexes or mask.indexes[dim].equals(ds.indexes[dim]):
        return mask
    own, given = (_numbers(there.indexes[dim]) for there in (ds, mask))
    if given is None or own is None:
        raise InputError(
            f"the mask's {dim} are no numbers, mm; make it of this Dataset, or give its values alone."
        )
    at = np.argsort(given)[np.argsort(np.argsort(own))]
    step = float(np.abs(np.diff(own)).min()) if len(own) > 1 else np.inf
    if not np.abs(given[at] - own).max() <= _OFF * step:
        raise InputError(
            f"the mask lies at {dim} = {given.min():g} to {given.max():g} mm and this Dataset at {own.min():g} "
            f"to {own.max():g} mm; make it of this Dataset, or give its values without coordinates."
        )
    return mask.isel({dim: at})


def _numbers(index: Any) -> np.ndarray | None:
    """Coordinates as float64; None where they are none."""
    values = np.asarray(index)
    return values.astype(float) if values.dtype.kind in "fiu" and np.isfinite(values).all() else None


def checked_mask(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A mask as given, `InputError` where it cannot be one or is empty."""
    if mask.shape != shape or mask.dtype != bool:
        raise InputError(
            f"the mask must be boolean of shape (y, x) = {shape}, got {mask.dtype} of shape {mask.shape}."
        )
    if not mask.any():
        raise InputError("the mask is empty: no pixel of it is set.")
    return mask


def box_of(mask: np.ndarray) -> tuple[slice, slice]:
    """The smallest rectangle that holds a mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
