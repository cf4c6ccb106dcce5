"""The abundance step (15) of Algorithm 1 on one tile, fused: one pass over its pixels, nothing of size B.

With D fixed the data speak only through ``C = X Dnv^T`` and two small Grams (M1). One step is

    Vv  = Av  - (1/dv)  (Av Drgb - I) Drgb^T                                                (15a)
    Vnv = Anv - (1/dnv) [ S^T g (g (S Anv Kn + S Av Kvn) - C) + lam L Anv Kn ]              (15b)
    [Av, Anv] = prox([Vv, Vnv])                                                             (15c)

with ``Kn = Dnv Dnv^T``, ``Kvn = Dv Dnv^T`` and g the patch's gain (M3). A row of A holds the visible
abundances first, then the hidden ones. Every pixel is computed in one order of operations, so its bits do
not depend on the tile it is in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

from xrfsr_dask.kernels.projection import FAST, rescale_row, simplex_row
from xrfsr_dask.kernels.sampling import Bounds, Footprints, add_adjoint, downsample, touching

STRIP = 50
"""Pixels of one row of the grid whose M x M products are one call."""


@dataclass(frozen=True)
class StepMatrices:
    """The small matrices one abundance step needs, float32."""

    Drgb: np.ndarray
    """(n_v, n_band) colours of the visible endmembers."""
    Kn: np.ndarray
    """(n_nv, n_nv) Dnv Dnv^T."""
    Kvn: np.ndarray
    """(n_v, n_nv) Dv Dnv^T."""
    inv_dv: float
    """1 / dv, the visible step size."""
    inv_dnv: float
    """1 / dnv, the hidden step size."""
    lam: float
    """lambda of (9)."""
    exact: bool
    """Project exactly onto the simplex, else the paper's way."""


@dataclass(frozen=True)
class TileSpots:
    """The spots of one patch that a tile can see."""

    footprints: Footprints
    windows: np.ndarray
    """(n_spot, 4) bounds of each window, px of the grid."""
    C: np.ndarray
    """(n_spot, n_nv) float32: counts against the hidden endmembers, X Dnv^T."""
    gain: float


def step_matrices(
    Kn: np.ndarray, Kvn: np.ndarray, Drgb: np.ndarray, *, lam: float, gamma: float, exact: bool
) -> StepMatrices:
    """Step sizes of (15): dv = gamma |Drgb^T Drgb|_F, dnv = gamma |Dnv Dnv^T|_F; the rest is passed on."""
    return StepMatrices(
        Drgb=np.ascontiguousarray(Drgb, np.float32),
        Kn=np.ascontiguousarray(Kn, np.float32),
        Kvn=np.ascontiguousarray(Kvn, np.float32),
        inv_dv=_inverse(gamma * float(np.linalg.norm(Drgb.T @ Drgb))),
        inv_dnv=_inverse(gamma * float(np.linalg.norm(Kn))),
        lam=lam,
        exact=exact,
    )


def abundance_steps(
    A: np.ndarray,
    photo: np.ndarray,
    spots: Sequence[TileSpots],
    matrices: StepMatrices,
    regions: Sequence[Bounds],
    *,
    shape: tuple[int, int],
) -> np.ndarray:
    """Take ``len(regions) - 1`` abundance steps on one tile.

    Parameters
    ----------
    A : float32 array of shape (ny, nx, n_v + n_nv)
        Abundances of ``regions[-1]``; overwritten.
    photo : float32 array of shape (ny, nx, n_band)
        Linear light in [0, 1], of ``regions[-1]``.
    spots : one `TileSpots` per patch, in a fixed order
    matrices : StepMatrices
    regions : as `needed_bounds` gives them
    shape : (ny, nx) of the whole painting

    Returns
    -------
    float32 array of shape (ny, nx, n_v + n_nv)
        Right on ``regions[0]``; elsewhere not to be used.
    """
    assert A.shape[2] == len(matrices.Drgb) + len(matrices.Kn), "abundances and dictionaries do not fit"
    corner = regions[-1][0], regions[-1][2]
    now, new = A, np.empty_like(A)
    for bounds in reversed(regions[:-1]):
        _one_step(now, new, photo, spots, matrices, bounds, corner, shape)
        now, new = new, now
    return now


