"""Levels of a pyramid: a map at half its size."""

from __future__ import annotations

import numpy as np


def halved(values: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 px, float32; of those that are not NaN, and of what there is at an odd edge."""
    ny, nx = values.shape
    even = np.pad(values, ((0, ny % 2), (0, nx % 2)), constant_values=np.nan)
    blocks = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2)
    known = np.isfinite(blocks)
    count = known.sum(axis=(1, 3))
    total = np.where(known, blocks, 0).sum(axis=(1, 3))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
