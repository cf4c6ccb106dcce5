"""How far a scan lies from where it was placed: its spots against the colours beneath them, shifted.

Spots of a scan that lies where it should are explained best by the colours beneath them. A least-squares fit of
all scores on quadratic terms of colour leaves a covariance R of residuals; as a function of the shift of the
footprints, log det R is least where the scan fits, and a parabola through its neighbours finds that place to a
fraction of their distance. The determinant weighs directions of score space by how well colours explain them,
as the likelihood of a regression with unknown covariance does (Mardia, Kent and Bibby 1979, chapter 6): layers
that the photograph does not show hardly speak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.ndimage import minimum_filter

from xrfsr_dask.kernels.colour import perceptual
from xrfsr_dask.kernels.sampling import Footprints, downsample

_SPOTS_PER_TERM = 10
_EXPLAINED = 2.0  # log det that colours must explain before they tell where a scan lies
_GAIN = 0.3  # log det that a shift must explain before it is believed
_ALIKE = 0.1  # of what the best shift gains: shifts that come so near are as good
_NOISE = 0.1  # of the noise, added to residuals: none is known better
_RIDGE = 1e-6  # of the mean of the diagonal

Shift = tuple[int, int]
"""(y, x) in px."""


class ShiftSums(NamedTuple):
    """Weighted sums over spots, for each of s shifts."""

    normal: np.ndarray
    """float64 (s, k, k): colour terms among each other."""
    right: np.ndarray
    """float64 (s, k, r): colour terms against scores."""
    square: np.ndarray
    """float64 (r, r): scores among each other."""
    weight: float
    n: float
    """Spots."""


@dataclass(frozen=True)
class Displacement:
    """Where a scan fits the photograph best."""

    offset: tuple[float, float]
    """(y, x) in px, to be added to its placement."""
    gain: float
    """What the shift explains, of log det R."""


def colour_terms(photo: np.ndarray) -> np.ndarray:
    """One, the bands as the eye spaces them, and their products: float32 (ny, nx, k).

    `photo` is linear light (ny, nx, n_band).
    """
    bands = perceptual(photo)
    n = bands.shape[-1]
    products = [bands[..., i] * bands[..., j] for i in range(n) for j in range(i, n)]
    return np.stack([np.ones_like(bands[..., 0]), *np.moveaxis(bands, -1, 0), *products], axis=-1)


def square_of_shifts(reach: float) -> tuple[list[Shift], int]:
    """Shifts up to `reach` px every way, a dozen or so at most, row by row; and how far apart they are, px."""
    apart = max(1, round(reach / 12))
    n = max(1, round(reach / apart))
    line = [apart * i for i in range(-n, n + 1)]
    return [(y, x) for y in line for x in line], apart


def shift_sums(
    scores: np.ndarray,
    weight: np.ndarray,
    terms: np.ndarray,
    footprints: Footprints,
    corner: tuple[int, int],
    shifts: Sequence[Shift],
) -> ShiftSums:
    """Sums of some spots under each shift of their footprints.

    Parameters
    ----------
    scores : float array of shape (n, r)
    weight : float array of shape (n,)
        Of each spot: 1 / variance.
    terms : float32 array of shape (ny, nx, k)
        `colour_terms` of an area that begins at `corner` and holds all footprints, shifted.
    footprints : Footprints
        Of the n spots, unshifted.
    corner : (y, x), px
    shifts : sequence of (y, x), px
    """
    weighted = weight[:, None] * scores
    normal, right = [], []
    for shift in shifts:
        moved = Footprints(footprints.origin + np.array(shift, np.int32), footprints.weight)
        F = downsample(terms, moved, corner=corner).astype(np.float64)
        normal.append((weight[:, None] * F).T @ F)
        right.append(F.T @ weighted)
    return ShiftSums(
        np.array(normal),
        np.array(right),
        weighted.T @ scores,
        float(weight.sum()),
        float(len(scores)),
    )


def displacement(sums: ShiftSums, shifts: Sequence[Shift], apart: int) -> Displacement | None:
    """The shift under which colours explain most, or None where that cannot be told.

    It cannot where spots are few, where colours explain too little of them, where the best shift is one of the
    outermost, for then the true one may lie anywhere, and where all shifts are about as good. Of some that are
    equally good, as on a pattern that repeats itself, the nearest is told.
    """
    k = sums.normal.shape[1]
    if float(sums.n) < _SPOTS_PER_TERM * k:
        return None
    noise = _NOISE * float(sums.n)
    fits = zip(sums.normal, sums.right, strict=True)
    left = np.array([_log_det(sums.square - _explained(G, B), noise) for G, B in fits])
    total = sums.right[len(shifts) // 2, 0]
    varies = _log_det(sums.square - np.outer(total, total) / sums.weight, noise)
    side = round(len(shifts) ** 0.5)
    grid, middle = left.reshape(side, side), side // 2
    gain = float(grid[middle, middle] - grid.min())
    worst = grid.min() + (_ALIKE if gain > _GAIN else 1.0) * gain
    found = [at for at in _hollows(grid) if grid[at] <= worst]
    if not found or varies - grid.min() < _EXPLAINED:
        return None
    i, j = min(found, key=lambda at: float(np.hypot(at[0] - middle, at[1] - middle)))
    if gain <= _GAIN and max(abs(i - middle), abs(j - middle)) > 1:
        return None
    (dy, dx), (y, x) = _least_of_parabola(grid[i - 1 : i + 2, j - 1 : j + 2]), shifts[i * side + j]
    return Displacement((y + apart * dy, x + apart * dx), float(grid[middle, middle] - grid[i, j]))


def is_out_of_place(found: Displacement, step_px: float) -> bool:
    """Whether a displacement is large and sure enough to matter: three quarters of a px, a tenth of a step."""
    return found.gain > _GAIN and float(np.hypot(*found.offset)) > max(0.75, 0.1 * step_px)


def _hollows(grid: np.ndarray) -> list[tuple[int, int]]:
    """Places, none at the border, where no neighbour lies lower."""
    least = minimum_filter(grid, size=3, mode="nearest")
    inner = [range(1, n - 1) for n in grid.shape]
    return [(i, j) for i in inner[0] for j in inner[1] if grid[i, j] <= least[i, j]]


def _explained(normal: np.ndarray, right: np.ndarray) -> np.ndarray:
    """What a least-squares fit explains of the scores among each other, (r, r)."""
    k = len(normal)
    G = normal + _RIDGE * np.trace(normal) / k * np.eye(k)
    return np.asarray(right.T @ np.linalg.solve(G, right))


def _log_det(R: np.ndarray, noise: float) -> float:
    return float(np.linalg.slogdet(R + noise * np.eye(len(R)))[1])


def _least_of_parabola(values: np.ndarray) -> tuple[float, float]:
    """(y, x) of the least of a parabola through 3 x 3 values whose middle is the least, in (-1, 1)."""
    y, x = (grid.ravel().astype(np.float64) for grid in np.mgrid[-1:2, -1:2])
    A = np.column_stack([np.ones(9), y, x, y * y, x * x, x * y])
    _, gy, gx, yy, xx, xy = np.linalg.lstsq(A, values.ravel() - values[1, 1], rcond=None)[0]
    H = np.array([[2 * yy, xy], [xy, 2 * xx]])
    if np.linalg.eigvalsh(H)[0] <= 0:
        return 0.0, 0.0
    at = np.clip(-np.linalg.solve(H, [gy, gx]), -1.0, 1.0)
    return float(at[0]), float(at[1])
