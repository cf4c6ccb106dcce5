"""Files of several signals with described axes (Bruker, HyperSpy and others): the map of spectra in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from xrfsr_dask.errors import InputError
from xrfsr_dask.readers.protocol import Scan, axis_of, falling, kev_per_unit, linear_axis, step_in_mm, turned

Region = tuple[slice, ...]


@dataclass(frozen=True, eq=False)
class Signal:
    """One signal of a file, its numbers not necessarily read."""

    title: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: list[dict[str, Any]]
    """Name, scale, offset, units, navigate, or the values as ``axis``; one for each dimension, in order."""
    read: Callable[[Region], np.ndarray]
    elements: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What of it is not there, a sentence each."""


def scan_of(path: Path, signals: list[Signal], inside: str | None) -> Scan:
    """The one map of spectra among `signals`, or the one whose title is `inside`."""
    cube = _map(path, signals, inside)
    last = _energy_axis(path, cube.axes)
    first, second = (axis for axis in range(3) if axis != last)
    if turned(*(axis_of(cube.axes[axis].get("name")) for axis in (first, second))):
        first, second = second, first
    ny, nx, n_channel = (cube.shape[axis] for axis in (first, second, last))
    energy, why = _energy_kev(cube.axes[last], n_channel)
    across = [cube.axes[axis] for axis in (first, second)]
    fault = next((told for axis in across if (told := _no_number(axis, "scale"))), "")
    steps = [(_number(axis, "scale", 1.0), _text(axis)) for axis in across] if not fault else []
    return Scan(
        source=str(path),
        shape=(ny, nx, n_channel),
        dtype=cube.dtype,
        read=partial(_read, cube, (first, second, last)),
        energy_kev=energy,
        calibration=why if energy is None else f"energy axis of {path.name}",
        step_mm=step_in_mm(steps),
        step=fault,
        image=_image_beside(signals, (ny, nx)),
        elements=cube.elements,
        notes=(
            *cube.notes,
            *falling(path.name, [(name, step) for name, (step, _) in zip("yx", steps, strict=False)]),
        ),
    )


def _map(path: Path, signals: list[Signal], inside: str | None) -> Signal:
    maps = [signal for signal in signals if len(signal.shape) == 3]
    chosen = [signal for signal in maps if inside in (None, signal.title)]
    if len(chosen) == 1:
        return chosen[0]
    titles = ", ".join(f"'{signal.title}' {signal.shape}" for signal in maps) or "none"
    asked = "one is needed" if inside is None else f"'{inside}' was asked for"
    raise InputError(f"{path}: {asked}; its maps of spectra are: {titles}. Choose one by --inside TITLE.")


def _energy_axis(path: Path, axes: list[dict[str, Any]]) -> int:
    """Index of the axis in eV or keV, else of the only one that is not navigated."""
    by_unit = [i for i, axis in enumerate(axes) if _text(axis).lower() in ("ev", "kev")]
    by_role = [i for i, axis in enumerate(axes) if not axis.get("navigate", i < 2)]
    for found in (by_unit, by_role):
        if len(found) == 1:
            return found[0]
    names = ", ".join(str(axis.get("name")) for axis in axes)
    raise InputError(f"{path}: none of its axes ({names}) is an energy axis, so it is no map of spectra.")


def _energy_kev(axis: dict[str, Any], n_channel: int) -> tuple[np.ndarray | None, str]:
    """Energy axis in keV; None where its unit is missing or none of energy, or, with why, it has no numbers."""
    kev = kev_per_unit(_text(axis)) if _text(axis) else None
    if kev is None:
        return None, ""
    if "axis" in axis:
        values = np.asarray(axis["axis"])
        fits = values.dtype.kind in "uif" and values.shape == (n_channel,)
        name = f"its axis '{axis.get('name')}'"
        return (kev * values, "") if fits else (None, f"{name} does not hold a number for each channel")
    if fault := _no_number(axis, "offset", "scale"):
        return None, fault
    return kev * linear_axis(_number(axis, "offset", 0.0), _number(axis, "scale", 1.0), n_channel), ""


def _image_beside(signals: list[Signal], shape: tuple[int, int]) -> np.ndarray | None:
    for signal in signals:
        if signal.shape == shape:
            return signal.read((slice(None), slice(None)))
    return None


def _read(cube: Signal, order: tuple[int, int, int], rows: slice, columns: slice) -> np.ndarray:
    region = [slice(None)] * 3
    region[order[0]], region[order[1]] = rows, columns
    return np.ascontiguousarray(cube.read(tuple(region)).transpose(order))


def _text(axis: dict[str, Any]) -> str:
    """Unit of an axis, empty where there is none."""
    unit = axis.get("units")
    unit = unit.decode("utf-8", "replace") if isinstance(unit, bytes) else unit
    return str(unit) if isinstance(unit, str) and unit != "<undefined>" else ""


def _no_number(axis: dict[str, Any], *keys: str) -> str:
    """Which of these attributes of an axis is no number; empty where all are, or are not there."""
    for key in keys:
        value = axis.get(key, 0.0)
        if np.ndim(value) or not isinstance(value, int | float | np.number) or not np.isfinite(value):
            return f"the {key} of its axis '{axis.get('name')}' is {value!r}, no number"
    return ""


def _number(axis: dict[str, Any], key: str, usual: float) -> float:
    return float(axis.get(key, usual))
