"""A painted room of our own, at any size: walls, boards, bed, chair, window, pictures, in visible strokes.

Composed in a unit square, (y, x) as shares of height and width, and painted back to front.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xrfsr_dask.phantom.furniture import Item, furniture
from xrfsr_dask.phantom.noise import stroke_noise, value_noise

_BAND = 128  # rows painted at a time
_VANISHING = (0.27, 0.43)
_BOARDS = 8.0  # per width, one height below the horizon
_BLUE, _BLUE2 = (138, 164, 214), (112, 142, 202)


@dataclass(frozen=True)
class _Canvas:
    """Rows being painted: linear blends of sRGB values, and where they lie."""

    colour: np.ndarray
    """(rows, nx, 3) sRGB in 0..255, painted over and over."""
    y: np.ndarray
    """(rows, 1), widths."""
    x: np.ndarray
    """(1, nx), widths."""
    aspect: float
    """Height over width."""
    pixel: float
    """Side of a pixel, widths."""


def paint_room(shape: tuple[int, int], seed: int) -> np.ndarray:
    """The whole picture.

    Parameters
    ----------
    shape : (ny, nx)
        Pixels; the composition stretches to fit.
    seed : int
        Of the brush strokes.

    Returns
    -------
    uint8 array of shape (ny, nx, 3), sRGB
    """
    out = np.empty((*shape, 3), np.uint8)
    for y0 in range(0, shape[0], _BAND):
        out[y0 : y0 + _BAND] = paint_rows(shape, seed, y0, min(y0 + _BAND, shape[0]))
    return out


def paint_rows(shape: tuple[int, int], seed: int, y0: int, y1: int) -> np.ndarray:
    """Rows y0 to y1 of the picture, uint8 (y1 - y0, nx, 3); the same whatever the rows asked for."""
    ny, nx = shape
    y, x = (np.arange(y0, y1)[:, None] + 0.5) / nx, (np.arange(nx)[None, :] + 0.5) / nx
    canvas = _Canvas(np.zeros((y1 - y0, nx, 3)), y, x, ny / nx, 1 / nx)
    _paint_walls(canvas, seed)
    _paint_floor(canvas, seed)
    for number, item in enumerate(furniture(canvas.aspect)):
        _paint_item(canvas, item, seed + 31 * number)
    _emboss(canvas, seed)
    return np.clip(np.rint(canvas.colour), 0, 255).astype(np.uint8)


def _paint_walls(canvas: _Canvas, seed: int) -> None:
    """Three walls; their corners are drawn as furniture."""
    y, x = canvas.y, canvas.x
    grain = stroke_noise(y, x, seed, degrees=82, length=0.06, width=0.006)
    patch = value_noise(y / 0.12, x / 0.09, seed + 1)
    canvas.colour[:] = _blend(_BLUE, _BLUE2, _edge(grain + 0.5 * patch))
    shade = 1 - 0.10 * (x < 0.17) - 0.05 * (x > 0.72)
    canvas.colour[:] = canvas.colour * shade[..., None]
    pale = _edge(stroke_noise(y, x, seed + 2, degrees=70, length=0.04, width=0.004) - 0.55)
    canvas.colour[:] += (np.array([208, 214, 226]) - canvas.colour) * (0.6 * pale)[..., None]


def _paint_floor(canvas: _Canvas, seed: int) -> None:
    """Boards that run to the vanishing point, rose and green, with dark seams."""
    y, x = canvas.y / canvas.aspect, canvas.x
    depth = 1 / np.maximum(y - _VANISHING[0], 0.02)
    across = _BOARDS * (x - _VANISHING[1]) * depth
    board = np.floor(across)
    along = 0.9 * depth + 0.37 * board
    tint = value_noise(np.floor(along), board, seed + 3)
    grain = stroke_noise(across * 7, along * 1.5, seed + 4, degrees=90, length=0.9, width=1.0)
    grain = 0.6 * grain + 0.4 * stroke_noise(canvas.y, x, seed + 8, degrees=75, length=0.05, width=0.006)
    base = _blend((172, 136, 130), (134, 96, 88), _edge(grain + 0.2 * tint))
    green = np.clip(1.5 * (1.4 * tint + 1.3 * grain - 0.75), 0, 1)
    base += (np.array([112, 172, 138]) - base) * green[..., None]
    seam = np.minimum(across - board, board + 1 - across) / depth / _BOARDS
    joint = np.abs(along - np.rint(along)) / 0.9 / depth**2 * canvas.aspect
    dark = np.maximum(_line(seam, 0.0022, canvas.pixel), 0.7 * _line(joint, 0.0022, canvas.pixel))
    base += (np.array([92, 52, 44]) - base) * (0.85 * dark * _edge(grain + 0.6))[..., None]
    left = 0.47 + 0.33 * np.clip((0.17 - x) / 0.17, 0, None)
    edge = np.maximum(left, 0.47 + 0.24 * np.clip((x - 0.72) / 0.28, 0, None))
    inside = np.clip(0.5 + (y - edge) * canvas.aspect / canvas.pixel, 0, 1)
    canvas.colour[:] += (base - canvas.colour) * inside[..., None]


def _paint_item(canvas: _Canvas, item: Item, seed: int) -> None:
    """Body in two tones, then its drawn contour."""
    rows, columns = _window(canvas, item)
    y, x = canvas.y[rows], canvas.x[:, columns]
    if not (y.size and x.size):
        return
    colour = canvas.colour[rows, columns]
    grain = stroke_noise(y, x, seed, degrees=item.degrees, length=0.035, width=0.0045)
    distance = item.shape.distance(y, x) + 0.0012 * value_noise(y / 0.015, x / 0.015, seed + 5)
    body = _blend(item.colour, item.tone, _edge(1.3 * grain))
    colour += (body - colour) * np.clip(0.5 - distance / canvas.pixel, 0, 1)[..., None]
    if item.contour:
        thick = 0.0021 + 0.0009 * value_noise(y / 0.03, x / 0.03, seed + 6)
        drawn = _line(np.abs(distance), thick, canvas.pixel) * 0.85
        colour += (np.array(item.contour) - colour) * drawn[..., None]


def _window(canvas: _Canvas, item: Item) -> tuple[slice, slice]:
    y0, y1, x0, x1 = item.shape.box
    rows = np.flatnonzero((canvas.y[:, 0] > y0 - 0.006) & (canvas.y[:, 0] < y1 + 0.006))
    columns = np.flatnonzero((canvas.x[0] > x0 - 0.006) & (canvas.x[0] < x1 + 0.006))
    return _span(rows), _span(columns)


def _span(index: np.ndarray) -> slice:
    return slice(int(index[0]), int(index[-1]) + 1) if len(index) else slice(0, 0)


def _emboss(canvas: _Canvas, seed: int) -> None:
    """Light raking over the paint: the slope of a relief of strokes, and a breath of colour."""
    step = 0.0009
    relief = [
        stroke_noise(canvas.y + d, canvas.x + d, seed + 9, degrees=60, length=0.022, width=0.0035)
        for d in (0, step)
    ]
    canvas.colour[:] *= (1 + 0.16 * np.clip(relief[1] - relief[0], -1, 1))[..., None]


def _blend(a: tuple[int, int, int], b: tuple[int, int, int], share: np.ndarray) -> np.ndarray:
    first, second = np.asarray(a, float), np.asarray(b, float)
    return first + (second - first) * share[..., None]


def _edge(noise: np.ndarray) -> np.ndarray:
    """Noise to the share of the second colour: mostly one or the other, as brushes leave it."""
    return np.clip(0.5 + 1.6 * noise, 0, 1)


def _line(distance: np.ndarray, width: float | np.ndarray, pixel: float) -> np.ndarray:
    """Coverage of a line of `width` around distance 0."""
    return np.clip(0.5 + (width / 2 - distance) / pixel, 0, 1)
