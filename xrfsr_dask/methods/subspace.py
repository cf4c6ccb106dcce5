"""Noise first: channels weighted by their variance, and the few directions that stand above the noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from xrfsr_dask.methods.cubic import upsample_cubic
from xrfsr_dask.methods.protocol import Scene


@dataclass(frozen=True)
class Subspace:
    """Spectra as ``scores @ basis * scale``: signal in few directions, noise of one size in all of them."""

    scores: np.ndarray
    """float32 (ny, nx, rank), in units of the noise's standard deviation."""
    basis: np.ndarray
    """float32 (rank, n_channel), orthonormal rows."""
    scale: np.ndarray
    """float32 (n_channel,), counts: noise of each channel."""

    @property
    def endmember(self) -> np.ndarray:
        """float32 (rank, n_channel): what a score of one stands for, counts."""
        return self.basis * self.scale


def channel_scale(scene: Scene) -> np.ndarray:
    """Standard deviation of the noise of each channel, up to a common factor; float32 (n_channel,).

    Poisson: the square root of the channel's mean count, where a channel that hardly ever counts is held to
    one count in all spots. Gaussian: the same for all.
    """
    if scene.noise == "gaussian":
        return np.ones(scene.n_channel, np.float32)
    mean = scene.counts.mean(axis=(0, 1), dtype=np.float64)
    n_spot = scene.spots[0] * scene.spots[1]
    return np.sqrt(np.maximum(mean, 1.0 / n_spot)).astype(np.float32)


def weighted_spectra(scene: Scene, *, weighted: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Spectra (n_spot, n_channel) over the noise of their channels, and that noise; float32."""
    scale = channel_scale(scene) if weighted else np.ones(scene.n_channel, np.float32)
    return scene.counts.reshape(-1, scene.n_channel) / scale, scale


def find_subspace(scene: Scene, *, most: int, weighted: bool = True) -> Subspace:
    """Directions of the spectra that noise alone would not show, the strongest first, `most` at most.

    Noise of variance v in all entries of an (n, m) matrix has no squared singular value above
    ``v (sqrt n + sqrt m)^2``; v is the median of the squared singular values over that of pure noise
    (Gavish and Donoho 2014), so it need not be known.
    """
    X, scale = weighted_spectra(scene, weighted=weighted)
    values, vectors = right_vectors(X)
    rank, noise = above_noise(values, X.shape)
    basis = vectors[: min(rank, most)].astype(np.float32)
    scores = X @ basis.T / np.float32(noise)
    return Subspace(scores.reshape(*scene.spots, -1), basis, scale * np.float32(noise))


def right_vectors(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared singular values, falling, and right singular vectors as rows; float64, at most min(X.shape)."""
    n, m = X.shape
    if n < m:
        values, U = eigh(X.astype(np.float64) @ X.T.astype(np.float64))
        values, U = np.maximum(values[::-1], 0.0), U[:, ::-1]
        kept = values >= 1e-12 * max(values[0], 1e-300)
        kept[0] = True
        V = (U[:, kept].T @ X) / np.sqrt(np.maximum(values[kept], 1e-300))[:, None]
        return values[kept], V
    values, V = eigh((X.T @ X).astype(np.float64))
    return np.maximum(values[::-1], 0.0), V[:, ::-1].T


def above_noise(values: np.ndarray, shape: tuple[int, int]) -> tuple[int, float]:
    """How many squared singular values stand above the noise, 1 at least, and that noise's deviation."""
    n, m = max(shape), min(shape)
    variance = float(np.median(values)) / (n * _median_of_noise(m / n))
    floor = 1e-7 * float(values[0]) / n  # a scene without noise keeps what is more than 0.03 % of it
    variance = max(variance, floor, 1e-30)
    rank = int((values > 1.02 * variance * (np.sqrt(n) + np.sqrt(m)) ** 2).sum())
    return max(rank, 1), float(np.sqrt(variance))


def _median_of_noise(ratio: float) -> float:
    """Median of the Marchenko-Pastur law of unit variance, for `ratio` = m / n at most 1."""
    low, high = (1 - np.sqrt(ratio)) ** 2, (1 + np.sqrt(ratio)) ** 2
    x = np.linspace(low, high, 4001)[1:-1]
    density = np.sqrt((high - x) * (x - low)) / x
    total = np.cumsum(density)
    return float(x[np.searchsorted(total, 0.5 * total[-1])])


def upsampled(values: np.ndarray, factor: int) -> np.ndarray:
    """Cubic spline of maps (ny, nx, k) that may be negative; float32 (factor * ny, factor * nx, k)."""
    return upsample_cubic(values, factor, nonnegative=False)
