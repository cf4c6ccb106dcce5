"""Which directions of spectral space carry a picture: the basis of the scores that `joint` works on.

Spectra are *whitened* first: each channel is divided by the square root of its mean counts, which makes Poisson
noise nearly white (Keenan and Kotula 2004). Leading singular vectors then come by strength; weak lines, which
they would lose, are added as directions of their own wherever the map of the line is smoother than noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_FLOOR = 0.05  # least mean counts of a channel, in means over all channels: empty channels are not blown up
_NEW_PART = 0.3  # share of a direction that must lie outside those already taken
_SURE = 5.0  # standard deviations of noise that a map's smoothness must exceed
_STRONG = 3.0  # eigenvalues this many times above noise are kept without that test
MOST_DIRECTIONS = 64


@dataclass(frozen=True)
class Pairs:
    """Sums over spots, and over pairs of neighbouring spots, of the scores T of k directions; float64."""

    n: np.ndarray | float
    """Number of spots."""
    first: np.ndarray
    """(k,): sum of T."""
    second: np.ndarray
    """(k, k): T^T T."""
    n_pair: np.ndarray | float
    """Number of pairs of neighbours."""
    pair_first: np.ndarray
    """(k,): sum over pairs of the mean of both scores."""
    pair_second: np.ndarray
    """(k, k): sum over pairs of T_i T_j^T, made symmetric."""


def poisson_whitening(mean_spectrum: np.ndarray) -> np.ndarray:
    """Weights (n_channel,) that make Poisson noise white: ``1 / sqrt(mean)``, empty channels held back."""
    mean = np.asarray(mean_spectrum, np.float64)
    floor = max(_FLOOR * float(mean.mean()), 1e-12)
    return 1.0 / np.sqrt(np.maximum(mean, floor))


def gaussian_whitening(X: np.ndarray) -> np.ndarray:
    """Weights (n_channel,), all ``1 / sigma``; sigma from second differences along spectra X (n, n_channel)."""
    rough = np.diff(X, n=2, axis=1) if X.shape[1] > 2 else X - X.mean(axis=1, keepdims=True)
    sigma = 1.4826 * float(np.median(np.abs(rough))) / np.sqrt(6.0)
    least = 1e-6 * float(np.abs(X).max(initial=0.0))
    return np.full(X.shape[1], 1.0 / max(sigma, least, 1e-30))


def leading_directions(
    Z: np.ndarray, *, seed: int, most: int = MOST_DIRECTIONS
) -> tuple[np.ndarray, np.ndarray]:
    """Leading right singular vectors of whitened spectra Z (n, n_channel), and how far above noise each lies.

    By a random sketch with power iterations (Halko, Martinsson and Tropp 2011).

    Returns
    -------
    directions : float64 (n_channel, k), orthonormal
    strength : float64 (k,)
        Eigenvalue over the largest that white noise of unit variance gives (Marchenko and Pastur 1967).
    """
    n, n_channel = Z.shape
    k = min(most, n, n_channel)
    Q = np.random.default_rng(seed).standard_normal((n_channel, min(k + 16, n, n_channel)), np.float32)
    for _ in range(4):
        Q = np.linalg.qr(Z.T @ (Z @ Q))[0]
    _, s, Vt = np.linalg.svd((Z @ Q).astype(np.float64), full_matrices=False)
    Vt = Vt @ Q.T.astype(np.float64)
    edge = (np.sqrt(n) + np.sqrt(n_channel)) ** 2
    return np.linalg.qr(Vt[:k].T)[0], s[:k] ** 2 / edge


def pair_sums(T: np.ndarray) -> Pairs:
    """`Pairs` of the scores T (ny, nx, k) of a raster of spots."""
    k = T.shape[2]
    flat = T.reshape(-1, k).astype(np.float64)
    n_pair, first, second = 0, np.zeros(k), np.zeros((k, k))
    for a, b in ((T[1:], T[:-1]), (T[:, 1:], T[:, :-1])):
        left, right = a.reshape(-1, k).astype(np.float64), b.reshape(-1, k).astype(np.float64)
        n_pair += len(left)
        first += 0.5 * (left.sum(axis=0) + right.sum(axis=0))
        product = left.T @ right
        second += 0.5 * (product + product.T)
    return Pairs(len(flat), flat.sum(axis=0), flat.T @ flat, n_pair, first, second)


def choose_basis(W: np.ndarray, strength: np.ndarray, pairs: Pairs, n_leading: int) -> np.ndarray:
    """Orthonormal directions that carry a picture, strongest first.

    Parameters
    ----------
    W : float64 (n_channel, k)
        Candidates, unit vectors of whitened space: the mean spectrum, ``n_leading`` orthonormal ones, lines.
    strength : float64 (n_leading,)
        As `leading_directions` gives it.
    pairs : Pairs
        Of the scores of all candidates.
    n_leading : int

    Returns
    -------
    float64 (n_channel, r), 1 <= r <= `MOST_DIRECTIONS`
    """
    lag = _Smoothness(pairs)
    V, A = W[:, :1], np.eye(len(pairs.first))[:, :1]  # V = W A
    sure = lag.significance(np.eye(W.shape[1])[:, 1 : 1 + n_leading])
    for i in np.flatnonzero((sure > _SURE) | (strength > _STRONG)):
        V, A = _with(V, A, W, 1 + int(i))
    while V.shape[1] < min(MOST_DIRECTIONS, W.shape[0]):
        rest = W - V @ (V.T @ W)
        length = np.linalg.norm(rest, axis=0)
        coefficients = np.eye(W.shape[1]) - A @ (V.T @ W)
        sure = np.where(length > _NEW_PART, lag.significance(coefficients), -np.inf)
        best = int(sure.argmax())
        if sure[best] < _SURE:
            break
        V, A = _with(V, A, W, best)
    _, turn = np.linalg.eigh(lag.covariance(A))
    return V @ turn[:, ::-1]


class _Smoothness:
    """How much more alike neighbouring spots are than noise: covariance at a lag of one spot, and how sure."""

    def __init__(self, pairs: Pairs) -> None:
        p, n, n_pair = pairs, max(float(pairs.n), 1.0), max(float(pairs.n_pair), 1.0)
        mean = p.first / n
        across = np.outer(mean, p.pair_first / n_pair)
        self._lag = p.pair_second / n_pair - across - across.T + np.outer(mean, mean)
        self._variance = p.second / n - np.outer(mean, mean)
        self._root = np.sqrt(n_pair) if float(pairs.n_pair) else 0.0

    def covariance(self, A: np.ndarray) -> np.ndarray:
        """(r, r) covariance of neighbours, of the directions W A."""
        return np.asarray(A.T @ self._lag @ A)

    def significance(self, A: np.ndarray) -> np.ndarray:
        """Correlation of neighbours in standard deviations of white noise, for each column of A."""
        lag = np.einsum("kj,kl,lj->j", A, self._lag, A, optimize=True)
        variance = np.einsum("kj,kl,lj->j", A, self._variance, A, optimize=True)
        return np.asarray(self._root * lag / np.maximum(variance, 1e-12))


def _with(V: np.ndarray, A: np.ndarray, W: np.ndarray, i: int) -> tuple[np.ndarray, np.ndarray]:
    """V and A with the part of candidate i that is new, made a unit vector; unchanged where little is."""
    inside = V.T @ W[:, i]
    rest = W[:, i] - V @ inside
    length = float(np.linalg.norm(rest))
    if length < 1e-3:
        return V, A
    own = -(A @ inside)
    own[i] += 1.0
    return np.column_stack([V, rest / length]), np.column_stack([A, own / length])
