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

_OFF = 0.01  # of a pixel or channel, that coordinates may be off


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
        The result lies in memory, is a piece of one, or has channels that the patch has not.
    """
    painting = _painting_of(ds)
    found = painting.patch(patch)
    ds = as_painted(ds, painting, "compare")
    counts = lazy_stored(found.counts())
    counts = counts[..., channels_of(ds.energy.values, found.energy_kev())]
    seen = found.gain * _seen_by(ds, painting, found)
    model = lazy_cube(seen, ds.endmember.values, tuple(int(n) for n in counts.chunksize))
    dims = ("spot_y", "spot_x", "energy")
    named = {"counts": counts, "model": model, "residual": counts.astype(np.float32) - model}
    return xr.Dataset(
        {name: (dims, data, {"units": "counts"}) for name, data in named.items()},
        coords={"energy": ds.energy},
        attrs={"patch": patch},
    )


def _painting_of(ds: xr.Dataset) -> Painting:
    store = store_of(ds)
    if store is None:
        raise InputError("this result lies in memory; open it from its painting with open_result to compare.")
    return open_painting(store)


def as_painted(ds: xr.Dataset, painting: Painting, asked: str) -> xr.Dataset:
    """A result with its rows and columns in the order of the painting, as `asked` needs it.

    Raises
    ------
    InputError
        It is a piece of its painting, or lies elsewhere.
    """
    ds = ds.transpose("y", "x", ...)
    if ds.abundance.shape[:2] != painting.shape:
        raise InputError(
            f"{asked} needs the whole painting of {painting.shape} px, this is a piece of "
            f"{ds.abundance.shape[:2]} px; {asked} first, then select."
        )
    for axis, n in zip(("y", "x"), painting.shape, strict=True):
        centres = (np.arange(n) + 0.5) * painting.pitch_mm
        order = np.argsort(ds[axis].values)
        if not np.abs(ds[axis].values[order] - centres).max() <= _OFF * painting.pitch_mm:  # NaN is none
            raise InputError(
                f"the {axis} of this result are not those of its painting, {centres[0]:g} to "
                f"{centres[-1]:g} mm; open it with open_result to {asked}."
            )
        ds = ds if (np.diff(order) == 1).all() else ds.isel({axis: order})
    return ds


def channels_of(asked_kev: np.ndarray, energy_kev: np.ndarray) -> slice | np.ndarray:
    """Which channels of a patch those of a result are; a slice for all, in their order.

    Raises
    ------
    InputError
        Some are no channels of the patch.
    """
    if np.array_equal(asked_kev, energy_kev):
        return slice(None)
    at = np.abs(np.subtract.outer(asked_kev, energy_kev)).argmin(axis=1)
    width = float(np.abs(np.diff(energy_kev)).min()) if len(energy_kev) > 1 else np.inf
    if not np.abs(energy_kev[at] - asked_kev).max(initial=0.0) <= _OFF * width:
        raise InputError(
            f"this result has energies that are no channels of the patch, {energy_kev[0]:g} to "
            f"{energy_kev[-1]:g} keV; open it with open_result."
        )
    return at


def _seen_by(ds: xr.Dataset, painting: Painting, patch: Patch) -> np.ndarray:
    """S A of all spots, float32 (ny, nx, n_atom), some rows of spots at a time."""
    from xrfsr_dask.beams import spot_window  # with numba, which takes as long to import as a result to open

    parts = []
    for row in range(0, patch.shape[0], CHUNK_SPOTS):
        window = spot_window(painting, patch, slice(row, row + CHUNK_SPOTS))
        seen = window.downsample(loaded(ds.abundance.data[window.slices]))
        parts.append(seen.reshape(len(seen) // patch.shape[1], patch.shape[1], seen.shape[1]))
    return np.concatenate(parts)
