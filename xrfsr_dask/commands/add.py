"""`xrfsr add`: one scan becomes one patch of a painting, whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from xrfsr_dask.errors import InputError, OptionError, StoreError
from xrfsr_dask.options import AddOptions, as_attributes
from xrfsr_dask.progress import Progress
from xrfsr_dask.readers import (
    Rebinning,
    Scan,
    axis_notes,
    energy_axis,
    open_scan,
    read_calibration,
    read_transform,
    rebinning,
    require_even,
)
from xrfsr_dask.store import Painting, Patch, PatchSpec, add_patch, open_painting, placement
from xrfsr_dask.store.adding import check_block
from xrfsr_dask.store.arrays import open_group
from xrfsr_dask.store.names import check_name
from xrfsr_dask.store.patches import CHUNK_SPOTS, MOST_COUNTS
from xrfsr_dask.store.places import stands
from xrfsr_dask.store.staging import FULL

Piece = tuple[tuple[int, int], np.ndarray]
"""(first row, first column) and counts (rows, columns, n_channel)."""

_UNREACHED = 1e-3  # of another patch's counts, in channels that a scan does not reach
_LARGEST_SINGLE = float(np.finfo(np.float32).max)


def add(
    store: str | Path, scan_path: str | Path, options: AddOptions, *, progress: Progress | None = None
) -> Patch:
    """Add a scan to a painting; all but the counts themselves is checked before the first is read.

    Parameters
    ----------
    store : str or Path
        An existing painting store.
    scan_path : str or Path
        An instrument file; see `xrfsr_dask.readers.open_scan`.
    options : AddOptions
        Name, place, calibration, beam.
    progress : Progress, optional
        Told the number of rows, then of rows as they are written whole.

    Returns
    -------
    Patch
        `notes_of` tells what had to be assumed about it and what of it was dropped.

    Raises
    ------
    StoreError
        The name is taken, or the disk is full; the store is as it was.
    InputError, OptionError
        As `open_scan` and `add_patch` refuse it.
    """
    painting, name = open_painting(store), name_for(store, scan_path, options.name)
    try:
        with about(scan_path, name):
            return _added(painting, name, scan_path, options, progress)
    except KeyboardInterrupt as stop:
        if not stands(painting.place / "patches" / name):
            raise
        raise StoreError(
            f"interrupted at its very end: patch '{name}' is in {store} already, whole; do not add it again."
        ) from stop
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise StoreError(
            f"the disk is full: patch '{name}' ({Path(scan_path).name}) was not added to {store}; free some "
            "space and repeat."
        ) from error


def name_for(store: str | Path, scan_path: str | Path, name: str | None) -> str:
    """The name that a patch is to have: `name`, or the next free one; errors name it and the scan's file."""
    painting = open_painting(store)
    with about(scan_path, name):
        return _free_name(painting, name)


@contextlib.contextmanager
def about(scan_path: str | Path, name: str | None) -> Iterator[None]:
    """Errors of the block name the scan's file and the patch."""
    file = Path(scan_path).name
    try:
        yield
    except (InputError, OptionError, StoreError) as error:
        told = str(error)
        missing = [] if file in told else [file]
        if name is not None and f"patch '{name}'" not in told:
            missing.append(f"patch '{name}'")
        if not missing:
            raise
        raise type(error)(f"{', '.join(missing)}: {told}") from error


def _added(
    painting: Painting, name: str, scan_path: str | Path, options: AddOptions, progress: Progress | None
) -> Patch:
    given = None if options.calibration is None else read_calibration(options.calibration)
    transform = None if options.transform_file is None else read_transform(options.transform_file)
    scan = open_scan(scan_path, inside=options.inside)
    transform = _place(scan, options) if transform is None else transform
    energy = energy_axis(scan, given)
    rebin = _rebinning(painting, scan, energy, options)
    spec = _spec(scan, options, transform, energy, axis_notes(scan, given))
    if rebin is not None:
        spec = _rebinned(spec, rebin, painting.energy_kev)
    pieces = _not_there_yet(painting, scan, _counted(_pieces(name, scan, spec, rebin), scan.shape, progress))
    return add_patch(painting.path, name, spec, pieces)


