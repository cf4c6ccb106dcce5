"""Non-negative least squares of some tens of unknowns, without SciPy, whose import takes its time."""

from __future__ import annotations

import numpy as np

_ROUNDS = 10  # in which all change sides at once
_RIDGE = 1e-10  # of a Gram of unit diagonal


def nonnegative(G: np.ndarray, c: np.ndarray) -> np.ndarray:
    """``argmin_{a >= 0} a G a / 2 - a c`` exactly, by principal pivoting (Júdice and Pires 1994).

    All that have the wrong sign change sides at once, some five times as a rule. Where that goes in circles,
    only the last of them does, which comes to an end (Murty 1974). SciPy's Lawson and Hanson takes twice as
    long, and a tenth of a second to import.

    Parameters
    ----------
    G : float64 array of shape (k, k)
        A Gram.
    c : float64 array of shape (k,)
    """
    # A background has ten orders of magnitude more counts than a photon's shape.
    size = lengths(G)
    return _unit(G / size / size[:, None], c / size) / size


def inverse(G: np.ndarray) -> np.ndarray:
    """Inverse of a Gram (k, k), found in units of its own lengths."""
    size = lengths(G)
    return np.asarray(np.linalg.inv(G / size / size[:, None] + _RIDGE * np.eye(len(G))) / size / size[:, None])


def lengths(G: np.ndarray) -> np.ndarray:
    """Lengths (k,) of what a Gram is of; 1 where that is nothing, as where nothing is weighed."""
    square = np.diag(G)
    return np.where(square > 0, np.sqrt(np.abs(square)), 1.0)


def _unit(G: np.ndarray, c: np.ndarray) -> np.ndarray:
    G = G + _RIDGE * np.eye(len(G))
    least = c - 1e-12 * np.abs(c)  # what is neither in nor out, rounding would move for ever
    used = c > 0
    for n in range(100 * len(c)):
        at, a = np.flatnonzero(used), np.zeros(len(c))
        a[at] = np.linalg.solve(G[np.ix_(at, at)], c[at])
        wrong = np.flatnonzero(np.where(used, a < 0, G @ a < least))
        if not len(wrong):
            break
        used[wrong if n < _ROUNDS else wrong[-1:]] ^= True
    return np.maximum(a, 0.0)
