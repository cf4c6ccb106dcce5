"""The sampling operator S of one patch: footprints of its spots on the HR grid (METHOD, sections 1 and 6).

A row of S is the footprint of one spot: non-negative weights that sum to one. It is kept as a small
window of pixels per spot, exact for boxes at any angle (area of overlap) and for Gaussian beams
(integral over each pixel); a box aligned with the grid gives the plain block mean.
All spots are visited in one fixed order, so a pixel or spot gets the same bits in any tile.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

Bounds = tuple[int, int, int, int]
"""(y0, y1, x0, x1) in px, half open."""

_WINDOWS_KEPT = 16  # patches
_SNAP = 6  # decimals of a pixel: corners this close to a pixel's edge lie on it
_GAUSSIAN_REACH = 3.0  # standard deviations
FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))


@dataclass(frozen=True)
class Beam:
    """Where the spots of one patch lie on the HR grid, and how wide each looks."""

    transform: np.ndarray
    """(3, 3): (row, column, 1) of a spot -> (y, x, 1) in px, pixel (i, j) covering [i, i+1) x [j, j+1)."""
    spots: tuple[int, int]
    """(ny, nx) spots of the patch."""
    shape: tuple[int, int]
    """(ny, nx) px of the HR grid."""
    kind: str = "box"
    """``"box"`` or ``"gaussian"``."""
    size: float = 1.0
    """Box: side in steps of the scan. Gaussian: full width at half maximum in px."""

    def windows(self) -> np.ndarray:
        """Pixels each spot can touch: int32 (n_spot, 4) of y0, y1, x0, x1, in row-major order of spots."""
        transform = np.asarray(self.transform, np.float64).tobytes()
        return _windows(transform, self.spots, self.shape, self.kind, self.size).copy()

    def centres(self) -> np.ndarray:
        """Centre of each spot, float64 (n_spot, 2) of (y, x) in px."""
        return self._mapped(np.zeros(2))

    def footprints(self, index: np.ndarray, windows: np.ndarray | None = None) -> Footprints:
        """Weights of the spots `index` (flat, row-major), each window summing to one."""
        bounds = self.windows() if windows is None else windows
        # One window size for the whole patch, so that it never depends on which spots are asked for.
        wy = int((bounds[:, 1] - bounds[:, 0]).max())
        wx = int((bounds[:, 3] - bounds[:, 2]).max())
        size = np.asarray(self.shape)
        wy, wx = min(wy, size[0]), min(wx, size[1])
        origin = np.minimum(bounds[index][:, [0, 2]], size - (wy, wx)).astype(np.int32)
        weight = np.zeros((len(index), wy, wx), np.float32)
        if self.kind == "gaussian":
            sigma = self.size / FWHM_PER_SIGMA
            _gaussian_weights(origin, self.centres()[index], sigma, bounds[index], weight)
        else:
            _box_weights(origin, self._outline()[index], weight)
        total = weight.sum(axis=(1, 2), dtype=np.float64)
        weight /= np.where(total > 0, total, 1.0)[:, None, None].astype(np.float32)
        return Footprints(origin, weight)

    def _outline(self) -> np.ndarray:
        """Four corners around each spot, (n_spot, 4, 2) px: the box itself, or what the Gaussian reaches."""
        if self.kind == "gaussian":
            reach = _GAUSSIAN_REACH * self.size / FWHM_PER_SIGMA
            around = reach * np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)])
            corners = self.centres()[:, None, :] + around
        else:
            half = 0.5 * self.size
            around = half * np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)])
            corners = np.stack([self._mapped(offset) for offset in around], axis=1)
        return np.round(corners, _SNAP)

    def _mapped(self, offset: np.ndarray) -> np.ndarray:
        rows, columns = np.mgrid[: self.spots[0], : self.spots[1]]
        points = np.stack([rows.ravel() + offset[0], columns.ravel() + offset[1], np.ones(rows.size)])
        y, x, scale = self.transform @ points
        return np.stack([y / scale, x / scale], axis=1)


@functools.lru_cache(maxsize=_WINDOWS_KEPT)
def _windows(
    transform: bytes, spots: tuple[int, int], shape: tuple[int, int], kind: str, size: float
) -> np.ndarray:
    """`Beam.windows` of a beam: every task of a tile asks for those of all spots."""
    beam = Beam(np.frombuffer(transform).reshape(3, 3), spots, shape, kind, size)
    corners = beam._outline()
    low = np.floor(corners.min(axis=1)).astype(np.int64)
    high = np.ceil(corners.max(axis=1)).astype(np.int64)
    most = np.asarray(shape)
    low, high = np.clip(low, 0, most - 1), np.clip(high, 1, most)
    return np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], axis=1).astype(np.int32)


@dataclass(frozen=True)
class Footprints:
    """Rows of S for some spots, as windows of weights."""

    origin: np.ndarray
    """int32 (n_spot, 2): first pixel (y, x) of each window, in px of the whole grid."""
    weight: np.ndarray
    """float32 (n_spot, wy, wx): each window sums to one."""


def touching(windows: np.ndarray, bounds: Bounds) -> np.ndarray:
    """Flat indices of the spots whose window meets `bounds`, rising."""
    y0, y1, x0, x1 = bounds
    meets = (windows[:, 0] < y1) & (windows[:, 1] > y0) & (windows[:, 2] < x1) & (windows[:, 3] > x0)
    return np.flatnonzero(meets)


def covering(windows: np.ndarray, bounds: Bounds) -> Bounds:
    """`bounds` grown to hold every window among `windows` that meets it: what S^T S reaches in one step."""
    hit = windows[touching(windows, bounds)]
    if not len(hit):
        return bounds
    y0, y1, x0, x1 = bounds
    return (
        min(y0, int(hit[:, 0].min())),
        max(y1, int(hit[:, 1].max())),
        min(x0, int(hit[:, 2].min())),
        max(x1, int(hit[:, 3].max())),
    )


def needed_bounds(
    core: Bounds, windows: Sequence[np.ndarray], *, steps: int, margin: int, shape: tuple[int, int]
) -> list[Bounds]:
    """What each abundance step must hold so that `core` is right after all of them.

    Parameters
    ----------
    core : Bounds
        Pixels that must be right in the end.
    windows : sequence of int arrays (n_spot, 4)
        `Beam.windows` of every patch.
    steps : int
        Number of steps in one visit.
    margin : int
        Further px one step looks aside: 1 with the smoothness term, else 0.
    shape : (ny, nx)
        The painting; nothing outside it is ever needed.

    Returns
    -------
    list of `steps` + 1 Bounds
        The last must be read; step i (from 1) updates entry ``steps - i``.
    """
    out = [core]
    for _ in range(steps):
        y0, y1, x0, x1 = now = out[-1]
        grown = (y0 - margin, y1 + margin, x0 - margin, x1 + margin)
        reach = [covering(patch, now) for patch in windows] + [grown]
        out.append(
            (
                max(0, min(r[0] for r in reach)),
                min(shape[0], max(r[1] for r in reach)),
                max(0, min(r[2] for r in reach)),
                min(shape[1], max(r[3] for r in reach)),
            )
        )
    return out


def downsample(A: np.ndarray, footprints: Footprints, *, corner: tuple[int, int] = (0, 0)) -> np.ndarray:
    """S A for some spots.

    Parameters
    ----------
    A : float32 array of shape (ny, nx, n)
        Values of a tile whose first pixel is `corner` of the grid; it holds every window whole.
    footprints : Footprints
    corner : (y, x)

    Returns
    -------
    float32 array of shape (n_spot, n)
    """
    out = np.zeros((len(footprints.origin), A.shape[2]), np.float32)
    _downsample(A, footprints.origin - np.asarray(corner, np.int32), footprints.weight, out)
    return out


def downsample_adjoint(
    R: np.ndarray, footprints: Footprints, shape: tuple[int, int], *, corner: tuple[int, int] = (0, 0)
) -> np.ndarray:
    """S^T R on a tile of `shape` (ny, nx) px that begins at `corner`; R is (n_spot, n).

    Returns
    -------
    float32 array of shape (ny, nx, n); what falls outside the tile is dropped.
    """
    out = np.zeros((*shape, R.shape[1]), np.float32)
    origin = footprints.origin - np.asarray(corner, np.int32)
    _add_adjoint(np.ascontiguousarray(R, np.float32), origin, footprints.weight, out)
    return out


@njit(cache=True, nogil=True)
def _downsample(A, origin, weight, out):  # type: ignore[no-untyped-def]
    n_spot, wy, wx = weight.shape
    for s in range(n_spot):
        for dy in range(wy):
            y = origin[s, 0] + dy
            for dx in range(wx):
                w = weight[s, dy, dx]
                if w != 0.0:
                    row = A[y, origin[s, 1] + dx]
                    for k in range(out.shape[1]):
                        out[s, k] += w * row[k]


@njit(cache=True, nogil=True)
def _add_adjoint(R, origin, weight, out):  # type: ignore[no-untyped-def]
    """Add S^T R to what `out` holds of it, spot by spot."""
    n_spot, wy, wx = weight.shape
    for s in range(n_spot):
        for dy in range(wy):
            y = origin[s, 0] + dy
            if y < 0 or y >= out.shape[0]:
                continue
            for dx in range(wx):
                x = origin[s, 1] + dx
                w = weight[s, dy, dx]
                if w != 0.0 and x >= 0 and x < out.shape[1]:
                    for k in range(R.shape[1]):
                        out[y, x, k] += w * R[s, k]


@njit(cache=True, nogil=True)
def _clip(points, n, axis, limit, sign, out):  # type: ignore[no-untyped-def]
    """Part of a convex polygon with ``sign * (coordinate - limit) >= 0`` (Sutherland-Hodgman); its size."""
    m = 0
    for i in range(n):
        j = i + 1 if i + 1 < n else 0
        a = sign * (points[i, axis] - limit)
        b = sign * (points[j, axis] - limit)
        if a >= 0:
            out[m, 0], out[m, 1] = points[i, 0], points[i, 1]
            m += 1
        if (a > 0 and b < 0) or (a < 0 and b > 0):
            t = a / (a - b)
            out[m, 0] = points[i, 0] + t * (points[j, 0] - points[i, 0])
            out[m, 1] = points[i, 1] + t * (points[j, 1] - points[i, 1])
            m += 1
    return m


@njit(cache=True, nogil=True)
def _area(points, n):  # type: ignore[no-untyped-def]
    twice = 0.0
    for i in range(n):
        j = i + 1 if i + 1 < n else 0
        twice += points[i, 0] * points[j, 1] - points[j, 0] * points[i, 1]
    return abs(twice) * 0.5


@njit(cache=True, nogil=True)
def _box_weights(origin, corners, weight):  # type: ignore[no-untyped-def]
    """Area that each pixel of the window shares with the spot's quadrilateral."""
    n_spot, wy, wx = weight.shape
    band, row, half, cut = np.empty((12, 2)), np.empty((12, 2)), np.empty((12, 2)), np.empty((12, 2))
    for s in range(n_spot):
        for dy in range(wy):
            y = origin[s, 0] + dy
            n_band = _clip(corners[s], 4, 0, float(y), 1.0, band)
            n_row = _clip(band, n_band, 0, float(y + 1), -1.0, row)
            if n_row < 3:
                continue
            for dx in range(wx):
                x = origin[s, 1] + dx
                n_half = _clip(row, n_row, 1, float(x), 1.0, half)
                n_cut = _clip(half, n_half, 1, float(x + 1), -1.0, cut)
                if n_cut >= 3:
                    weight[s, dy, dx] = _area(cut, n_cut)


@njit(cache=True, nogil=True)
def _gaussian_weights(origin, centres, sigma, bounds, weight):  # type: ignore[no-untyped-def]
    """Integral of a round Gaussian over each pixel of the spot's own bounds: a product of erf differences."""
    n_spot, wy, wx = weight.shape
    scale = 1.0 / (sigma * math.sqrt(2.0))
    for s in range(n_spot):
        for dy in range(wy):
            y = origin[s, 0] + dy
            if y < bounds[s, 0] or y >= bounds[s, 1]:
                continue
            gy = math.erf((y + 1 - centres[s, 0]) * scale) - math.erf((y - centres[s, 0]) * scale)
            for dx in range(wx):
                x = origin[s, 1] + dx
                if x < bounds[s, 2] or x >= bounds[s, 3]:
                    continue
                gx = math.erf((x + 1 - centres[s, 1]) * scale) - math.erf((x - centres[s, 1]) * scale)
                weight[s, dy, dx] = gy * gx
