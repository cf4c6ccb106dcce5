"""One abundance step on the pixels of a tile, in rectangles that stay in the cache.

A rectangle is read once: smoothness, colours, pulls of the spots, projection, and what the spots see of the
new abundances. Of the old ones only what the rectangles below and to the right still ask for is kept, a row
and a column. Rectangles begin at multiples of `ROWS` and `STRIP` of the whole grid, so that a pixel has the
same place in its M x M product, and so the same bits, in any tile. Each pass over a row is a function of its
own, for of one with all arrays the compiler makes no vectors.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from xrfsr_dask.kernels.abundance_spots import add_pull, add_seen, meeting
from xrfsr_dask.kernels.projection import FAST, IN_ORDER, rescale_row, simplex_rows

ROWS, STRIP = 5, 50
"""Rows and pixels of the grid whose M x M products are one call."""


@njit(cache=True, nogil=True)
def see_all(A, spots, some, bounds, corner, SA):  # type: ignore[no-untyped-def]
    """S A of `some` spots, which see only pixels inside `bounds`, in the order of `take_step`."""
    SA[some] = 0.0
    spare = np.empty((2, some.size), some.dtype)
    top, left = _first(bounds, corner)
    for y0 in range(top, bounds[1], ROWS):
        low, high = max(y0, bounds[0]), min(y0 + ROWS, bounds[1])
        beside = meeting(spots[0], some, 0, low, high, spare[0])
        for x0 in range(left, bounds[3], STRIP):
            part = low, high, max(x0, bounds[2]), min(x0 + STRIP, bounds[3])
            add_seen(A, spots, meeting(spots[0], beside, 2, part[2], part[3], spare[1]), part, SA)


@njit(cache=True, nogil=True)
def take_step(A, photo, matrices, spots, now, R, then, SA, bounds, edge, corner):  # type: ignore[no-untyped-def]
    """One step on the pixels inside `bounds`, in place, and what the spots see after it.

    Parameters
    ----------
    A : float32 array (ny, nx, n_v + n_nv), of the tile
    photo : float32 array (ny, nx, n_band)
    matrices : colours (n_band, n_v), Kn (n_nv, n_nv), 1 / dv, lambda / dnv, and whether to project exactly
    spots : `SeenSpots.footprints`
    now, R : spots that pull, and what they pull at, (n_spot, n_nv)
    then, SA : spots that the next step asks for, and their sums (n_spot, n_v + n_nv), to be overwritten
    bounds, edge : (y0, y1, x0, x1) of the pixels to be updated, and of the painting, px of the tile
    corner : (y, x) of the tile, px of the grid
    """
    colours, Kn, inv_dv, smooth, exact = matrices
    n_v, n_nv = colours.shape[1], len(Kn)
    SA[then] = 0.0
    of_now, of_then = np.empty((2, now.size), now.dtype), np.empty((2, then.size), then.dtype)
    above, before = np.zeros((A.shape[1], n_nv), np.float32), np.zeros((ROWS, n_nv), np.float32)
    rough, pull = np.zeros((ROWS * STRIP, n_nv), np.float32), np.empty((ROWS * STRIP, n_nv), np.float32)
    spare = np.zeros((3, A.shape[2]), np.float32)
    top, left = _first(bounds, corner)
    if bounds[0] > 0:
        above[:] = A[bounds[0] - 1, :, n_v:]
    for y0 in range(top, bounds[1], ROWS):
        low, high = max(y0, bounds[0]), min(y0 + ROWS, bounds[1])
        pulling = meeting(spots[0], now, 0, low, high, of_now[0])
        seeing = meeting(spots[0], then, 0, low, high, of_then[0])
        if bounds[2] > 0:
            before[: high - low] = A[low:high, bounds[2] - 1, n_v:]
        for x0 in range(left, bounds[3], STRIP):
            part = low, high, max(x0, bounds[2]), min(x0 + STRIP, bounds[3])
            smoothed = False
            if smooth > 0.0:
                smoothed = _laplacians(A, above, before, part, (y0, x0), edge, n_v, rough)
                if smoothed:
                    np.dot(rough, Kn, pull)
                above[part[2] : part[3]] = A[high - 1, part[2] : part[3], n_v:]
                before[: high - low] = A[low:high, part[3] - 1, n_v:]
            near = meeting(spots[0], pulling, 2, part[2], part[3], of_now[1])
            for y in range(low, high):
                row, line = A[y, part[2] : part[3]], (y - y0) * STRIP - x0
                _colour_steps(row, photo[y, part[2] : part[3]], colours, inv_dv)
                if smoothed:
                    _subtract(row[:, n_v:], pull[line + part[2] : line + part[3]], smooth)
                add_pull(A[y], y, spots, near, part[2], part[3], R, n_v)
                if exact:
                    _onto_simplex(row, spare)
                else:
                    _rescale(row)
            add_seen(A, spots, meeting(spots[0], seeing, 2, part[2], part[3], of_then[1]), part, SA)


@njit(cache=True, nogil=True, inline="always")
def _first(bounds, corner):  # type: ignore[no-untyped-def]
    """Where the first rectangle that meets `bounds` begins, px of the tile."""
    return bounds[0] - (corner[0] + bounds[0]) % ROWS, bounds[2] - (corner[1] + bounds[2]) % STRIP


@njit(cache=True, nogil=True, fastmath=FAST)
def _colour_steps(rows, photo, colours, inv_dv):  # type: ignore[no-untyped-def]
    """-(1/dv) (Av Drgb - I) Drgb^T of each row, at rank n_band, in place."""
    n_band, n_v = colours.shape
    for x in range(len(rows)):
        row, colour = rows[x], photo[x]
        if n_band == 3:  # the usual one, in two loops
            red, green, blue = colours[0], colours[1], colours[2]
            r, g, b = -colour[0], -colour[1], -colour[2]
            for k in range(n_v):
                r += row[k] * red[k]
                g += row[k] * green[k]
                b += row[k] * blue[k]
            r, g, b = inv_dv * r, inv_dv * g, inv_dv * b
            for k in range(n_v):
                row[k] -= r * red[k] + g * green[k] + b * blue[k]
        else:
            errors = -colour
            for b in range(n_band):
                for k in range(n_v):
                    errors[b] += row[k] * colours[b, k]
            for b in range(n_band):
                error = inv_dv * errors[b]
                for k in range(n_v):
                    row[k] -= error * colours[b, k]


@njit(cache=True, nogil=True, fastmath=FAST)
def _subtract(rows, pull, smooth):  # type: ignore[no-untyped-def]
    for x in range(len(rows)):
        row, own = rows[x], pull[x]
        for k in range(own.size):
            row[k] -= smooth * own[k]


@njit(cache=True, nogil=True, fastmath=FAST)
def _onto_simplex(rows, spare):  # type: ignore[no-untyped-def]
    simplex_rows(rows, 0, len(rows), spare)


@njit(cache=True, nogil=True, fastmath=IN_ORDER)
def _rescale(rows):  # type: ignore[no-untyped-def]
    for x in range(len(rows)):
        rescale_row(rows[x])


@njit(cache=True, nogil=True, fastmath=FAST)
def _laplacians(A, above, before, part, corner, edge, n_v, out):  # type: ignore[no-untyped-def]
    """Rows of L Anv for the pixels of a rectangle that begins at `corner`; whether any is not zero."""
    rough = False
    for y in range(part[0], part[1]):
        upper = above if y == part[0] else A[y - 1, :, n_v:]
        line = out[(y - corner[0]) * STRIP : (y - corner[0] + 1) * STRIP]
        rough = _laplacian(A, y, upper, before[y - part[0]], part, corner[1], edge, n_v, line) or rough
    return rough


@njit(cache=True, nogil=True, fastmath=FAST)
def _laplacian(A, y, upper, before, part, x0, edge, n_v, out):  # type: ignore[no-untyped-def]
    """One row of a rectangle; `upper` is the row above it and `before` the pixel left of it, as they were."""
    n_nv, four, total = out.shape[1], np.float32(4.0), np.float32(0.0)
    within = y > edge[0] and y + 1 < edge[1]
    for x in range(part[2], part[3]):
        here, row = A[y, x, n_v:], out[x - x0]
        left = before if x == part[2] else A[y, x - 1, n_v:]
        if within and x > edge[2] and x + 1 < edge[3]:  # in one loop, as nearly all are
            up, down, right = upper[x], A[y + 1, x, n_v:], A[y, x + 1, n_v:]
            for k in range(n_nv):
                row[k] = four * here[k] - (up[k] + down[k]) - (left[k] + right[k])
        else:
            row[:] = 0.0
            if y > edge[0]:
                _add_difference(here, upper[x], row)
            if y + 1 < edge[1]:
                _add_difference(here, A[y + 1, x, n_v:], row)
            if x > edge[2]:
                _add_difference(here, left, row)
            if x + 1 < edge[3]:
                _add_difference(here, A[y, x + 1, n_v:], row)
        for k in range(n_nv):
            total += abs(row[k])  # not its square, which could vanish by underflow
    return total > 0.0


@njit(cache=True, nogil=True, fastmath=FAST, inline="always")
def _add_difference(here, other, row):  # type: ignore[no-untyped-def]
    for k in range(row.size):
        row[k] += here[k] - other[k]
