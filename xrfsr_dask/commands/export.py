"""`xrfsr export`: the cube, or a part of it, into a file that other programs open; streamed, and going on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xrfsr_dask.commands.output import here, output_folder
from xrfsr_dask.errors import InputError
from xrfsr_dask.options import ExportOptions
from xrfsr_dask.progress import Progress, Silent
from xrfsr_dask.result import open_result
from xrfsr_dask.result.lowrank import loaded
from xrfsr_dask.store import open_painting
from xrfsr_dask.store.arrays import open_array, open_group, stored_checksum
from xrfsr_dask.store.staging import remove_tree
from xrfsr_dask.writers import Part, format_of

BLOCK_PX = 50
"""Pixels are multiplied out and written so many square at a time: 41 MB of 4096 channels."""

_SAVED_EVERY = 16  # blocks, after which a stopped export goes on


def export(
    path: str | Path, to: str | Path, options: ExportOptions, *, progress: Progress | None = None
) -> dict[str, Any]:
    """Write a result's cube, counts per measured spot as float32, and say what was written.

    Memory stays that of a few blocks whatever the size. What was stopped (Ctrl-C, power, a full disk) goes on
    when the same is asked again; the target appears only when it is whole.

    Parameters
    ----------
    path : str or Path
        A painting store with a result.
    to : str or Path
        What to write; its suffix says how (`writers.FORMATS`). Nothing may be there yet.
    options : ExportOptions
    progress : Progress, optional

    Raises
    ------
    InputError
        A region or energies outside the painting, an unknown suffix, a target that exists, too little room.
    """
    bar, target = progress or Silent(), here(to)
    kind = format_of(target)
    whole = open_result(path, options.name)
    ds = _chosen(whole, options)
    part = _part(ds, f"{Path(path).stem}, {ds.attrs['result']}, {options.layer}", whole.energy.values)
    with output_folder(target.parent):
        made, notes = (target.with_name(f"{target.name}.{word}") for word in ("partial", "partial.json"))
        blocks, asked = list(_blocks(part.shape[:2])), _fingerprint(ds, options, target)
        done: int | None
        values = target.with_suffix(".raw") if target.suffix.lower() == ".rpl" else target
        if values.exists() and not made.exists() and _noted(notes) == (asked, len(blocks)):
            done = len(blocks)  # stopped while it was put in place
        else:
            for file in (target, values):
                if file.exists():
                    raise InputError(f"{file} exists already; remove it or choose another name.")
            done = _done(made, notes, asked)
        if done is None:
            _check_room(target.parent, part.n_byte)
            kind.create(made, part)
            done = 0
            _save(notes, asked, made, done)
        A, D = ds.abundance.data, _endmember(ds, options.layer)
        bar.expect(len(blocks))
        bar.advance(done)
        try:
            for i in range(done, len(blocks)):
                place = blocks[i]
                piece = loaded(A[place])
                spectra = (piece.reshape(-1, len(D)) @ D).reshape(*piece.shape[:2], D.shape[1])
                kind.write(made, part, place, spectra)
                done = i + 1
                bar.advance()
                if done % _SAVED_EVERY == 0:
                    _save(notes, asked, made, done)
        except BaseException:
            _save(notes, asked, made, done)
            raise
        _save(notes, asked, made, done)
        kind.finish(made, target, part)
        notes.unlink(missing_ok=True)
        return {"written": str(target), "format": kind.what, "shape": list(part.shape), "bytes": part.n_byte}


def _chosen(ds: xr.Dataset, options: ExportOptions) -> xr.Dataset:
    """The rectangle of pixels and the channels that are asked for."""
    for axis, bounds, unit in (
        ("y", options.y_mm, "mm"), ("x", options.x_mm, "mm"), ("energy", options.energy_kev, "keV"),
    ):  # fmt: skip
        if bounds is None:
            continue
        values = ds[axis].values
        dust = 1e-6 * abs(values[-1] - values[0]) / len(values)  # of a step, as decimals have in floats
        at = np.flatnonzero((values >= bounds[0] - dust) & (values <= bounds[1] + dust))
        if not at.size:
            raise InputError(
                f"nothing lies at {axis} {bounds[0]:g} to {bounds[1]:g} {unit}; the result spans {axis} "
                f"{values[0]:.4g} to {values[-1]:.4g} {unit}."
            )
        ds = ds.isel({axis: slice(int(at[0]), int(at[-1]) + 1)})
    return ds


def _part(ds: xr.Dataset, title: str, energy_kev: np.ndarray) -> Part:
    """What is written, of a result with all these energies."""
    return Part(
        title=title,
        energy_kev=ds.energy.values,
        y_mm=ds.y.values,
        x_mm=ds.x.values,
        step_mm=float(ds.attrs["pitch_mm"]),
        kev_per_channel=float(energy_kev[-1] - energy_kev[0]) / max(len(energy_kev) - 1, 1),
    )


def _endmember(ds: xr.Dataset, layer: str) -> np.ndarray:
    inside = np.ones(ds.sizes["atom"], bool) if layer == "all" else ds.layer.values == layer
    return np.asarray(ds.endmember.values * inside[:, None], np.float32)


def _blocks(shape: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    for y in range(0, shape[0], BLOCK_PX):
        for x in range(0, shape[1], BLOCK_PX):
            yield slice(y, min(y + BLOCK_PX, shape[0])), slice(x, min(x + BLOCK_PX, shape[1]))


def _fingerprint(ds: xr.Dataset, options: ExportOptions, target: Path) -> str:
    """Of all that decides the bytes of an export."""
    group = open_group(open_painting(ds.encoding["source"]).place / "results" / str(ds.attrs["result"]))
    parts = [stored_checksum(open_array(group, name)) for name in ("abundance", "endmember", "energy")]
    bounds = [ds[axis].values[[0, -1]].tolist() for axis in ("y", "x", "energy")]
    asked = json.dumps([parts, bounds, options.layer, target.suffix.lower(), BLOCK_PX])
    return hashlib.sha256(asked.encode()).hexdigest()[:16]


def _done(made: Path, notes: Path, asked: str) -> int | None:
    """How many blocks an earlier export has written; None where there was none."""
    if not notes.exists():  # stopped while the empty file was made
        remove_tree(made) if made.is_dir() else made.unlink(missing_ok=True)
        return None
    found = _noted(notes)
    if found is None or found[0] != asked or not made.exists():
        raise InputError(
            f"{notes} is left of another export; remove it and {made.name}, or ask for the same again to go on."
        )
    return found[1]


def _noted(notes: Path) -> tuple[str, int] | None:
    """What was asked for and how many blocks of it were written; None where that cannot be read."""
    try:
        found = json.loads(notes.read_text(encoding="utf-8"))
        return str(found["fingerprint"]), int(found["blocks"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _save(notes: Path, asked: str, made: Path, done: int) -> None:
    """What was written is on the disk before it is noted as done."""
    if made.is_file():
        with made.open("r+b") as file:
            os.fsync(file.fileno())
    aside = notes.with_name(f"{notes.name}.new")
    aside.write_text(json.dumps({"fingerprint": asked, "blocks": done}), encoding="utf-8")
    aside.replace(notes)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"the export takes {needed / 1e9:.2f} GB, {folder} has {free / 1e9:.2f} GB left; choose another "
            "disk, or a part with --region and --energy."
        )
