"""The dictionary step of `joint`: endmembers from the counts, abundances held fixed.

Expectation maximisation (Shepp and Vardi 1982; Lee and Seung 2001) of the Poisson likelihood with a Gamma prior
around the endmembers at the start, which holds those that few spots see:

    minimise over D >= 0   deviance(X, S A D)  +  2 a sum (D - D0 - D0 log(D / D0))                         (J4)

Every step lowers (J4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_TINY = np.float32(1e-12)


@dataclass(frozen=True)
class CountSums:
    """What one step needs to know of all spots, float64."""

    pull: np.ndarray
    """(k, n_channel): D times (S A)^T (X / (S A D))."""
    seen: np.ndarray
    """(k,): sum of S A, gains included."""
    deviance: float
    """Twice the log likelihood lost against a perfect fit."""


def count_sums(SA: np.ndarray, X: np.ndarray, D: np.ndarray) -> CountSums:
    """Sums over some spots: SA (n, k) with the gain in it, X (n, n_channel), D (k, n_channel), float32."""
    model = np.maximum(SA @ D, _TINY)
    ratio = X / model
    pull = D * (SA.T @ ratio)
    lost = np.where(X > 0, X * np.log(np.maximum(ratio, _TINY)), 0.0).sum(dtype=np.float64)
    deviance = 2.0 * (lost - X.sum(dtype=np.float64) + model.sum(dtype=np.float64))
    return CountSums(pull.astype(np.float64), SA.sum(axis=0, dtype=np.float64), float(deviance))


def poisson_step(sums: CountSums, start: np.ndarray, *, hold: float) -> np.ndarray:
    """New endmembers (k, n_channel); `start` holds them as strongly as abundances of `hold` in all would."""
    return (sums.pull + hold * start) / (sums.seen[:, None] + hold)


def prior_loss(D: np.ndarray, start: np.ndarray, *, hold: float) -> float:
    """Twice the negative log of that prior, up to a constant."""
    ratio = np.log(np.maximum(D, 1e-300) / np.maximum(start, 1e-300))
    return float(2.0 * hold * (D - start - np.where(start > 0, start * ratio, 0.0)).sum())
