"""Guided filter (He, Sun, Tang 2013; at two resolutions, He and Sun 2015): maps take the photograph's edges.

Scores of the spectra, in the directions above the noise, are a linear function of colour in every window of
3 x 3 spots. Slopes and offsets are fitted at the spots, brought to the pixels by cubic spline and applied to
the photograph; what the result's block means lack is put back. (Filtering the splined scores at the pixels is
the same idea, but there blurred scores meet sharp colours, and all slopes come out too small: 2.5 dB less.)
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d

from xrfsr_dask.methods.blocks import block_mean
from xrfsr_dask.methods.protocol import Factors, Scene, bytes_for, encoded, factors, require_memory
from xrfsr_dask.methods.subspace import find_subspace, upsampled

RANK = 50
EPSILON = 1e-3
"""What the local variance of the guide is weighed against, in squared sRGB values of [0, 1]."""


def bytes_needed(scene: Scene, atoms: int) -> int:
    """Working arrays of `super_resolve`, bytes."""
    rank = min(atoms, scene.n_channel, scene.counts[..., 0].size)
    return bytes_for(
        scene,
        per_pixel=3 * rank + 6 * scene.photo.shape[2] + 8,
        per_spot=3 * scene.n_channel,
        fixed=8 * scene.n_channel**2,
    )


def super_resolve(
    scene: Scene,
    *,
    atoms: int = RANK,
    seed: int = 0,
    memory: int,
    weighted: bool = True,
    epsilon: float = EPSILON,
) -> Factors:
    """Scores through a guided filter.

    Parameters
    ----------
    scene : Scene
    atoms : int
        Directions kept at most; fewer where no more stand above the noise.
    seed : int
        Not used: nothing is drawn.
    memory : int
        Bytes this may need.
    weighted : bool
        Weigh channels by their variance before anything else.
    epsilon : float
        The filter's ridge.
    """
    require_memory("guided", scene, bytes_needed(scene, atoms), memory)
    space = find_subspace(scene, most=atoms, weighted=weighted)
    guide, f = encoded(scene.photo), scene.factor
    out = guided_upsampling(space.scores, guide, f, radius=1, epsilon=epsilon)
    out += upsampled(space.scores - block_mean(out, f), f)
    return factors(scene, out, space.endmember)


def guided_upsampling(
    scores: np.ndarray, guide: np.ndarray, factor: int, *, radius: int, epsilon: float
) -> np.ndarray:
    """Each map as a locally linear function of the guide's bands, fitted at the spots, read off at the pixels.

    Parameters
    ----------
    scores : float32 array of shape (ny, nx, k)
        Maps at the spots.
    guide : float32 array of shape (factor * ny, factor * nx, n_band), in [0, 1]
    factor : int
    radius : int
        Windows are 2 * radius + 1 spots wide; at the border they hold what there is of them.
    epsilon : float
        Ridge on the slopes.

    Returns
    -------
    float32 array of shape (factor * ny, factor * nx, k)
    """
    low = block_mean(guide, factor).astype(np.float64)
    mean = _Box(low.shape[:2], radius)
    middle, n_band = mean(low), low.shape[2]
    spread = mean((low[..., :, None] * low[..., None, :]).reshape(*low.shape[:2], -1))
    spread = spread.reshape(*low.shape[:2], n_band, n_band) - middle[..., :, None] * middle[..., None, :]
    inverse = np.linalg.inv(spread + epsilon * np.eye(n_band))
    out = np.empty((*guide.shape[:2], scores.shape[2]), np.float32)
    for k in range(scores.shape[2]):
        one = scores[..., k : k + 1].astype(np.float64)
        level = mean(one)
        slope = np.einsum("yxab,yxb->yxa", inverse, mean(one * low) - level * middle)
        offset = level - np.einsum("yxb,yxb->yx", slope, middle)[..., None]
        fine = upsampled(mean(np.concatenate([slope, offset], axis=2)), factor)
        out[..., k] = np.einsum("yxb,yxb->yx", fine[..., :-1], guide) + fine[..., -1]
    return out


class _Box:
    """Means over square windows that are cut at the border."""

    def __init__(self, shape: tuple[int, int], radius: int) -> None:
        self.size = 2 * radius + 1
        self.share = self._filtered(np.ones((*shape, 1)))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        return self._filtered(values) / self.share

    def _filtered(self, values: np.ndarray) -> np.ndarray:
        for axis in (0, 1):
            values = uniform_filter1d(values, self.size, axis=axis, mode="constant")
        return values
