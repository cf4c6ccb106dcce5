"""Where the patches of a phantom lie: rows or columns that overlap, each patch turned a little."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from xrfsr_dask.errors import OptionError
from xrfsr_dask.options import BedroomOptions
from xrfsr_dask.store import placement

Centres = np.ndarray
"""float64 (n, 2): centre (y, x) of each patch, in spots."""


def lay_patches(options: BedroomOptions, size_mm: tuple[float, float], margin_mm: float) -> list[np.ndarray]:
    """Transforms of all patches, as large as the painting takes.

    Parameters
    ----------
    options : BedroomOptions
        Number and size of the patches, overlap, largest turn, seed.
    size_mm : (height, width)
        The painting.
    margin_mm : float
        What every footprint keeps from the painting's edge at least.

    Returns
    -------
    list of float64 arrays (3, 3), each as `placement` gives it

    Raises
    ------
    OptionError
        The margin leaves no room.
    """
    rng = np.random.default_rng([options.seed, 1])
    turns = rng.uniform(-options.max_turn_deg, options.max_turn_deg, options.n_patches)
    laid = [_grown(centres, turns, options, size_mm, margin_mm) for centres in _arrangements(options, rng)]
    step_mm, places = max(laid, key=lambda one: one[0])
    if step_mm <= 0:
        raise OptionError(f"a painting of {size_mm[1]:.2f} x {size_mm[0]:.2f} mm has no room for patches.")
    return [
        placement(at_mm=(float(at[0]), float(at[1])), step_mm=step_mm, rotation_deg=float(turn))
        for at, turn in zip(places, turns, strict=True)
    ]


def _arrangements(options: BedroomOptions, rng: np.random.Generator) -> Iterator[Centres]:
    """Every number of rows, and of columns, with nearly equal counts: 10, 5+5, 3+4+3, …"""
    for k in range(1, options.n_patches + 1):
        counts = uneven(options.n_patches, k)
        yield _rows(counts, options.spots, options.overlap_spots, rng)
        yield _rows(counts, options.spots[::-1], options.overlap_spots, rng)[:, ::-1]


def uneven(n: int, rows: int) -> list[int]:
    """`n` things in `rows` rows, as evenly as can be, the fuller ones in the middle."""
    short, fuller = divmod(n, rows)
    first = (rows - fuller) // 2
    return [short + (first <= i < first + fuller) for i in range(rows)]


def _rows(
    counts: list[int], spots: tuple[int, int], overlap: tuple[int, int], rng: np.random.Generator
) -> Centres:
    """Rows of patches, each row centred, neighbours overlapping by a drawn number of spots."""
    centres, y = [], 0.0
    for count in counts:
        x = np.concatenate([[0.0], np.cumsum(spots[1] - rng.uniform(*overlap, count - 1))])
        centres += [(y, place) for place in x - x.mean()]
        y += spots[0] - rng.uniform(*overlap)
    return np.array(centres)


def _grown(
    centres: Centres,
    turns: np.ndarray,
    options: BedroomOptions,
    size_mm: tuple[float, float],
    margin_mm: float,
) -> tuple[float, np.ndarray]:
    """The largest step that fits, mm, and the first corner (y, x) of each patch, mm."""
    half = 0.5 * np.asarray(options.spots)
    corners = np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)]) * half
    outline = np.array([centre + corners @ _turn(t).T for centre, t in zip(centres, turns, strict=True)])
    low, high = outline.min(axis=(0, 1)), outline.max(axis=(0, 1))
    room = np.asarray(size_mm) - 2 * margin_mm
    step_mm = float((room / (high - low)).min())
    middle = 0.5 * (low + high)
    return step_mm, 0.5 * np.asarray(size_mm) + step_mm * (outline[:, 0] - middle)


def _turn(degrees: float) -> np.ndarray:
    """The turn that `placement` makes, (2, 2)."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, s], [-s, c]])
