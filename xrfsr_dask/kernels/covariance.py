"""How alike two places of a picture are by their distance, where a place may be a spot.

A spot is a mean over its footprint. Its covariance is the point law averaged over the footprint, once with a
pixel and twice with another spot. It is averaged over all directions too, so that it depends on distance alone,
whichever way a patch is turned (which keeps it positive definite), and tabulated.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit

from xrfsr_dask.kernels.projection import FAST

KINDS = ("exponential", "matern32", "matern52", "wide")
"""Laws of correlation by their name; ``"wide"``: half a Matérn 3/2 of this reach and half one of four times as
much, for pictures that are rough and smooth at once."""

_ENTRIES, _FARTHEST = 3072, 60.0  # of a table; distances in steps
_PER_ROOT = np.float32((_ENTRIES - 1) / np.sqrt(_FARTHEST))
"""Entries lie evenly in the root of the distance: dense where the law bends, and found without a logarithm."""
_NODES, _NODES_FAR, _DIRECTIONS = 8, 4, 6
_NEAR = 2.5  # spots, beyond which the law has no kink under two of them, and few nodes do


def point_correlation(kind: str, d: np.ndarray) -> np.ndarray:
    """k(d) of two points, d in reaches; 1 at 0 (Rasmussen and Williams 2006, section 4.2)."""
    if kind == "exponential":
        return np.asarray(np.exp(-d))
    if kind == "wide":
        return 0.5 * (point_correlation("matern32", d) + point_correlation("matern32", 0.25 * d))
    root = np.sqrt(3.0 if kind == "matern32" else 5.0) * d
    square = 0.0 if kind == "matern32" else root**2 / 3
    return np.asarray((1 + root + square) * np.exp(-root))


def correlation(
    P: np.ndarray, Q: np.ndarray, kind: str, reach: float, *, size: float, spots: int
) -> np.ndarray:
    """Mean correlation of what lies at places P and Q.

    Parameters
    ----------
    P, Q : float32 arrays of shape (n, 2), (m, 2)
        Centres, in steps of the scan.
    kind : str
        One of `KINDS`.
    reach : float
        Steps.
    size : float
        Side of a square spot, steps; of one as wide as the footprint where that is no square.
    spots : {0, 1, 2}
        How many of the two sides are spots; the others are points.

    Returns
    -------
    float32 (n, m)
    """
    out = np.empty((len(P), len(Q)), np.float32)
    _looked_up(P, Q, _table(kind, float(reach), float(size), spots), _PER_ROOT, out)
    return out


@lru_cache(maxsize=256)
def _table(kind: str, reach: float, size: float, spots: int) -> np.ndarray:
    """Correlation at distances ``(i / per_root) ** 2``, float32 (n,)."""
    d, out = np.square(np.arange(_ENTRIES) / float(_PER_ROOT)), np.empty(_ENTRIES, np.float32)
    near = d < _NEAR * size
    for part, nodes in ((near, _NODES), (~near, _NODES_FAR)):
        out[part] = _averaged(kind, reach, size, spots, d[part], nodes)
    return out


def _averaged(kind: str, reach: float, size: float, spots: int, d: np.ndarray, n_node: int) -> np.ndarray:
    """Mean correlation at distances (n,) by Gauss and Legendre over the squares, and over directions."""
    nodes, weights = np.polynomial.legendre.leggauss(n_node)
    offset, weight = 0.5 * size * nodes, 0.5 * weights
    if spots == 0:
        offset, weight = np.zeros(1), np.ones(1)
    if spots == 2:  # the difference of two offsets along each axis
        apart = np.round(np.subtract.outer(offset, offset).ravel(), 9)
        offset, place = np.unique(apart, return_inverse=True)
        weight = np.bincount(place, weights=np.multiply.outer(weight, weight).ravel()).astype(np.float64)
    total = np.zeros(len(d))
    for angle in (np.arange(_DIRECTIONS) + 0.5) * (np.pi / 4) / _DIRECTIONS:
        y, x = d * np.sin(angle), d * np.cos(angle)
        for dy, wy in zip(offset, weight, strict=True):
            square = (y + dy)[:, None] ** 2 + (x[:, None] + offset) ** 2
            total += wy * (point_correlation(kind, np.sqrt(square) / reach) @ weight)
    return total / _DIRECTIONS


@njit(cache=True, nogil=True, fastmath=FAST)
def _looked_up(P, Q, table, per_root, out):  # type: ignore[no-untyped-def]
    last, farthest = np.int32(len(table) - 2), np.float32(len(table) - 1)
    for i in range(P.shape[0]):
        y, x = P[i, 0], P[i, 1]
        for j in range(Q.shape[0]):
            dy, dx = y - Q[j, 0], x - Q[j, 1]
            at = min(np.sqrt(np.sqrt(dy * dy + dx * dx)) * per_root, farthest)
            k = min(np.int32(at), last)
            out[i, j] = table[k] + (at - np.float32(k)) * (table[k + 1] - table[k])
