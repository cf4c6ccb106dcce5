"""P of the paper's (27): the linear map from XRF spectra to colours that fits best at the spots."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import lsq_linear

from xrfsr_dask.methods.subspace import above_noise, right_vectors

_ITERATIONS = 60


def colour_response(X: np.ndarray, Il: np.ndarray, *, bounded: bool) -> np.ndarray:
    """``min |Il - X P^T|^2``, (27), one band at a time.

    Parameters
    ----------
    X : array of shape (n_spot, n_channel)
        Spectra, in any scale of the channels.
    Il : array of shape (n_spot, n_band)
        Block means of the photograph.
    bounded : bool
        True: P >= 0, by trust-region reflective least squares, as the paper does. False: no bounds, within
        the directions of X that stand above its noise (in all of them, P fits noise to colours).

    Returns
    -------
    float32 array of shape (n_band, n_channel)
    """
    Y = Il.astype(np.float64)
    if not bounded:
        values, V = right_vectors(X)
        rank, _ = above_noise(values, X.shape)
        scores = X.astype(np.float64) @ V[:rank].T
        return ((np.linalg.pinv(scores) @ Y).T @ V[:rank]).astype(np.float32)
    P = np.zeros((Y.shape[1], X.shape[1]), np.float32)
    seen = np.flatnonzero(np.abs(X).max(axis=0) > 0)
    if not len(seen):
        return P
    R, right = _reduced(X[:, seen], Y)
    for band in range(Y.shape[1]):
        found = lsq_linear(R, right[:, band], bounds=(0.0, np.inf), method="trf", max_iter=_ITERATIONS)
        P[band, seen] = found.x
    return P


def _reduced(X: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R and Q^T Y of X = Q R: the same least squares, with as many rows as channels."""
    gram = X.astype(np.float64).T @ X.astype(np.float64)
    gram[np.diag_indices_from(gram)] += 1e-9 * np.trace(gram) / len(gram)
    R = cholesky(gram)
    return R, solve_triangular(R, X.T.astype(np.float64) @ Y, trans="T")
