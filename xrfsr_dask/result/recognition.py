"""Which lines a spectrum shows, and how sharp: the detector's noise, its escape peaks, rare elements."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from xrfsr_dask.errors import InputError
from xrfsr_dask.result.axis import Axis, axis_of
from xrfsr_dask.result.fitting import errors_of, solved, systems, weights_of
from xrfsr_dask.result.lines import M6_NOISE_KEV2, fwhm_kev, require_increasing
from xrfsr_dask.result.peaks import ELEMENTS, Shell, known_by, shells_on

CERTAIN = 10.0
"""Standard errors from which an element is certain to be there."""

_RARE = (
    "Sc V Ga Ge Y Nb Ru Rh Pd In Te Cs La Ce Pr Nd Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Tl Th U"
)
RARE = tuple(_RARE.split())
"""Elements that are looked for where a peak is left over that no usual one explains."""

_MOST_RARE = 5  # of them in one spectrum
_NOISES_KEV2 = (M6_NOISE_KEV2, *(float(v) for v in np.geomspace(2e-4, 8e-3, 6)))
_COARSEST_FWHM = 1.0  # channels wider than that many FWHM (at 6 keV) do not tell lines apart
TUBE, TUBE_KV = "Rh", 50.0
"""Of the spectrometer: anode and voltage."""

_SCATTER_KEV = (18.0, 23.2)  # of its K lines, Compton's at any angle and width


def axis_for(spectrum: np.ndarray, energy_kev: np.ndarray, elements: Iterable[str] = ELEMENTS) -> Axis:
    """Lines of `elements` and backgrounds on an axis, as sharp as a spectrum shows them.

    Parameters
    ----------
    spectrum : float array of shape (n_channel,), counts
        The mean of those to be fitted, of many counts; the detector's noise that explains it best is taken,
        and escape peaks where these do.
    energy_kev : float array of shape (n_channel,), keV
    elements : chemical symbols

    Raises
    ------
    InputError
        The axis is not one of energies, or too coarse to show lines, or holds no line of them.
    """
    energy = np.asarray(energy_kev, float)
    _check(energy)
    shells = shells_on(energy, dict.fromkeys(elements), TUBE, TUBE_KV)
    if not any(s.element != "tube" for s in shells):
        raise InputError(
            f"no line of these elements lies on the energy axis, {energy[0]:.3f} to {energy[-1]:.3f} keV."
        )
    mean = np.maximum(np.asarray(spectrum, float), 0.0)
    best = _best(mean, [axis_of(energy, mean, shells, noise) for noise in _NOISES_KEV2])
    return _best(mean, [best, replace(best, has_escape=True)])


def usual_axis(
    spectrum: np.ndarray, energy_kev: np.ndarray, named: Iterable[str] = (), spots: float = np.inf
) -> Axis:
    """`axis_for` the elements paintings are made of, those named, and the rare ones that a spectrum shows.

    None is fitted without its neighbours, or it would count what is theirs.

    Parameters
    ----------
    spectrum, energy_kev
        As for `axis_for`.
    named : chemical symbols
        What is looked for besides `ELEMENTS`.
    spots : float
        Measured spots that the spectrum is the mean of.
    """
    elements = list(dict.fromkeys((*ELEMENTS, *named)))
    axis = axis_for(spectrum, energy_kev, elements)
    left_over = _rare_in(np.maximum(np.asarray(spectrum, float), 0.0), axis, spots)
    return axis_for(spectrum, energy_kev, [*elements, *left_over]) if left_over else axis


def _check(energy: np.ndarray) -> None:
    step = float(energy[-1] - energy[0]) / max(len(energy) - 1, 1)
    require_increasing(energy)
    if not 0 < step < _COARSEST_FWHM * fwhm_kev(6.0):
        raise InputError(
            f"lines cannot be told apart on channels of {step * 1000:.0f} eV, a line is "
            f"{fwhm_kev(6.0) * 1000:.0f} eV wide; in Python, `ds.xrf.element` with background='linear' counts "
            "the line's window."
        )


def _best(mean: np.ndarray, axes: list[Axis]) -> Axis:
    """The one of some axes that explains a spectrum best; the first of equals."""
    return axes[int(np.argmin([_left(mean, axis) for axis in axes]))]


def _left(spectrum: np.ndarray, axis: Axis) -> float:
    """Weighted squares that a fit leaves."""
    G, c = system = next(systems(spectrum[None], axis))
    found = solved(system, np.ones(len(axis.shells), bool))
    return float(np.square(spectrum) @ weights_of(spectrum, axis) + found @ (G @ found - 2.0 * c))


def _is_scatter(kev: float) -> bool:
    """Whether K lines of the tube may be thrown back with this energy, at any angle."""
    return _SCATTER_KEV[0] <= kev <= _SCATTER_KEV[1]


def _rare_in(mean: np.ndarray, usual: Axis, spots: float) -> list[str]:
    """Rare elements without which a peak is left over, one after the other, that which explains most first."""
    there = {shell.element for shell in usual.shells}
    more = shells_on(usual.energy_kev, [e for e in RARE if e not in there], "", TUBE_KV)
    shells: list[Shell] = [*usual.shells, *more]
    drawn = axis_of(usual.energy_kev, mean, shells, usual.noise_kev2)
    axis = replace(
        drawn, has_escape=usual.has_escape, backgrounds=usual.backgrounds, lowest_kev=usual.lowest_kev
    )
    counts, beneath = axis.in_cores(mean[None])[0], axis.in_cores(axis.backgrounds)
    G, c = system = next(systems(mean[None], axis))
    length = np.sqrt(np.maximum(np.diag(G), 1e-300))[: len(shells)]
    main = np.array([s is known_by(s.element, shells) and not _is_scatter(s.main_kev) for s in shells])
    names = np.array([shell.element for shell in shells])
    kept = np.arange(len(shells)) < len(usual.shells)
    found: list[str] = []
    while len(found) < _MOST_RARE:
        left = (c - G @ solved(system, kept))[: len(shells)] / length
        at = int(np.where(main & ~kept, left, -np.inf).argmax())
        tried = kept | (names == names[at])
        photons = solved(system, tried)
        if photons[at] < CERTAIN * errors_of(photons, counts, beneath, axis, spots)[at] or kept[at]:
            break
        kept, found = tried, [*found, str(names[at])]
    return found
