"""Cubic spline of the counts: what one gets without a photograph and without a model.

Each channel is interpolated alone with a cubic B-spline through the spots (the mirror at the outermost spot
centres continues it). Counts are divided by the patch's gain, so all is in counts per measured spot. A spline
swings below zero beside bright spots: such values are set to 0 for Poisson patches, and kept for Gaussian ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import spline_filter1d
from scipy.sparse import csr_array

from xrfsr_dask.beams import centres_mm, in_spots, within
from xrfsr_dask.errors import InputError
from xrfsr_dask.methods.protocol import Scene, bytes_for, require_memory
from xrfsr_dask.store import Painting, Patch
from xrfsr_dask.store.arrays import read

MARGIN = 12
"""Spots read around a region: a spline's memory of a spot fades by 0.27 per spot, to 1e-7 over these."""


def spline_coefficients(counts: np.ndarray) -> np.ndarray:
    """Coefficients of the cubic B-spline through the spots; float32 (ny, nx, ...), as `counts`."""
    out = np.asarray(counts, np.float32)
    for axis in (0, 1):
        out = spline_filter1d(out, order=3, axis=axis, output=np.float32, mode="mirror")
    return out


def spline_weights(rows: np.ndarray, columns: np.ndarray, spots: tuple[int, int]) -> csr_array:
    """Weights that turn spline coefficients into values: ``weights @ coefficients``.

    Parameters
    ----------
    rows, columns : float arrays of shape (n_px,)
        Where to interpolate, in spots of the patch; spot centres lie at integers.
    spots : (ny, nx)
        Spots of the patch.

    Returns
    -------
    sparse float32 array of shape (n_px, ny * nx); each row sums to one and has up to 16 entries
    """
    row_at, row_weight = _axis_weights(np.asarray(rows, float), spots[0])
    column_at, column_weight = _axis_weights(np.asarray(columns, float), spots[1])
    n = len(row_at)
    index = row_at[:, :, None] * spots[1] + column_at[:, None, :]
    weight = (row_weight[:, :, None] * column_weight[:, None, :]).astype(np.float32)
    pointer = np.arange(0, 16 * n + 1, 16)
    return csr_array((weight.reshape(-1), index.reshape(-1), pointer), shape=(n, spots[0] * spots[1]))


def upsample_cubic(counts: np.ndarray, factor: int, *, nonnegative: bool = True) -> np.ndarray:
    """A scan that is aligned with its HR grid, made `factor` times finer.

    HR pixel i lies at ``(i + 0.5) / factor - 0.5`` spots, so that blocks of pixels are centred on their spots.

    Parameters
    ----------
    counts : array of shape (ny, nx, n_channel) or (ny, nx), counts per spot
    factor : int
        HR pixels per spot along one axis.
    nonnegative : bool
        Set values below zero to 0, as for Poisson counts.

    Returns
    -------
    float32 array of shape (factor * ny, factor * nx, n_channel) or without the last axis
    """
    ny, nx = counts.shape[:2]
    spline = Spline(spline_coefficients(counts.reshape(ny, nx, -1)), factor, nonnegative)
    out = spline.rows(slice(None))
    return out.reshape(*out.shape[:2], *counts.shape[2:])


@dataclass(frozen=True)
class Spline:
    """Cubic splines through the spots of an aligned scan, read off where they are looked at."""

    coefficients: np.ndarray
    """float32 (ny, nx, n_channel), as `spline_coefficients` gives them."""
    factor: int
    """HR pixels per spot along each axis."""
    nonnegative: bool
    """Whether values below zero are set to 0."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(ny, nx, n_channel) of the HR cube."""
        ny, nx, n_channel = self.coefficients.shape
        return self.factor * ny, self.factor * nx, n_channel

    def rows(self, part: slice) -> np.ndarray:
        """float32 (ny, nx, n_channel): the cube's rows of pixels in `part`, counts per measured spot."""
        ny, nx, n_channel = self.coefficients.shape
        wanted = np.arange(self.factor * ny)[part]
        rows = (wanted + 0.5) / self.factor - 0.5
        columns = (np.arange(self.factor * nx) + 0.5) / self.factor - 0.5
        flat = self.coefficients.reshape(ny * nx, n_channel)
        out = np.empty((len(rows), len(columns), n_channel), np.float32)
        for one, row in zip(out, rows, strict=True):  # 16 weights for each pixel of the whole would be many
            one[:] = spline_weights(np.full(len(columns), row), columns, (ny, nx)) @ flat
        return np.maximum(out, 0.0, out=out) if self.nonnegative else out


def bytes_needed(scene: Scene, atoms: int) -> int:
    """Working arrays of `super_resolve`, bytes."""
    return bytes_for(scene, per_pixel=0, per_spot=3 * scene.n_channel)


