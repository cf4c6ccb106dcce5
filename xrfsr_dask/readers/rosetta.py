"""Bruker .bcf and other instrument files through rosettasciio, an optional package (GPL-3).

Most of its readers load a file whole, so the memory such a scan needs is the size of its cube;
.hspy and .zspy are read a few rows at a time.
"""

from __future__ import annotations

import importlib
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from xrfsr_dask.errors import InputError, MissingPackageError
from xrfsr_dask.readers.protocol import Scan, kev_per_unit, linear_axis, step_in_mm

PLUGINS = {
    ".bcf": "bruker",
    ".hspy": "hspy",
    ".zspy": "zspy",
    ".emd": "emd",
    ".dm3": "digitalmicrograph",
    ".dm4": "digitalmicrograph",
    ".elid": "phenom",
    ".pts": "jeol",
    ".spd": "edax",
    ".ser": "tia",
}
"""Suffixes read here, and the reader of rosettasciio for each."""

_LAZY = (".hspy", ".zspy")

Signal = dict[str, Any]


def open_rosetta(path: Path, inside: str | None = None) -> Scan:
    """Open the map of spectra in a file; `inside` is its title where the file holds several."""
    signals = _load(path)
    cube = _map(path, signals, inside)
    axes = cube["axes"]
    last = _energy_axis(path, axes)
    spatial = [axis for i, axis in enumerate(axes) if i != last]
    data = np.moveaxis(cube["data"], last, -1)
    energy = _energy_kev(axes[last], data.shape[-1])
    ny, nx, n_channel = data.shape
    return Scan(
        source=str(path),
        shape=(ny, nx, n_channel),
        dtype=np.dtype(data.dtype),
        read_rows=partial(_read_rows, data),
        energy_kev=energy,
        calibration="" if energy is None else f"energy axis of {path.name}",
        step_mm=step_in_mm([(float(axis.get("scale", 1.0)), axis.get("units")) for axis in spatial]),
        image=_image_beside(signals, (ny, nx)),
        elements=tuple(str(name) for name in _sample(cube).get("elements", ())),
    )


def _load(path: Path) -> list[Signal]:
    reader = _plugin(path.suffix.lower())
    try:
        signals: list[Signal] = reader.file_reader(str(path), lazy=path.suffix.lower() in _LAZY)
    except ImportError as error:
        raise MissingPackageError(
            f"reading {path} needs a further package ({error}); `pip install 'xrfsr_dask[bruker]'`."
        ) from error
    except Exception as error:  # a damaged file makes rosettasciio raise anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{path} cannot be read as {path.suffix} ({reason}).") from error
    return signals


def _plugin(suffix: str) -> ModuleType:
    try:
        return importlib.import_module(f"rsciio.{PLUGINS[suffix]}")
    except ImportError as error:
        raise MissingPackageError(
            f"reading {suffix} files needs rosettasciio ({error}); `pip install 'xrfsr_dask[bruker]'`."
        ) from error


def _map(path: Path, signals: list[Signal], inside: str | None) -> Signal:
    """The one three-dimensional signal, or the one whose title is `inside`."""
    maps = [signal for signal in signals if signal["data"].ndim == 3]
    chosen = [signal for signal in maps if inside in (None, _title(signal))]
    if len(chosen) == 1:
        return chosen[0]
    titles = ", ".join(f"'{_title(signal)}' {signal['data'].shape}" for signal in maps) or "none"
    asked = "one is needed" if inside is None else f"'{inside}' was asked for"
    raise InputError(f"{path}: {asked}; its maps of spectra are: {titles}. Choose one by --inside TITLE.")


def _energy_axis(path: Path, axes: list[dict[str, Any]]) -> int:
    """Index of the axis in eV or keV, else of the only signal axis."""
    by_unit = [i for i, axis in enumerate(axes) if str(axis.get("units")).lower() in ("ev", "kev")]
    by_role = [i for i, axis in enumerate(axes) if not axis.get("navigate", i < 2)]
    for found in (by_unit, by_role):
        if len(found) == 1:
            return found[0]
    names = ", ".join(str(axis.get("name")) for axis in axes)
    raise InputError(f"{path}: none of its axes ({names}) is an energy axis, so it is no map of spectra.")


def _energy_kev(axis: dict[str, Any], n_channel: int) -> np.ndarray | None:
    unit = axis.get("units")
    if "axis" in axis:
        values = np.asarray(axis["axis"], float)
    elif unit:
        values = linear_axis(float(axis.get("offset", 0.0)), float(axis.get("scale", 1.0)), n_channel)
    else:
        return None
    kev = kev_per_unit(str(unit or ""), last=float(values[-1]))
    return None if kev is None else values * kev


def _image_beside(signals: list[Signal], shape: tuple[int, int]) -> np.ndarray | None:
    for signal in signals:
        if signal["data"].shape == shape:
            return np.asarray(signal["data"])
    return None


def _read_rows(data: Any, first: int, stop: int) -> np.ndarray:
    block = data[first:stop]
    return np.asarray(block.compute(scheduler="synchronous") if hasattr(block, "compute") else block)


def _title(signal: Signal) -> str:
    return str(signal.get("metadata", {}).get("General", {}).get("title", ""))


def _sample(signal: Signal) -> dict[str, Any]:
    sample = signal.get("metadata", {}).get("Sample", {})
    return sample if isinstance(sample, dict) else {}
