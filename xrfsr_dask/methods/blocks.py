"""The sampling operator S of an aligned scan: block means, their adjoint, and what their closed forms allow.

A block of factor x factor pixels is a spot, whatever the factor: no kernel, so no phase to get wrong, and no
border to wrap around.
"""

from __future__ import annotations

import numpy as np


def block_mean(values: np.ndarray, factor: int) -> np.ndarray:
    """S: (factor * ny, factor * nx, k) -> (ny, nx, k), dtype of `values`."""
    ny, nx = values.shape[0] // factor, values.shape[1] // factor
    blocks = values.reshape(ny, factor, nx, factor, *values.shape[2:])
    return blocks.mean(axis=(1, 3), dtype=values.dtype)


def block_spread(values: np.ndarray, factor: int) -> np.ndarray:
    """S^T: (ny, nx, k) -> (factor * ny, factor * nx, k), each pixel its spot's value over factor^2."""
    return repeated(values, factor) / values.dtype.type(factor**2)


def repeated(values: np.ndarray, factor: int) -> np.ndarray:
    """Each spot's value in all its pixels: the right inverse of `block_mean`."""
    return values.repeat(factor, axis=0).repeat(factor, axis=1)


def solve_blocks(values: np.ndarray, ridge: np.ndarray | float, factor: int) -> np.ndarray:
    """``(ridge I + S^T S)^-1 values``, exactly; `ridge` > 0 may differ from one last-axis entry to the next.

    S S^T = I / factor^2, so the inverse is ``(I - S^T S / (ridge + 1 / factor^2)) / ridge``.
    """
    a = np.asarray(ridge, values.dtype)
    inner = block_mean(values, factor) / (a + values.dtype.type(factor**-2))
    return (values - block_spread(inner, factor)) / a
