"""Energy calibration given by the user: two numbers, or a Bruker .spx spectrum."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

from xrfsr_dask.errors import InputError, OptionError

_WIDEST_KEV = 0.5  # per channel; more than any detector has, so a value above it was meant in eV


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
    if not (math.isfinite(offset) and 0 < gain < _WIDEST_KEV):
        raise OptionError(
            f"calibration '{text}' means channel 0 at {offset} keV and {gain} keV per channel; "
            f"give OFFSET,GAIN in keV with a gain between 0 and {_WIDEST_KEV}, for example -0.96,0.01."
        )
    return offset, gain


def _numbers(text: str) -> tuple[float, float]:
    try:
        offset, gain = (float(part) for part in text.split(","))
    except ValueError:
        raise OptionError(
            f"calibration '{text}' is neither OFFSET,GAIN in keV, for example -0.96,0.01, nor an .spx file."
        ) from None
    return offset, gain


def _spx(path: Path) -> tuple[float, float]:
    if not path.is_file():
        raise InputError(f"calibration file {path} does not exist.")
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
