"""Regression on a palette: what a colour is made of, learned at the spots and read off at the pixels.

Scores of the spectra are a smooth function of colour that is linear inside each of a few soft colour clusters
and drifts with place: a ridge regression at LR of the scores on the block means of membership x (1, colour,
lightness against its surroundings, position). What the result's block means lack is put back by cubic spline.

Colours are taken from their cluster's centre and in units of its reach, so that the ridge holds slopes and
offsets alike; colours as they are, each column scaled to one size, with the ridge from generalised
cross-validation gave 3 dB less on the painted scene: pixels reach further in colour than the spots, which are
all that cross-validation sees.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from xrfsr_dask.methods.blocks import block_mean
from xrfsr_dask.methods.colours import memberships, palette
from xrfsr_dask.methods.protocol import Factors, Scene, bytes_for, encoded, factors, require_memory
from xrfsr_dask.methods.subspace import find_subspace, upsampled

RANK = 50
CLUSTERS = 24
SOFTNESS = 0.08
RIDGE = 2.0
_BLOCK_SPOTS = 8


def bytes_needed(scene: Scene, atoms: int, *, clusters: int = CLUSTERS) -> int:
    """Working arrays of `super_resolve`, bytes."""
    n_band = scene.photo.shape[2]
    n_feature = clusters * (n_band + 4)
    rank = min(atoms, scene.n_channel, scene.counts[..., 0].size)
    return bytes_for(
        scene,
        per_pixel=3 * rank + 3 * n_band + 12,
        per_spot=3 * scene.n_channel + 4 * n_feature,
        fixed=4 * n_feature * scene.factor * _BLOCK_SPOTS * scene.shape[1] + 8 * scene.n_channel**2,
    )


def super_resolve(
    scene: Scene,
    *,
    atoms: int = RANK,
    seed: int = 0,
    memory: int,
    weighted: bool = True,
    clusters: int = CLUSTERS,
    softness: float = SOFTNESS,
    ridge: float = RIDGE,
) -> Factors:
    """Regress scores on colour, contrast and place.

    Parameters
    ----------
    scene : Scene
    atoms : int
        Directions kept at most; fewer where no more stand above the noise.
    seed : int
        Seed of the palette.
    memory : int
        Bytes this may need.
    weighted : bool
        Weigh channels by their variance before anything else.
    clusters : int
        Colours of the palette.
    softness : float
        How far a cluster reaches, in sRGB values of [0, 1].
    ridge : float
        How many spots have to speak for a slope before it is believed.
    """
    require_memory("palette", scene, bytes_needed(scene, atoms, clusters=clusters), memory)
    n_band, f = scene.photo.shape[2], scene.factor
    space = find_subspace(scene, most=atoms, weighted=weighted)
    guide = encoded(scene.photo)
    look = _look(guide, f)
    centres = palette(guide.reshape(-1, n_band), clusters, seed=seed)
    parts = [slice(y, y + _BLOCK_SPOTS * f) for y in range(0, scene.shape[0], _BLOCK_SPOTS * f)]
    low = np.concatenate([block_mean(_features(guide, look, part, centres, softness), f) for part in parts])
    middle = space.scores.mean(axis=(0, 1))
    slopes = _slopes(low.reshape(-1, low.shape[2]), (space.scores - middle).reshape(-1, len(middle)), ridge)
    out = np.concatenate([_features(guide, look, part, centres, softness) @ slopes for part in parts])
    out += middle
    out += upsampled(space.scores - block_mean(out, f), f)
    return factors(scene, out, space.endmember)


def _slopes(F: np.ndarray, Y: np.ndarray, ridge: float) -> np.ndarray:
    """``argmin |Y - F B|^2 + ridge |B|^2``, float32 (n_feature, k)."""
    F = F.astype(np.float64)
    return np.linalg.solve(F.T @ F + ridge * np.eye(F.shape[1]), F.T @ Y).astype(np.float32)


def _look(guide: np.ndarray, factor: int) -> np.ndarray:
    """Lightness against its surroundings of one spot's size, and position in [-1, 1]; float32 (ny, nx, 3)."""
    light = guide.mean(axis=2)
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in light.shape)
    contrast = light - gaussian_filter(light, factor)
    return np.stack([contrast, *np.broadcast_arrays(y[:, None], x[None, :])], axis=2)


def _features(
    guide: np.ndarray, look: np.ndarray, part: slice, centres: np.ndarray, softness: float
) -> np.ndarray:
    """Membership x (1, colour, contrast, position) of some rows of pixels, float32 (ny, nx, n_feature)."""
    colour = guide[part].reshape(-1, guide.shape[2])
    share = memberships(colour, centres, softness)
    aside = (colour[:, None, :] - centres) / np.float32(softness)
    around = np.broadcast_to(look[part].reshape(-1, 1, look.shape[2]), (*share.shape, look.shape[2]))
    terms = np.concatenate([np.ones_like(share[..., None]), aside, around], axis=2)
    return (share[..., None] * terms).reshape(*guide[part].shape[:2], -1)
