"""How far each channel of a spectrum may be off what is drawn of it: counting noise, and wrong shapes."""

from __future__ import annotations

import numpy as np

from xrfsr_dask.lines.axis import Axis
from xrfsr_dask.lines.background import snip
from xrfsr_dask.lines.peaks import SILICON_KEV

SHAPE_ERROR = 0.04
"""How far the shape of an element's lines may be off (films and varnish absorb), as a share of its counts."""
BACKGROUND_ERROR = 0.05
"""The same of the background."""
ESCAPE_ERROR = 0.3
"""The same of escape peaks, where the detector shows them; where it does not, all they might hold."""
TAIL = 0.004
"""Share of a line's photons that may trail below it, where the detector collects their charge in part."""
SHELF = 1e-4
"""Share of all photons that the shelf below them and pile-up may put within a line's width."""

_TAIL_KEV = 0.15  # within which a tail falls by e
_NO_TAIL = 1e-9  # of its beginning, where a tail ends
_LEAST = 1e-6  # of the highest channel's counts, that any channel may be off by


def doubt(spectra: np.ndarray, axis: Axis) -> np.ndarray:
    """Variance of each channel by wrong drawing, counts², float64 (n, n_channel).

    What shapes, background, escape and tails may be off by is alike within a line's width, and so counts that
    many times more in each of its channels.

    Parameters
    ----------
    spectra : float array of shape (n, n_channel), counts per spot, >= 0
    axis : Axis
    """
    step = float(axis.energy_kev[1] - axis.energy_kev[0])
    under = np.minimum(snip(spectra, axis.width), spectra)
    peaks, all_of_it = spectra - under, spectra.sum(axis=1, keepdims=True)
    escape = _moved_down(peaks * axis.escaping, round(SILICON_KEV / step))
    off = np.square(SHAPE_ERROR * peaks) + np.square(BACKGROUND_ERROR * under)
    off += np.square((ESCAPE_ERROR if axis.has_escape else 1.0) * escape)
    off += np.square(TAIL * _trailing(peaks, step)) + np.square(SHELF * all_of_it / axis.width)
    least = np.square(_LEAST * np.maximum(spectra.max(axis=1, keepdims=True), 1e-30))
    return np.asarray(off * axis.width + least)


def _moved_down(values: np.ndarray, n: int) -> np.ndarray:
    """Values (n, n_channel) n channels lower; what falls off the axis is gone."""
    out = np.zeros_like(values)
    if 0 < n < values.shape[1]:
        out[:, :-n] = values[:, n:]
    return out


def _trailing(peaks: np.ndarray, step_kev: float) -> np.ndarray:
    """Tails (n, n_channel), of one photon each, below all peaks."""
    kept, out = np.exp(-step_kev / _TAIL_KEV), np.zeros_like(peaks)
    out[:, :-1] = kept * peaks[:, 1:]
    n = 1  # channels that are added up so far
    while n < peaks.shape[1] and kept**n > _NO_TAIL:
        out[:, :-n] += kept**n * out[:, n:]
        n *= 2
    return out * (step_kev / _TAIL_KEV)
