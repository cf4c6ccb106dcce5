"""Outlines as signed distances: pointwise, so that any part of a picture can be drawn alone, edges smoothed.

Places are (y, x) in units of the picture's width; a distance is negative inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Point = tuple[float, float]


@dataclass(frozen=True)
class Shape:
    """An outline and the box that holds it."""

    distance: Callable[[np.ndarray, np.ndarray], np.ndarray]
    """(y, x) -> signed distance from the outline, in widths."""
    box: tuple[float, float, float, float]
    """(y0, y1, x0, x1), in widths."""

    def coverage(self, y: np.ndarray, x: np.ndarray, soft: float) -> np.ndarray:
        """Share of a pixel inside, in [0, 1], with an edge `soft` widths wide."""
        return np.clip(0.5 - self.distance(y, x) / soft, 0, 1)


def convex(*corners: Point) -> Shape:
    """A convex polygon."""
    p = np.asarray(corners, float)
    q = np.roll(p, -1, axis=0)
    turn = np.sign(np.sum(p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]))
    normal = turn * np.column_stack([q[:, 1] - p[:, 1], p[:, 0] - q[:, 0]])
    normal /= np.hypot(normal[:, 0], normal[:, 1])[:, None]

    def distance(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        sides = [ny * (y - y0) + nx * (x - x0) for (ny, nx), (y0, x0) in zip(normal, p, strict=True)]
        return np.maximum.reduce(np.broadcast_arrays(*sides))

    return Shape(distance, (p[:, 0].min(), p[:, 0].max(), p[:, 1].min(), p[:, 1].max()))


def rectangle(y0: float, y1: float, x0: float, x1: float) -> Shape:
    """A rectangle with sides along the axes."""
    return convex((y0, x0), (y0, x1), (y1, x1), (y1, x0))


def ellipse(centre: Point, ry: float, rx: float) -> Shape:
    """An ellipse; the distance is right near its outline."""

    def distance(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        dy, dx = y - centre[0], x - centre[1]
        k = np.sqrt((dy / ry) ** 2 + (dx / rx) ** 2)
        slope = np.sqrt((dy / ry**2) ** 2 + (dx / rx**2) ** 2)
        return k * (k - 1) / np.maximum(slope, 1e-9)

    return Shape(distance, (centre[0] - ry, centre[0] + ry, centre[1] - rx, centre[1] + rx))


def bar(a: Point, b: Point, width: float) -> Shape:
    """A straight bar with round ends, from `a` to `b`."""
    (ay, ax), (by, bx) = a, b
    length2 = max((by - ay) ** 2 + (bx - ax) ** 2, 1e-12)

    def distance(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        t = np.clip(((y - ay) * (by - ay) + (x - ax) * (bx - ax)) / length2, 0, 1)
        dy, dx = y - ay - t * (by - ay), x - ax - t * (bx - ax)
        return np.sqrt(dy * dy + dx * dx) - width / 2

    r = width / 2
    return Shape(distance, (min(ay, by) - r, max(ay, by) + r, min(ax, bx) - r, max(ax, bx) + r))


def union(shapes: Sequence[Shape]) -> Shape:
    """All that lies in any of `shapes`."""

    def distance(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.minimum.reduce([s.distance(y, x) for s in shapes])

    boxes = np.array([s.box for s in shapes])
    return Shape(distance, (boxes[:, 0].min(), boxes[:, 1].max(), boxes[:, 2].min(), boxes[:, 3].max()))
