"""Departures from the colour map that end at edges: a field flat but for jumps, from the means under spots.

    minimise  sum_i |e_i - (S d)_i|^2 / w_i  +  lam sum over neighbours of log(1 + |d_x - d_y|^2 / eps^2)   (J3)

The logarithm charges an edge for being there and little for its height, so jumps stay sharp and lie where the
means of the spots they cross put them; the length runs over all scores, so they jump together. Solved by
reweighted least squares (each a quadratic that lies above (J3)), from wide eps to narrow (graduated
non-convexity: Blake and Zisserman 1987). The start matters: it must be steepest where the edges are, as a
co-kriged field is. A start that a quadratic smoother made is steepest between spots, and its edges stay there.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from xrfsr_dask.kernels.projection import FAST
from xrfsr_dask.kernels.sampling import Footprints

_ROUNDS = 8
_STEPS = 400  # of conjugate gradients in each round, at most
_ENOUGH = 0.01  # of the noise variance: square of what a round leaves, scaled by the diagonal
_NARROW = 1.0  # the last eps^2, in variances of the noise
_WIDE = 0.9  # quantile of the start's squared differences that is the first eps^2
_LAM = 1.0

Runs = tuple[np.ndarray, np.ndarray, np.ndarray]


def sharpened(
    e: np.ndarray, variance: np.ndarray, footprints: Footprints, start: np.ndarray, *, lam: float = _LAM
) -> np.ndarray:
    """Minimise (J3) on one rectangle of pixels.

    Parameters
    ----------
    e : float array of shape (n_spot, k)
        What the spots see of the field, in standard deviations of the noise of each score.
    variance : float array of shape (n_spot,)
        w, relative to the noise of an average spot.
    footprints : Footprints
        Of the spots, in px of the rectangle, inside it.
    start : float array of shape (ny, nx, k)
        A smooth estimate of the field.
    lam : float
        Price of an edge.

    Returns
    -------
    float32 array of shape (ny, nx, k)
    """
    d = np.ascontiguousarray(np.moveaxis(np.asarray(start, np.float64), 2, 0))
    certainty = 1.0 / np.asarray(variance, np.float64)
    seen = _runs(footprints, d.shape[2])
    right, diagonal = np.zeros_like(d), np.zeros((1, *d.shape[1:]))
    for score, values in zip(right, np.asarray(e, np.float64).T, strict=True):
        _spread(values * certainty, *seen, score.reshape(-1))
    _spread(certainty, *seen[:2], np.square(seen[2]), diagonal.reshape(-1))
    for eps2 in _schedule(d):
        down, across = (lam / (jumps + eps2) for jumps in _jumps(d))
        d = _conjugate_gradients(d, right, certainty, seen, down, across, diagonal[0])
    return np.moveaxis(d, 0, 2).astype(np.float32)


def _jumps(d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared differences of pixels (k, ny, nx) to those below (ny - 1, nx) and to the right (ny, nx - 1)."""
    return np.square(np.diff(d, axis=1)).sum(axis=0), np.square(np.diff(d, axis=2)).sum(axis=0)


def _schedule(d: np.ndarray) -> np.ndarray:
    jumps = np.concatenate([jumps.ravel() for jumps in _jumps(d)])
    wide = float(np.quantile(jumps, _WIDE)) if len(jumps) else _NARROW
    return np.geomspace(max(wide, 4.0 * _NARROW), _NARROW, _ROUNDS)


def _runs(footprints: Footprints, nx: int) -> Runs:
    """What spots see, without the zeros around it, as runs along rows of a rectangle `nx` px wide.

    Returns
    -------
    pixel : int64 (n_spot, n_row)
        The first pixel of each run, counted row by row.
    start : int64 (n_spot * n_row + 1,)
        Where each run's weights begin, and the last one's end.
    weight : float64 (n_weight,)
    """
    there = footprints.weight != 0
    first = there.argmax(axis=2)
    last = np.where(there.any(axis=2), there.shape[2] - there[..., ::-1].argmax(axis=2), 0)
    length = np.maximum(last - first, 0)
    within = np.arange(there.shape[2])
    inside = (within >= first[..., None]) & (within < last[..., None])
    origin = footprints.origin.astype(np.int64)
    rows = origin[:, :1] + np.arange(there.shape[1])
    pixel = rows * nx + origin[:, 1:] + first
    return pixel, np.append(0, np.cumsum(length)), footprints.weight[inside].astype(np.float64)


