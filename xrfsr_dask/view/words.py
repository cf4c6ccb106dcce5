"""Places and areas on a painting as they are written for a reader, and in names of files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Place = tuple[float, float]
"""(y, x), mm."""

_MOST_DECIMALS = 6


def decimals(pitch_mm: float) -> int:
    """Decimals of mm, one at least, so many that a pixel is two steps wide at least.

    >>> [decimals(pitch) for pitch in (0.5, 0.1, 0.02)]
    [1, 2, 2]
    """
    return int(np.clip(np.ceil(np.log10(2 / pitch_mm) - 1e-9), 1, _MOST_DECIMALS))


def place(at: Place, pitch_mm: float) -> str:
    """Where something lies.

    >>> place((1.7, 28.0), 0.5)
    'x 28.0 mm, y 1.7 mm'
    """
    n = decimals(pitch_mm)
    return f"x {at[1]:.{n}f} mm, y {at[0]:.{n}f} mm"


def area(mm2: float) -> str:
    """Whole mm², of small areas two digits.

    >>> [area(mm2) for mm2 in (4321.0, 9.96, 0.0432)]
    ['4,321 mm²', '10 mm²', '0.043 mm²']
    """
    if mm2 >= 10 or mm2 <= 0:
        return f"{mm2:,.0f} mm²"
    return f"{np.format_float_positional(mm2, 2, fractional=False, trim='-')} mm²"


def named_by_place(name: str, at: Place | None, region: Sequence[Place], pitch_mm: float) -> str:
    """The name of a file of what is at a place, or in a region, of which it tells from where to where.

    >>> named_by_place("joint", None, [(1, 2), (3, 2), (3, 4.5)], 0.5)
    'joint-region-x2.0-4.5-y1.0-3.0mm'
    """
    n = decimals(pitch_mm)
    if at is not None:
        return f"{name}-x{at[1]:.{n}f}-y{at[0]:.{n}f}mm"
    if not len(region):
        return name
    (top, left), (bottom, right) = (end(np.asarray(region, float), axis=0) for end in (np.min, np.max))
    return f"{name}-region-x{left:.{n}f}-{right:.{n}f}-y{top:.{n}f}-{bottom:.{n}f}mm"
