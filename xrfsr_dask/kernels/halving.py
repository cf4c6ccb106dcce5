"""Levels of a pyramid: a map, or mixtures, at half the size."""

from __future__ import annotations

import numpy as np


def halved(values: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 px, float32; of those that are not NaN, and of what there is at an odd edge."""
    ny, nx = values.shape
    even = np.pad(values, ((0, ny % 2), (0, nx % 2)), constant_values=np.nan)
    blocks = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2)
    known = np.isfinite(blocks)
    count = known.sum(axis=(1, 3))
    total = np.where(known, blocks, 0).sum(axis=(1, 3))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def halved_mixtures(A: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean mixtures of 2 x 2 px, of what was measured of them; at an odd edge, of what there is.

    Parameters
    ----------
    A : float32 array of shape (ny, nx, n_atom)
        Abundances.
    share : float32 array of shape (ny, nx), in [0, 1]
        How much of each pixel was measured.

    Returns
    -------
    float32 arrays of shape (ny', nx', n_atom) and (ny', nx'), halves rounded up
        0 where nothing was measured.
    """
    ny, nx = share.shape
    edge = (0, ny % 2), (0, nx % 2)
    count = _summed(np.pad(np.ones_like(share), edge))
    weight = np.pad(share, edge)
    known = _summed(weight)
    total = _summed(np.pad(A, (*edge, (0, 0))) * weight[..., None])
    mean = total / np.where(known > 0, known, np.float32(1))[..., None]
    return mean.astype(np.float32), (known / count).astype(np.float32)


def _summed(values: np.ndarray) -> np.ndarray:
    """Sums over blocks of 2 x 2 px."""
    return (values[::2, ::2] + values[1::2, ::2]) + (values[::2, 1::2] + values[1::2, 1::2])