def _conjugate_gradients(
    d: np.ndarray,
    right: np.ndarray,
    certainty: np.ndarray,
    seen: Runs,
    down: np.ndarray,
    across: np.ndarray,
    diagonal: np.ndarray,
    enough: float = _ENOUGH,
) -> np.ndarray:
    """Towards the minimum of one quadratic, scaled by the diagonal; scores (k, ny, nx) one by one, which are
    independent and stay in the cache."""
    own = diagonal.copy()
    own[:-1] += down
    own[1:] += down
    own[:, :-1] += across
    own[:, 1:] += across
    out, inverse = d.copy(), 1.0 / np.maximum(own, 1e-12)
    for score, wanted in zip(out, right, strict=True):
        _descend(score, wanted, inverse, certainty, *seen, down, across, _STEPS, enough)
    return out


@njit(cache=True, nogil=True, fastmath=FAST)
def _descend(d, right, inverse, certainty, pixel, start, weight, down, across, steps, enough):  # type: ignore[no-untyped-def]
    """Conjugate gradients from d (ny, nx), in place."""
    ny, nx = d.shape
    r, p, image = np.empty_like(d), np.empty_like(d), np.empty_like(d)
    rz = 0.0
    _normal(d, certainty, pixel, start, weight, down, across, image)
    for y in range(ny):
        for x in range(nx):
            r[y, x] = right[y, x] - image[y, x]
            p[y, x] = inverse[y, x] * r[y, x]
            rz += r[y, x] * p[y, x]
    for _ in range(steps):
        if rz <= enough:
            break
        _normal(p, certainty, pixel, start, weight, down, across, image)
        curved, new = 0.0, 0.0
        for y in range(ny):
            for x in range(nx):
                curved += p[y, x] * image[y, x]
        step = rz / max(curved, 1e-300)
        for y in range(ny):
            for x in range(nx):
                d[y, x] += step * p[y, x]
                r[y, x] -= step * image[y, x]
                new += inverse[y, x] * r[y, x] * r[y, x]
        turn = new / max(rz, 1e-300)
        for y in range(ny):
            for x in range(nx):
                p[y, x] = inverse[y, x] * r[y, x] + turn * p[y, x]
        rz = new


@njit(cache=True, nogil=True, fastmath=FAST)
def _spread(values, pixel, start, weight, out):  # type: ignore[no-untyped-def]
    """Add S^T values to out (n_px,)."""
    for s in range(len(values)):
        for row in range(pixel.shape[1]):
            run = s * pixel.shape[1] + row
            for i in range(start[run + 1] - start[run]):
                out[pixel[s, row] + i] += weight[start[run] + i] * values[s]


@njit(cache=True, nogil=True, fastmath=FAST)
def _normal(d, certainty, pixel, start, weight, down, across, out):  # type: ignore[no-untyped-def]
    """(S^T W S + G^T diag G) d."""
    ny, nx = d.shape
    for y in range(ny):
        here, into = d[y], out[y]
        into[:] = 0.0
        if y > 0:
            for x in range(nx):
                into[x] += down[y - 1, x] * (here[x] - d[y - 1, x])
        if y + 1 < ny:
            for x in range(nx):
                into[x] += down[y, x] * (here[x] - d[y + 1, x])
        for x in range(nx - 1):
            into[x] += across[y, x] * (here[x] - here[x + 1])
        for x in range(1, nx):
            into[x] += across[y, x - 1] * (here[x] - here[x - 1])
    flat, into = d.reshape(-1), out.reshape(-1)
    for s in range(len(certainty)):
        seen = 0.0
        for row in range(pixel.shape[1]):
            run = s * pixel.shape[1] + row
            for i in range(start[run + 1] - start[run]):
                seen += weight[start[run] + i] * flat[pixel[s, row] + i]
        seen *= certainty[s]
        for row in range(pixel.shape[1]):
            run = s * pixel.shape[1] + row
            for i in range(start[run + 1] - start[run]):
                into[pixel[s, row] + i] += weight[start[run] + i] * seen
