"""Spectra of paint films as the scanner would count them: fluorescence lines and scattered tube light.

Cross-sections come from xraylib; a layer beneath loses on the way in and out what the film above absorbs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np

from xrfsr_dask.phantom.instrument import (
    BACKSCATTER,
    COMPTON_SIGMA_KEV,
    RH_LINES,
    TUBE_STEP_KEV,
    continuum,
    detected,
    peaks,
    tube,
)
from xrfsr_dask.phantom.pigments import CANVAS, COVER, HIDDEN, LINSEED, VISIBLE, Paint

_SCATTER_GAIN = 1.75  # air and table throw light back too

Film = tuple[dict[int, float], float]
"""Mass fractions by atomic number, and mass per area in g/cm2."""

Scatter = Literal["rayleigh", "compton", "both"]


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
    lines = [(e, i * detected(e) * _through(e, lid)) for e, i in fluorescence(*stack[0], lid)]
    return peaks(lines, energy_kev) + _scatter(stack, energy_kev, lid)


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
    energies, photons = tube()
    mu_in = _attenuation(elements, energies)
    photons = photons * np.array([_through(e, lid) for e in energies])
    for z, fraction in elements.items():
        for line_kev, cross in _lines(z, energies):
            chi = mu_in + _attenuation(elements, np.array([line_kev]))
            yield line_kev, fraction * float(np.sum(photons * cross * -np.expm1(-chi * load) / chi))


def _lines(z: int, energies: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
    """Lines between 0.9 and 40 keV: energy, and production (cm2/g) at each excitation energy."""
    import xraylib_np

    of, codes = np.array([z]), np.array(_line_codes())
    cross = xraylib_np.CS_FluorLine_Kissel_Cascade(of, codes, energies)[0]  # 0 below the edge of the shell
    kev = xraylib_np.LineEnergy(of, codes)[0]  # 0 where the element has no such line
    for line_kev, made in zip(kev.tolist(), cross, strict=True):
        if 0.9 < line_kev < 40 and made.max() > 0:
            yield line_kev, made


def _line_codes() -> list[int]:
    import xraylib

    names = "KL2 KL3 KM2 KM3 KN2 KN3 L1M2 L1M3 L1N2 L1N3 L2M1 L2M4 L2N1 L2N4 L2O4 L3M1 L3M4 L3M5 L3N1 L3N4 L3N5"
    names += " L3O45 M1N3 M2N4 M3N5 M4N6 M5N6 M5N7"
    return [getattr(xraylib, f"{name}_LINE") for name in names.split() if hasattr(xraylib, f"{name}_LINE")]


def _scatter(stack: list[Film], energy_kev: np.ndarray, lid: list[Film]) -> np.ndarray:
    """Tube light thrown back by the films of `stack`: continuum, Rayleigh and Compton peaks of rhodium."""

    def thrown(e: float, kind: Scatter) -> float:
        above = [[*lid, *stack[:i]] for i in range(len(stack))]
        parts = zip(stack, above, strict=True)
        return sum(_thrown_back(e, film, kind) * _through(e, over) ** 2 for film, over in parts)

    grid = np.arange(0.8, 41.0, 0.2)
    per_channel = (energy_kev[1] - energy_kev[0]) / TUBE_STEP_KEV
    smooth = continuum(grid) * [thrown(e, "both") * detected(e) for e in grid]
    total = np.interp(energy_kev, grid, smooth, left=0, right=0) * per_channel
    energies, photons = tube()
    for e, n in zip(energies[-len(RH_LINES) :], photons[-len(RH_LINES) :], strict=True):
        shifted = e / (1 + e / 511.0 * (1 - BACKSCATTER))
        total += peaks([(e, n * thrown(e, "rayleigh") * detected(e))], energy_kev)
        compton = n * thrown(e, "compton") * detected(shifted)
        total += peaks([(shifted, compton)], energy_kev, extra=COMPTON_SIGMA_KEV)
    return total


def _thrown_back(e: float, film: Film, kind: Scatter) -> float:
    """Share of photons of `e` keV scattered back by a film."""
    import xraylib

    elements, load = film
    angle, cross = math.acos(BACKSCATTER), 0.0
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
