"""Smooth random fields that are functions of place: the same value whatever region is asked for, no memory."""

from __future__ import annotations

import math

import numpy as np


def value_noise(y: np.ndarray, x: np.ndarray, seed: int) -> np.ndarray:
    """Smooth noise of unit wavelength at the points (y, x).

    Parameters
    ----------
    y, x : float arrays that broadcast, dimensionless
        Places in lattice units; divide px by the wanted size of a blob.
    seed : int

    Returns
    -------
    float32 array of their common shape, in [-1, 1]
        Values drawn at integer places, joined by smoothsteps.
    """
    iy, ix = np.floor(y), np.floor(x)
    ty, tx = _smooth(y - iy), _smooth(x - ix)
    corner = [[_drawn(iy + dy, ix + dx, seed) for dx in (0, 1)] for dy in (0, 1)]
    low = corner[0][0] + tx * (corner[0][1] - corner[0][0])
    high = corner[1][0] + tx * (corner[1][1] - corner[1][0])
    return (low + ty * (high - low)).astype(np.float32)


def cloud_noise(y: np.ndarray, x: np.ndarray, seed: int, octaves: int = 3) -> np.ndarray:
    """Sum of `octaves` of `value_noise`, each half as strong and half as wide as the one before; in [-1, 1]."""
    out = value_noise(y, x, seed)
    for k in range(1, octaves):
        out += np.float32(0.5**k) * value_noise(y * 2**k, x * 2**k, seed + 101 * k)
    return out / np.float32(2 - 0.5 ** (octaves - 1))


def stroke_noise(
    y: np.ndarray, x: np.ndarray, seed: int, *, degrees: float, length: float, width: float
) -> np.ndarray:
    """Noise drawn out into strokes, float32 in [-1, 1].

    Parameters
    ----------
    y, x : float arrays that broadcast
        Places, in any unit.
    seed : int
    degrees : float
        Direction of the strokes, clockwise from the x axis as seen.
    length, width : float
        Size of a stroke, in the unit of `y` and `x`.
    """
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    along, across = (c * x + s * y) / length, (c * y - s * x) / width
    wobble = 0.7 * value_noise(across / 5, along / 2, seed + 7)
    bristle = value_noise(3 * (across + wobble), along, seed + 13)
    return (0.75 * value_noise(across + wobble, along, seed) + 0.25 * bristle).astype(np.float32)


def _smooth(t: np.ndarray) -> np.ndarray:
    return t * t * (3 - 2 * t)


def _drawn(iy: np.ndarray, ix: np.ndarray, seed: int) -> np.ndarray:
    """A number in [-1, 1) for each integer place: a hash of the place and the seed."""
    with np.errstate(over="ignore"):
        h = iy.astype(np.int64).astype(np.uint32) * np.uint32(0x9E3779B1)
        h = h ^ (ix.astype(np.int64).astype(np.uint32) * np.uint32(0x85EBCA77))
        h = h ^ np.uint32((seed * 0xC2B2AE3D + 0x27D4EB2F) & 0xFFFFFFFF)
        for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39)):
            h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
        h = h ^ (h >> np.uint32(15))
    return h.astype(np.float64) / 2**31 - 1
