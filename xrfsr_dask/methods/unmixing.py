"""Dictionaries and endmembers from the spots, and codes on them: what the unmixing methods share."""

from __future__ import annotations

import numpy as np
from numba import njit

from xrfsr_dask.kernels.initial import codes
from xrfsr_dask.kernels.projection import project_rows
from xrfsr_dask.methods.subspace import right_vectors

_PASSES = 20
_SIMPLEX_STEPS = 100


def pure_spots(X: np.ndarray, atoms: int, *, rank: int) -> np.ndarray:
    """Spectra of `atoms` spots that are least alike: successive projections (Araujo et al. 2001).

    Each next spot is the one furthest from the span of those before, within the `rank` strongest directions
    of X, where noise is least. Once these are used up, a new round begins among the spots that are left.

    Parameters
    ----------
    X : float32 array of shape (n, n_channel), not negative where the endmembers must not be
    atoms : int
        Repeats begin where there are fewer spots.
    rank : int

    Returns
    -------
    float32 array of shape (atoms, n_channel)
    """
    Vt = right_vectors(X)[1].astype(np.float32)
    denoised = (X @ Vt[:rank].T).astype(np.float64)
    picked: list[int] = []
    left = denoised.copy()
    scale = float((denoised**2).sum(axis=1).max())
    while len(picked) < min(atoms, len(X)):
        size = (left**2).sum(axis=1)
        size[picked] = -1.0
        best = int(size.argmax())
        if size[best] <= 1e-6 * scale:
            fresh = denoised.copy()
            if np.array_equal(fresh, left):
                break
            left = fresh
            size = (left**2).sum(axis=1)
            size[picked] = -1.0
            best = int(size.argmax())
        picked.append(best)
        direction = left[best] / max(float(np.linalg.norm(left[best])), 1e-150)
        left = left - np.outer(left @ direction, direction)
    repeats = np.resize(picked or [0], atoms)
    return np.maximum(denoised[repeats] @ Vt[:rank], 0.0).astype(np.float32)


def learn_dictionary(X: np.ndarray, atoms: int, *, beta: float, seed: int) -> np.ndarray:
    """Non-negative atoms of norm one on which the spots have sparse non-negative codes; (atoms, n_channel).

    ``min |X - A D|^2 + beta |A|_1``, codes and atoms in turn, atoms one by one (Mairal et al. 2010); an atom
    that no spot uses is given to the spot that is represented worst. `beta` is for spectra of mean square
    norm one.
    """
    rng = np.random.default_rng(seed)
    X = X / np.float32(np.sqrt(max(float(np.mean((X.astype(np.float64) ** 2).sum(axis=1))), 1e-30)))
    rows = rng.permutation(len(X))[np.arange(atoms) % len(X)]
    D = _unit(np.maximum(X[rows], 0.0))
    for _ in range(_PASSES):
        A = codes(X, D, beta=beta)
        AA, AX = A.T @ A, A.T @ X
        for k in range(atoms):
            if AA[k, k] > 1e-8:
                D[k] = _unit(np.maximum(D[k : k + 1] + (AX[k] - AA[k] @ D) / AA[k, k], 0.0))[0]
        unused = np.flatnonzero(np.diag(AA) <= 1e-8)
        if len(unused):
            error = ((X - A @ D) ** 2).sum(axis=1)
            worst = np.argsort(-error, kind="stable")[np.arange(len(unused)) % len(X)]
            D[unused] = _unit(np.maximum(X[worst], 0.0))
    return D


def simplex_codes(X: np.ndarray, D: np.ndarray) -> np.ndarray:
    """``argmin |X - A D|^2`` over rows of A on the simplex, float32 (n, k); accelerated projected gradient."""
    G, XD = D @ D.T, X @ D.T
    step = np.float32(1.0 / max(float(np.linalg.norm(G, 2)), 1e-30))
    A = ahead = np.full((len(X), len(D)), 1.0 / len(D), np.float32)
    t = 1.0
    for _ in range(_SIMPLEX_STEPS):
        new = project_rows(ahead - step * (ahead @ G - XD), exact=True)
        t_new = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * t * t))
        ahead, A, t = new + np.float32((t - 1.0) / t_new) * (new - A), new, t_new
    return A


def _unit(D: np.ndarray) -> np.ndarray:
    return D / np.maximum(np.linalg.norm(D, axis=1, keepdims=True), np.float32(1e-12))


@njit(cache=True, nogil=True)
def nonnegative_least_squares(C, y):  # type: ignore[no-untyped-def]
    """``argmin |y - a C|`` over a >= 0, float64 (k,); active set (Lawson and Hanson 1974).

    `C` (k, b), `y` (b,): float64. At most b entries are not zero.
    """
    k, b = C.shape
    a = np.zeros(k)
    free = np.zeros(k, np.bool_)
    largest = 0.0
    for i in range(k):
        for j in range(b):
            largest = max(largest, abs(C[i, j]))
    tolerance = 1e-12 * max(largest, 1e-300) * max(np.abs(y).max(), 1e-300)
    for _ in range(3 * k + 10):
        slope = C @ (y - a @ C)
        best, at = tolerance, -1
        for i in range(k):
            if not free[i] and slope[i] > best:
                best, at = slope[i], i
        if at < 0 or free.sum() >= b:
            break
        free[at] = True
        while True:
            index = np.flatnonzero(free)
            part = np.ascontiguousarray(C[index])
            gram = part @ part.T
            for i in range(len(index)):
                gram[i, i] *= 1.0 + 1e-12
            wanted = np.linalg.solve(gram, part @ y)
            if (wanted > 0).all():
                a[:] = 0.0
                a[index] = wanted
                break
            share = 1.0
            for i in range(len(index)):
                if wanted[i] <= 0:
                    share = min(share, a[index[i]] / (a[index[i]] - wanted[i] + 1e-300))
            for i in range(len(index)):
                moved = a[index[i]] + share * (wanted[i] - a[index[i]])
                a[index[i]] = max(moved, 0.0)
                if wanted[i] <= 0 and a[index[i]] <= 1e-14 * max(a.max(), 1e-300):
                    a[index[i]] = 0.0
                    free[index[i]] = False
            if not free.any():
                return a
    return a
