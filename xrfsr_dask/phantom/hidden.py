"""What lies beneath: an overpainted half-length figure, the ground, stretcher bars and tacks.

Every field is a function of place, the same whatever region is asked for.
"""

from __future__ import annotations

import numpy as np

from xrfsr_dask.phantom.noise import cloud_noise, stroke_noise, value_noise
from xrfsr_dask.phantom.shapes import Shape, bar, convex, ellipse, rectangle, union

_BAR = 0.042  # width of a stretcher bar, widths of the painting
_TACK = 0.0035  # radius of a tack's head, widths
_TACK_STEP = 0.06  # widths


def hidden_abundance(y: np.ndarray, x: np.ndarray, aspect: float, pixel: float, seed: int) -> np.ndarray:
    """Abundances of all hidden layers, in the order of `pigments.HIDDEN`.

    Parameters
    ----------
    y, x : float arrays of shape (ny, 1) and (1, nx), widths of the painting
    aspect : float
        Height over width of the painting.
    pixel : float
        Side of a pixel, widths; edges are this soft.
    seed : int

    Returns
    -------
    float32 array of shape (5, ny, nx), dimensionless: ground, hidden flesh, hidden coat, stretcher bar, tack
    """
    brush = 1 + 0.3 * stroke_noise(y, x, seed + 51, degrees=35, length=0.05, width=0.007)
    flesh, features, coat, hat = _figure(aspect)
    skin = flesh.coverage(y, x, 2 * pixel) * (1 - 0.65 * features.coverage(y, x, 2 * pixel))
    cloth = np.maximum(coat.coverage(y, x, 2 * pixel), hat.coverage(y, x, 2 * pixel))
    skin = skin * (1 - hat.coverage(y, x, 2 * pixel))
    folds = 0.75 + 0.25 * value_noise(y / 0.05, x / 0.02, seed + 52)
    wood = 0.9 + 0.1 * stroke_noise(y, x, seed + 53, degrees=0, length=0.4, width=0.006)
    return np.stack(
        [
            1 + 0.12 * cloud_noise(y / 0.35, x / 0.35, seed + 54),
            skin * brush,
            cloth * (1 - flesh.coverage(y, x, 2 * pixel)) * brush * folds,
            _bars(aspect).coverage(y, x, pixel) * wood,
            _tacks(y, x, aspect, pixel),
        ]
    ).astype(np.float32)


def _figure(aspect: float) -> tuple[Shape, Shape, Shape, Shape]:
    """Flesh, dark features of the face, coat, hat of a sitter turned a little to the left."""
    h = 0.70 * aspect  # everything hangs on the figure's height
    top, x = 0.17 * aspect, 0.36

    def at(dy: float, dx: float) -> tuple[float, float]:
        return top + dy * h, x + dx * h

    face = ellipse(at(0.24, 0.0), 0.135 * h, 0.098 * h)
    neck = bar(at(0.34, 0.01), at(0.46, 0.015), 0.095 * h)
    hands = [ellipse(at(0.86, -0.06), 0.035 * h, 0.07 * h), ellipse(at(0.885, 0.05), 0.03 * h, 0.065 * h)]
    eyes = [ellipse(at(0.225, dx), 0.011 * h, 0.021 * h) for dx in (-0.05, 0.032)]
    brows = [bar(at(0.198, dx - 0.025), at(0.195, dx + 0.025), 0.009 * h) for dx in (-0.05, 0.032)]
    nose = bar(at(0.235, -0.02), at(0.285, -0.026), 0.010 * h)
    mouth = bar(at(0.318, -0.04), at(0.315, 0.012), 0.013 * h)
    trunk = convex(
        at(0.43, -0.07), at(0.43, 0.09), at(0.50, 0.24), at(0.98, 0.31), at(0.98, -0.29), at(0.50, -0.21)
    )
    sleeves = [bar(at(0.56, -0.20), at(0.87, -0.16), 0.14 * h), bar(at(0.56, 0.23), at(0.89, 0.16), 0.14 * h)]
    brim = ellipse(at(0.135, 0.01), 0.028 * h, 0.19 * h)
    crown = convex(at(0.01, -0.07), at(0.0, 0.08), at(0.14, 0.11), at(0.14, -0.10))
    flesh, features = union([face, neck, *hands]), union([*eyes, *brows, nose, mouth])
    return flesh, features, union([trunk, *sleeves]), union([brim, crown])


def _bars(aspect: float) -> Shape:
    """Four bars along the edges and one cross-bar."""
    edges = [(0, _BAR, 0, 1), (aspect - _BAR, aspect, 0, 1), (0, aspect, 0, _BAR), (0, aspect, 1 - _BAR, 1)]
    return union([rectangle(*edge) for edge in [*edges, (0, aspect, 0.64 - _BAR / 2, 0.64 + _BAR / 2)]])


def _tacks(y: np.ndarray, x: np.ndarray, aspect: float, pixel: float) -> np.ndarray:
    """Heads of iron tacks, evenly spaced along the middle of the outer bars."""
    inset = 0.35 * _BAR
    dy, dx = _from_nearest(y, inset), _from_nearest(x, inset)
    rows = np.minimum(np.abs(y - inset), np.abs(y - (aspect - inset)))
    columns = np.minimum(np.abs(x - inset), np.abs(x - (1 - inset)))
    distance = np.minimum(np.hypot(rows, dx), np.hypot(columns, dy)) - _TACK
    return np.clip(0.5 - distance / pixel, 0, 1)


def _from_nearest(place: np.ndarray, first: float) -> np.ndarray:
    """Distance from the nearest of the places ``first + k * _TACK_STEP``."""
    k = (place - first) / _TACK_STEP
    return np.abs(k - np.rint(k)) * _TACK_STEP
