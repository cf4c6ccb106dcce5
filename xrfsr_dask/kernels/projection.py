"""Projections of abundance rows: the paper's clip and rescale, and the exact simplex; and the box of (8)."""

from __future__ import annotations

import numpy as np
from numba import njit

FAST = {"contract", "reassoc", "nsz", "arcp"}
"""Liberties the compiler may take in kernels; never that numbers are finite."""

IN_ORDER = FAST - {"reassoc"}
"""The same where sums are taken in the order that is written."""


_EIGHT = tuple(np.uintp(k) for k in range(9))


def project_rows(V: np.ndarray, *, exact: bool) -> np.ndarray:
    """Project every row of V (n, k) onto the probability simplex; float32, a new array.

    ``exact=False`` is the paper's (15c): negatives to zero, then divide by the sum. ``exact=True`` is the
    Euclidean projection, the proximal map of (9e)-(9g).
    """
    out = np.array(V, np.float32, order="C", ndmin=2)
    (_simplex_all if exact else _rescale_all)(out)
    return out


def project_box(D: np.ndarray, upper: float = 1.0) -> np.ndarray:
    """Entries clipped to [0, upper], constraint (8a)-(8c); a new array."""
    return np.clip(D, 0.0, upper)


# Rows are inlined into their callers: as functions of their own they would exist once for each caller's module,
# differently optimised, and whichever the linker met first would decide the last bits of a first run.


@njit(cache=True, nogil=True, fastmath=FAST)
def _simplex_all(V):  # type: ignore[no-untyped-def]
    simplex_rows(V, 0, V.shape[0], np.zeros((3, V.shape[1]), np.float32))


@njit(cache=True, nogil=True, fastmath=IN_ORDER)
def _rescale_all(V):  # type: ignore[no-untyped-def]
    for i in range(V.shape[0]):
        rescale_row(V[i])


@njit(cache=True, nogil=True, fastmath=IN_ORDER, inline="always")
def rescale_row(v):  # type: ignore[no-untyped-def]
    """The paper's projection, in place: clip at zero, divide by the sum; an all-zero row becomes uniform.

    Of eight sums, each with every eighth entry, which one vector holds: left to choose, the compiler takes
    one order where it compiles and another where it loads what it had compiled. It makes vectors of them only
    where no index may be negative and each is as far on as the one before, hence `_EIGHT`.
    """
    zero, k, whole = np.float32(0.0), _EIGHT[0], v.size // 8 * 8
    a = b = c = d = e = f = g = h = zero
    while k < np.uintp(whole):
        a, b = a + max(v[k], zero), b + max(v[k + _EIGHT[1]], zero)
        c, d = c + max(v[k + _EIGHT[2]], zero), d + max(v[k + _EIGHT[3]], zero)
        e, f = e + max(v[k + _EIGHT[4]], zero), f + max(v[k + _EIGHT[5]], zero)
        g, h = g + max(v[k + _EIGHT[6]], zero), h + max(v[k + _EIGHT[7]], zero)
        k += _EIGHT[8]
    total = ((a + e) + (c + g)) + ((b + f) + (d + h))
    for k in range(whole, v.size):
        total += max(v[k], zero)
    if total <= 0:
        for k in range(v.size):
            v[k] = np.float32(1.0) / np.float32(v.size)
        return
    scale = np.float32(1.0) / total
    for k in range(v.size):
        v[k] = max(v[k], zero) * scale


@njit(cache=True, nogil=True, fastmath=FAST, inline="always")
def simplex_rows(V, first, last, spare):  # type: ignore[no-untyped-def]
    """`simplex_four` on some rows of V (n, k), in place; `spare` (3, k) stands in where they run out."""
    for i in range(first, last, 4):
        b = V[i + 1] if i + 1 < last else spare[0]
        c = V[i + 2] if i + 2 < last else spare[1]
        d = V[i + 3] if i + 3 < last else spare[2]
        simplex_four(V[i], b, c, d)


@njit(cache=True, nogil=True, fastmath=FAST, inline="always")
def simplex_four(a, b, c, d):  # type: ignore[no-untyped-def]
    """Exact projection of four rows onto the simplex, in place (Michelot 1986: what falls below is dropped).

    A threshold rises by what the entries above it exceed it in all, less one: sums of small numbers, and a
    form of loop that compilers make vectors of. Four rows at once, for one waits on its own sums most of the
    time; each gets the same operations in the same order, whichever its place among the four.
    """
    one, zero, n = np.float32(1.0), np.float32(0.0), np.float32(a.size)
    ta = tb = tc = td = zero
    for k in range(a.size):
        ta += a[k]
        tb += b[k]
        tc += c[k]
        td += d[k]
    ta, tb, tc, td = (ta - one) / n, (tb - one) / n, (tc - one) / n, (td - one) / n
    na = nb = nc = nd = n
    more = True
    while more:
        sa = sb = sc = sd = zero
        la = lb = lc = ld = zero
        for k in range(a.size):
            oa, ob, oc, od = a[k] - ta, b[k] - tb, c[k] - tc, d[k] - td
            sa += max(oa, zero)
            sb += max(ob, zero)
            sc += max(oc, zero)
            sd += max(od, zero)
            la += one if oa > zero else zero
            lb += one if ob > zero else zero
            lc += one if oc > zero else zero
            ld += one if od > zero else zero
        more = False  # fewer each time: rounding cannot make it run for ever
        if zero < la < na:
            ta, na, more = ta + (sa - one) / la, la, True
        if zero < lb < nb:
            tb, nb, more = tb + (sb - one) / lb, lb, True
        if zero < lc < nc:
            tc, nc, more = tc + (sc - one) / lc, lc, True
        if zero < ld < nd:
            td, nd, more = td + (sd - one) / ld, ld, True
    for k in range(a.size):
        a[k] = max(a[k] - ta, zero)
        b[k] = max(b[k] - tb, zero)
        c[k] = max(c[k] - tc, zero)
        d[k] = max(d[k] - td, zero)
