"""Two independent halves of one scan, and binning: how real counts get a reference (METHOD, section 8)."""

from __future__ import annotations

import numpy as np


def split_counts(counts: np.ndarray, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Binomial thinning: each count goes to one half or the other by a fair coin.

    Halves of Poisson counts are independent Poisson counts of half the mean, so noise of one is not in the
    other. Row by row from one seed, so that the split does not depend on how much is read at once.

    Parameters
    ----------
    counts : unsigned int array of shape (ny, nx, n_channel)
    seed : int

    Returns
    -------
    two arrays like `counts`, which they add up to
    """
    first = np.empty_like(counts)
    for row, values in enumerate(counts):
        first[row] = np.random.default_rng([seed, row]).binomial(values, 0.5)
    return first, counts - first


def binned(values: np.ndarray, factor: int) -> np.ndarray:
    """Sums over `factor` x `factor` blocks of the first two axes, which `factor` divides; float32."""
    ny, nx = values.shape[0] // factor, values.shape[1] // factor
    blocks = values.reshape(ny, factor, nx, factor, *values.shape[2:])
    return blocks.sum(axis=(1, 3), dtype=np.float32)
