"""Names of the lines in a spectrum: only those of elements that the fit of all lines together finds there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xrfsr_dask.lines.axis import Axis
from xrfsr_dask.lines.fitting import fit_lines
from xrfsr_dask.lines.peaks import known_by
from xrfsr_dask.result.presence import LIKELY

MOST = 12
"""Lines that are named in one spectrum at most, the highest first."""

_NEAR_KEV, _NEAR_LOG = 0.9, 0.5  # names closer than both would be written over each other
_ABOVE, _STEP, _TOP = 1.3, 1.7, 5.0  # of a peak, of a name in the way, of the highest peak


@dataclass(frozen=True)
class Named:
    """A line that is there."""

    element: str
    """Chemical symbol."""
    kev: float
    """Energy of the main line it is known by."""
    height: float
    """Counts of the spectrum there."""


def named_lines(spectrum: np.ndarray, axis: Axis, spots: float = 1.0, most: int = MOST) -> list[Named]:
    """The lines of the elements in a spectrum, by energy.

    A peak alone names nothing: As Ka lies on Pb La. An element is named where its own photons stand
    `presence.LIKELY` standard errors above nothing once all lines are fitted together.

    Parameters
    ----------
    spectrum : float array of shape (n_channel,), counts per measured spot
    axis : Axis
    spots : float
        How many measured spots it is the mean of.
    most : int
        Lines to name, the highest first.
    """
    fit = fit_lines(np.asarray(spectrum)[None], axis, max(spots, 1.0))
    there = (fit.photons[0] > 0) & (fit.photons[0] >= LIKELY * fit.error[0])
    found = [
        Named(shell.element, shell.main_kev, float(np.interp(shell.main_kev, axis.energy_kev, spectrum)))
        for shell, certain in zip(axis.shells, there, strict=True)
        if certain and shell is known_by(shell.element, axis.shells)
    ]
    highest = sorted(found, key=lambda line: -line.height)[:most]
    return sorted(highest, key=lambda line: line.kev)


def tops(lines: list[Named], peak: float) -> list[float]:
    """Where to write each name, counts: above its line, and above a name already there."""
    out: list[float] = []
    for i, line in enumerate(lines):
        top = _ABOVE * max(line.height, 1e-30)
        while any(
            abs(line.kev - other.kev) < _NEAR_KEV and abs(np.log(top / out[j])) < _NEAR_LOG
            for j, other in enumerate(lines[:i])
        ):
            top *= _STEP
        out.append(min(top, _TOP * peak))
    return out
