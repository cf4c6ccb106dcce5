"""Sums over tiles that come out the same, bit for bit, whatever the order and grouping.

Each contribution is rounded to a multiple of a power of two, so coarse that every partial sum fits the 53
bits of a float64. Such sums are exact, so adding is associative: tiles, workers, the order in which they
finish and repeated tasks cannot change a bit. The rounding is far below the float32 products that are summed.
"""

from __future__ import annotations

import math

import numpy as np

Sums = dict[str, np.ndarray]
"""Named float64 arrays."""

_BITS = 52


def quantised(values: np.ndarray, bound: float) -> np.ndarray:
    """`values` rounded so that any sum of them is exact while its entries stay within +-`bound`."""
    quantum = 2.0 ** (math.ceil(math.log2(bound)) - _BITS)
    out = np.array(values, np.float64)
    out /= quantum
    np.rint(out, out=out)
    out *= quantum
    return out


def merge(parts: list[Sums]) -> Sums:
    """Add sums of the same names; exact, so in any order."""
    out = {name: value.copy() for name, value in parts[0].items()}
    for part in parts[1:]:
        for name, value in part.items():
            out[name] += value
    return out
