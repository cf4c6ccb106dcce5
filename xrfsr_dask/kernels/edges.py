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
_STEPS = 120  # of conjugate gradients in each round
_NARROW = 1.0  # the last eps^2, in variances of the noise
_WIDE = 0.9  # quantile of the start's squared differences that is the first eps^2
_LAM = 1.0


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
    d = np.array(start, np.float64)
    origin, weight = footprints.origin.astype(np.int64), footprints.weight.astype(np.float64)
    certainty = 1.0 / np.asarray(variance, np.float64)
    right = np.zeros_like(d)
    _spread(np.ascontiguousarray(e, np.float64) * certainty[:, None], origin, weight, right)
    diagonal = np.zeros((*d.shape[:2], 1))
    _spread(certainty[:, None], origin, np.square(weight), diagonal)
    for eps2 in _schedule(d):
        down = lam / (np.square(np.diff(d, axis=0)).sum(axis=2) + eps2)
        across = lam / (np.square(np.diff(d, axis=1)).sum(axis=2) + eps2)
        d = _conjugate_gradients(d, right, certainty, origin, weight, down, across, diagonal[..., 0])
    return d.astype(np.float32)


def _schedule(d: np.ndarray) -> np.ndarray:
    jumps = np.concatenate([np.square(np.diff(d, axis=axis)).sum(axis=2).ravel() for axis in (0, 1)])
    wide = float(np.quantile(jumps, _WIDE)) if len(jumps) else _NARROW
    return np.geomspace(max(wide, 4.0 * _NARROW), _NARROW, _ROUNDS)


def _conjugate_gradients(
    d: np.ndarray,
    right: np.ndarray,
    certainty: np.ndarray,
    origin: np.ndarray,
    weight: np.ndarray,
    down: np.ndarray,
    across: np.ndarray,
    diagonal: np.ndarray,
) -> np.ndarray:
    """A few steps towards the minimum of one quadratic, all scores at once, scaled by the diagonal."""
    own = diagonal.copy()
    own[:-1] += down
    own[1:] += down
    own[:, :-1] += across
    own[:, 1:] += across
    d, r = d.copy(), np.empty_like(d)
    _descend(d, r, right, 1.0 / np.maximum(own, 1e-12), certainty, origin, weight, down, across, _STEPS)
    return d


@njit(cache=True, nogil=True, fastmath=FAST)
def _descend(d, r, right, inverse, certainty, origin, weight, down, across, steps):  # type: ignore[no-untyped-def]
    """Conjugate gradients from d, in place; r is left as what d does not explain of the right-hand side."""
    ny, nx, n_score = d.shape
    p, image = np.empty_like(d), np.empty_like(d)
    rz, new, curved = np.zeros(n_score), np.zeros(n_score), np.zeros(n_score)
    _normal(d, certainty, origin, weight, down, across, image)
    for y in range(ny):
        for x in range(nx):
            for k in range(n_score):
                r[y, x, k] = right[y, x, k] - image[y, x, k]
                p[y, x, k] = inverse[y, x] * r[y, x, k]
                rz[k] += r[y, x, k] * p[y, x, k]
    for _ in range(steps):
        _normal(p, certainty, origin, weight, down, across, image)
        curved[:] = 0.0
        for y in range(ny):
            for x in range(nx):
                for k in range(n_score):
                    curved[k] += p[y, x, k] * image[y, x, k]
        step = rz / np.maximum(curved, 1e-300)
        new[:] = 0.0
        for y in range(ny):
            for x in range(nx):
                for k in range(n_score):
                    d[y, x, k] += step[k] * p[y, x, k]
                    r[y, x, k] -= step[k] * image[y, x, k]
                    new[k] += inverse[y, x] * r[y, x, k] * r[y, x, k]
        turn = new / np.maximum(rz, 1e-300)
        for y in range(ny):
            for x in range(nx):
                for k in range(n_score):
                    p[y, x, k] = inverse[y, x] * r[y, x, k] + turn[k] * p[y, x, k]
        rz[:] = new


@njit(cache=True, nogil=True, fastmath=FAST)
def _spread(values, origin, weight, out):  # type: ignore[no-untyped-def]
    """Add S^T values to out."""
    n, wy, wx = weight.shape
    for s in range(n):
        for dy in range(wy):
            for dx in range(wx):
                w = weight[s, dy, dx]
                if w != 0.0:
                    for k in range(out.shape[2]):
                        out[origin[s, 0] + dy, origin[s, 1] + dx, k] += w * values[s, k]


@njit(cache=True, nogil=True, fastmath=FAST)
def _normal(d, certainty, origin, weight, down, across, out):  # type: ignore[no-untyped-def]
    """(S^T W S + G^T diag G) d."""
    ny, nx, n_score = d.shape
    out[:] = 0.0
    n, wy, wx = weight.shape
    seen = np.empty(n_score)
    for s in range(n):
        seen[:] = 0.0
        y0, x0 = origin[s, 0], origin[s, 1]
        for dy in range(wy):
            for dx in range(wx):
                w = weight[s, dy, dx]
                if w != 0.0:
                    for k in range(n_score):
                        seen[k] += w * d[y0 + dy, x0 + dx, k]
        seen *= certainty[s]
        for dy in range(wy):
            for dx in range(wx):
                w = weight[s, dy, dx]
                if w != 0.0:
                    for k in range(n_score):
                        out[y0 + dy, x0 + dx, k] += w * seen[k]
    for y in range(ny):
        for x in range(nx):
            for k in range(n_score):
                here = d[y, x, k]
                if y + 1 < ny:
                    flow = down[y, x] * (here - d[y + 1, x, k])
                    out[y, x, k] += flow
                    out[y + 1, x, k] -= flow
                if x + 1 < nx:
                    flow = across[y, x] * (here - d[y, x + 1, k])
                    out[y, x, k] += flow
                    out[y, x + 1, k] -= flow