def _one_step(
    A: np.ndarray,
    out: np.ndarray,
    photo: np.ndarray,
    spots: Sequence[TileSpots],
    m: StepMatrices,
    bounds: Bounds,
    corner: tuple[int, int],
    shape: tuple[int, int],
) -> None:
    inside = bounds[0] - corner[0], bounds[1] - corner[0], bounds[2] - corner[1], bounds[3] - corner[1]
    n_v = len(m.Drgb)
    out[inside[0] : inside[1], inside[2] : inside[3]] = A[inside[0] : inside[1], inside[2] : inside[3]]
    for patch in spots:
        near = touching(patch.windows, bounds)
        some = Footprints(patch.footprints.origin[near], patch.footprints.weight[near])
        SA = downsample(A, some, corner=corner)
        step = np.empty((len(near), len(m.Kn)), np.float32)
        _residual_step(SA, patch.C[near], m.Kn, m.Kvn, patch.gain, m.inv_dnv, step)
        add_adjoint(step, some.origin - np.asarray(corner, np.int32), some.weight, n_v, inside, out)
    colours = np.ascontiguousarray(m.Drgb.T)
    smooth = np.float32(m.lam * m.inv_dnv)
    edge = (-corner[0], shape[0] - corner[0], -corner[1], shape[1] - corner[1])
    _pixels(A, out, photo, colours, m.Kn, np.float32(m.inv_dv), smooth, inside, edge, corner[1], m.exact)


@njit(cache=True, nogil=True, fastmath=FAST)
def _residual_step(SA, C, Kn, Kvn, gain, inv_dnv, out):  # type: ignore[no-untyped-def]
    """-(1/dnv) g (g (S Anv Kn + S Av Kvn) - C), row by row."""
    n_v, n_nv = Kvn.shape
    g, scale = np.float32(gain), np.float32(-gain * inv_dnv)
    for s in range(SA.shape[0]):
        row = out[s]
        row[:] = 0.0
        for j in range(n_v):
            a = SA[s, j]
            if a != 0.0:
                for k in range(n_nv):
                    row[k] += a * Kvn[j, k]
        for j in range(n_nv):
            a = SA[s, n_v + j]
            if a != 0.0:
                for k in range(n_nv):
                    row[k] += a * Kn[j, k]
        for k in range(n_nv):
            row[k] = scale * (g * row[k] - C[s, k])


@njit(cache=True, nogil=True, fastmath=FAST)
def _pixels(A, out, photo, colours, Kn, inv_dv, smooth, inside, edge, origin_x, exact):  # type: ignore[no-untyped-def]
    """Add the colour and smoothness gradients to each pixel of `out` and project its row.

    Pixels are taken in strips that begin at multiples of `STRIP` of the whole grid, so that a pixel has the
    same place in its M x M product, and so the same bits, in any tile.
    """
    n_v, n_nv = colours.shape[1], Kn.shape[0]
    lap = np.zeros((STRIP, n_nv), np.float32)
    pull = np.zeros((STRIP, n_nv), np.float32)
    first = inside[2] - (origin_x + inside[2]) % STRIP
    for y in range(inside[0], inside[1]):
        for x0 in range(first, inside[3], STRIP):
            low, high = max(x0, inside[2]), min(x0 + STRIP, inside[3])
            rough = smooth > 0.0 and _laplacian(A, y, x0, low, high, n_v, edge, lap)
            if rough:
                np.dot(lap, Kn, pull)
            for x in range(low, high):
                a, row = A[y, x], out[y, x]
                _colour_step(a, row, photo[y, x], colours, inv_dv)
                if rough:
                    for k in range(n_nv):
                        row[n_v + k] -= smooth * pull[x - x0, k]
                if exact:
                    simplex_row(row)
                else:
                    rescale_row(row)


@njit(cache=True, nogil=True, fastmath=FAST, inline="always")
def _laplacian(A, y, x0, low, high, n_v, edge, out):  # type: ignore[no-untyped-def]
    """Rows of L Anv for the pixels low <= x < high of one strip; whether any is not zero."""
    n_nv = out.shape[1]
    total = np.float32(0.0)
    for x in range(low, high):
        here, row = A[y, x], out[x - x0]
        for k in range(n_nv):
            row[k] = 0.0
        for side in range(4):
            yy = y + (side == 0) - (side == 1)
            xx = x + (side == 2) - (side == 3)
            if yy >= edge[0] and yy < edge[1] and xx >= edge[2] and xx < edge[3]:
                other = A[yy, xx]
                for k in range(n_nv):
                    row[k] += here[n_v + k] - other[n_v + k]
        for k in range(n_nv):
            total += abs(row[k])  # not its square, which could vanish by underflow
    return total > 0.0


@njit(cache=True, nogil=True, fastmath=FAST, inline="always")
def _colour_step(a, row, colour, colours, inv_dv):  # type: ignore[no-untyped-def]
    """-(1/dv) (Av Drgb - I) Drgb^T of one pixel, at rank n_band."""
    n_band, n_v = colours.shape
    for b in range(n_band):
        error = -colour[b]
        for k in range(n_v):
            error += a[k] * colours[b, k]
        error *= inv_dv
        for k in range(n_v):
            row[k] -= error * colours[b, k]


def _inverse(value: float) -> float:
    return 1.0 / value if value > 0 else 0.0
