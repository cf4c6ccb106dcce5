"""What goes wrong with photographs and scans: the same scene beside a worse photograph, or counted worse."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from benchmarks.experiments.scenes import Scene

_SEED = 11


def photographed(scene: Scene, fault: Callable[[np.ndarray], np.ndarray]) -> Scene:
    """The scene with a fault of its photograph, float64 (ny, nx, 3) of 0 to 255."""
    return scene.with_photo(np.clip(fault(scene.photo.astype(float)), 0, 255).astype(np.uint8))


def counted(scene: Scene, fault: Callable[[np.ndarray], np.ndarray]) -> Scene:
    """The scene with a fault of its counts, float64 (ny, nx, n_channel)."""
    return replace(scene, counts=fault(scene.counts.astype(float)).astype(scene.counts.dtype))


def _clouds(shape: tuple[int, ...], size: float, seed: int = _SEED) -> np.ndarray:
    """A smooth random field of unit spread."""
    field = gaussian_filter(np.random.default_rng(seed).standard_normal(shape[:2]), size)
    return np.asarray(field / field.std())


# Of photographs


def poor_jpeg(photo: np.ndarray) -> np.ndarray:
    """Saved with quality 20."""
    file = io.BytesIO()
    Image.fromarray(photo.astype(np.uint8)).save(file, "JPEG", quality=20)
    return np.asarray(Image.open(file)).astype(float)


def blurred(photo: np.ndarray) -> np.ndarray:
    """Out of focus by 2 px."""
    return gaussian_filter(photo, (2, 2, 0))


def vignetted(photo: np.ndarray) -> np.ndarray:
    """Lit from one side, dark in the corners."""
    y, x = (np.arange(n)[:, None] / n for n in photo.shape[:2])
    return photo * (1.15 - 0.9 * ((y - 0.5) ** 2 + (x.T - 0.3) ** 2))[..., None]


def cracked(photo: np.ndarray) -> np.ndarray:
    """Dark craquelure that the scan does not see."""
    return np.where(abs(_clouds(photo.shape, 3.0))[..., None] < 0.06, 0.3 * photo, photo)


def glinting(photo: np.ndarray) -> np.ndarray:
    """Glints of varnish."""
    return np.where(_clouds(photo.shape, 1.2)[..., None] > 2.2, 255.0, photo)


def noisy(photo: np.ndarray) -> np.ndarray:
    """Noise of 10 of 255."""
    return photo + 10 * np.random.default_rng(_SEED).standard_normal(photo.shape)


def woven(photo: np.ndarray) -> np.ndarray:
    """The weave of the canvas shows."""
    return photo + 25 * np.sin(2 * np.pi * np.arange(photo.shape[1]) / 4)[:, None]


def warped(photo: np.ndarray) -> np.ndarray:
    """Distorted by up to 1.2 px."""
    y, x = np.mgrid[: photo.shape[0], : photo.shape[1]].astype(float)
    at = [y + 1.2 * np.sin(9.4 * x / x.max()), x + 1.2 * np.cos(7.5 * y / y.max())]
    return np.stack(
        [map_coordinates(band, at, order=1, mode="nearest") for band in np.moveaxis(photo, 2, 0)], -1
    )


# Of scans


def unsteady(counts: np.ndarray) -> np.ndarray:
    """The tube's current varies from row to row by 15 %."""
    rng = np.random.default_rng(_SEED)
    current = 1 + 0.15 * np.sin(np.arange(len(counts)) / 3) + 0.05 * rng.standard_normal(len(counts))
    return rng.poisson(counts * current[:, None, None])


def dead_rows(counts: np.ndarray) -> np.ndarray:
    """Two rows without counts."""
    out = counts.copy()
    out[7:9] = 0
    return out


def dead_spots(counts: np.ndarray) -> np.ndarray:
    """One spot in fifty without counts."""
    return counts * (np.random.default_rng(_SEED).random(counts.shape[:2]) > 0.02)[..., None]


def hot_spots(counts: np.ndarray) -> np.ndarray:
    """One spot in a hundred counts fifteen times too much."""
    return counts * np.where(np.random.default_rng(_SEED).random(counts.shape[:2]) < 0.01, 15, 1)[..., None]


def hot_channel(counts: np.ndarray) -> np.ndarray:
    """One channel counts 400 everywhere."""
    out = counts.copy()
    out[..., 100] += 400
    return out


def wide_beam(counts: np.ndarray) -> np.ndarray:
    """A beam of two steps that is taken for one."""
    return np.random.default_rng(_SEED).poisson(gaussian_filter(counts, (0.8, 0.8, 0)))


def zigzag(counts: np.ndarray) -> np.ndarray:
    """Every other row, scanned backwards, lies 0.4 steps aside."""
    out = counts.copy()
    out[1::2] = 0.6 * out[1::2] + 0.4 * np.roll(out[1::2], 1, axis=1)
    return np.random.default_rng(_SEED).poisson(out)


def drifting_energy(counts: np.ndarray) -> np.ndarray:
    """Half of the scan is one channel off."""
    out = counts.copy()
    half = out.shape[1] // 2
    out[:, half:] = np.roll(out[:, half:], 1, axis=2)
    return out
