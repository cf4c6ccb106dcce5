"""The smoothness term of (9): ``lam |G Anv Dnv|^2`` with G the first differences of METHOD, section 1."""

from __future__ import annotations

import numpy as np

SMOOTHNESS_MARGIN = 1
"""HR px: every difference looks one pixel away."""


def difference(A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """G A: vertical (ny - 1, nx, n) and horizontal (ny, nx - 1, n) first differences of A (ny, nx, n)."""
    return np.diff(A, axis=0), np.diff(A, axis=1)


def difference_adjoint(d: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """G^T d for what `difference` gives; (ny, nx, n). ``difference_adjoint(difference(A))`` is L A."""
    vertical, horizontal = d
    out = np.zeros((vertical.shape[0] + 1, *vertical.shape[1:]), vertical.dtype)
    out[:-1] -= vertical
    out[1:] += vertical
    out[:, :-1] -= horizontal
    out[:, 1:] += horizontal
    return out


def smoothness_gram(Anv: np.ndarray, core: tuple[int, int]) -> np.ndarray:
    """Part of ``T = Anv^T L Anv`` (M2) that belongs to the first `core` (ny, nx) pixels.

    A pixel owns the differences to its lower and right neighbours. `Anv` (ny, nx, n) holds one further
    row and column where the painting goes on, so that the parts of all cells add up to T.

    Returns
    -------
    float64 array of shape (n, n)
    """
    vertical = np.diff(Anv[: core[0] + 1, : core[1]], axis=0)
    horizontal = np.diff(Anv[: core[0], : core[1] + 1], axis=1)
    n = Anv.shape[2]
    out = np.zeros((n, n))
    for edges in (vertical, horizontal):
        flat = edges.reshape(edges.shape[0] * edges.shape[1], n)
        out += flat.T @ flat
    return out
