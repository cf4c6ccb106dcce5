"""The photograph's colours as a few clusters, and how much each pixel belongs to each."""

from __future__ import annotations

import numpy as np

_SAMPLE = 20_000
_ROUNDS = 25


def palette(colours: np.ndarray, n: int, *, seed: int) -> np.ndarray:
    """Centres of at most `n` clusters of rows (k-means from far-apart seeds), float32 (n, n_band).

    Fewer where there are fewer different colours. Large photographs are sampled.
    """
    rng = np.random.default_rng(seed)
    rows = colours if len(colours) <= _SAMPLE else colours[rng.choice(len(colours), _SAMPLE, replace=False)]
    centres = _far_apart(rows, n, rng)
    for _ in range(_ROUNDS):
        nearest = squared_distances(rows, centres).argmin(axis=1)
        members = np.bincount(nearest, minlength=len(centres))
        sums = np.stack([np.bincount(nearest, weights=band, minlength=len(centres)) for band in rows.T], axis=1)
        centres = (sums[members > 0] / members[members > 0, None]).astype(np.float32)
    return centres


def memberships(colours: np.ndarray, centres: np.ndarray, softness: float) -> np.ndarray:
    """Shares ``exp(-|colour - centre|^2 / (2 softness^2))`` that sum to one, float32 (n, n_centre)."""
    far = squared_distances(colours, centres)
    far -= far.min(axis=1, keepdims=True)
    out = np.exp(far / np.float32(-2 * softness**2))
    return out / out.sum(axis=1, keepdims=True)


def squared_distances(rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """float32 (n, n_centre), never below zero."""
    out = (rows**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1) - 2 * rows @ centres.T
    return np.maximum(out, np.float32(0), out=out)


def _far_apart(rows: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Up to `n` different rows, each drawn with a chance that grows with its distance from those before."""
    picked = [rows[rng.integers(len(rows))]]
    distance = ((rows - picked[0]) ** 2).sum(axis=1).astype(np.float64)
    while len(picked) < n and distance.sum() > 1e-9:
        picked.append(rows[rng.choice(len(rows), p=distance / distance.sum())])
        distance = np.minimum(distance, ((rows - picked[-1]) ** 2).sum(axis=1))
    return np.stack(picked).astype(np.float32)
