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
_NARROWEST_KEV = 1e-6
_LOWEST_KEV, _HIGHEST_KEV = -50.0, 2000.0
_UNEVEN = 0.01  # of a channel's width


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
    if not (math.isfinite(offset) and _NARROWEST_KEV <= gain < _WIDEST_KEV):
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
    """
    if given is not None:
        return _possible(scan, linear_axis(*given, scan.shape[2]))
    if scan.energy_kev is None:
        why = f" ({scan.calibration})" if scan.calibration else ""
        raise OptionError(
            f"{scan.source} holds no energy calibration{why}; give --calibration OFFSET,GAIN in keV or an .spx "
            "file."
        )
    return _possible(scan, np.asarray(scan.energy_kev, float))


def _possible(scan: Scan, energy_kev: np.ndarray) -> np.ndarray:
    """The axis, if energies of X-rays can be meant."""
    if len(energy_kev) and not (energy_kev.min() >= _LOWEST_KEV and energy_kev.max() <= _HIGHEST_KEV):
        raise InputError(
            f"{scan.source}: its channels would lie from {energy_kev[0]:g} to {energy_kev[-1]:g} keV; give "
            "--calibration OFFSET,GAIN, both in keV."
        )
    return energy_kev


def require_even(source: str, energy_kev: np.ndarray) -> None:
    """`InputError` where channels (n_channel,) do not rise by one and the same step."""
    steps = np.diff(energy_kev)
    if not rises(energy_kev):
        raise InputError(
            f"{source}: its energy axis does not rise over its {len(energy_kev)} channels; "
            "give --calibration OFFSET,GAIN."
        )
    if len(steps) and np.ptp(steps) > _UNEVEN * float(steps.mean()):
        raise InputError(
            f"{source}: its channels are not evenly spaced ({steps.min():.6f} to {steps.max():.6f} keV); "
            "give --calibration OFFSET,GAIN."
        )


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
