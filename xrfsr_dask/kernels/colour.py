"""Soft memberships of colours: what turns "spots of like colour have like spectra" into linear algebra.

Two colours are alike by a mixture of Gaussians of their distance, from fine to coarse. Nystroem's method
(Williams and Seeger 2001) turns it into features phi with ``phi(I) . phi(I') = likeness``, as many as there are
centres. Features of a spot are the mean of those under its beam, S phi.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xrfsr_dask.kernels.initial import spread_rows

CENTRES = 250
"""Centres among the colours of a photograph, at most."""

_WIDTHS = (0.06, 0.12, 0.3)  # of the Gaussians, in perceptual units: black to white is 1
_AT_ONCE = 128  # colours whose distances stay in the cache
_GAMMA = np.float32(1 / 2.2)  # from linear light to about equal steps for the eye
_LEAST = 1e-6  # eigenvalues below this share of the largest are dropped


@dataclass(frozen=True)
class Colours:
    """A photograph's colour features."""

    centres: np.ndarray
    """float32 (k, n_band), perceptual."""
    transform: np.ndarray
    """float32 (k, m): likeness to the centres -> features."""

    @property
    def n(self) -> int:
        """Number of features, m."""
        return int(self.transform.shape[1])

    def features(self, photo: np.ndarray) -> np.ndarray:
        """phi of pixels (..., n_band) in linear light; float32 (..., m), of length one at most."""
        flat = perceptual(photo).reshape(-1, photo.shape[-1])
        return (_likeness(flat, self.centres) @ self.transform).reshape(*photo.shape[:-1], -1)


def learn_colours(photo: np.ndarray, *, seed: int, centres: int = CENTRES) -> Colours:
    """Centres spread over the colours of some pixels (n, n_band), linear light."""
    rng = np.random.default_rng(seed)
    seen = np.unique(np.round(perceptual(photo) * 255), axis=0).astype(np.float32) / np.float32(255)
    if len(seen) > centres:
        seen = seen[np.sort(spread_rows(seen, centres, rng))]
    values, vectors = np.linalg.eigh(_likeness(seen, seen).astype(np.float64))
    kept = values > _LEAST * values[-1]
    return Colours(seen, (vectors[:, kept] / np.sqrt(values[kept])).astype(np.float32))


def perceptual(photo: np.ndarray) -> np.ndarray:
    """Linear light to about equal steps for the eye, float32."""
    return np.power(np.clip(photo, 0, 1), _GAMMA, dtype=np.float32)


def _likeness(P: np.ndarray, Q: np.ndarray) -> np.ndarray:
    own, others, out = np.square(P).sum(axis=1), np.square(Q).sum(axis=1), np.empty((len(P), len(Q)), P.dtype)
    for first in range(0, len(P), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        square, alike = own[part, None] - 2 * P[part] @ Q.T, out[part]
        square += others
        np.maximum(square, 0, out=square)
        alike[...] = 0.0
        for width in _WIDTHS:
            one = square * np.float32(-0.5 / width**2)
            alike += np.exp(one, out=one)
        alike /= np.float32(len(_WIDTHS))
    return out
