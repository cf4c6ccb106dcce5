"""Projections of abundance rows: the paper's clip and rescale, and the exact simplex; and the box of (8)."""

from __future__ import annotations

import numpy as np
from numba import njit

FAST = {"contract", "reassoc", "nsz", "arcp"}
"""Liberties the compiler may take in kernels; never that numbers are finite."""


def project_rows(V: np.ndarray, *, exact: bool) -> np.ndarray:
    """Project every row of V (n, k) onto the probability simplex; float32, a new array.

    ``exact=False`` is the paper's (15c): negatives to zero, then divide by the sum. ``exact=True`` is the
    Euclidean projection, the proximal map of (9e)-(9g).
    """
    out = np.array(V, np.float32, order="C", ndmin=2)
    _project_all(out, exact)
    return out


def project_box(D: np.ndarray, upper: float = 1.0) -> np.ndarray:
    """Entries clipped to [0, upper], constraint (8a)-(8c); a new array."""
    return np.clip(D, 0.0, upper)


# Rows are inlined into their callers: as functions of their own they would exist once for each caller's module,
# differently optimised, and whichever the linker met first would decide the last bits of a first run.


@njit(cache=True, nogil=True, fastmath=FAST)
def _project_all(V, exact):  # type: ignore[no-untyped-def]
    for i in range(V.shape[0]):
        if exact:
            simplex_row(V[i])
        else:
            rescale_row(V[i])


@njit(cache=True, nogil=True, fastmath=FAST, inline="always")
def rescale_row(v):  # type: ignore[no-untyped-def]
    """The paper's projection, in place: clip at zero, divide by the sum; an all-zero row becomes uniform."""
    zero = np.float32(0.0)
    total = zero
    for k in range(v.size):
        v[k] = max(v[k], zero)
        total += v[k]
    if total <= 0:
        for k in range(v.size):
            v[k] = np.float32(1.0) / np.float32(v.size)
        return
    scale = np.float32(1.0) / total
    for k in range(v.size):
        v[k] *= scale


@njit(cache=True, nogil=True, fastmath=FAST, inline="always")
def simplex_row(v):  # type: ignore[no-untyped-def]
    """Exact projection onto the simplex, in place (Michelot 1986: drop what falls below the threshold).

    The threshold rises by what the entries above it exceed it in all, less one: sums of small numbers, and a
    form of loop that compilers make vectors of.
    """
    one, zero = np.float32(1.0), np.float32(0.0)
    total = zero
    for k in range(v.size):
        total += v[k]
    count = np.float32(v.size)
    tau = (total - one) / count
    while True:
        total, left = zero, zero
        for k in range(v.size):
            over = v[k] - tau
            total += max(over, zero)
            left += one if over > zero else zero
        if left >= count or left == zero:  # never more: rounding cannot make it run for ever
            break
        tau += (total - one) / left
        count = left
    for k in range(v.size):
        v[k] = max(v[k] - tau, zero)
