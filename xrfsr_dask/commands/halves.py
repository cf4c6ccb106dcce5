"""Two independent halves of one scan, and binning: how real counts get a reference (METHOD, section 8)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xrfsr_dask.errors import InputError
from xrfsr_dask.readers import Scan, axis_notes, energy_axis, read_photograph, require_even
from xrfsr_dask.store.patches import MOST_COUNTS

EMBEDDED = "embedded"
"""In place of a photograph: the image that the instrument recorded with the scan."""

_ROWS = 32  # of a scan, read at once


@dataclass(frozen=True)
class Halves:
    """A real scan made ready: the binned half that is super-resolved, and the other that judges."""

    low: np.ndarray
    """float32 (ny / factor, nx / factor, n_channel): counts of one half, binned."""
    reference: np.ndarray
    """(ny, nx, n_channel): counts of the other half."""
    image: np.ndarray
    """uint8 or uint16 (ny, nx, band)."""
    transfer: str
    """How the image's values relate to light."""
    energy_kev: np.ndarray
    """(n_channel,)"""
    step_mm: float
    """Distance between spots of the scan as measured, mm."""
    notes: tuple[str, ...]
    """What was cut off or assumed, a sentence each."""


def prepare(
    scan: Scan, photo: str, calibration: tuple[float, float] | None, *, factor: int, seed: int
) -> Halves:
    """Read and check everything, split the counts, bin one half; rows and columns beyond whole bins are cut."""
    ny, nx = (n // factor * factor for n in scan.shape[:2])
    if 0 in (ny, nx):
        raise InputError(
            f"{scan.source} has {scan.shape[1]} x {scan.shape[0]} spots, fewer than a factor of {factor}."
        )
    if (ny, nx) == (factor, factor):
        largest = max(min(scan.shape[0] // n, scan.shape[1] // m) for n, m in ((1, 2), (2, 1)))
        advice = f"give a factor of at most {largest}" if largest else "take a scan of more spots"
        raise InputError(
            f"{scan.source} has {scan.shape[1]} x {scan.shape[0]} spots, of which a factor of {factor} leaves "
            f"a single coarse one, too few to compare methods on; {advice}."
        )
    image, transfer, notes = _image(scan, photo)
    notes = (*scan.notes, *axis_notes(scan, calibration), *notes)
    if (ny, nx) != scan.shape[:2]:
        notes += (f"cut to {nx} x {ny} spots, whole bins of {factor} x {factor}",)
    energy = energy_axis(scan, calibration)
    require_even(scan.source, energy)
    low, reference = _halved(scan, (ny, nx), factor, seed)
    if not low.any() and not reference.any():
        raise InputError(f"{scan.source}: all counts are 0; there is nothing to compare.")
    return Halves(
        low=low,
        reference=reference,
        image=image[:ny, :nx],
        transfer=transfer,
        energy_kev=energy,
        step_mm=scan.step_mm or 1.0,
        notes=notes,
    )


def _image(scan: Scan, photo: str) -> tuple[np.ndarray, str, tuple[str, ...]]:
    if photo == EMBEDDED:
        if scan.image is None:
            raise InputError(f"{scan.source} holds no image on the scan's grid; give --photo FILE.")
        values = np.asarray(scan.image)
        with np.errstate(over="ignore"):
            known = values.dtype.kind in "uif" and np.isfinite(np.ptp(values.astype(float)))
        if not known:
            raise InputError(
                f"the image in {scan.source}, of type {values.dtype}, holds values that are not finite and "
                "real; give --photo FILE."
            )
        low, high = float(values.min()), float(values.max())
        grey = np.rint(65535 * (values - low) / max(high - low, 1e-12)).astype(np.uint16)
        return grey[..., None], "linear", ()
    photograph = read_photograph(photo)
    if photograph.image.shape[:2] != scan.shape[:2]:
        ny, nx = photograph.image.shape[:2]
        raise InputError(
            f"photograph {photo} has {nx} x {ny} px, the scan {scan.source} {scan.shape[1]} x {scan.shape[0]} "
            "spots; one pixel per spot is needed, so register and resample it first."
        )
    return photograph.image, "srgb", tuple(photograph.notes)


def _halved(scan: Scan, shape: tuple[int, int], factor: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """One half binned, the other as it is: read some rows at a time, so that only these two are ever held."""
    (ny, nx), n_channel = shape, scan.shape[2]
    low = np.empty((ny // factor, nx // factor, n_channel), np.float32)
    type_ = np.uint32 if scan.dtype.kind == "f" or scan.dtype.itemsize > 2 else f"u{scan.dtype.itemsize}"
    reference = np.empty((ny, nx, n_channel), type_)
    for first, block in scan.blocks(factor * max(1, _ROWS // factor)):
        counts = _whole_counts(scan, first, block)[: max(0, ny - first), :nx]
        rows, bins = (slice(first // n, (first + len(counts)) // n) for n in (1, factor))
        mine, reference[rows] = split_counts(counts, seed=seed, first_row=first)
        low[bins] = binned(mine, factor)
    return low, reference


def _whole_counts(scan: Scan, first: int, block: np.ndarray) -> np.ndarray:
    """A block as unsigned counts; what cannot be split in halves is refused with its place."""
    fine = np.isfinite(block) & (block >= 0) & (block <= MOST_COUNTS) & (block == np.rint(block))
    if not fine.all():
        y, x, channel = np.argwhere(~fine)[0]
        raise InputError(
            f"{scan.source}: the count at row {first + y}, column {x}, channel {channel} is "
            f"{block[y, x, channel]}; only whole counts from 0 to {MOST_COUNTS} can be split in halves."
        )
    return block.astype(np.uint32 if block.size and block.max() > 65535 else np.uint16)


def split_counts(counts: np.ndarray, *, seed: int, first_row: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Binomial thinning: each count goes to one half or the other by a fair coin.

    Halves of Poisson counts are independent Poisson counts of half the mean, so noise of one is not in the
    other. Row by row from one seed, so that the split does not depend on how much is read at once.

    Parameters
    ----------
    counts : unsigned int array of shape (ny, nx, n_channel)
    seed : int
    first_row : int
        Row of the scan that the first row of `counts` is.

    Returns
    -------
    two arrays like `counts`, which they add up to
    """
    first = np.empty_like(counts)
    for row, values in enumerate(counts):
        first[row] = np.random.default_rng([seed, first_row + row]).binomial(values, 0.5)
    return first, counts - first


def binned(values: np.ndarray, factor: int) -> np.ndarray:
    """Sums over `factor` x `factor` blocks of the first two axes, float32; cut where no whole block is left."""
    ny, nx = values.shape[0] // factor, values.shape[1] // factor
    blocks = values[: ny * factor, : nx * factor].reshape(ny, factor, nx, factor, *values.shape[2:])
    return blocks.sum(axis=(1, 3), dtype=np.float32)
