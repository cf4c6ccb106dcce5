"""The start (13): coupled dictionary learning on joint LR samples [Il, X], and codes for given dictionaries."""

from __future__ import annotations

import math

import numpy as np

_PASSES = 15
_CODE_STEPS = 60


def learn_coupled(
    Il: np.ndarray, X: np.ndarray, *, atoms: int, beta: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Coupled dictionaries (13) with non-negative codes and atoms, by alternating coding and atom updates.

    ``min |Il - A Drgb|^2 + |X - A Dv|^2 + beta |A|_1`` with ``|Drgb_k|, |Dv_k| <= 1``, after Mairal et al.
    2010: codes by accelerated proximal gradient, atoms one by one. The atoms are then brought to the scale
    on which the codes of a pixel sum to one (METHOD, section 7).

    Parameters
    ----------
    Il : float32 array of shape (n, n_band)
        Photograph at the spots, linear light in [0, 1].
    X : float32 array of shape (n, n_channel)
        Counts of the same spots, scaled to [0, 1].
    atoms : int
        Number of atoms, M.
    beta : float
        Weight of the l1 term.
    seed : int

    Returns
    -------
    Drgb (atoms, n_band), Dv (atoms, n_channel) : float64, entries in [0, 1]
    """
    rng = np.random.default_rng(seed)
    n_band = Il.shape[1]
    Z = np.concatenate([Il, X], axis=1).astype(np.float32)
    D = _bounded(Z[spread_rows(Z, atoms, rng)], n_band)
    for _ in range(_PASSES):
        A = codes(Z, D, beta=beta)
        D = _update_atoms(D, A.T @ A, A.T @ Z, n_band)
        D = _replace_unused(D, A, Z, n_band)
    sums = codes(Z, D, beta=beta).sum(axis=1, dtype=np.float64)
    scale = float(np.median(sums[sums > 0])) if (sums > 0).any() else 1.0
    D = np.clip(D.astype(np.float64) * scale, 0.0, 1.0)
    return D[:, :n_band], D[:, n_band:]


def codes(Z: np.ndarray, D: np.ndarray, *, beta: float) -> np.ndarray:
    """Non-negative sparse codes ``argmin |Z - A D|^2 + beta |A|_1``; Z (n, m), D (k, m), A (n, k), float32.

    Accelerated proximal gradient on the k x k Gram, a fixed number of steps.
    """
    D = np.asarray(D, np.float32)
    return codes_from_products(np.asarray(Z, np.float32) @ D.T, D @ D.T, beta=beta)


def codes_from_products(ZD: np.ndarray, G: np.ndarray, *, beta: float) -> np.ndarray:
    """`codes` from ``Z D^T`` (n, k) and ``D D^T`` (k, k), float32."""
    lipschitz = np.float32(max(float(np.linalg.norm(G, 2)), 1e-12))
    A = np.zeros_like(ZD)
    ahead, t = A, 1.0
    for _ in range(_CODE_STEPS):
        new = np.maximum(ahead - (ahead @ G - ZD + np.float32(beta / 2)) / lipschitz, np.float32(0))
        t_new = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * t * t))
        ahead, A, t = new + np.float32((t - 1.0) / t_new) * (new - A), new, t_new
    return A


def spread_rows(Z: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """k rows far from one another (k-means++ choice); rows repeat where there are fewer than k."""
    picked = [int(rng.integers(len(Z)))]
    length = np.einsum("nm,nm->n", Z, Z, dtype=np.float64)
    distance = _distances(Z, length, picked[0])
    while len(picked) < k:
        total = distance.sum()
        chance = distance / total if total > 0 else np.full(len(Z), 1.0 / len(Z))
        picked.append(int(rng.choice(len(Z), p=chance)))
        distance = np.minimum(distance, _distances(Z, length, picked[-1]))
    return np.array(picked)


def _distances(Z: np.ndarray, length: np.ndarray, i: int) -> np.ndarray:
    """Squared distance of every row from row i, without a copy of Z; `length` is |Z|^2 of each row."""
    return np.maximum(length + length[i] - 2.0 * (Z @ Z[i]).astype(np.float64), 0.0)


def _bounded(D: np.ndarray, n_band: int) -> np.ndarray:
    """Non-negative atoms whose colour part and spectral part each have norm one at most."""
    D = np.maximum(D, 0.0)
    for part in (D[:, :n_band], D[:, n_band:]):
        part /= np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1.0)
    return D


def _update_atoms(D: np.ndarray, AA: np.ndarray, AZ: np.ndarray, n_band: int) -> np.ndarray:
    """One sweep of block coordinate descent over the atoms (Mairal et al. 2010, algorithm 2)."""
    D = D.copy()
    for k in range(len(D)):
        if AA[k, k] > 1e-10:
            D[k : k + 1] = _bounded(D[k : k + 1] + (AZ[k] - AA[k] @ D) / AA[k, k], n_band)
    return D


def _replace_unused(D: np.ndarray, A: np.ndarray, Z: np.ndarray, n_band: int) -> np.ndarray:
    """Give an atom that no sample uses to the sample that is represented worst."""
    unused = np.flatnonzero(A.sum(axis=0) <= 1e-6 * max(float(A.sum()), 1e-30))
    if not len(unused):
        return D
    fit = np.einsum("nk,nk->n", A, A @ (D @ D.T) - 2.0 * (Z @ D.T))
    error = np.einsum("nm,nm->n", Z, Z) + fit
    worst = np.argsort(error, kind="stable")[::-1][np.arange(len(unused)) % len(Z)]
    D = D.copy()
    D[unused] = _bounded(Z[worst], n_band)
    return D


def interpolate(grid: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Bilinear values of `grid` (ny, nx, k) at fractional (rows, columns) of shape (n,); (n, k) float32.

    Beyond the outermost grid points the nearest one holds.
    """
    ny, nx, _ = grid.shape
    r, c = np.clip(rows, 0, ny - 1), np.clip(columns, 0, nx - 1)
    r0, c0 = np.minimum(r.astype(int), max(ny - 2, 0)), np.minimum(c.astype(int), max(nx - 2, 0))
    r1, c1 = np.minimum(r0 + 1, ny - 1), np.minimum(c0 + 1, nx - 1)
    fr, fc = (r - r0).astype(np.float32)[:, None], (c - c0).astype(np.float32)[:, None]
    top = grid[r0, c0] * (1 - fc) + grid[r0, c1] * fc
    bottom = grid[r1, c0] * (1 - fc) + grid[r1, c1] * fc
    return np.asarray(top * (1 - fr) + bottom * fr, np.float32)
