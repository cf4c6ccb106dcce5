"""The global map from colour to score: linear in features, with a ridge that the data choose.

A ridge too weak lets a map learn the coincidences between a photograph and a painting it does not show; each
score has its own, up to an infinite one, which leaves the score's mean alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FOLD_RIDGES = (*(10.0 ** np.arange(-2.0, 6.01, 0.5)), np.inf)
"""Ridges tried on spots left out, in units of their weights."""
_FREEDOM = 1 / 3  # degrees of freedom that a map may have, of the number of spots
_FEW = 30  # spots: fewer teach no map
_SINGULAR = 1e-12  # of the largest entry of the normal equations: a ridge below it is none
_SHARES = (*(10.0 ** np.arange(-7.0, 2.01, 0.5)), np.inf)
"""Ridges tried by evidence, in the largest eigenvalue of the normal equations."""


def ridge_by_folds(normal: np.ndarray, right: np.ndarray, square: np.ndarray) -> np.ndarray:
    """The map whose ridge predicts spots left out best; for a start, neighbours being taken for independent.

    Parameters
    ----------
    normal : float64 (fold, m + 1, m + 1)
        Normal equations of each fold, the last feature being 1.
    right : float64 (fold, m + 1, r)
    square : float64 (fold, r)
        Sums of weighted squares of the scores.

    Returns
    -------
    float64 (m + 1, r)
    """
    N, R = normal.sum(axis=0), right.sum(axis=0)
    errors = np.zeros((len(FOLD_RIDGES), R.shape[1]))
    for n, part, total in zip(normal, right, square, strict=True):
        if n[-1, -1] in (0, N[-1, -1]):
            continue
        for i, ridge in enumerate(FOLD_RIDGES):
            g = ridged(N - n, R - part, ridge)
            errors[i] += total - 2 * (g * part).sum(axis=0) + (g * (n @ g)).sum(axis=0)
    best = np.where(errors.any(axis=0), errors.argmin(axis=0), len(FOLD_RIDGES) - 1)
    g = np.empty_like(R)
    for i in np.unique(best):
        g[:, best == i] = ridged(N, R[:, best == i], FOLD_RIDGES[i])
    return g


@dataclass(frozen=True)
class MapSums:
    """Generalised least squares of the map, summed over neighbourhoods; float64."""

    normal: np.ndarray
    """(class, m + 1, m + 1): ``F^T K^-1 F`` of scores that share a covariance K, the last feature being 1."""
    right: np.ndarray
    """(m + 1, r): ``F^T K^-1 z``."""
    square: np.ndarray
    """(r,): ``z^T K^-1 z``."""
    n: float
    """Number of spots."""


def ridge_by_evidence(sums: MapSums, classes: Sequence[np.ndarray]) -> np.ndarray:
    """The map whose ridge makes the scores most likely, neighbours being as alike as K says.

    With the map's weights normal around nought, their number integrated out, and the scale of K free
    (Rasmussen and Williams 2006, section 2.7): ``-n/2 log Q(ridge) - 1/2 log |1 + N / ridge|``, where Q is what
    the fit leaves of z^T K^-1 z. What is alike among neighbours anyway is no evidence for a colour. A map with
    almost as many degrees of freedom as there are spots fits whatever there is, and is not taken.

    Parameters
    ----------
    sums : MapSums
    classes : sequence of int arrays
        Scores of each matrix of `sums.normal`.

    Returns
    -------
    float64 (m + 1, r)
    """
    g = np.empty_like(sums.right)
    for N, scores in zip(sums.normal, classes, strict=True):
        R, last = sums.right[:, scores], max(float(N[-1, -1]), 1e-30)
        inner = N[:-1, :-1] - np.outer(N[:-1, -1], N[-1, :-1]) / last
        pull = R[:-1] - np.outer(N[:-1, -1], R[-1]) / last
        total = sums.square[scores] - np.square(R[-1]) / last
        values, vectors = np.linalg.eigh(inner)
        values = np.maximum(values, 0.0)
        ridges = np.asarray(_SHARES) * max(float(values[-1]), 1e-30)
        turned = np.square(vectors.T @ pull)
        left = np.stack([total - (turned / (values + ridge)[:, None]).sum(axis=0) for ridge in ridges])
        left = np.maximum(left, 1e-9 * np.maximum(total, 1e-30))
        volume = np.array([np.log1p(values / ridge).sum() for ridge in ridges])
        likely = -0.5 * max(sums.n - 1, 1) * np.log(left) - 0.5 * volume[:, None]
        freedom = np.array([(values / (values + ridge)).sum() for ridge in ridges])
        likely[freedom > (_FREEDOM * sums.n if sums.n >= _FEW else 0.0)] = -np.inf
        best = likely.argmax(axis=0)
        for i in np.unique(best):
            g[:, scores[best == i]] = ridged(N, R[:, best == i], ridges[i])
    return g


def ridged(N: np.ndarray, R: np.ndarray, ridge: float) -> np.ndarray:
    """Map (m + 1, r) of a ridge on all but the constant; only the constant where the ridge is infinite."""
    if np.isinf(ridge):
        g = np.zeros_like(R)
        g[-1] = R[-1] / max(N[-1, -1], 1e-30)
        return g
    least = _SINGULAR * max(float(N.max()), 1e-30)  # colours that never differ leave N singular
    penalty = np.full(len(N), max(ridge, least))
    penalty[-1] = 1e-9 * penalty[0]
    return np.linalg.solve(N + np.diag(penalty), R)
