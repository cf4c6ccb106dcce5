"""Where an element's line lies on an energy axis, and how to count it: windows and linear background."""

from __future__ import annotations

import math
import re
from typing import Any, Literal

import numpy as np

from xrfsr_dask.errors import InputError, OptionError
from xrfsr_dask.values import is_number, require, shown

Background = Literal["snip", "linear"] | None

WINDOW_FWHM = 1.2
"""Half width of a line's window, in FWHM of the detector at that energy."""
SIDE_FWHM = 0.8
"""Width of the background windows on both sides of it, in FWHM."""

FANO_KEV = 4.4664e-4
"""Variance of a line per keV of its energy in a silicon detector, keV."""
M6_NOISE_KEV2 = 9.893e-4
"""Constant part of that variance, keV2, of a Bruker M6 Jetstream: 142 eV at Mn Ka."""

USUAL_KEV = 20.0
"""An element whose Ka lies below is known by its K lines, others by L."""

_SHELLS = {"KA": "KA", "KB": "KB", "LA": "LA", "LB": "LB", "LG": "LG1", "LN": "LE", "LL": "LL", "MA": "MA1"}
_SUGGESTED = ("Ka", "La", "Ma")


def fwhm_kev(energy_kev: Any, noise_kev2: float = M6_NOISE_KEV2) -> Any:
    """Full width at half maximum of a line, or of an array of them, as a silicon detector sees it, keV."""
    return 2.0 * np.sqrt(2.0 * math.log(2.0) * (noise_kev2 + FANO_KEV * energy_kev))


def fwhm_channels(energy_kev: np.ndarray, noise_kev2: float) -> np.ndarray:
    """The same at each channel of an axis (n_channel,), in channels, one at least."""
    wide = fwhm_kev(np.maximum(energy_kev, 0.1), noise_kev2) / (energy_kev[1] - energy_kev[0])
    return np.asarray(np.maximum(wide, 1.0))


def atomic_number(element: str) -> int:
    """Of a chemical symbol; `InputError` where there is no such element."""
    import xraylib

    _require_text(element, "an element is named by its symbol, such as 'Pb'")
    try:
        return int(xraylib.SymbolToAtomicNumber(element.strip().capitalize()))
    except ValueError as error:
        raise InputError(f"'{element}' is no chemical element; write its symbol, such as 'Pb'.") from error


def _require_text(value: Any, what: str) -> None:
    require(isinstance(value, str), f"{what}, got {shown(value)}.")


def line_kev(element: str, line: str = "Ka") -> float:
    """Energy of a line, keV, from xraylib; ``"Ka"`` and the like are means weighted by intensity.

    Parameters
    ----------
    element : str
        Chemical symbol, ``"Pb"``.
    line : str
        Siegbahn name: ``"Ka"``, ``"Kb1"``, ``"La"``, ``"Lb"``, ``"Lg"``, ``"Ln"``, ``"Ma"``, ….

    Raises
    ------
    InputError
        No such element, no such line, or the element has none.
    """
    import xraylib

    number = atomic_number(element)
    _require_text(line, "a line is named as 'Ka' or 'La'")
    name = line.strip().upper()
    code = getattr(xraylib, f"{_SHELLS.get(name, name)}_LINE", None)
    if code is None or not re.fullmatch(r"[KLM][ABGLNE]\d?", name):
        raise InputError(f"'{line}' is no X-ray line; write one such as 'Ka', 'Kb', 'La', 'Lb1', 'Lg' or 'Ma'.")
    try:
        return float(xraylib.LineEnergy(number, code))
    except ValueError as error:
        raise InputError(f"{element} has no {line} line; {_lines_of(number)}.") from error


def _lines_of(number: int) -> str:
    """What lines an element has, in words."""
    import xraylib

    def has(shell: str) -> bool:
        try:
            return bool(xraylib.LineEnergy(number, getattr(xraylib, f"{shell}_LINE")) > 0)
        except ValueError:
            return False

    there = [line.capitalize() for line, shell in _SHELLS.items() if has(shell)]
    return f"it has {', '.join(there)}" if there else "X-ray fluorescence shows none of it"


def roi_weights(energy_kev: np.ndarray, lo_kev: float, hi_kev: float) -> np.ndarray:
    """1 on the channels whose centre lies in [lo, hi], 0 elsewhere; float64 of shape (n_channel,)."""
    energy = np.asarray(energy_kev, float)
    ends = f"both ends of a region are numbers, keV, got {shown(lo_kev)} and {shown(hi_kev)}."
    require(is_number(lo_kev) and is_number(hi_kev), ends)
    inside = (energy >= lo_kev) & (energy <= hi_kev)
    if not inside.any():
        raise InputError(
            f"no channel lies between {lo_kev:g} and {hi_kev:g} keV; the energy axis runs from "
            f"{energy[0]:.3f} to {energy[-1]:.3f} keV."
        )
    return inside.astype(float)


