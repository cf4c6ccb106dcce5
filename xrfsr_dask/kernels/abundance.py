"""The abundance step (15) of Algorithm 1 on one tile, band by band of its rows, nothing of size B.

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

from xrfsr_dask.kernels.projection import FAST, IN_ORDER, rescale_row, simplex_rows
from xrfsr_dask.kernels.sampling import Bounds, Footprints, add_adjoint, downsample, touching

ROWS, STRIP = 5, 50
"""Rows and pixels of the grid whose M x M products are one call."""


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
    for bounds in reversed(regions[:-1]):
        _one_step(A, photo, spots, matrices, bounds, corner, shape)
    return A


def _one_step(
    A: np.ndarray,
    photo: np.ndarray,
    spots: Sequence[TileSpots],
    m: StepMatrices,
    bounds: Bounds,
    corner: tuple[int, int],
    shape: tuple[int, int],
) -> None:
    inside = bounds[0] - corner[0], bounds[1] - corner[0], bounds[2] - corner[1], bounds[3] - corner[1]
    edge = (-corner[0], shape[0] - corner[0], -corner[1], shape[1] - corner[1])
    n_v, smooth = len(m.Drgb), np.float32(m.lam * m.inv_dnv)
    colours, inv_dv = np.ascontiguousarray(m.Drgb.T), np.float32(m.inv_dv)
    residuals = [_residuals(A, patch, m, bounds, corner) for patch in spots]
    first, left = inside[0] - (corner[0] + inside[0]) % ROWS, inside[2] - (corner[1] + inside[2]) % STRIP
    near = slice(max(0, inside[2] - 1), inside[3] + 1)
    old = np.empty((ROWS + 2, *A.shape[1:]), A.dtype)  # the rows of a band and those beside it, as they were
    for y0 in range(first, inside[1], ROWS):
        band = max(y0, inside[0]), min(y0 + ROWS, inside[1]), inside[2], inside[3]
        known = 0 if y0 == first else 2
        old[:known, near] = old[ROWS : ROWS + known, near]
        low, high = max(0, y0 - 1 + known), min(len(A), y0 + ROWS + 1)
        old[low - y0 + 1 : high - y0 + 1, near] = A[low:high, near]
        for windows, some, step in residuals:
            at = touching(windows, band)
            add_adjoint(step[at], some.origin[at], some.weight[at], n_v, band, A)
        _pixels(old, A, photo, colours, m.Kn, inv_dv, smooth, band, edge, (y0, left), m.exact)


def _residuals(
    A: np.ndarray, patch: TileSpots, m: StepMatrices, bounds: Bounds, corner: tuple[int, int]
) -> tuple[np.ndarray, Footprints, np.ndarray]:
    """Windows and footprints, in px of the tile, of the spots that `bounds` can see, and what they pull at."""
    near = touching(patch.windows, bounds)
    some = Footprints(patch.footprints.origin[near], patch.footprints.weight[near])
    SA = downsample(A, some, corner=corner)
    step = np.empty((len(near), len(m.Kn)), np.float32)
    _residual_step(SA, patch.C[near], m.Kn, m.Kvn, patch.gain, m.inv_dnv, step)
    origin = some.origin - np.asarray(corner, np.int32)
    return patch.windows[near] - np.repeat(corner, 2), Footprints(origin, some.weight), step


@njit(cache=True, nogil=True, fastmath=FAST)
def _residual_step(SA, C, Kn, Kvn, gain, inv_dnv, out):  # type: ignore[no-untyped-def]
    """-(1/dnv) g (g (S Anv Kn + S Av Kvn) - C), row by row: no spot has a place of its own in a product."""
    g, scale = np.float32(gain), np.float32(-gain * inv_dnv)
    K = np.concatenate((Kvn, Kn))
    for s in range(SA.shape[0]):
        row = out[s]
        row[:] = 0.0
        _add_rows(SA[s], K, row)
        for k in range(row.size):
            row[k] = scale * (g * row[k] - C[s, k])


@njit(cache=True, nogil=True, fastmath=FAST)
def _add_rows(a, K, row):  # type: ignore[no-untyped-def]
    """Add a @ K to a row, four rows of K at a time; where all four entries of a are 0 they are passed over."""
    whole = a.size // 4 * 4
    for j in range(0, whole, 4):
        p, q, r, s = a[j], a[j + 1], a[j + 2], a[j + 3]
        if p != 0.0 or q != 0.0 or r != 0.0 or s != 0.0:
            for k in range(row.size):
                row[k] += (p * K[j, k] + q * K[j + 1, k]) + (r * K[j + 2, k] + s * K[j + 3, k])
    for j in range(whole, a.size):
        for k in range(row.size):
            row[k] += a[j] * K[j, k]


@njit(cache=True, nogil=True, fastmath=FAST)
def _pixels(old, out, photo, colours, Kn, inv_dv, smooth, band, edge, first, exact):  # type: ignore[no-untyped-def]
    """Take the colour and smoothness gradients off the pixels of a band of `out` and project them.

    `old` holds the abundances as they were before the step, from the row above `first`.

    They are taken in rectangles that begin at multiples of `ROWS` and `STRIP` of the whole grid, so that a
    pixel has the same place in its M x M product, and so the same bits, in any tile. Each pass over a rectangle
    is a function of its own, for of one with all arrays the compiler makes no vectors.
    """
    n_v = colours.shape[1]
    lap = np.zeros((ROWS * STRIP, len(Kn)), np.float32)
    pull = np.empty((ROWS * STRIP, len(Kn)), np.float32)
    for x0 in range(first[1], band[3], STRIP):
        part = band[0], band[1], max(x0, band[2]), min(x0 + STRIP, band[3])
        corner = first[0], x0
        _colour_steps(old, out, photo, colours, inv_dv, part, first[0])
        if smooth > 0.0 and _laplacians(old, part, corner, n_v, edge, lap):
            np.dot(lap, Kn, pull)
            _subtract(out, pull, smooth, part, corner, n_v)
        if exact:
            _onto_simplex(out, part)
        else:
            _rescale(out, part)


@njit(cache=True, nogil=True, fastmath=FAST)
def _laplacians(old, part, corner, n_v, edge, out):  # type: ignore[no-untyped-def]
    """Rows of L Anv for the pixels of a rectangle; whether any is not zero."""
    rough = False
    for y in range(part[0], part[1]):
        row = out[(y - corner[0]) * STRIP : (y - corner[0] + 1) * STRIP]
        rough = _laplacian(old, y, corner, part[2], part[3], n_v, edge, row) or rough
    return rough


@njit(cache=True, nogil=True, fastmath=FAST)
def _subtract(out, pull, smooth, part, corner, n_v):  # type: ignore[no-untyped-def]
    for y in range(part[0], part[1]):
        for x in range(part[2], part[3]):
            row, own = out[y, x], pull[(y - corner[0]) * STRIP + x - corner[1]]
            for k in range(pull.shape[1]):
                row[n_v + k] -= smooth * own[k]


@njit(cache=True, nogil=True, fastmath=FAST)
def _colour_steps(old, out, photo, colours, inv_dv, part, first):  # type: ignore[no-untyped-def]
    for y in range(part[0], part[1]):
        for x in range(part[2], part[3]):
            _colour_step(old[y - first + 1, x], out[y, x], photo[y, x], colours, inv_dv)


@njit(cache=True, nogil=True, fastmath=FAST)
def _onto_simplex(out, part):  # type: ignore[no-untyped-def]
    spare = np.zeros((3, out.shape[2]), np.float32)
    for y in range(part[0], part[1]):
        simplex_rows(out[y], part[2], part[3], spare)


@njit(cache=True, nogil=True, fastmath=IN_ORDER)
def _rescale(out, part):  # type: ignore[no-untyped-def]
    for y in range(part[0], part[1]):
        for x in range(part[2], part[3]):
            rescale_row(out[y, x])


@njit(cache=True, nogil=True, fastmath=FAST, inline="always")
def _laplacian(old, y, corner, low, high, n_v, edge, out):  # type: ignore[no-untyped-def]
    """Rows of L Anv for the pixels low <= x < high of one strip; whether any is not zero."""
    n_nv, four, at, x0 = out.shape[1], np.float32(4.0), y - corner[0] + 1, corner[1]
    total = np.float32(0.0)
    for x in range(low, high):
        here, row = old[at, x, n_v:], out[x - x0]
        if (
            y > edge[0] and y + 1 < edge[1] and x > edge[2] and x + 1 < edge[3]
        ):  # in one loop, as nearly all are
            up, down = old[at - 1, x, n_v:], old[at + 1, x, n_v:]
            left, right = old[at, x - 1, n_v:], old[at, x + 1, n_v:]
            for k in range(n_nv):
                row[k] = four * here[k] - (up[k] + down[k]) - (left[k] + right[k])
        else:
            for k in range(n_nv):
                row[k] = 0.0
            for side in range(4):
                yy = y + (side == 0) - (side == 1)
                xx = x + (side == 2) - (side == 3)
                if yy >= edge[0] and yy < edge[1] and xx >= edge[2] and xx < edge[3]:
                    other = old[yy - y + at, xx, n_v:]
                    for k in range(n_nv):
                        row[k] += here[k] - other[k]
        for k in range(n_nv):
            total += abs(row[k])  # not its square, which could vanish by underflow
    return total > 0.0


@njit(cache=True, nogil=True, fastmath=FAST, inline="always")
def _colour_step(a, row, colour, colours, inv_dv):  # type: ignore[no-untyped-def]
    """-(1/dv) (Av Drgb - I) Drgb^T of one pixel, at rank n_band."""
    n_band, n_v = colours.shape
    if n_band == 3:  # the usual one, in two loops
        red, green, blue = colours[0], colours[1], colours[2]
        r, g, b = -colour[0], -colour[1], -colour[2]
        for k in range(n_v):
            r += a[k] * red[k]
            g += a[k] * green[k]
            b += a[k] * blue[k]
        r, g, b = inv_dv * r, inv_dv * g, inv_dv * b
        for k in range(n_v):
            row[k] -= r * red[k] + g * green[k] + b * blue[k]
        return
    for b in range(n_band):
        error = -colour[b]
        for k in range(n_v):
            error += a[k] * colours[b, k]
        error *= inv_dv
        for k in range(n_v):
            row[k] -= error * colours[b, k]


def _inverse(value: float) -> float:
    return 1.0 / value if value > 0 else 0.0
