"""Arrays given in Python: checked, and made into what a store takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from xrfsr_dask.commands.fuse import Aligned
from xrfsr_dask.errors import InputError, first_line
from xrfsr_dask.readers import require_energies, require_even
from xrfsr_dask.store.patches import MOST_COUNTS, NOISES, Noise
from xrfsr_dask.values import is_number, is_one_of, is_whole, require, shown

_KEV_WANTED = "the energy of each channel's centre is wanted, in keV, rising by one step"


def aligned(counts: Any, rgb: Any, *, factor: int, energy: Any, noise: Noise, step_mm: float) -> Aligned:
    """A scan and its photograph, checked.

    Parameters
    ----------
    counts, rgb, factor, energy, noise, step_mm
        As `xrfsr_dask.fuse` takes them.

    Raises
    ------
    InputError
        Shapes that do not fit each other; values that are no counts, energies or light.
    OptionError
        A factor, noise or step that cannot be.
    """
    require(
        is_number(step_mm) and step_mm > 0,
        f"step_mm must be more than 0, got {shown(step_mm)}.",
    )
    counts, energy = _unlabelled(counts, energy)
    require(is_one_of(noise, NOISES), f"noise must be 'poisson' or 'gaussian', got {shown(noise)}.")
    storable, image, transfer = _checked(counts, rgb, factor)
    n_channel = storable.shape[2]
    kev = np.arange(n_channel, dtype=float) if energy is None else _array(energy, "energy", float)
    if kev.shape != (n_channel,):
        raise InputError(f"energy must hold one value for each of {n_channel} channels, got shape {kev.shape}.")
    if energy is not None:
        require_energies("energy", kev, remedy=_KEV_WANTED)
    require_even("energy", kev, remedy=_KEV_WANTED)
    return Aligned(
        counts=storable,
        image=image,
        transfer=transfer,
        energy_kev=kev,
        has_energy=energy is not None,
        noise=noise,
        step_mm=float(step_mm),
    )


def _unlabelled(counts: Any, energy: Any) -> tuple[Any, Any]:
    """An `xarray.DataArray` with an axis "energy" as (…, energy), and its own energies where none are given."""
    if "energy" not in getattr(counts, "dims", ()):
        return counts, energy
    if energy is None and "energy" in counts.coords:
        energy = counts.coords["energy"].values
    return counts.transpose(..., "energy"), energy


def _checked(counts: np.ndarray, rgb: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Counts and photograph as the store takes them, and how the photograph's values relate to light."""
    counts, rgb = _array(counts, "counts"), _array(rgb, "rgb")
    rgb = rgb.astype(np.float32) if rgb.dtype == np.float16 else rgb
    rgb = rgb[..., None] if rgb.ndim == 2 else rgb
    require(
        is_whole(factor) and factor >= 1, f"factor must be a whole number of at least 1, got {shown(factor)}."
    )
    if counts.ndim != 3 or rgb.ndim != 3:
        raise InputError(
            f"counts must be (y, x, energy) and rgb (y, x, band), got shapes {counts.shape} and {rgb.shape}."
        )
    if 0 in counts.shape or 0 in rgb.shape or counts.dtype.kind not in "uif":
        raise InputError(
            f"counts must be real numbers, got {counts.dtype} of shape {counts.shape} "
            f"beside a photograph of shape {rgb.shape}."
        )
    factor = int(factor)
    wanted = counts.shape[0] * factor, counts.shape[1] * factor
    if rgb.shape[:2] != wanted:
        raise InputError(
            f"counts of {counts.shape[0]} x {counts.shape[1]} spots and a factor of {factor} need a photograph "
            f"of {wanted[0]} x {wanted[1]} px, got {rgb.shape[0]} x {rgb.shape[1]}."
        )
    if rgb.dtype.kind != "f":
        return _storable(counts), rgb, "srgb"
    if not (np.isfinite(rgb).all() and rgb.min() >= 0 and rgb.max() <= 1):
        raise InputError("a photograph of floats must hold finite values between 0 and 1.")
    return _storable(counts), np.rint(rgb * 65535).astype(np.uint16), "linear"


def truth_of(truth: Any, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Factors (ny, nx, k) and (k, n_channel) of a truth of `shape` (ny, nx, n_channel)."""
    parts = [_array(part, "truth", float) for part in truth] if isinstance(truth, tuple | list) else []
    found = [part.shape for part in parts]
    fits = len(parts) == 2 and parts[0].ndim == 3 and parts[1].shape == (parts[0].shape[2], shape[2])
    if not fits or parts[0].shape[:2] != shape[:2]:
        raise InputError(
            f"a truth of {shape[0]} x {shape[1]} px and {shape[2]} channels is needed, as factors (ny, nx, k) "
            f"and (k, n_channel), got {found or type(truth).__name__}."
        )
    return parts[0], parts[1]


def labels_of(labels: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Region of each pixel, whole numbers of `shape` (ny, nx); `InputError` for anything else."""
    found = _array(labels, "labels")
    if found.shape != shape or found.dtype.kind not in "ui":
        raise InputError(
            f"labels must be whole numbers of shape {shape}, got {found.dtype} of shape {found.shape}."
        )
    return found


def _array(values: Any, name: str, dtype: Any = None) -> np.ndarray:
    if np.ma.is_masked(values):
        raise InputError(
            f"{name} holds masked values, and there is no such thing here; fill them, or cut them off."
        )
    try:
        found = np.asarray(values)
        if dtype is not None and found.dtype.kind == "c":
            raise InputError(f"{name} must be an array of real numbers, got {found.dtype}.")
        return np.asarray(found, dtype)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{name} must be an array of numbers, all rows of one length ({first_line(error)})."
        ) from error


def _storable(counts: np.ndarray) -> np.ndarray:
    """Counts in the narrowest type the store keeps without loss; negatives stay to be refused by name."""
    if counts.dtype.kind == "u" and counts.dtype.itemsize <= 4:
        return counts.astype(np.uint16) if counts.dtype.itemsize == 1 else counts
    if counts.dtype.kind in "ui":
        if counts.max() > MOST_COUNTS:
            raise InputError(f"a count of {counts.max()} was found; at most {MOST_COUNTS} can be kept.")
        if counts.min() >= 0:
            return counts.astype(np.uint32)
    return counts.astype(np.float32)
