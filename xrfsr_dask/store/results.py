"""Results: one HR cube stored as its factors, abundance and endmember."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import zarr

from xrfsr_dask.errors import DamagedStoreError
from xrfsr_dask.store.arrays import (
    below,
    holds,
    new_array,
    open_array,
    open_group,
    pixel_centres_mm,
    place_of,
    read_finite,
    write_coordinate,
    write_values,
)

TRUTH = "truth"
"""Name of a phantom's known truth among the results; no solved result may take it."""

PYRAMID = "pyramid"
"""Group of a result's levels."""

MEAN = "mean_abundance"
"""Array of a result's mean abundances over all pixels; earlier versions wrote none."""

PHOTONS = "photons"
"""Array of what each endmember adds to the lines of each shell; small results and old ones have none."""

LAYERS = ("visible", "hidden")
"""Meaning of the integers in ``layer``: 0 visible, 1 hidden."""

_SMALLEST_LEVEL = 512  # px; there are no more levels once one fits this
_CELLS_PER_SHARD = 10  # at most
_SHARD_BYTES = 32 * 2**20  # at most: one task holds a shard whole, a few times over while it is written


def new_result(
    group: zarr.Group,
    *,
    shape: tuple[int, int],
    pitch_mm: float,
    endmember: np.ndarray,
    layer: np.ndarray,
    energy_kev: np.ndarray,
    cell: int = 50,
    attrs: dict[str, Any],
) -> zarr.Array:
    """Lay out a result in `group` and return its ``abundance``, still to be filled shard by shard.

    Parameters
    ----------
    group : zarr.Group
        A new group, as `staged` gives it for ``results/<name>``.
    shape : (ny, nx)
        HR pixels.
    pitch_mm : float
        Side of an HR pixel, mm.
    endmember : float array of shape (n_atom, n_channel), counts per measured spot
    layer : int array of shape (n_atom,)
        0 visible, 1 hidden.
    energy_kev : float array of shape (n_channel,), keV
    cell : int
        Chunk of ``abundance``, px; a shard is `shard_of(cell, n_atom)` px square and must be written whole.
    attrs : dict
        Options, versions and the like, JSON-able.

    Returns
    -------
    zarr.Array ``abundance`` of shape (ny, nx, n_atom), float32; ``coverage`` (ny, nx) lies beside it.
    """
    n_atom = len(endmember)
    shard = shard_of(cell, n_atom)
    abundance = new_array(
        group,
        "abundance",
        shape=(*shape, n_atom),
        dtype="f4",
        chunks=(cell, cell, n_atom),
        shards=(shard, shard, n_atom),
        dims=("y", "x", "atom"),
        attrs={"units": "1", "long_name": "abundance of each endmember"},
    )
    coverage = {"units": "1", "long_name": "measured spots covering the pixel"}
    new_array(
        group,
        "coverage",
        shape=shape,
        dtype="f4",
        chunks=(shard, shard),
        dims=("y", "x"),
        attrs=coverage,
    )
    write_values(group, "endmember", np.asarray(endmember, "f4"), ("atom", "energy"), units="counts")
    flags = {"flag_values": list(range(len(LAYERS))), "flag_meanings": " ".join(LAYERS)}
    write_values(group, "layer", np.asarray(layer, "u1"), ("atom",), **flags)
    for n, name in zip(shape, "yx", strict=True):
        write_coordinate(
            group, name, pixel_centres_mm(n, pitch_mm), units="mm", long_name=f"{name} on the painting"
        )
    write_coordinate(group, "energy", np.asarray(energy_kev, float), units="keV", long_name="photon energy")
    group.attrs.update({"pitch_mm": pitch_mm, "cell": cell} | attrs)
    return abundance


def new_levels(group: zarr.Group, *, shape: tuple[int, int], n_atom: int, cell: int) -> None:
    """Lay out the levels of a result in its group: abundances of every second pixel, every fourth, and so on.

    ``pyramid/<factor>/abundance`` (y, x, atom) are the means of what was measured, ``measured`` (y, x) says how
    much that is, 0 to 1. Shards are as large as those of ``abundance``.
    """
    shard, shapes = shard_of(cell, n_atom), level_shapes(shape)
    pyramid = group.create_group(PYRAMID, attributes={"factors": list(shapes)}) if shapes else group
    for factor, level in shapes.items():
        within = pyramid.create_group(str(factor))
        new_array(
            within,
            "abundance",
            shape=(*level, n_atom),
            dtype="f4",
            chunks=(cell, cell, n_atom),
            shards=(shard, shard, n_atom),
            dims=(f"y_{factor}", f"x_{factor}", "atom"),
            attrs={"units": "1", "long_name": f"mean abundance over {factor} x {factor} px"},
        )
        new_array(
            within,
            "measured",
            shape=level,
            dtype="f4",
            chunks=(shard, shard),
            dims=(f"y_{factor}", f"x_{factor}"),
            attrs={"units": "1", "long_name": "share that was measured"},
        )


