"""How well a model explains the counts of each spot."""

from __future__ import annotations

import numpy as np

_LEAST_COUNTS = 5.0  # per group of channels: the rule of thumb for Pearson's statistic


def channel_groups(mean_spectrum: np.ndarray) -> np.ndarray:
    """First channel of each run of channels that holds at least five counts in the mean spectrum.

    Parameters
    ----------
    mean_spectrum : float array of shape (n_channel,), counts per spot

    Returns
    -------
    int array of shape (n_group,), rising, beginning with 0
    """
    starts, held = [0], 0.0
    left = float(mean_spectrum.sum())
    for channel, counts in enumerate(mean_spectrum):
        if held >= _LEAST_COUNTS and left >= _LEAST_COUNTS:
            starts.append(channel)
            held = 0.0
        held += float(counts)
        left -= float(counts)
    return np.array(starts)


def chi_square_poisson(X: np.ndarray, model: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Pearson's statistic per group of channels, ``mean (x - m)^2 / m``; 1 where only Poisson noise is left.

    Parameters
    ----------
    X, model : arrays of shape (n_spot, n_channel), counts
    groups : int array
        As `channel_groups` gives them.

    Returns
    -------
    float32 array of shape (n_spot,)
    """
    x = np.add.reduceat(X, groups, axis=1, dtype=np.float64)
    m = np.maximum(np.add.reduceat(model, groups, axis=1, dtype=np.float64), 1e-3)
    return np.mean((x - m) ** 2 / m, axis=1).astype(np.float32)


def chi_square_gaussian(X: np.ndarray, model: np.ndarray) -> np.ndarray:
    """``mean (x - m)^2 / sigma^2`` per spot, sigma estimated from second differences along the spectrum.

    Parameters
    ----------
    X, model : arrays of shape (n_spot, n_channel), counts of any type

    Returns
    -------
    float32 array of shape (n_spot,)
    """
    X = np.asarray(X, np.result_type(X, np.float32))  # differences of unsigned counts wrap round
    rough = np.diff(X, n=2, axis=1) if X.shape[1] > 2 else X - X.mean(axis=1, keepdims=True)
    sigma = 1.4826 * float(np.median(np.abs(rough))) / np.sqrt(6.0)
    return (np.mean((X - model) ** 2, axis=1) / max(sigma, 1e-12) ** 2).astype(np.float32)
