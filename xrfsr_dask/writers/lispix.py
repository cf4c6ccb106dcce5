"""Lispix: a ``.rpl`` header with HyperSpy's additions beside a ``.raw`` file; PyMca and HyperSpy open it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xrfsr_dask.writers.protocol import Format, Part


def create(path: Path, part: Part) -> None:
    """A raw file of the whole size, its spectra one after the other."""
    with path.open("wb") as file:
        file.truncate(part.n_byte)


def write(path: Path, part: Part, place: tuple[slice, slice], values: np.ndarray) -> None:
    """A rectangle of spectra, one row of it after the other."""
    _, nx, n_channel = part.shape
    rows, columns = place
    with path.open("r+b") as file:
        for row, spectra in zip(range(rows.start, rows.stop), values, strict=True):
            file.seek(4 * (row * nx + columns.start) * n_channel)
            file.write(np.ascontiguousarray(spectra, "<f4").tobytes())


def finish(made: Path, target: Path, part: Part) -> None:
    """The header comes last: what has one is whole."""
    aside = target.with_name(f"{target.name}.new")
    aside.write_text(header(part), encoding="latin-1", errors="replace")  # as HyperSpy reads it
    if made.exists():
        made.replace(target.with_suffix(".raw"))
    aside.replace(target)


def header(part: Part) -> str:
    """The text of the ``.rpl`` file; energies in keV, distances in mm."""
    ny, nx, n_channel = part.shape
    lines = {
        "key": "value",
        "width": nx,
        "height": ny,
        "depth": n_channel,
        "offset": 0,
        "data-length": 4,
        "data-type": "float",
        "byte-order": "little-endian",
        "record-by": "vector" if n_channel > 1 else "dont-care",
        "title": part.title,
        "signal": "EDS_SEM",
        "depth-name": "Energy",
        "depth-scale": repr(part.kev_per_channel),
        "depth-origin": repr(float(part.energy_kev[0])),
        "depth-units": "keV",
        "ev-per-chan": repr(1e3 * part.kev_per_channel),
        "width-name": "x",
        "width-scale": repr(part.step_mm),
        "width-origin": repr(float(part.x_mm[0])),
        "width-units": "mm",
        "height-name": "y",
        "height-scale": repr(part.step_mm),
        "height-origin": repr(float(part.y_mm[0])),
        "height-units": "mm",
    }
    plain = ("width", "height", "depth")  # PyMca takes every line that begins so for a whole number
    return "".join(
        f"{' ' if key.startswith(plain) and key not in plain else ''}{key}\t{value}\n"
        for key, value in lines.items()
    )


LISPIX = Format((".rpl",), "Lispix .rpl and .raw", create, write, finish)