def level_shapes(shape: tuple[int, int]) -> dict[int, tuple[int, int]]:
    """Sizes (ny, nx) of the levels of a result by their factor, 2, 4, …; none where it is small."""
    out, factor = {}, 1
    while max(shape) > _SMALLEST_LEVEL:
        factor, shape = 2 * factor, (-(-shape[0] // 2), -(-shape[1] // 2))
        out[factor] = shape
    return out


def stored_levels(group: zarr.Group) -> dict[int, tuple[zarr.Array, zarr.Array]]:
    """Abundance and ``measured`` of the levels of a result by their factor; none in small ones and in those of
    earlier versions.

    Raises
    ------
    StoreError
        A level is missing, damaged, or of a size that is not its own.
    """
    if not holds(group, PYRAMID):
        return {}
    place, (ny, nx, n_atom) = place_of(group) / PYRAMID, open_array(group, "abundance").shape
    factors: Any = open_group(place).attrs.get("factors")
    if not isinstance(factors, list) or factors != [2**n for n in range(1, len(factors) + 1)]:
        raise DamagedStoreError(
            f"{place} is damaged: its factors are {json.dumps(factors)[:60]}, 2, 4, 8 and so on were expected."
        )
    found = {}
    for factor in map(int, factors):
        abundance, measured = (open_array(group, path) for path in level_paths(factor))
        size = (-(-ny // factor), -(-nx // factor))
        if (abundance.shape, measured.shape) != ((*size, n_atom), size):
            raise DamagedStoreError(
                f"{place}/{factor} is damaged: its arrays have the shapes {abundance.shape} and "
                f"{measured.shape}, {(*size, n_atom)} and {size} were expected."
            )
        found[factor] = abundance, measured
    return found


def history_of(group: zarr.Group) -> dict[str, np.ndarray]:
    """The objective of a result and its parts, float64 (n_iteration,) each; empty where none was kept."""
    names = below(group, "history") if holds(group, "history") else []
    n = (open_array(group, f"history/{names[0]}").shape or (1,))[:1] if names else ()
    return {name: read_finite(open_array(group, f"history/{name}", n)) for name in names}


def out_of_place(group: zarr.Group, pitch_mm: float) -> list[str]:
    """A sentence about each patch that did not lie where it was placed, as `joint` found it.

    Raises
    ------
    DamagedStoreError
        What the result says of them is not what a run writes.
    """
    attributes: dict[str, Any] = dict(group.attrs)
    try:
        found, smoothed = (dict(attributes.get(name, {})) for name in ("displacement_px", "smoothed_px"))
        offsets = {name: [_finite(v) for v in found[name]] for name in smoothed}
        return [displaced(name, y, x, pitch_mm) for name, (y, x) in offsets.items()]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        place = place_of(group)
        raise DamagedStoreError(f"{place} is damaged: it tells no displacements of its patches.") from error


def _finite(value: Any) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no displacement")
    return float(value)


def displaced(patch: str, y_px: float, x_px: float, pitch_mm: float) -> str:
    """One sentence about a patch that fits the photograph better when moved by so many px."""
    down, right = ("lower" if y_px > 0 else "higher"), ("right" if x_px > 0 else "left")
    digits = max(0, math.ceil(1 - math.log10(pitch_mm)))  # to a tenth of a px
    return (
        f"Patch '{patch}' seems to lie {abs(y_px) * pitch_mm:.{digits}f} mm {down} and "
        f"{abs(x_px) * pitch_mm:.{digits}f} mm "
        f"further {right} than it was placed ({math.hypot(y_px, x_px):.1f} px); the photograph was smoothed as "
        "much there, and its detail was lost. To have it, add the scans to a new store, this one at that place."
    )


def level_paths(factor: int) -> tuple[str, str]:
    """Where in a result its abundances and what says where it was measured lie, of one level; 1: the finest."""
    return (
        ("abundance", "coverage")
        if factor == 1
        else (
            f"{PYRAMID}/{factor}/abundance",
            f"{PYRAMID}/{factor}/measured",
        )
    )


def shard_of(cell: int, n_atom: int) -> int:
    """Side of a shard of ``abundance``, px: what one task must write whole; smaller where atoms are many."""
    side = math.isqrt(_SHARD_BYTES // (4 * n_atom))
    return min(max(side // cell, 1), _CELLS_PER_SHARD) * cell
