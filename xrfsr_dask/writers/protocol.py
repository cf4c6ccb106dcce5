"""What every writer of cubes offers: an empty file of the whole size, into which pieces are put in any order.

A piece that was put in stays right whatever happens to the next, so an export that was stopped goes on.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xrfsr_dask.errors import InputError
from xrfsr_dask.store.names import is_unfinished
from xrfsr_dask.store.places import files_below


@dataclass(frozen=True, kw_only=True)
class Part:
    """A cube or a part of one, as it is to be written: float32, space first, spectrum last."""

    title: str
    energy_kev: np.ndarray
    """float64 (n_channel,), evenly spaced."""
    y_mm: np.ndarray
    """float64 (ny,), centres of pixels."""
    x_mm: np.ndarray
    """float64 (nx,)."""
    step_mm: float
    """Side of a pixel."""
    kev_per_channel: float
    """Width of a channel, keV."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(ny, nx, n_channel)."""
        return len(self.y_mm), len(self.x_mm), len(self.energy_kev)

    @property
    def n_byte(self) -> int:
        """Size of all values."""
        return 4 * int(np.prod([int(n) for n in self.shape]))


@dataclass(frozen=True)
class Format:
    """One kind of file."""

    suffixes: tuple[str, ...]
    what: str
    create: Callable[[Path, Part], None]
    """Make an empty file or folder of the whole size, at a path where nothing is."""
    write: Callable[[Path, Part, tuple[slice, slice], np.ndarray], None]
    """Put in the values (y, x, n_channel) of a rectangle of pixels."""
    finish: Callable[[Path, Path, Part], None]
    """Move what was made from the first path to the second, or end what was stopped while it did."""


def moved(made: Path, target: Path, part: Part) -> None:
    """`Format.finish` of what is one file or folder; what a killed export was writing to is no part of it."""
    for file in files_below(made):
        if is_unfinished(file.name):
            file.unlink()
    if made.exists():
        made.replace(target)


_HOMES = {
    ".zarr": ("zarray", "ZARR"), ".zspy": ("zarray", "ZSPY"), ".rpl": ("lispix", "LISPIX"),
    ".h5": ("hdf5", "NEXUS"), ".hdf5": ("hdf5", "NEXUS"), ".nxs": ("hdf5", "NEXUS"),
}  # fmt: skip
FORMATS = tuple(_HOMES)
"""Suffixes of the files that can be written."""


def format_of(path: Path) -> Format:
    """The format that a file's suffix asks for; `InputError` lists those there are."""
    if path.suffix.lower() not in _HOMES:
        known = ", ".join(FORMATS)
        raise InputError(f"'{path.name}' ends in no known format; a cube is written as one of: {known}.")
    module, name = _HOMES[path.suffix.lower()]
    found: Format = getattr(importlib.import_module(f"xrfsr_dask.writers.{module}"), name)
    return found
