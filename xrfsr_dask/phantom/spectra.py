"""Spectra of paint films as a Bruker M6 would count them: fluorescence lines, scattered tube light, detector.

Tube: rhodium at 50 kV behind a polycapillary. Cross-sections from xraylib; the continuum's roll-off, the
scatter angle and the Compton width were set by comparing with a measured M6 spectrum of bone.
There is no zero peak, no escape peak and no pile-up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np

from xrfsr_dask.phantom.pigments import CANVAS, COVER, HIDDEN, LINSEED, VISIBLE, Paint

OFFSET_KEV = -0.9555
FINEST_KEV = 9.999e-3  # per channel, of 4096
LEAST_SPAN_KEV = 25.6  # fewer channels are wider, and still hold the tube's K lines

TUBE_KV = 50.0
_TUBE_STEP = 0.5  # keV
_TUBE_GRID = np.arange(1.5, TUBE_KV, _TUBE_STEP)
_RH_LINES = ((20.165, 1.0), (22.75, 0.12))  # keV, relative strength
_RH_SHARE = 0.0345  # of the photons that reach the sample
_BACKSCATTER = math.cos(math.radians(159))
_COMPTON_SIGMA_KEV = 0.22  # Doppler broadening and spread of angles
_SCATTER_GAIN = 1.75  # air and table throw light back too
_SHELF = 0.012  # of a line's counts, spread evenly below it: charge lost in the detector

Film = tuple[dict[int, float], float]
"""Mass fractions by atomic number, and mass per area in g/cm2."""

Scatter = Literal["rayleigh", "compton", "both"]


def energy_axis(n_channel: int) -> np.ndarray:
    """Centres of the channels, float64 (n_channel,), keV: the M6's own axis for 4096, coarser for fewer."""
    return OFFSET_KEV + max(FINEST_KEV, LEAST_SPAN_KEV / n_channel) * np.arange(n_channel)


def resolution_kev(energy_kev: np.ndarray) -> np.ndarray:
    """Standard deviation of a line, keV, as the M6's own header gives it: 142 eV FWHM at Mn Ka."""
    return np.sqrt(9.893e-4 + 4.4664e-4 * np.asarray(energy_kev, float))


def endmembers(energy_kev: np.ndarray, counts_per_spot: float, mixtures: np.ndarray) -> np.ndarray:
    """Spectra of all paints, the visible ones first.

    Parameters
    ----------
    energy_kev : float array of shape (n_channel,), keV
    counts_per_spot : float
        Counts of a spot of an average colour, ground beneath included.
    mixtures : float array of shape (n_colour, n_visible)
        Mixture of each colour of the palette; their mean is the average colour.

    Returns
    -------
    float32 array of shape (n_visible + n_hidden, n_channel), counts per measured spot at abundance one
    """
    visible = [film_spectrum(paint, energy_kev) for paint in VISIBLE.values()]
    films = VISIBLE | HIDDEN
    hidden = []
    for name, paint in HIDDEN.items():
        cover, share = COVER[name]
        behind = CANVAS if name == "ground" else None
        hidden.append(film_spectrum(paint, energy_kev, cover=films[cover], share=share, behind=behind))
    spectra = np.array(visible + hidden)
    ground = spectra[len(VISIBLE) + list(HIDDEN).index("ground")]
    typical = (mixtures @ spectra[: len(VISIBLE)]).sum(axis=1).mean() + ground.sum()
    return (counts_per_spot / typical * spectra).astype(np.float32)


def film_spectrum(
    paint: Paint,
    energy_kev: np.ndarray,
    *,
    cover: Paint | None = None,
    share: float = 1.0,
    behind: Paint | None = None,
) -> np.ndarray:
    """Spectrum of one film, float64 (n_channel,), in relative counts.

    Parameters
    ----------
    paint : Paint
    energy_kev : float array of shape (n_channel,), keV
    cover : Paint, optional
        A film above, which absorbs on the way in and out: soft lines vanish, hard ones pass.
    share : float
        How much of the cover's full load lies above.
    behind : Paint, optional
        What lies under the film and scatters through it.
    """
    lid = [] if cover is None else [_film(cover, share)]
    stack = [_film(paint)] + ([] if behind is None else [_film(behind)])
    lines = [(e, i * _detected(e) * _through(e, lid)) for e, i in fluorescence(*stack[0], lid)]
    return _peaks(lines, energy_kev) + _scatter(stack, energy_kev, lid)


def mass_fractions(paint: Paint) -> dict[int, float]:
    """Atomic number -> share by mass of a film, binder included."""
    import xraylib

    out: dict[int, float] = {}
    parts = {formula: paint.pigment * share for formula, share in paint.compounds.items()}
    for formula, share in [*parts.items(), (LINSEED, 1 - paint.pigment)]:
        compound = xraylib.CompoundParser(formula)
        for z, fraction in zip(compound["Elements"], compound["massFractions"], strict=True):
            out[z] = out.get(z, 0.0) + share * fraction
    return out


def _film(paint: Paint, share: float = 1.0) -> Film:
    return mass_fractions(paint), share * paint.load * 1e-3


def fluorescence(elements: dict[int, float], load: float, lid: list[Film]) -> Iterator[tuple[float, float]]:
    """Lines of a film of `load` g/cm2 under a lid, as (keV, relative photons)."""
    energies, tube = _tube()
    mu_in = _attenuation(elements, energies)
    tube = tube * np.array([_through(e, lid) for e in energies])
    for z, fraction in elements.items():
        for line_kev, cross in _lines(z, energies):
            chi = mu_in + _attenuation(elements, np.array([line_kev]))
            yield line_kev, fraction * float(np.sum(tube * cross * -np.expm1(-chi * load) / chi))


