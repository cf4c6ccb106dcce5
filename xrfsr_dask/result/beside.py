"""A result beside the patches that it was made of: what they show, and what it would look like to them."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xrfsr_dask.errors import InputError
from xrfsr_dask.result.levels import store_of
from xrfsr_dask.result.lowrank import lazy_cube, lazy_stored, loaded
from xrfsr_dask.result.measured import Measured, open_patch
from xrfsr_dask.store import Painting, Patch, open_painting
from xrfsr_dask.store.patches import CHUNK_SPOTS


def patches_of(ds: xr.Dataset) -> list[Measured]:
    """The patches that a result was made of; none where its store is not known."""
    store = store_of(ds)
    if store is None:
        return []
    patches = open_painting(store).patches
    return [Measured(open_patch(store, patch.name), patch.square_means()) for patch in patches]


def is_part(ds: xr.Dataset) -> bool:
    """Whether this is a layer or a piece of the result of a store."""
    store = store_of(ds)
    return store is not None and ("layer" in ds.attrs or ds.abundance.shape[:2] != open_painting(store).shape)


def compared(ds: xr.Dataset, patch: str) -> xr.Dataset:
    """``counts``, ``model`` and ``residual`` of a patch, lazy, as `XrfAccessor.compare` says.

    Raises
    ------
    InputError
        The result lies in memory, or is a piece of one.
    """
    painting = _whole_painting(ds)
    found = painting.patch(patch)
    counts = lazy_stored(found.counts())
    seen = found.gain * _seen_by(ds, painting, found)
    model = lazy_cube(seen, ds.endmember.values, tuple(int(n) for n in counts.chunksize))
    dims = ("spot_y", "spot_x", "energy")
    named = {"counts": counts, "model": model, "residual": counts.astype(np.float32) - model}
    return xr.Dataset(
        {name: (dims, data, {"units": "counts"}) for name, data in named.items()},
        coords={"energy": ds.energy},
        attrs={"patch": patch},
    )


def _whole_painting(ds: xr.Dataset) -> Painting:
    store = store_of(ds)
    if store is None:
        raise InputError("this result lies in memory; open it from its painting with open_result to compare.")
    painting = open_painting(store)
    if ds.abundance.shape[:2] != painting.shape:
        raise InputError(
            f"compare needs the whole painting of {painting.shape} px, this is a piece of "
            f"{ds.abundance.shape[:2]} px; compare first, then select."
        )
    return painting


def _seen_by(ds: xr.Dataset, painting: Painting, patch: Patch) -> np.ndarray:
    """S A of all spots, float32 (ny, nx, n_atom), some rows of spots at a time."""
    from xrfsr_dask.beams import spot_window  # with numba, which takes as long to import as a result to open

    parts = []
    for row in range(0, patch.shape[0], CHUNK_SPOTS):
        window = spot_window(painting, patch, slice(row, row + CHUNK_SPOTS))
        seen = window.downsample(loaded(ds.abundance.data[window.slices]))
        parts.append(seen.reshape(-1, patch.shape[1], seen.shape[1]))
    return np.concatenate(parts)
