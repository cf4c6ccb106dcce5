"""Energy axes: of the scan's file, or by a calibration of the user, two numbers or a Bruker .spx spectrum."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from xrfsr_dask.errors import InputError, OptionError
from xrfsr_dask.readers.protocol import Scan, linear_axis, readable
from xrfsr_dask.store.patches import rises

_WIDEST_KEV = 0.5  # per channel; more than any detector has, so a value above it was meant in eV
_NARROWEST_KEV = 1e-4  # per channel; less than any detector has, so a value below it was meant in MeV
_LOWEST_KEV, _HIGHEST_KEV = -20.0, 200.0  # tubes end below; channel 0 lies a little below zero
_UNEVEN = 0.01  # of a channel's width
_GIVE = "give --calibration OFFSET,GAIN, both in keV"


def read_calibration(text_or_path: str | Path) -> tuple[float, float]:
    """Offset and gain, keV, such that channel i lies at ``offset + gain * i``.

    Parameters
    ----------
    text_or_path : str or Path
        ``"OFFSET,GAIN"`` in keV, or a Bruker ``.spx`` file, whose first spectrum speaks.

    Raises
    ------
    OptionError
        Neither two numbers nor an ``.spx`` file; a gain that cannot be in keV.
    InputError
        The ``.spx`` file is missing, unreadable or holds no calibration.
    """
    text = str(text_or_path)
    offset, gain = _spx(Path(text)) if text.lower().endswith(".spx") else _numbers(text)
    if not (math.isfinite(offset) and _NARROWEST_KEV <= gain <= _WIDEST_KEV):
        raise OptionError(
            f"calibration '{text}' means channel 0 at {offset} keV and {gain} keV per channel; "
            f"give OFFSET,GAIN in keV with a gain between {_NARROWEST_KEV:g} and {_WIDEST_KEV}, for example "
            "-0.96,0.01."
        )
    return offset, gain


def energy_axis(scan: Scan, given: tuple[float, float] | None) -> np.ndarray:
    """Energy of each channel's centre, float64 (n_channel,), keV: as the user gives it, else as the file does.

    Raises
    ------
    OptionError
        Neither says it.
    InputError
        Channels would lie where no X-rays are measured, or be as wide as no detector's: they are counted, say.
    """
    if given is None and scan.energy_kev is None:
        why = f" ({scan.calibration})" if scan.calibration else ""
        raise OptionError(
            f"{scan.source} holds no energy calibration{why}; give --calibration OFFSET,GAIN in keV or an .spx "
            "file."
        )
    axis = scan.energy_kev if given is None else linear_axis(*given, scan.shape[2])
    energy_kev = np.asarray(axis, float)
    require_energies(scan.source, energy_kev)
    return energy_kev


def axis_notes(scan: Scan, given: tuple[float, float] | None) -> tuple[str, ...]:
    """What is to be said of an energy axis: what was assumed, or why the file's own could not be used."""
    if given is None:
        return scan.calibration_notes
    own = scan.energy_kev
    fault = scan.calibration if own is None else _impossible(own) or _uneven(own)
    return (f"{scan.source}: {fault}; the calibration that was given was taken.",) if fault else ()


def require_energies(source: str, energy_kev: np.ndarray, *, remedy: str = _GIVE) -> None:
    """`InputError` where channels (n_channel,) cannot be X-rays' energies in keV; `remedy` says what to do."""
    if fault := _impossible(energy_kev):
        raise InputError(f"{source}: {fault}; {remedy}.")


def require_even(source: str, energy_kev: np.ndarray, *, remedy: str = _GIVE) -> None:
    """`InputError` where channels (n_channel,) do not rise by one and the same step; `remedy`: what to do."""
    if fault := _uneven(energy_kev):
        raise InputError(f"{source}: {fault}; {remedy}.")


def _impossible(energy_kev: np.ndarray) -> str:
    """Why energies cannot be those of X-rays, keV; empty where they can."""
    if not np.isfinite(energy_kev).all():
        return "not all of its channels have a finite energy"
    low, high, width = extent = _extent(energy_kev)
    if _of_x_rays(*extent):
        return ""
    found = f"its channels lie from {low:g} to {high:g} keV, {width:g} keV apart, which cannot be"
    if width == 1.0 and low in (0.0, 1.0):
        return f"{found} (they seem to be counted)"
    return f"{found} (are they in eV?)" if _of_x_rays(*(1e-3 * ev for ev in extent)) else found


def _extent(energy_kev: np.ndarray) -> tuple[float, float, float]:
    """Least and largest energy, and the usual distance of channels, 0 where there is one alone or they fall."""
    width = float(np.median(np.diff(energy_kev))) if len(energy_kev) > 1 else 0.0
    return float(np.min(energy_kev)), float(np.max(energy_kev)), max(width, 0.0)


def _of_x_rays(low_kev: float, high_kev: float, width_kev: float) -> bool:
    """Whether a detector of X-rays may have such channels."""
    wide = width_kev == 0 or _NARROWEST_KEV <= width_kev < _WIDEST_KEV
    return wide and low_kev >= _LOWEST_KEV and high_kev <= _HIGHEST_KEV


def _uneven(energy_kev: np.ndarray) -> str:
    """Why channels do not rise by one and the same step; empty where they do."""
    if not rises(energy_kev):
        return f"its energy axis does not rise over its {len(energy_kev)} channels"
    steps = np.diff(energy_kev)
    if len(steps) and np.ptp(steps) > _UNEVEN * float(steps.mean()):
        return f"its channels are not evenly spaced ({steps.min():.6f} to {steps.max():.6f} keV)"
    return ""


def _numbers(text: str) -> tuple[float, float]:
    try:
        offset, gain = (float(part) for part in text.split(","))
    except ValueError:
        raise OptionError(
            f"calibration '{text}' is neither OFFSET,GAIN in keV, for example -0.96,0.01, nor an .spx file."
        ) from None
    return offset, gain


def _spx(path: Path) -> tuple[float, float]:
    readable(path, "calibration file")
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, LookupError, OSError) as error:
        raise InputError(f"{path} cannot be read as an .spx spectrum ({error}).") from error
    for header in root.iter("ClassInstance"):
        offset, gain = header.findtext("CalibAbs"), header.findtext("CalibLin")
        if offset is not None and gain is not None:
            return _pair(path, offset, gain)
    raise InputError(f"{path} holds no energy calibration (CalibAbs and CalibLin); give OFFSET,GAIN in keV.")


def _pair(path: Path, offset: str, gain: str) -> tuple[float, float]:
    try:
        return float(offset), float(gain)
    except ValueError:
        raise InputError(
            f"{path}: its calibration is '{offset}' and '{gain}', two numbers were expected."
        ) from None
