"""Linear systems of one covariance matrix: factored in float32, refined to float64.

A factor in float32 takes half the time of one in float64; a few corrections by it, their right-hand sides taken
in float64, leave the same solution (Higham 2002, chapter 12). Where the matrix is too ill-conditioned for that,
the corrections do not shrink, and float64 does all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from xrfsr_dask.kernels import lapack
from xrfsr_dask.kernels.projection import FAST

_ROUNDS = 6
_SETTLED = 1e-9  # of the solution: the last correction


@dataclass(frozen=True)
class Systems:
    """Matrices of one size after the other, each in the memory of the one before it."""

    K: np.ndarray
    """float64 (n, n)"""
    factor: np.ndarray
    """float32 (n, n)"""

    @classmethod
    def of(cls, n: int) -> Systems:
        """Room for matrices n x n."""
        return cls(np.empty((n, n)), np.empty((n, n), np.float32))

    def solve(self, parts: list[tuple[float, np.ndarray]], diagonal: np.ndarray, Z: np.ndarray) -> np.ndarray:
        """``K^-1 Z`` for K the sum of ``weight * part`` and a diagonal.

        Parameters
        ----------
        parts : list of (float, float32 (n, n))
            One or two, symmetric.
        diagonal : float64 (n,)
        Z : float64 (n, k)

        Returns
        -------
        float64 (n, k)
        """
        combine(parts, diagonal, self.K)
        self.factor[...] = self.K
        found = _refined(self.K, self.factor, Z) if lapack.factor(self.factor) else None
        return solution(self.K, Z) if found is None else found


def solution(K: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """``K^-1 Z`` (n, k) in float64; K (n, n), C order, is overwritten. `LinAlgError` where it is not positive
    definite."""
    if not lapack.factor(K):
        raise np.linalg.LinAlgError("a covariance is not positive definite.")
    return lapack.solved(K, Z)


def combine(parts: list[tuple[float, np.ndarray]], diagonal: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Write the sum of ``weight * part``, one or two of them, and a diagonal to `out` (n, n); returns it."""
    (a, A), (b, B) = parts[0], parts[-1]
    _combine(float(a), A, float(b) if len(parts) == 2 else 0.0, B, diagonal, out)
    return out


@njit(cache=True, nogil=True, fastmath=FAST)
def _combine(a, A, b, B, diagonal, out):  # type: ignore[no-untyped-def]
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = a * np.float64(A[i, j]) + b * np.float64(B[i, j])
        out[i, i] += diagonal[i]


def _refined(K: np.ndarray, factor: np.ndarray, Z: np.ndarray) -> np.ndarray | None:
    """Corrections until they are small; None where they do not become so."""
    x, left = np.zeros_like(Z), Z
    for _ in range(_ROUNDS):
        size = np.maximum(np.abs(left).max(axis=0), 1e-300)  # so that nothing is lost in float32
        step = lapack.solved(factor, left / size) * size
        x += step
        if (np.abs(step).max(axis=0) <= _SETTLED * np.abs(x).max(axis=0)).all():
            return x
        left = Z - K @ x
    return None
