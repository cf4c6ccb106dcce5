"""The scanner of the phantoms: a Bruker M6's energy axis, resolution, tube and detector.

Tube: rhodium at 50 kV behind a polycapillary. The continuum's roll-off, the scatter angle and the Compton
width were set by comparing with a measured M6 spectrum of bone. No zero peak, escape peak or pile-up.
"""

from __future__ import annotations

import math

import numpy as np

OFFSET_KEV = -0.9555
FINEST_KEV = 9.999e-3  # per channel, of 4096
LEAST_SPAN_KEV = 25.6  # fewer channels are wider, and still hold the tube's K lines

TUBE_KV = 50.0
TUBE_STEP_KEV = 0.5  # keV
_TUBE_GRID = np.arange(1.5, TUBE_KV, TUBE_STEP_KEV)
RH_LINES = ((20.165, 1.0), (22.75, 0.12))  # keV, relative strength
_RH_SHARE = 0.0345  # of the photons that reach the sample
BACKSCATTER = math.cos(math.radians(159))
COMPTON_SIGMA_KEV = 0.22  # Doppler broadening and spread of angles
_SHELF = 0.012  # of a line's counts, spread evenly below it: charge lost in the detector


def energy_axis(n_channel: int) -> np.ndarray:
    """Centres of the channels, float64 (n_channel,), keV: the M6's own axis for 4096, coarser for fewer."""
    return OFFSET_KEV + max(FINEST_KEV, LEAST_SPAN_KEV / n_channel) * np.arange(n_channel)


def resolution_kev(energy_kev: np.ndarray) -> np.ndarray:
    """Standard deviation of a line, keV, as the M6's own header gives it: 142 eV FWHM at Mn Ka."""
    return np.sqrt(9.893e-4 + 4.4664e-4 * np.asarray(energy_kev, float))


def tube() -> tuple[np.ndarray, np.ndarray]:
    """Photons that reach the sample: (energies in keV, relative number), continuum and Rh K lines."""
    photons = continuum(_TUBE_GRID)
    lines = [(e, _RH_SHARE * photons.sum() * s) for e, s in RH_LINES]
    energies = np.concatenate([_TUBE_GRID, [e for e, _ in lines]])
    return energies, np.concatenate([photons, [n for _, n in lines]])


def continuum(energy_kev: np.ndarray) -> np.ndarray:
    """Kramers' law through the tube's window and a polycapillary that carries hard rays badly."""
    e = np.maximum(energy_kev, 0.3)
    kramers = np.maximum(TUBE_KV / e - 1, 0)
    return kramers * np.exp(-((8.9 / e) ** 2)) / (1 + (e / 11.75) ** 3.8) / (1 + (e / 21.5) ** 14) ** 0.5


def detected(e: float) -> float:
    """Efficiency of a silicon drift detector 0.45 mm thick behind a 15 um beryllium window and 3 mm of air."""
    import xraylib

    window = math.exp(-xraylib.CS_Total(4, e) * 1.85 * 15e-4 - xraylib.CS_Total(8, e) * 4e-4)
    return window * -math.expm1(-xraylib.CS_Total(14, e) * 2.33 * 0.045)


def peaks(lines: list[tuple[float, float]], energy_kev: np.ndarray, extra: float = 0.0) -> np.ndarray:
    """Gaussian peaks integrated over each channel, each with its low shelf."""
    from scipy.special import ndtr

    width = energy_kev[1] - energy_kev[0]
    edges = np.append(energy_kev, energy_kev[-1] + width) - 0.5 * width
    out = np.zeros(len(energy_kev))
    for line_kev, counts in lines:
        sigma = math.hypot(float(resolution_kev(np.array(line_kev))), extra)
        out += counts * (1 - _SHELF) * np.diff(ndtr((edges - line_kev) / sigma))
        below = (energy_kev > 0.35) & (energy_kev < line_kev)
        out += counts * _SHELF / max(below.sum(), 1) * below
    return out
