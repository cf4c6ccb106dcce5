"""What every reader returns: a scan whose counts are read some rows and columns at a time."""

from __future__ import annotations

import functools
import itertools
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np

from xrfsr_dask.errors import InputError, XrfsrError, first_line

P = ParamSpec("P")
R = TypeVar("R")

PIECE_BYTES = 64 * 2**20
"""Counts that are read at once, where a chunk of the store is not larger."""

_KEV = {"kev": 1.0, "ev": 1e-3}
_MM = {"m": 1e3, "cm": 10.0, "mm": 1.0, "um": 1e-3, "µm": 1e-3, "μm": 1e-3, "micron": 1e-3, "nm": 1e-6}
_MOTOR = (
    "^?(pos|coord|axis|motor|stage|index)|"
    "^(sam|samp|sample|scan|pos|position|stage|motor|axis|coord|map|[nptm])?$"
)
_AXIS = {
    "energy": r"energ|channel|spectr|mca|kev|^n?e$|^ev$|^bins?$",
    "y": r"(^|[^a-z])(y|rows?|height)([^a-z]|$)|" + _MOTOR.replace("?", "y"),
    "x": r"(^|[^a-z])(x|columns?|cols?|width)([^a-z]|$)|" + _MOTOR.replace("?", "x"),
    "z": r"(^|[^a-z])z([^a-z]|$)|" + _MOTOR.replace("?", "z"),
}
_PER_CHANNEL_EV = 0.5  # a step at least this long cannot be in keV: no detector has channels of 500 eV
_LARGEST_KEV = 1000.0  # an axis that ends above this is in eV: no tube reaches 1 MeV


