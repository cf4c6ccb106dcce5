"""Add a patch to a painting: everything checked, counts written block by block, all or nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from xrfsr_dask.errors import InputError, OptionError, StoreError
from xrfsr_dask.store.arrays import new_array, staged, write_coordinate, write_values
from xrfsr_dask.store.painting import open_painting
from xrfsr_dask.store.patches import (
    CHUNK_SPOTS,
    FOOTPRINTS,
    NOISES,
    Patch,
    PatchSpec,
    apply_transform,
    check_name,
    open_patch,
    step_of,
)

_LEAST, _MOST = 1e-30, 1e30  # of the largest count: its inverse and its square sums must be numbers too


def add_patch(
    store_path: str | Path, name: str, spec: PatchSpec, blocks: Iterable[tuple[int, np.ndarray]]
) -> Patch:
    """Write a patch, whole or not at all.

    Parameters
    ----------
    store_path : str or Path
        An existing painting store.
    name : str
        Letters, digits, ``.``, ``_``, ``-``; not yet used.
    spec : PatchSpec
        Shape, place, energy axis and beam.
    blocks : iterable of (first_row, counts)
        Counts (rows, nx, n_channel), in order of rows, each of `CHUNK_SPOTS` rows but the last.

    Raises
    ------
    InputError
        NaN, infinite or negative counts; wrong block sizes; another energy axis than the store's;
        spots outside the photograph.
    StoreError
        The name is taken.
    """
    painting = open_painting(store_path)
    check_name(name, "patch")
    if any(patch.name == name for patch in painting.patches):
        raise StoreError(f"{store_path} already holds a patch '{name}'; choose another --name.")
    _check_spec(name, spec, painting.shape, painting.pitch_mm)
    if painting.patches:
        _check_energy(name, spec, painting.patches[0])
    with staged(painting.path, f"patches/{name}") as group:
        totals = _write_counts(group, name, spec, blocks)
        write_coordinate(
            group, "energy", np.asarray(spec.energy_kev, float), units="keV", long_name="photon energy"
        )
        group.attrs.update(_attributes(spec) | totals)
    return open_patch(painting.path, name)


def _check_spec(name: str, spec: PatchSpec, shape: tuple[int, int], pitch_mm: float) -> None:
    what = f"patch '{name}'" + (f" ({spec.source})" if spec.source else "")
    if min(spec.shape) < 1:
        raise InputError(f"{what} has no data: its shape is {spec.shape}.")
    if spec.transform.shape != (3, 3) or not np.isfinite(spec.transform).all() or step_of(spec.transform) == 0:
        raise InputError(f"{what}: its transform is not an invertible 3x3 matrix.")
    step_mm = step_of(spec.transform)
    if spec.spot_mm is not None and not 1e-3 <= spec.spot_mm / step_mm <= 100:
        raise OptionError(
            f"{what}: the spot size must be more than 0 mm, 0.001 to 100 steps of {step_mm:.4g} mm, "
            f"got {spec.spot_mm}."
        )
    if not (math.isfinite(spec.gain) and spec.gain > 0):
        raise OptionError(f"{what}: the gain must be more than 0, got {spec.gain}.")
    if spec.noise not in NOISES or spec.footprint not in FOOTPRINTS:
        raise OptionError(
            f"{what}: noise must be 'poisson' or 'gaussian' and footprint 'box' or 'gaussian', "
            f"got '{spec.noise}' and '{spec.footprint}'."
        )
    energy = np.asarray(spec.energy_kev)
    rises = np.isfinite(energy).all() and (np.diff(energy) > 0).all()
    if energy.shape != (spec.shape[2],) or not rises:
        raise InputError(f"{what}: its energy axis does not rise over its {spec.shape[2]} channels.")
    ny, nx = spec.shape[:2]
    corners = np.array([(0, 0), (0, nx - 1), (ny - 1, 0), (ny - 1, nx - 1)], float)
    size_mm = np.array(shape) * pitch_mm
    outer = np.array([(-0.5, -0.5, 1), (-0.5, nx - 0.5, 1), (ny - 0.5, -0.5, 1), (ny - 0.5, nx - 0.5, 1)])
    depth = outer @ spec.transform[2]
    if depth.min() * depth.max() <= 0:
        raise InputError(f"{what} reaches outside the photograph: its transform has its horizon in the patch.")
    for (row, column), (y, x) in zip(corners, apply_transform(spec.transform, corners), strict=True):
        if not (0 <= y <= size_mm[0] and 0 <= x <= size_mm[1]):
            raise InputError(
                f"{what} reaches outside the photograph: spot (row {row:.0f}, column {column:.0f}) lies at "
                f"x {x:.2f}, y {y:.2f} mm, the photograph is {size_mm[1]:.2f} x {size_mm[0]:.2f} mm; "
                "check --at, --step-mm, --rotation and the photograph's width."
            )


def _check_energy(name: str, spec: PatchSpec, first: Patch) -> None:
    known, found = first.energy_kev(), np.asarray(spec.energy_kev)
    if len(known) != len(found):
        raise InputError(
            f"patch '{name}' ({spec.source}) has {len(found)} channels, patch '{first.name}' has "
            f"{len(known)}; add it with --resample to rebin it onto the same energy axis."
        )
    width = (known[-1] - known[0]) / max(len(known) - 1, 1)
    if np.abs(known - found).max() > 0.1 * abs(width):
        raise InputError(
            f"patch '{name}' ({spec.source}) spans {found[0]:.4f} to {found[-1]:.4f} keV, patch "
            f"'{first.name}' {known[0]:.4f} to {known[-1]:.4f} keV; add it with --resample, or correct "
            "its --calibration."
        )


def _write_counts(
    group: zarr.Group, name: str, spec: PatchSpec, blocks: Iterable[tuple[int, np.ndarray]]
) -> dict[str, float]:
    ny, nx, n_channel = spec.shape
    counts = new_array(
        group,
        "counts",
        shape=spec.shape,
        dtype=spec.dtype,
        chunks=(CHUNK_SPOTS, CHUNK_SPOTS, n_channel),
        dims=("y", "x", "energy"),
        attrs={"units": "counts", "long_name": "counts per channel, as measured"},
    )
    row, largest, spectrum = 0, -math.inf, np.zeros(n_channel)
    for first_row, block in blocks:
        rows = min(CHUNK_SPOTS, ny - row)
        if first_row != row or block.shape != (rows, nx, n_channel):
            raise InputError(
                f"patch '{name}' ({spec.source}): rows {row} to {row + rows} of {ny} were expected with shape "
                f"{(rows, nx, n_channel)}, found {block.shape} from row {first_row}."
            )
        check_block(name, spec, first_row, block)
        counts[row : row + rows] = block.astype(spec.dtype, copy=False)
        spectrum += block.sum(axis=(0, 1), dtype=np.float64)
        largest = max(largest, float(block.max()))
        row += rows
    if row != ny:
        raise InputError(f"patch '{name}' ({spec.source}) ends after {row} of {ny} rows.")
    if largest and not _LEAST <= abs(largest) <= _MOST:
        raise InputError(
            f"patch '{name}' ({spec.source}): its largest count is {largest:.6g}; counts must lie between "
            f"{_LEAST:g} and {_MOST:g} to be computed with, so multiply all by one number."
        )
    write_values(group, "mean_spectrum", spectrum / (ny * nx), ("energy",), units="counts")
    return {"max_counts": largest, "total_counts": float(spectrum.sum())}


def check_block(name: str, spec: PatchSpec, first_row: int, block: np.ndarray) -> None:
    """Refuse counts that are not finite, or negative where `spec` says Poisson, naming the first."""
    if block.dtype.kind == "u":
        return
    bad, what = ~np.isfinite(block), "not finite"
    if not bad.any() and spec.noise == "poisson":
        bad, what = block < 0, "negative"
    if bad.any():
        y, x, channel = np.argwhere(bad)[0]
        raise InputError(
            f"patch '{name}' ({spec.source}): the count at row {first_row + y}, column {x}, channel {channel} "
            f"is {what} ({block[y, x, channel]}); counts must be finite"
            + (" and not negative." if spec.noise == "poisson" else ".")
        )


def _attributes(spec: PatchSpec) -> dict[str, Any]:
    return {
        "transform": np.asarray(spec.transform, float).tolist(),
        "transform_axes": "(row, column, 1) of a spot's centre -> (y_mm, x_mm, 1) on the painting",
        "spot_mm": spec.spot_mm,
        "footprint": spec.footprint,
        "gain": float(spec.gain),
        "noise": spec.noise,
        "dwell_s": spec.dwell_s,
        "source": spec.source,
        "calibration": spec.calibration,
    } | spec.extra