def super_resolve(scene: Scene, *, atoms: int = 0, seed: int = 0, memory: int) -> Spline:
    """Splines of the counts; `atoms` and `seed` are not used: no model, nothing drawn.

    Parameters
    ----------
    scene : Scene
    atoms, seed : int
        For one signature with the other methods.
    memory : int
        Bytes this may need.
    """
    require_memory("cubic", scene, bytes_needed(scene, atoms), memory)
    return Spline(spline_coefficients(scene.counts), scene.factor, scene.noise == "poisson")


def cubic_region(
    painting: Painting,
    region: tuple[slice, slice],
    *,
    channels: slice = slice(None),
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Cubic splines of all patches on a region of the HR grid.

    Where patches overlap, each counts by its gain: the mean of least variance of Poisson counts. A pixel that
    no spot of any patch covers is NaN. Only the spots around the region are read; regions agree with the
    whole to about 1e-7.

    Parameters
    ----------
    painting : Painting
    region : (slice, slice)
        HR pixels (y, x); steps are not taken.
    channels : slice
        Channels wanted.
    weights : float array of shape (n_channel,), optional
        Interpolate ``counts @ weights`` in place of channels: one map, such as the net counts of an element
        (`result.line_weights`), which may be negative and are kept so.

    Returns
    -------
    float32 array of shape (ny, nx, n_channel), or (ny, nx) with `weights`; counts per measured spot
    """
    ys, xs = (range(*part.indices(n)) for part, n in zip(region, painting.shape, strict=True))
    if not (len(ys) and len(xs)) or ys.step != 1 or xs.step != 1:
        raise InputError(f"a region of pixels without steps is needed, got y {region[0]}, x {region[1]}.")
    pixels_mm = centres_mm((ys.start, ys.stop, xs.start, xs.stop), painting.pitch_mm)
    n_channel = 1 if weights is not None else len(range(*channels.indices(len(painting.energy_kev))))
    total, gain = np.zeros((len(pixels_mm), n_channel), np.float32), np.zeros((len(pixels_mm), 1), np.float32)
    for patch in painting.patches:
        at = np.flatnonzero(within(patch, pixels_mm))
        if len(at):
            total[at] += _interpolated(patch, in_spots(patch, pixels_mm[at]), channels, weights)
            gain[at] += np.float32(patch.gain)
    with np.errstate(invalid="ignore"):
        total /= gain
    return total.reshape(len(ys), len(xs), -1) if weights is None else total.reshape(len(ys), len(xs))


def _interpolated(patch: Patch, spots: np.ndarray, channels: slice, weights: np.ndarray | None) -> np.ndarray:
    """Counts of a patch, as measured, at places (n, 2) in spots; float32 (n, n_channel)."""
    low = np.maximum(np.floor(spots.min(axis=0)).astype(int) - MARGIN, 0)
    high = np.minimum(np.ceil(spots.max(axis=0)).astype(int) + MARGIN + 1, patch.shape[:2])
    window = slice(low[0], high[0]), slice(low[1], high[1])
    if weights is None:
        counts = read(patch.counts(), (*window, channels)).astype(np.float32)
    else:
        counts = _weighted(patch, window, weights)
    ny, nx, n_channel = counts.shape
    coefficients = spline_coefficients(counts).reshape(ny * nx, n_channel)
    rows, columns = (spots - low).T
    out = spline_weights(rows, columns, (ny, nx)) @ coefficients
    return np.maximum(out, 0.0, out=out) if patch.noise == "poisson" and weights is None else out


def _weighted(patch: Patch, window: tuple[slice, slice], weights: np.ndarray) -> np.ndarray:
    """``counts @ weights`` of a window, float32 (ny, nx, 1), a few rows of spots at a time."""
    array = patch.counts()
    step = array.chunks[0]
    rows = range(window[0].start, window[0].stop)
    parts = [
        read(array, (slice(row, min(row + step, rows.stop)), window[1])) @ np.asarray(weights, np.float64)
        for row in rows[::step]
    ]
    return np.concatenate(parts)[..., None].astype(np.float32)


def _axis_weights(at: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The four spots around each place along one axis, and the cubic B-spline's value at each; (n_px, 4)."""
    first = np.floor(at).astype(np.int64)
    t = at - first
    weight = np.stack(
        [(1 - t) ** 3, 4 - 6 * t**2 + 3 * t**3, 1 + 3 * t + 3 * t**2 - 3 * t**3, t**3],
        axis=1,
    )
    around = first[:, None] + np.arange(-1, 3)
    return _mirrored(around, n), weight / 6.0


def _mirrored(index: np.ndarray, n: int) -> np.ndarray:
    """Indices outside 0 … n - 1 mirrored at the first and last spot, as often as it takes."""
    if n == 1:
        return np.zeros_like(index)
    period = 2 * (n - 1)
    folded = np.abs(index) % period
    return np.minimum(folded, period - folded)
