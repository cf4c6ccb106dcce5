"""Lispix cubes: a ``.rpl`` text header beside a ``.raw`` file of bare numbers, read as a memory map.

`depth-scale`, `depth-origin`, `width-scale` and their units are HyperSpy's additions to the format.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xrfsr_dask.errors import InputError
from xrfsr_dask.readers.numbers import Numbers
from xrfsr_dask.readers.protocol import (
    Scan,
    falling,
    kev_per_unit,
    linear_axis,
    readable,
    step_in_mm,
    unit_word,
)

_TYPES = {"signed": "i", "unsigned": "u", "float": "f"}
_ORDERS = {"big-endian": ">", "little-endian": "<", "dont-care": "<"}
_RECORDS = ("vector", "image", "dont-care")
_SIZES = ("width", "height", "depth", "offset", "data-length")
_DIGITS = 18  # of a size at most


@dataclass(frozen=True)
class _Layout:
    """How the numbers of a .raw file lie."""

    shape: tuple[int, int, int]
    """(ny, nx, n_channel)."""
    dtype: np.dtype[Any]
    offset: int
    """Bytes before the first number."""
    by_image: bool
    """(channel, y, x) in the file rather than (y, x, channel)."""

    @property
    def n_byte(self) -> int:
        """Size the .raw file must have."""
        ny, nx, n_channel = self.shape
        return self.offset + ny * nx * n_channel * self.dtype.itemsize

    def numbers(self, raw: Path) -> Numbers:
        """The numbers of a .raw file that lie like this."""
        ny, nx, n_channel = self.shape
        if self.by_image:
            return Numbers(raw, self.dtype, self.offset, (n_channel, ny, nx), (1, 2, 0))
        return Numbers(raw, self.dtype, self.offset, self.shape, (0, 1, 2))


def open_lispix(path: Path) -> Scan:
    """Open a ``.rpl`` header (or its ``.raw``) and the file beside it; their sizes are compared at once."""
    header = _beside(path, ".rpl") if path.suffix.lower() == ".raw" else path
    raw = _beside(path, ".raw")
    for file in (header, raw):
        readable(file, "scan")
    keys = _read_header(header)
    layout = _layout(header, keys)
    found = raw.stat().st_size
    if found != layout.n_byte:
        raise InputError(
            f"{raw} has {found} bytes, but {header.name} describes {layout.n_byte} bytes "
            f"({' x '.join(map(str, layout.shape))} values of {layout.dtype.itemsize} bytes after "
            f"{layout.offset}); the file is {'truncated' if found < layout.n_byte else 'too long'} "
            "or the header belongs to another one."
        )
    energy, calibration, notes = _energy(header, keys, layout.shape[2])
    fault = _no_number(keys, "width-scale", "height-scale")
    steps = _steps(keys)
    return Scan(
        source=str(path),
        shape=layout.shape,
        dtype=layout.dtype,
        read=layout.numbers(raw).read,
        energy_kev=energy,
        calibration=calibration,
        step_mm=step_in_mm([(step, unit) for _, step, unit in steps]) if not fault else None,
        step=fault,
        notes=(
            *_assumptions(header, keys, layout),
            *falling(header.name, [(name, step) for name, step, _ in steps]),
        ),
        calibration_notes=notes,
    )


def _beside(path: Path, suffix: str) -> Path:
    """The file of the same stem with `suffix` in any case."""
    if path.suffix.lower() == suffix:
        return path
    for other in sorted(path.parent.iterdir()):
        if other.stem == path.stem and other.suffix.lower() == suffix:
            return other
    raise InputError(f"{path}: the file {path.stem}{suffix} that belongs beside it does not exist.")


def _read_header(header: Path) -> dict[str, str]:
    """Keys in lower case with their values; comments begin with a semicolon."""
    data = header.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    keys: dict[str, str] = {}
    for line in text.splitlines():
        key, _, rest = line.split(";")[0].strip().replace(" ", "\t", 1).partition("\t")
        name, value = key.strip().lower(), rest.strip().split("\t")[0].strip()
        if name in _SIZES and keys.get(name, value) != value:
            raise InputError(
                f"{header} gives {name} twice, as {keys[name]} and as {value}; correct the header."
            )
        keys[name] = value
    return keys


def _layout(header: Path, keys: dict[str, str]) -> _Layout:
    missing = [key for key in (*_SIZES, "data-type", "byte-order", "record-by") if not keys.get(key)]
    if missing:
        raise InputError(f"{header} is not a complete Lispix header: it lacks {', '.join(missing)}.")
    nx, ny, n_channel, offset, length = (_size(header, keys, key) for key in _SIZES)
    order = _choice(header, keys, "byte-order", _ORDERS)
    kind = _choice(header, keys, "data-type", _TYPES)
    record = _choice(header, keys, "record-by", _RECORDS)
    if length not in ((4, 8) if kind == "float" else (1, 2, 4, 8)):
        raise InputError(f"{header}: data-length {length} does not exist for data-type {kind}.")
    dtype = np.dtype(f"{_ORDERS[order]}{_TYPES[kind]}{length}")
    return _Layout((ny, nx, n_channel), dtype, offset, record == "image")


def _size(header: Path, keys: dict[str, str], key: str) -> int:
    smallest = 0 if key == "offset" else 1
    text = keys[key]
    if not text.isdecimal() or len(text) > _DIGITS or int(text) < smallest:
        raise InputError(f"{header}: {key} is '{text}', a whole number of at least {smallest} is needed.")
    return int(text)


def _choice(header: Path, keys: dict[str, str], key: str, known: Any) -> str:
    value = keys[key].lower().replace("'", "")
    if value not in known:
        raise InputError(f"{header}: {key} is '{keys[key]}'; it can be {', '.join(known)}.")
    return value


def _assumptions(header: Path, keys: dict[str, str], layout: _Layout) -> tuple[str, ...]:
    """What a header leaves open although it matters."""
    ny, nx, n_channel = layout.shape
    notes = []
    if _choice(header, keys, "byte-order", _ORDERS) == "dont-care" and layout.dtype.itemsize > 1:
        notes.append(f"{header.name} does not say its byte order; little-endian was taken.")
    if _choice(header, keys, "record-by", _RECORDS) == "dont-care" and n_channel > 1 and ny * nx > 1:
        notes.append(f"{header.name} does not say its record order; vector was taken.")
    return tuple(notes)


def _energy(
    header: Path, keys: dict[str, str], n_channel: int
) -> tuple[np.ndarray | None, str, tuple[str, ...]]:
    """Energy axis, where it came from or why there is none, and what had to be assumed."""
    key = "depth-scale" if "depth-scale" in keys else "ev-per-chan"
    if fault := _no_number(keys, key, "depth-origin"):
        return None, fault, ()
    gain, offset, unit = _number(keys, key), _number(keys, "depth-origin"), keys.get("depth-units")
    if gain is None:
        return None, "", ()
    kev = kev_per_unit(unit, step=gain)
    if gain == 0 or kev is None:
        return None, f"its {key} is 0" if gain == 0 else f"its depth-units '{unit}' are none of energy", ()
    if key == "depth-scale" and gain == 1 and not offset and not unit_word(unit):
        return None, "its depth-scale of 1 without a unit counts the channels", ()
    gain_kev = gain * (kev if key == "depth-scale" else 1e-3)
    axis = linear_axis((offset or 0.0) * kev, gain_kev, n_channel)
    if offset is not None:
        said = (
            f"{header.name} gives a depth-origin of {offset:g} without a unit; it was taken as {offset:g} eV."
        )
        tiny = key == "ev-per-chan" and not unit_word(unit) and 0 < abs(offset) < 0.5 * abs(gain) and kev < 1
        return axis, f"{key} and depth-origin of {header.name}", (said,) * tiny
    note = (
        f"{header.name} gives {1e3 * gain_kev:g} eV per channel but no offset; channel 0 was taken as 0 keV, "
        "which is rarely true: compare a known line, or give --calibration."
    )
    return axis, f"{key} of {header.name}, offset unknown and taken as 0", (note,)


def _steps(keys: dict[str, str]) -> list[tuple[str, float, str | None]]:
    """Name, step and unit of the two axes, as far as the header has them."""
    axes = [
        (name, _number(keys, f"{axis}-scale"), keys.get(f"{axis}-units"))
        for name, axis in (("y", "height"), ("x", "width"))
    ]
    return [(name, scale, unit) for name, scale, unit in axes if scale is not None]


def _no_number(keys: dict[str, str], *names: str) -> str:
    """Which of these keys holds something, and no number; empty where none does."""
    bad = next((name for name in names if keys.get(name) and _number(keys, name) is None), None)
    return f"its {bad} is '{keys[bad]}', no number" if bad else ""


def _number(keys: dict[str, str], key: str) -> float | None:
    """The value of a key; None where it is missing, or none that is finite."""
    try:
        value = float(keys.get(key) or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