@dataclass(frozen=True, kw_only=True, eq=False)
class Scan:
    """An opened scan of an instrument; its counts stay in the file until asked for."""

    source: str
    """The file, as the user named it."""
    shape: tuple[int, int, int]
    """(ny, nx, n_channel)."""
    dtype: np.dtype[Any]
    """Type of the counts in the file, byte order included."""
    read: Callable[[slice, slice], np.ndarray]
    """(rows, columns) -> counts (rows, columns, n_channel) of these spots."""
    energy_kev: np.ndarray | None = None
    """(n_channel,) keV of each channel's centre, offset included; None: the file holds no calibration."""
    calibration: str = ""
    """Where the energy axis came from; where there is none, why, as far as the file says."""
    step_mm: float | None = None
    """Distance between neighbouring spots, mm, where the file says it."""
    step: str = ""
    """Why there is no step, as far as the file says."""
    image: np.ndarray | None = None
    """(ny, nx) image that the instrument recorded on the same grid, where there is one."""
    elements: tuple[str, ...] = ()
    """Chemical symbols the file lists, in its order."""
    notes: tuple[str, ...] = ()
    """What had to be assumed about how the counts lie, a sentence each."""
    calibration_notes: tuple[str, ...] = ()
    """What had to be assumed about the energy axis; void where the user gives a calibration."""

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise InputError(f"{self.source} has no data: its shape (y, x, channel) is {self.shape}.")
        if self.dtype.kind not in "uif":
            raise InputError(f"{self.source} holds values of type {self.dtype}; counts must be real numbers.")

    def blocks(self, rows: int = 32) -> Iterator[tuple[int, np.ndarray]]:
        """Counts of `rows` rows at a time as (first_row, counts (rows, nx, n_channel)), in order."""
        ny = self.shape[0]
        for first in range(0, ny, rows):
            yield first, self.read(slice(first, min(first + rows, ny)), slice(None))

    def pieces(self, side: int, most_bytes: int = PIECE_BYTES) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
        """Counts of `side` rows and some times `side` columns at a time, row by row of pieces.

        Parameters
        ----------
        side : int
            Spots; the chunks that the counts go to are as large.
        most_bytes : int
            Size of a piece at most, as in the file; but never less than `side` columns.

        Yields
        ------
        ((first_row, first_column), counts (rows, columns, n_channel))
        """
        ny, nx, n_channel = self.shape
        wide = side * max(1, most_bytes // (side * side * n_channel * self.dtype.itemsize))
        for row, column in itertools.product(range(0, ny, side), range(0, nx, wide)):
            rows, columns = slice(row, min(row + side, ny)), slice(column, min(column + wide, nx))
            yield (row, column), self.read(rows, columns)


def damaged_is_input_error(what: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function of a path so that whatever a library raises on a damaged file is one `InputError`."""

    def decorate(read: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(read)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return read(*args, **kwargs)
            except (XrfsrError, MemoryError, OSError):
                raise
            except Exception as error:
                raise InputError(
                    f"{what} {args[0]} cannot be read; it is damaged or not what its name says "
                    f"({first_line(error)})."
                ) from error

        return guarded

    return decorate


def readable(name: str | Path, what: str) -> Path:
    """The path of that name; `InputError` where it is empty, nothing is there, or it may not be read."""
    if not str(name):
        raise InputError(f"the name of the {what} is empty; give a path.")
    path = Path(name)
    if not path.exists():
        raise InputError(f"{what} {path} does not exist.")
    if not os.access(path, os.R_OK):
        raise InputError(f"{what} {path} may not be read by this user; change its permissions, or copy it.")
    return path


def linear_axis(offset_kev: float, gain_kev: float, n_channel: int) -> np.ndarray:
    """Energy of each channel's centre, float64 of shape (n_channel,), keV: offset + gain * channel."""
    return offset_kev + gain_kev * np.arange(n_channel)


def kev_per_unit(unit: str | None, *, step: float = 0.0, last: float = 0.0) -> float | None:
    """keV in one unit of energy; None where the unit is none of energy.

    Where no unit is given, steps and ends too large for keV are taken as eV.
    """
    word = unit_word(unit)
    if word:
        return _KEV.get(re.sub(r"(k?)(?:ilo)?[\s_-]*(?:electron[\s_-]*volts?|ev)", r"\1ev", word))
    return 1e-3 if abs(step) >= _PER_CHANNEL_EV or abs(last) > _LARGEST_KEV else 1.0


def step_in_mm(steps: Sequence[tuple[float, str | None]]) -> float | None:
    """One step in mm from (length, unit) of both axes; None where unknown or unequal by over 1 %."""
    lengths = [abs(length) * _MM.get(unit_word(unit), math.nan) for length, unit in steps]
    known = [mm for mm in lengths if math.isfinite(mm) and mm > 0]
    if not known or len(known) < len(steps) or max(known) > 1.01 * min(known):
        return None
    return math.exp(sum(map(math.log, known)) / len(known))


def falling(source: str, steps: Sequence[tuple[str, float]]) -> tuple[str, ...]:
    """A note for each of the axes (name, step) whose coordinate falls: it is kept as it lies in the file.

    A stage whose y points up falls from row to row of a map that is the right way up; other coordinates that
    fall belong to a map that is turned round.
    """
    return tuple(
        f"{source}: its {name} coordinate falls from spot to spot; the spots were taken in the order of the "
        f"file. If the map comes out mirrored, give its place by --transform."
        for name, step in steps
        if step < 0
    )


def axis_of(name: object) -> str:
    """``"y"``, ``"x"``, ``"z"`` or ``"energy"`` by the name that a file gives an axis; else empty."""
    text = str(name or "").strip().lower()
    for axis, pattern in _AXIS.items():
        if re.search(pattern, text):
            return axis
    return ""


def turned(first: str, second: str) -> bool:
    """Whether the first of two axes of a map, as `axis_of` names them, runs along its rows, and is x.

    Of z and another, z is upright (the beam runs along x or y). One name without the other says enough.
    """
    if "z" in (first, second):
        return second == "z" and first in ("y", "x")
    return first == "x" or (second == "y" and not first)


def unit_word(unit: str | None) -> str:
    """A unit in lower case, empty where a file says in one way or another that there is none."""
    word = (unit or "").strip().lower()
    return "" if word in ("<undefined>", "undefined", "none", "unknown") else word