def notes_of(patch: Patch) -> tuple[str, ...]:
    """What `add` had to assume about a patch or dropped of it, a sentence each."""
    notes: Any = open_group(patch.path).attrs.get("notes", ())
    return tuple(notes)


def _free_name(painting: Painting, name: str | None) -> str:
    taken = {patch.name for patch in painting.patches}
    if name is None:
        return next(free for i in count(1) if (free := f"p{i:02d}") not in taken)
    check_name(name, "patch")
    if name in taken:
        raise StoreError(f"{painting.path} already holds a patch '{name}'; choose another --name.")
    return name


def _place(scan: Scan, options: AddOptions) -> np.ndarray:
    step_mm = options.step_mm or scan.step_mm
    if step_mm is None or options.at_mm is None:
        why = f" ({scan.step})" if scan.step else ""
        raise OptionError(f"{scan.source} does not say one step between its spots{why}; give --step-mm.")
    return placement(at_mm=options.at_mm, step_mm=step_mm, rotation_deg=options.rotation_deg)


def _rebinning(painting: Painting, scan: Scan, energy: np.ndarray, options: AddOptions) -> Rebinning | None:
    """How to reach the store's energy axis; None where the scan is kept as it is."""
    known = painting.energy_kev if painting.patches else energy
    same = len(known) == len(energy) and np.allclose(known, energy, rtol=0, atol=1e-6)
    if options.resample and not same:
        found = rebinning(energy, known, source=scan.source)
        for patch in painting.patches:
            _check_reach(scan, energy, found, patch)
        return found
    require_even(scan.source, energy)
    return None


def _check_reach(scan: Scan, energy: np.ndarray, rebin: Rebinning, other: Patch) -> None:
    """Refuse a scan that measured nothing where another patch has counts: zeros there would be taken for
    measured."""
    counts = np.abs(other.mean_spectrum())
    share = counts[~rebin.reached].sum() / max(counts.sum(), 1e-30)
    if share > _UNREACHED:
        raise InputError(
            f"{scan.source} reaches from {energy[0]:.3f} to {energy[-1]:.3f} keV, and patch '{other.name}' has "
            f"{100 * share:.2g} % of its counts beyond that, where nothing was measured here; begin a painting "
            "with the scan of the narrowest axis, and add the others with --resample."
        )


def _spec(
    scan: Scan, options: AddOptions, transform: np.ndarray, energy: np.ndarray, of_axis: tuple[str, ...]
) -> PatchSpec:
    given = options.calibration is not None
    of_step = (f"{scan.source}: {scan.step}; what was given was taken.",) if scan.step else ()
    notes = (*scan.notes, *of_axis, *of_step)
    return PatchSpec(
        shape=scan.shape,
        dtype=_stored_type(scan.dtype, options.noise),
        transform=transform,
        energy_kev=energy,
        spot_mm=options.spot_mm,
        footprint=options.footprint,
        gain=options.gain,
        noise=options.noise,
        dwell_s=options.dwell_s,
        source=scan.source,
        calibration=f"given: {options.calibration}" if given else scan.calibration,
        extra={"elements": list(scan.elements), "options": as_attributes(options), "notes": list(notes)},
    )


def _rebinned(spec: PatchSpec, rebin: Rebinning, energy: np.ndarray) -> PatchSpec:
    """The patch on the store's energy axis; its own is kept in ``resampled``."""
    own = {"from_kev": [float(spec.energy_kev[0]), float(spec.energy_kev[-1])], "from_channels": spec.shape[2]}
    extra = spec.extra | {"resampled": own | {"empty_channels": rebin.n_empty}}
    shape = (*spec.shape[:2], len(energy))
    return replace(spec, shape=shape, dtype=np.dtype("f4"), energy_kev=energy, extra=extra)


def _stored_type(dtype: np.dtype[Any], noise: str) -> np.dtype[Any]:
    """Counts as uint16 where every value of the file's type fits, else uint32; other values as float32."""
    if dtype.kind == "f" or (dtype.kind == "i" and noise == "gaussian"):
        return np.dtype("f4")
    return np.dtype("u2" if dtype.itemsize <= 2 else "u4")