def line_weights(
    energy_kev: np.ndarray, element: str, line: str = "Ka", background: Background = "linear"
) -> np.ndarray:
    """Weights that turn a spectrum into the net counts of a line: ``spectrum @ weights``.

    The window reaches `WINDOW_FWHM` to both sides of the line. A linear background is drawn through the
    mean counts of the side windows next to it, `SIDE_FWHM` wide; a neighbouring line in one of them lowers
    the net counts, which may be negative. Lines that overlap are not told apart.

    Parameters
    ----------
    energy_kev : float array of shape (n_channel,), keV
    element, line : str
        As in `line_kev`.
    background : {"linear", None}
        What is subtracted; "snip" is no matter of weights.

    Returns
    -------
    float64 array of shape (n_channel,), dimensionless
    """
    if background not in ("linear", None):
        raise OptionError(f"background must be 'snip', 'linear' or None, got {background!r}.")
    energy = np.asarray(energy_kev, float)
    centre = check_line(energy, element, line)
    half = WINDOW_FWHM * fwhm_kev(centre)
    inside = roi_weights(energy, centre - half, centre + half)
    return inside - _background(energy, inside, SIDE_FWHM * fwhm_kev(centre)) if background else inside


def check_line(energy_kev: np.ndarray, element: str, line: str) -> float:
    """Energy of a line that must lie on an axis, keV; `InputError` names one that does where it does not."""
    require_increasing(energy_kev)
    centre = line_kev(element, line)
    if not energy_kev[0] <= centre <= energy_kev[-1]:
        raise InputError(_outside(energy_kev, element, line, centre))
    return centre


def require_increasing(energy_kev: np.ndarray) -> None:
    """Raise `InputError` unless energies are finite and grow from channel to channel."""
    if not (np.isfinite(energy_kev).all() and (np.diff(energy_kev) > 0).all()):
        raise InputError(
            f"lines are told where energies grow from channel to channel, these run from {energy_kev[0]:.3f} "
            f"to {energy_kev[-1]:.3f} keV; put the Dataset in order by ds.sortby('energy')."
        )


def siegbahn(line: str) -> str:
    """The name of a line as it is written: ``"ka"`` -> ``"Ka"``."""
    return line.strip().capitalize()


def usual_line(energy_kev: np.ndarray, element: str) -> str:
    """The first of Ka, La, Ma that lies on the axis below `USUAL_KEV`, else on the axis, else Ka."""
    fitting = [line for line in _SUGGESTED if _fits(energy_kev, element, line)]
    return next((line for line in fitting if line_kev(element, line) < USUAL_KEV), (fitting or ["Ka"])[0])


def _background(energy: np.ndarray, inside: np.ndarray, width: float) -> np.ndarray:
    """Weights that give the sum, over the window, of the line through its two sides."""
    window = energy[inside > 0]
    left = (energy < window[0]) & (energy >= window[0] - width)
    right = (energy > window[-1]) & (energy <= window[-1] + width)
    if not (left.any() and right.any()):
        raise InputError(
            f"the energy axis, {energy[0]:.3f} to {energy[-1]:.3f} keV, leaves no room for a background on "
            f"both sides of {window[0]:.3f} to {window[-1]:.3f} keV; ask for background=None."
        )
    low, high = energy[left].mean(), energy[right].mean()
    share = (window.mean() - low) / (high - low)
    return len(window) * ((1 - share) * left / left.sum() + share * right / right.sum())


def _outside(energy: np.ndarray, element: str, line: str, centre: float) -> str:
    text = (
        f"{element} {line} lies at {centre:.3f} keV, outside the energy axis "
        f"({energy[0]:.3f} to {energy[-1]:.3f} keV)"
    )
    fitting = [other for other in _SUGGESTED if _fits(energy, element, other)]
    return f"{text}; try its {fitting[0]}." if fitting else f"{text}; none of its lines lies on it."


def _fits(energy: np.ndarray, element: str, line: str) -> bool:
    try:
        return bool(energy[0] <= line_kev(element, line) <= energy[-1])
    except InputError:
        return False


def best_line(energy_kev: np.ndarray, element: str) -> str | None:
    """The first of Ka, La, Ma whose window and background fit on the axis; None where none does."""
    energy = np.asarray(energy_kev, float)
    for line in _SUGGESTED:
        try:
            line_weights(energy, element, line)
        except InputError:
            continue
        return line
    return None


def candidate_lines(energy_kev: np.ndarray) -> np.ndarray:
    """Net-count weights of every line an axis can show, float64 (n_channel, n): where weak elements may hide.

    Ka, La and Ma of all elements from carbon to uranium; on an axis that is not in keV, windows of a
    hundredth of it, each less its two sides.
    """
    energy = np.asarray(energy_kev, float)
    step = (energy[-1] - energy[0]) / max(len(energy) - 1, 1)
    if not 0 < step < 0.3 * fwhm_kev(max(energy[0], 1.0)):
        return _windows(len(energy))
    import xraylib

    out = []
    for number in range(6, 93):
        element = xraylib.AtomicNumberToSymbol(number)
        for line in _SUGGESTED:
            try:
                out.append(line_weights(energy, element, line))
            except InputError:
                continue
    return np.stack(out, axis=1) if out else _windows(len(energy))


def _windows(n_channel: int) -> np.ndarray:
    width = max(2, n_channel // 100)
    out = np.zeros((n_channel, max(0, n_channel // width - 1)))
    for i in range(1, out.shape[1]):
        out[i * width : (i + 1) * width, i] = 1.0
        out[(i - 1) * width : i * width, i] = -0.5
        out[(i + 1) * width : (i + 2) * width, i] = -0.5
    return out[:, 1:]
