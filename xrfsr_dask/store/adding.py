"""Add a patch to a painting: everything checked, counts written piece by piece, all or nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import zarr

from xrfsr_dask.errors import InputError, OptionError, StoreError
from xrfsr_dask.store.arrays import new_array, write, write_coordinate, write_values
from xrfsr_dask.store.names import check_name
from xrfsr_dask.store.painting import open_painting
from xrfsr_dask.store.patches import (
    CHUNK_SPOTS,
    FOOTPRINTS,
    MOST_CHANNELS,
    NOISES,
    SQUARE_MEAN,
    SQUARE_SPOTS,
    Patch,
    PatchSpec,
    open_patch,
    rises,
    square_sizes,
    square_sums,
    squares_of,
)
from xrfsr_dask.store.places import Place
from xrfsr_dask.store.plausible import check_place
from xrfsr_dask.store.staging import staged

Pieces = Iterable[tuple[int | tuple[int, int], np.ndarray]]
"""(first row, or first row and column) -> counts; see `add_patch`."""

_AXES_AGREE = 0.1  # of a channel: what two patches' energies may differ by, anywhere
_LEAST, _MOST = 1e-15, 1e15  # of the largest count: float32 must hold sums of its squares, and their inverse


def add_patch(store_path: str | Place, name: str, spec: PatchSpec, pieces: Pieces) -> Patch:
    """Write a patch, whole or not at all.

    Parameters
    ----------
    store_path : str or Path
        An existing painting store.
    name : str
        Letters, digits, ``.``, ``_``, ``-``; not yet used.
    spec : PatchSpec
        Shape, place, energy axis and beam.
    pieces : iterable of ((first_row, first_column), counts), or (first_row, counts) of all columns
        Counts (rows, columns, n_channel): `CHUNK_SPOTS` rows, or what is left of them, by a whole number of
        `CHUNK_SPOTS` columns, or what is left of them; those of the same rows one after the other from the
        left, then the next rows. The patch is the same however it is cut.

    Raises
    ------
    InputError
        NaN, infinite or negative counts; wrong sizes of pieces; another energy axis than that of any patch in
        the store; spots outside the photograph, or of a size that cannot be.
    StoreError
        The name is taken.
    """
    painting = open_painting(store_path)
    check_name(name, "patch")
    if any(patch.name == name for patch in painting.patches):
        raise StoreError(f"{store_path} already holds a patch '{name}'; choose another --name.")
    _check_spec(name, spec, painting.shape, painting.pitch_mm)

    def agrees() -> None:
        for patch in open_painting(store_path).patches:
            _check_energy(name, spec, patch)

    agrees()
    with staged(painting.path, f"patches/{name}", last=agrees) as group:
        totals, empty = _write_counts(group, name, spec, pieces)
        energy = np.asarray(spec.energy_kev, float)
        write_coordinate(group, "energy", energy, units="keV", long_name="photon energy")
        group.attrs.update(_attributes(spec) | totals | _with_notes(spec, empty))
    return open_patch(painting.path, name)


def _check_spec(name: str, spec: PatchSpec, shape: tuple[int, int], pitch_mm: float) -> None:
    what = f"patch '{name}'" + (f" ({spec.source})" if spec.source else "")
    if min(spec.shape) < 1:
        raise InputError(f"{what} has no data: its shape is {spec.shape}.")
    if spec.shape[2] > MOST_CHANNELS:
        raise InputError(f"{what} has {spec.shape[2]} channels, more than {MOST_CHANNELS}; rebin it first.")
    check_place(
        what, spec.shape, spec.transform, spot_mm=spec.spot_mm, gain=spec.gain, photo=shape, pitch_mm=pitch_mm
    )
    if spec.noise not in NOISES or spec.footprint not in FOOTPRINTS:
        raise OptionError(
            f"{what}: noise must be 'poisson' or 'gaussian' and footprint 'box' or 'gaussian', "
            f"got '{spec.noise}' and '{spec.footprint}'."
        )
    energy = np.asarray(spec.energy_kev)
    if energy.shape != (spec.shape[2],) or not rises(energy):
        raise InputError(f"{what}: its energy axis does not rise over its {spec.shape[2]} channels.")


def _check_energy(name: str, spec: PatchSpec, other: Patch) -> None:
    """Refuse an axis that is off that of `other`; each is compared, for small steps would add up."""
    known, found = other.energy_kev(), np.asarray(spec.energy_kev)
    if len(known) != len(found):
        raise InputError(
            f"patch '{name}' ({spec.source}) has {len(found)} channels, patch '{other.name}' has "
            f"{len(known)}; add it with --resample to rebin it onto the same energy axis."
        )
    width = min(np.diff(axis).min() for axis in (known, found)) if len(known) > 1 else 0.0
    off = np.abs(known - found)
    if off.max() > _AXES_AGREE * width:
        at = int(off.argmax())
        raise InputError(
            f"patch '{name}' ({spec.source}) spans {found[0]:.4f} to {found[-1]:.4f} keV, patch "
            f"'{other.name}' {known[0]:.4f} to {known[-1]:.4f} keV; channel {at} is off by {off[at]:.4f} keV, "
            f"more than {_AXES_AGREE:g} channel; add it with --resample, or correct its --calibration."
        )


def _with_notes(spec: PatchSpec, empty: int) -> dict[str, Any]:
    """The notes of `spec`, and one where whole rows hold no counts, as after a scan that was cut short."""
    if not empty:
        return {}
    rows = f"{empty} of {spec.shape[0]} rows hold no counts at all"
    note = f"{spec.source}: {rows}; is the file whole, and was the scan finished?"
    return {"notes": [*spec.extra.get("notes", ()), note]}


def _write_counts(
    group: zarr.Group, name: str, spec: PatchSpec, pieces: Pieces
) -> tuple[dict[str, float], int]:
    """Write them all; their largest magnitude and their sum, and how many rows hold none."""
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
    squares = new_array(
        group,
        SQUARE_MEAN,
        shape=squares_of(spec.shape),
        dtype="f4",
        chunks=(CHUNK_SPOTS // SQUARE_SPOTS, CHUNK_SPOTS, n_channel),
        dims=("square_y", "square_x", "energy"),
        attrs={"units": "counts", "long_name": f"mean of {SQUARE_SPOTS} x {SQUARE_SPOTS} spots"},
    )
    band: list[np.ndarray] = []  # sums over squares of the rows that are being written
    whole = slice(0, squares.shape[1]), slice(0, n_channel)
    at, largest, spectrum, filled = (0, 0), 0.0, np.zeros(n_channel), np.zeros(ny, bool)
    for corner, piece in pieces:
        corner = (corner, 0) if isinstance(corner, int) else corner
        region = _checked_region(name, spec, at, corner, piece)
        check_block(name, spec, corner, piece)
        write(counts, region, piece.astype(spec.dtype, copy=False))
        band.append(square_sums(piece))
        filled[region[0]] |= piece.any(axis=(1, 2))
        largest = max(largest, float(piece.max()), -float(piece.min()))
        at = (at[0], region[1].stop) if region[1].stop < nx else (region[0].stop, 0)
        if at[1] == 0:  # so that no bit depends on how wide the pieces were
            sums, row = np.hstack(band), region[0].start // SQUARE_SPOTS
            spectrum += sums.sum(axis=(0, 1))
            sums /= square_sizes(len(piece), nx)[..., None]
            write(squares, (slice(row, row + len(sums)), *whole), sums)
            band.clear()
    if at != (ny, 0):
        raise InputError(f"patch '{name}' ({spec.source}) ends after {at[0]} of {ny} rows.")
    if largest == 0 and not spectrum.any():
        raise InputError(f"patch '{name}' ({spec.source}) holds no counts: all values are 0.")
    if largest and not _LEAST <= largest <= _MOST:
        raise InputError(
            f"patch '{name}' ({spec.source}): its largest count is {largest:.6g}; counts must lie between "
            f"{_LEAST:g} and {_MOST:g} to be computed with, so multiply all by one number."
        )
    write_values(group, "mean_spectrum", spectrum / (ny * nx), ("energy",), units="counts")
    return {"max_counts": largest, "total_counts": float(spectrum.sum())}, int((~filled).sum())


def _checked_region(
    name: str, spec: PatchSpec, at: tuple[int, int], corner: tuple[int, int], piece: np.ndarray
) -> tuple[slice, slice, slice]:
    """Where a piece goes; it must begin at `at` and hold whole chunks."""
    ny, nx, n_channel = spec.shape
    rows = min(CHUNK_SPOTS, ny - at[0])
    columns = piece.shape[1] if piece.ndim == 3 else 0
    whole = columns > 0 and (columns == nx - at[1] or (columns < nx - at[1] and columns % CHUNK_SPOTS == 0))
    if tuple(corner) != at or piece.shape != (rows, columns, n_channel) or not whole:
        wanted = (rows, nx - at[1], n_channel)
        raise InputError(
            f"patch '{name}' ({spec.source}): rows {at[0]} to {at[0] + rows} of {ny} were expected from column "
            f"{at[1]} with shape {wanted}, or fewer columns in whole chunks of {CHUNK_SPOTS}, found "
            f"{piece.shape} from row {corner[0]}, column {corner[1]}."
        )
    return slice(at[0], at[0] + rows), slice(at[1], at[1] + columns), slice(0, n_channel)


def check_block(name: str, spec: PatchSpec, corner: tuple[int, int], block: np.ndarray) -> None:
    """Refuse counts that are not finite, or negative where `spec` says Poisson, naming the first."""
    if block.dtype.kind == "u":
        return
    bad, what = ~np.isfinite(block), "not finite"
    if not bad.any() and spec.noise == "poisson":
        bad, what = block < 0, "negative"
    if bad.any():
        y, x, channel = np.argwhere(bad)[0]
        raise InputError(
            f"patch '{name}' ({spec.source}): the count at row {corner[0] + y}, column {corner[1] + x}, "
            f"channel {channel} is {what} ({block[y, x, channel]}); counts must be finite"
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