def _pieces(name: str, scan: Scan, spec: PatchSpec, rebin: Rebinning | None) -> Iterator[Piece]:
    """Pieces as they are stored; fractions, and what rebinning drops, are noted in `spec.extra` at the end."""
    dropped, fractions = 0.0, False
    for corner, piece in scan.pieces(CHUNK_SPOTS):
        _check_fits(scan, spec, corner, piece)
        fractions = fractions or (piece.dtype.kind == "f" and bool((piece != np.rint(piece)).any()))
        if rebin is None:
            yield corner, _as_single(piece)
            continue
        check_block(name, spec, corner, piece)
        dropped += rebin.dropped(piece)
        yield corner, rebin.apply(piece)
    if fractions and spec.noise == "poisson":
        spec.extra["notes"].append(
            f"{scan.source} holds fractions, yet their noise was taken as that of counts; if they are counts "
            "per second, or a background was removed, add them with --noise gaussian."
        )
    if rebin is not None:
        spec.extra["resampled"]["dropped_counts"] = dropped
        spec.extra["notes"] += _rebin_notes(scan, rebin, dropped)


def _rebin_notes(scan: Scan, rebin: Rebinning, dropped: float) -> list[str]:
    notes = []
    if dropped >= 0.5:
        notes.append(f"{scan.source}: {dropped:.6g} counts outside the store's energy axis were dropped.")
    if rebin.n_empty:
        notes.append(
            f"{scan.source} does not reach {rebin.n_empty} of {len(rebin.reached)} channels of the store's "
            "energy axis; 0 is held there."
        )
    return notes


def _not_there_yet(painting: Painting, scan: Scan, pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Pieces as they are; at their end a scan is refused that the painting holds already, turned or not."""
    ny, nx, _ = scan.shape
    total: Any = 0.0
    for corner, piece in pieces:
        total = total + piece.sum(axis=(0, 1), dtype=np.float64)
        yield corner, piece
    mean = total / (ny * nx)
    for patch in painting.patches:
        if patch.shape[0] * patch.shape[1] == ny * nx and np.allclose(
            mean, patch.mean_spectrum(), rtol=1e-9, atol=0
        ):
            raise InputError(
                f"{scan.source} holds the counts of patch '{patch.name}', which is in {painting.path} already: "
                "where both lie they would count twice. A patch stays where it was placed; to place it anew, "
                "add the scans to a new store, this one at its new place."
            )


def _check_fits(scan: Scan, spec: PatchSpec, corner: tuple[int, int], block: np.ndarray) -> None:
    """64-bit counts are stored with 32, rebinned or not; doubles as singles."""
    if block.dtype.itemsize < 8 or (block.dtype.kind == "i" and spec.noise == "gaussian"):
        return
    if block.dtype.kind == "f":
        _check_single(scan, corner, block)
        return
    if block.max() <= MOST_COUNTS:
        return
    y, x, channel = np.argwhere(block > MOST_COUNTS)[0]
    raise InputError(
        f"{scan.source}: the count at row {corner[0] + y}, column {corner[1] + x}, channel {channel} is "
        f"{block[y, x, channel]}; at most {MOST_COUNTS} can be stored; is the file's byte order right?"
    )


def _check_single(scan: Scan, corner: tuple[int, int], block: np.ndarray) -> None:
    large = np.isfinite(block) & (np.abs(block) > _LARGEST_SINGLE)
    if large.any():
        y, x, channel = np.argwhere(large)[0]
        raise InputError(
            f"{scan.source}: the count at row {corner[0] + y}, column {corner[1] + x}, channel {channel} is "
            f"{block[y, x, channel]:g}; single precision holds at most {_LARGEST_SINGLE:.3g}; is the file's "
            "data type right?"
        )


def _as_single(block: np.ndarray) -> np.ndarray:
    """Double precision as single."""
    return block.astype(np.float32, copy=False) if block.dtype.kind == "f" else block


def _counted(
    pieces: Iterator[Piece], shape: tuple[int, int, int], progress: Progress | None
) -> Iterator[Piece]:
    """The pieces, each row reported once all its pieces are written."""
    ny, nx, _ = shape
    if progress is not None:
        progress.expect(ny)
    for corner, piece in pieces:
        yield corner, piece
        if progress is not None and corner[1] + piece.shape[1] == nx:
            progress.advance(len(piece))
