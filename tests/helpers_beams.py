"""Beams of every kind, shared by the tests of the kernels."""

from __future__ import annotations

import math

import numpy as np

from xrfsr_dask.kernels.sampling import Beam


def turned(*, step: float, degrees: float, at: tuple[float, float]) -> np.ndarray:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    out = np.eye(3)
    out[:2, :2] = step * np.array([[c, s], [-s, c]])
    out[:2, 2] = at
    return out


def aligned(factor: int, spots: tuple[int, int]) -> Beam:
    transform = turned(step=factor, degrees=0, at=(factor / 2, factor / 2))
    return Beam(transform, spots, (spots[0] * factor, spots[1] * factor))


BEAMS = {
    "aligned": aligned(5, (12, 9)),
    "turned": Beam(turned(step=4.7, degrees=1.7, at=(9, 6)), (10, 11), (70, 71)),
    "gaussian": Beam(turned(step=4.7, degrees=-1.2, at=(12, 13)), (9, 8), (70, 65), "gaussian", 6.0),
    "small box": Beam(turned(step=5, degrees=30, at=(25, 25)), (6, 7), (80, 80), "box", 0.6),
    "wide box": Beam(turned(step=2.2, degrees=45, at=(30, 9)), (8, 9), (60, 60), "box", 1.5),
}
