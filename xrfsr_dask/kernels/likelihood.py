"""Log likelihoods of normal distributions whose covariance is one matrix times many scales, and noise.

The matrix is brought to tridiagonal form once (Householder), without its eigenvectors, which take most of the
time; there each scale is a recurrence of a few operations a row.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from xrfsr_dask.kernels import lapack
from xrfsr_dask.kernels.projection import FAST


def log_likelihoods(K: np.ndarray, z: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Of each column of `z` under N(0, s K + 1), up to a constant, for each scale s.

    Where rounding has left K with negative eigenvalues, all are raised by the largest of these.

    Parameters
    ----------
    K : float64 array of shape (n, n)
        Symmetric.
    z : float64 array of shape (n, k)
    scales : float64 array of shape (m,), >= 0

    Returns
    -------
    float64 array of shape (m, k)
    """
    diagonal, below, turned = lapack.tridiagonal(K, z)
    spectrum = lapack.eigenvalues(diagonal, below)
    raised, fit = max(0.0, -float(spectrum[0])), np.empty((len(scales), z.shape[1]))
    _fits(diagonal + raised, below, np.ascontiguousarray(turned), scales, fit)
    logs = np.log(scales[:, None] * (spectrum + raised) + 1.0).sum(axis=1)
    return np.asarray(-0.5 * (fit + logs[:, None]))


@njit(cache=True, nogil=True, fastmath=FAST)
def _fits(diagonal, below, z, scales, out):  # type: ignore[no-untyped-def]
    """z (s T + 1)^-1 z of each column and scale: the factors of each are met row by row, and not kept."""
    n, k = z.shape
    y = np.empty(k)
    for m in range(len(scales)):
        pivot, y[:], out[m] = 1.0, 0.0, 0.0
        for i in range(n):
            off = scales[m] * below[i - 1] if i > 0 else 0.0
            share = off / pivot
            pivot = scales[m] * diagonal[i] + 1.0 - share * off
            for j in range(k):
                y[j] = z[i, j] - share * y[j]
                out[m, j] += y[j] * y[j] / pivot
