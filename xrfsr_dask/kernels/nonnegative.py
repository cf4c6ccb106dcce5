"""Non-negative endmembers chosen among spectra, and the non-negative abundances that mix them.

Works on Grams and products only, so that a spectrum of any length costs what its scores cost.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit

from xrfsr_dask.kernels.projection import FAST

_SWEEPS = 60
_ROUNDS = 24  # batches in which endmembers are chosen
_WORTH_A_THREAD = 1000  # rows
_ENOUGH = 1e-7  # share of the squared length of all spectra that may stay unexplained


def abundances(
    C: np.ndarray, G: np.ndarray, start: np.ndarray | None = None, *, threads: int = 1
) -> np.ndarray:
    """Rows ``argmin_{a >= 0} a G a / 2 - a c`` by coordinate descent.

    Parameters
    ----------
    C : float32 array of shape (n, k)
        Products of spectra with the endmembers.
    G : float32 array of shape (k, k)
        Gram of the endmembers.
    start : float32 array of shape (n, k), optional
        Where to begin; where G is singular, a start decides which of equal mixtures is found.
    threads : int
        Among which the rows are divided; they know nothing of each other.

    Returns
    -------
    float32 array of shape (n, k), >= 0
    """
    A = np.zeros_like(C, dtype=np.float32) if start is None else np.array(start, np.float32)
    diagonal = np.maximum(np.diag(G), np.float32(1e-12) * max(float(np.diag(G).max(initial=0)), 1e-30))
    C, G, diagonal = (np.ascontiguousarray(values, np.float32) for values in (C, G, diagonal))
    if threads == 1 or len(A) < _WORTH_A_THREAD:
        _descend(A, C, G, diagonal)
        return A
    parts = [slice(i * len(A) // threads, (i + 1) * len(A) // threads) for i in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(_descend, A[part], C[part], G, diagonal) for part in parts]:
            done.result()
    return A


def choose_endmembers(Z: np.ndarray, E: np.ndarray, most: int, *, threads: int = 1) -> np.ndarray:
    """Indices of at most `most` of the candidates whose cone holds the spectra.

    A greedy search for extreme rays (after Kumar, Sindhwani and Kambadur 2013): the candidate worst explained
    by those already chosen comes next, in a few batches; none is chosen once nearly all is explained.

    Parameters
    ----------
    Z : float array of shape (n, r)
        Spectra to be explained, in an orthonormal basis.
    E : float array of shape (n, r)
        The same spectra made non-negative: what an endmember would be.
    most : int
    threads : int
        As `abundances` takes them.

    Returns
    -------
    int array, in the order of choice
    """
    weight = 1.0 / np.sqrt(np.square(Z).sum(axis=1) + 0.01 * np.square(Z).sum() / max(len(Z), 1) + 1e-30)
    chosen: list[int] = []
    A = np.zeros((len(Z), 0), np.float32)
    enough = _ENOUGH * float(np.square(Z).sum())
    while len(chosen) < most:
        D = E[chosen]
        A = np.column_stack([A, np.zeros((len(Z), len(D) - A.shape[1]), np.float32)])
        A = abundances(Z @ D.T, D @ D.T, A, threads=threads) if len(D) else A
        R = Z - A @ D
        if float(np.square(R).sum()) <= enough:
            break
        batch = min(max(1, most // _ROUNDS), most - len(chosen))
        new = _spread(R * weight[:, None], batch, exclude=chosen)
        if not new:
            break
        chosen += new
    return np.array(chosen, int)


def _spread(R: np.ndarray, k: int, *, exclude: list[int]) -> list[int]:
    """k long rows that point different ways: each chosen, then taken out of the rest."""
    R = R.copy()
    R[exclude] = 0.0
    out: list[int] = []
    for _ in range(k):
        square = np.square(R).sum(axis=1)
        i = int(square.argmax())
        if square[i] <= 0:
            break
        out.append(i)
        direction = R[i] / np.sqrt(square[i])
        R -= np.outer(R @ direction, direction)
        R[i] = 0.0
    return out


@njit(cache=True, nogil=True, fastmath=FAST)
def _descend(A, C, G, diagonal):  # type: ignore[no-untyped-def]
    n, k = A.shape
    slope = np.empty(k, np.float32)
    for i in range(n):
        a = A[i]
        biggest = np.float32(0.0)
        for j in range(k):
            slope[j] = -C[i, j]
            biggest = max(biggest, abs(C[i, j]))
        for j in range(k):
            if a[j] != 0.0:
                for l in range(k):
                    slope[l] += a[j] * G[j, l]
        small = np.float32(1e-5) * biggest
        for _ in range(_SWEEPS):
            moved = np.float32(0.0)
            for j in range(k):
                new = max(a[j] - slope[j] / diagonal[j], np.float32(0.0))
                step = new - a[j]
                if step != 0.0:
                    a[j] = new
                    for l in range(k):
                        slope[l] += step * G[j, l]
                    moved = max(moved, abs(step) * diagonal[j])
            if moved <= small:
                break