def _lines(z: int, energies: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
    """Lines between 0.9 and 40 keV: energy, and production (cm2/g) at each excitation energy."""
    import xraylib

    for line in _line_codes():
        try:
            line_kev = xraylib.LineEnergy(z, line)
        except ValueError:  # this element has no such line
            continue
        if 0.9 < line_kev < 40:
            cross = np.array([_production(z, line, e) for e in energies])
            if cross.max() > 0:
                yield line_kev, cross


def _production(z: int, line: int, excitation_kev: float) -> float:
    import xraylib

    try:
        return xraylib.CS_FluorLine_Kissel_Cascade(z, line, excitation_kev)
    except ValueError:  # below the edge of the shell
        return 0.0


def _line_codes() -> list[int]:
    import xraylib

    names = "KL2 KL3 KM2 KM3 KN2 KN3 L1M2 L1M3 L1N2 L1N3 L2M1 L2M4 L2N1 L2N4 L2O4 L3M1 L3M4 L3M5 L3N1 L3N4 L3N5"
    names += " L3O45 M1N3 M2N4 M3N5 M4N6 M5N6 M5N7"
    return [getattr(xraylib, f"{name}_LINE") for name in names.split() if hasattr(xraylib, f"{name}_LINE")]


def _tube() -> tuple[np.ndarray, np.ndarray]:
    """Photons that reach the sample: (energies in keV, relative number), continuum and Rh K lines."""
    photons = _continuum(_TUBE_GRID)
    lines = [(e, _RH_SHARE * photons.sum() * s) for e, s in _RH_LINES]
    energies = np.concatenate([_TUBE_GRID, [e for e, _ in lines]])
    return energies, np.concatenate([photons, [n for _, n in lines]])


def _continuum(energy_kev: np.ndarray) -> np.ndarray:
    """Kramers' law through the tube's window and a polycapillary that carries hard rays badly."""
    e = np.maximum(energy_kev, 0.3)
    kramers = np.maximum(TUBE_KV / e - 1, 0)
    return kramers * np.exp(-((8.9 / e) ** 2)) / (1 + (e / 11.75) ** 3.8) / (1 + (e / 21.5) ** 14) ** 0.5


def _scatter(stack: list[Film], energy_kev: np.ndarray, lid: list[Film]) -> np.ndarray:
    """Tube light thrown back by the films of `stack`: continuum, Rayleigh and Compton peaks of rhodium."""

    def thrown(e: float, kind: Scatter) -> float:
        above = [[*lid, *stack[:i]] for i in range(len(stack))]
        parts = zip(stack, above, strict=True)
        return sum(_thrown_back(e, film, kind) * _through(e, over) ** 2 for film, over in parts)

    grid = np.arange(0.8, 41.0, 0.2)
    per_channel = (energy_kev[1] - energy_kev[0]) / _TUBE_STEP
    smooth = _continuum(grid) * [thrown(e, "both") * _detected(e) for e in grid]
    total = np.interp(energy_kev, grid, smooth, left=0, right=0) * per_channel
    energies, photons = _tube()
    for e, n in zip(energies[-len(_RH_LINES) :], photons[-len(_RH_LINES) :], strict=True):
        shifted = e / (1 + e / 511.0 * (1 - _BACKSCATTER))
        total += _peaks([(e, n * thrown(e, "rayleigh") * _detected(e))], energy_kev)
        compton = n * thrown(e, "compton") * _detected(shifted)
        total += _peaks([(shifted, compton)], energy_kev, extra=_COMPTON_SIGMA_KEV)
    return total


def _thrown_back(e: float, film: Film, kind: Scatter) -> float:
    """Share of photons of `e` keV scattered back by a film."""
    import xraylib

    elements, load = film
    angle, cross = math.acos(_BACKSCATTER), 0.0
    for z, fraction in elements.items():
        if kind != "compton":
            cross += fraction * xraylib.DCS_Rayl(z, e, angle)
        if kind != "rayleigh":
            cross += fraction * xraylib.DCS_Compt(z, e, angle)
    chi = 2 * float(_attenuation(elements, np.array([e]))[0])
    return _SCATTER_GAIN * 4 * math.pi * cross * -math.expm1(-chi * load) / chi


def _attenuation(elements: dict[int, float], energies: np.ndarray) -> np.ndarray:
    """Total mass attenuation, cm2/g, at each energy."""
    import xraylib

    return np.array([sum(f * xraylib.CS_Total(z, e) for z, f in elements.items()) for e in energies])


def _through(e: float, films: list[Film]) -> float:
    """Share of photons of `e` keV that cross the films."""
    return math.exp(-sum(load * float(_attenuation(el, np.array([e]))[0]) for el, load in films))


def _detected(e: float) -> float:
    """Efficiency of a silicon drift detector 0.45 mm thick behind a 15 um beryllium window and 3 mm of air."""
    import xraylib

    window = math.exp(-xraylib.CS_Total(4, e) * 1.85 * 15e-4 - xraylib.CS_Total(8, e) * 4e-4)
    return window * -math.expm1(-xraylib.CS_Total(14, e) * 2.33 * 0.045)


def _peaks(lines: list[tuple[float, float]], energy_kev: np.ndarray, extra: float = 0.0) -> np.ndarray:
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
