"""Which lines a spectrum shows, how sharp and where: noise, escape peaks, calibration, rare elements."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from xrfsr_dask.errors import InputError
from xrfsr_dask.lines.axis import Axis, axis_of
from xrfsr_dask.lines.fitting import errors_of, solved, systems, weights_of
from xrfsr_dask.lines.peaks import ANODES, ELEMENTS, Shell, is_scatter, known_by, shells_on
from xrfsr_dask.lines.pivoting import lengths, nonnegative
from xrfsr_dask.lines.tables import M6_NOISE_KEV2, fwhm_kev, require_increasing

CERTAIN = 10.0
"""Standard errors from which an element is certain to be there."""

_RARE = (
    "Sc V Ga Ge Y Nb Ru Rh Pd In Te Cs La Ce Pr Nd Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Tl Th U"
)
RARE = tuple(_RARE.split())
"""Elements that are looked for where a peak is left over that no usual one explains."""

_MOST_RARE = 5  # of them in one spectrum
_TRIED = 8  # of them at a time, those that the most is left over for
_WIDER = 1.5  # noise, in that of an M6, from which its own is tried as well
_EVIDENT = 20.0  # standard errors that one must stand above nothing: they are many, and usual ones seldom wrong
_NOISES_KEV2 = (M6_NOISE_KEV2, *(float(v) for v in np.geomspace(3e-4, 8e-3, 5)))
_NEAR = (0.75, 1.33)  # of the best of these, between it and its neighbours
_ROUNDS = 2  # of calibration
_PIVOT_KEV, _OFFSET_KEV, _GAIN = 7.0, 0.006, 1e-4  # what calibrations are off by, and about which energy
_OFF = (0.02, 3e-3)  # at most, at once
_COARSEST_FWHM = 1.0  # channels wider than that many FWHM (at 6 keV) do not tell lines apart
_ANODE_SHOWS = 2.0  # errors by which another anode than the usual one must explain more
_PAINTED_WITH = ("Ag",)  # of the anodes
TUBE_KV = 50.0
"""Of the spectrometer."""


def axis_for(
    spectrum: np.ndarray, energy_kev: np.ndarray, elements: Iterable[str] = ELEMENTS, spots: float = np.inf
) -> Axis:
    """Lines of `elements` and backgrounds on an axis, as sharp as a spectrum shows them.

    Parameters
    ----------
    spectrum : float array of shape (n_channel,), counts
        The mean of those to be fitted, of many counts; the detector's noise and the tube's anode that explain
        it best are taken, and escape peaks where these do.
    energy_kev : float array of shape (n_channel,), keV
    elements : chemical symbols
    spots : float
        Measured spots that the spectrum is the mean of.

    Raises
    ------
    InputError
        The axis is not one of energies, or too coarse to show lines, or holds no line of them.
    """
    energy = np.asarray(energy_kev, float)
    _check(energy)
    shells = shells_on(energy, dict.fromkeys(elements), ANODES[0], TUBE_KV)
    if not any(s.element != "tube" for s in shells):
        raise InputError(
            f"no line of these elements lies on the energy axis, {energy[0]:.3f} to {energy[-1]:.3f} keV."
        )
    mean = np.maximum(np.asarray(spectrum, float), 0.0)
    if not np.isfinite(mean).all():
        raise InputError("spectra hold values that are not finite, which no lines can be fitted to.")
    axes = [axis_of(energy, mean, shells, noise) for noise in _NOISES_KEV2]
    weights = weights_of(mean[None], axes[0], spots)[0]
    best = _best(mean, axes, weights)
    near = [best.noise_kev2 * factor for factor in _NEAR]
    best = _best(mean, [best, *(axis_of(energy, mean, shells, noise) for noise in near)], weights)
    best = _best(mean, [best, replace(best, has_escape=True)], weights)
    best = _of_its_tube(mean, best, weights)
    for _ in range(_ROUNDS):
        moved = axis_of(_calibrated(mean, best, weights), mean, best.shells, best.noise_kev2)
        on_it = replace(moved, has_escape=best.has_escape)
        if _best(mean, [best, on_it], weights) is best:
            break
        best = on_it
    return best


def usual_axis(
    spectrum: np.ndarray, energy_kev: np.ndarray, named: Iterable[str] = (), spots: float = np.inf
) -> Axis:
    """`axis_for` the elements paintings are made of, those named, and the rare ones that a spectrum shows.

    None is fitted without its neighbours, or it would count what is theirs. One that the tube's anode is made
    of is left out unless it is named: its lines are the tube's light thrown back.

    Parameters
    ----------
    spectrum, energy_kev
        As for `axis_for`.
    named : chemical symbols
        What is looked for besides `ELEMENTS`.
    spots : float
        Measured spots that the spectrum is the mean of.
    """
    named = tuple(named)
    elements = list(dict.fromkeys((*ELEMENTS, *named)))
    mean = np.maximum(np.asarray(spectrum, float), 0.0)
    axes = [axis_for(mean, energy_kev, elements, spots)]
    if (anode := axes[0].anode) in elements and anode not in named:
        elements.remove(anode)
        axes = [axis_for(mean, energy_kev, elements, spots)]
    tried = [axes[0]]
    if axes[0].noise_kev2 > _WIDER * M6_NOISE_KEV2:
        # where a rare element's peaks are all there is, no line is of the width that they seem to have
        tried.append(axis_of(axes[0].energy_kev, mean, axes[0].shells, M6_NOISE_KEV2))
    for axis in tried:
        left_over = _rare_in(mean, axis, spots)
        axes += [axis_for(mean, energy_kev, [*elements, *left_over], spots)] if left_over else []
    return _best(mean, axes[::-1], weights_of(mean[None], axes[0], spots)[0]) if len(axes) > 1 else axes[0]


def _check(energy: np.ndarray) -> None:
    step = float(energy[-1] - energy[0]) / max(len(energy) - 1, 1)
    require_increasing(energy)
    if not 0 < step < _COARSEST_FWHM * fwhm_kev(6.0):
        raise InputError(
            f"lines cannot be told apart on channels of {step * 1000:.0f} eV, a line is "
            f"{fwhm_kev(6.0) * 1000:.0f} eV wide; in Python, `ds.xrf.element` with background='linear' counts "
            "the line's window."
        )


def _calibrated(mean: np.ndarray, axis: Axis, weights: np.ndarray) -> np.ndarray:
    """Energies on which what is drawn meets a spectrum better, by a step of Gauss and Newton.

    A scan's own calibration is off by some eV as a rule, which puts counts of one line into its neighbour.
    """
    found = nonnegative(axis.gram(weights), axis.drawn @ (weights * mean))
    model = found @ axis.drawn
    slope = np.gradient(found[: len(axis.shells)] @ axis.shapes, axis.energy_kev)
    by = np.stack([slope, slope * (axis.energy_kev - _PIVOT_KEV)])  # of an offset, and of a gain
    prior = np.diag([1.0 / _OFFSET_KEV**2, 1.0 / _GAIN**2])
    offset, gain = np.linalg.solve((by * weights) @ by.T + prior, (by * weights) @ (mean - model))
    offset, gain = np.clip(offset, -_OFF[0], _OFF[0]), np.clip(gain, -_OFF[1], _OFF[1])
    return np.asarray(axis.energy_kev + offset + gain * (axis.energy_kev - _PIVOT_KEV))


def _of_its_tube(mean: np.ndarray, axis: Axis, weights: np.ndarray) -> Axis:
    """An axis with the scattered lines of the anode that explains a spectrum best.

    Another than the usual one must explain more. But where the usual one's lines would lie on the axis and do
    not show, light of some tube still is thrown back, and lines of an anode that hardly any painting holds are
    that tube's.
    """
    others = [s for anode in ANODES[1:] for s in shells_on(axis.energy_kev, (), anode, TUBE_KV)]
    drawn = axis_of(axis.energy_kev, mean, [*axis.shells, *others], axis.noise_kev2)
    every = replace(drawn, has_escape=axis.has_escape)
    G, c = every.gram(weights), every.drawn @ (weights * mean)

    def left(anode: str, *, without: str = "", thrown_back: bool = True) -> float:
        """Squares left, less the spectrum's own, with the light of an anode and no element `without`."""
        kept = [
            thrown_back or s.shell == "L" if s.anode == anode else not s.anode and s.element != without
            for s in every.shells
        ]
        at = np.flatnonzero(np.append(kept, np.ones(len(every.backgrounds), bool)))
        found = nonnegative(G[np.ix_(at, at)], c[at])
        return float(found @ (G[np.ix_(at, at)] @ found - 2.0 * c[at]))

    def shows(anode: str, without: str = "") -> bool:
        return left(anode, without=without, thrown_back=False) > left(anode, without=without) + more

    usual, more = ANODES[0], _ANODE_SHOWS**2
    loss = {anode: left(anode) - (more if anode == usual else 0.0) for anode in ANODES}
    best = min(ANODES, key=lambda anode: loss[anode])
    if (
        best == usual
        and any(s.anode == usual and s.shell == "Rayleigh" for s in axis.shells)
        and not shows(usual)
    ):
        tubes = [a for a in ANODES[1:] if a not in _PAINTED_WITH and shows(a, without=a)]
        best = min(tubes, key=lambda anode: left(anode, without=anode), default=usual)
    if best == usual:
        return axis
    shells = shells_on(
        axis.energy_kev, dict.fromkeys(s.element for s in axis.shells if not s.anode), best, TUBE_KV
    )
    return replace(axis_of(axis.energy_kev, mean, shells, axis.noise_kev2), has_escape=axis.has_escape)


def _best(mean: np.ndarray, axes: list[Axis], weights: np.ndarray) -> Axis:
    """The one of some axes that explains a spectrum best; the first of equals."""
    return axes[int(np.argmin([_left(mean, axis, weights) for axis in axes]))]


def _left(spectrum: np.ndarray, axis: Axis, weights: np.ndarray) -> float:
    """Weighted squares that a fit leaves."""
    G, c = axis.gram(weights), axis.drawn @ (weights * spectrum)
    found = nonnegative(G, c)
    return float(np.square(spectrum) @ weights + found @ (G @ found - 2.0 * c))


def _is_left_over(mean: np.ndarray, usual: Axis, spots: float) -> bool:
    """Whether some counts as wide as a line may be one that no usual element explains."""
    weights = weights_of(mean[None], usual, spots)[0]
    found = nonnegative(usual.gram(weights), usual.drawn @ (weights * mean))
    width = round(float(np.median(usual.width)))
    counts, off = np.cumsum([weights * (mean - found @ usual.drawn), weights], axis=1)
    counts, off = (total[width:] - total[:-width] for total in (counts, off))
    return bool((counts >= 0.4 * _EVIDENT * np.sqrt(np.maximum(off, 1e-300))).any())


def _rare_in(mean: np.ndarray, usual: Axis, spots: float) -> list[str]:
    """Rare elements without which a peak is left over, one after the other, that which explains most first."""
    if not _is_left_over(mean, usual, spots):
        return []
    there = {usual.anode} | {shell.element for shell in usual.shells}
    more = shells_on(usual.energy_kev, [e for e in RARE if e not in there], "", TUBE_KV)
    shells: list[Shell] = [*usual.shells, *more]
    drawn = axis_of(usual.energy_kev, mean, shells, usual.noise_kev2)
    axis = replace(
        drawn, has_escape=usual.has_escape, backgrounds=usual.backgrounds, lowest_kev=usual.lowest_kev
    )
    G, c = system = next(systems(mean[None], axis, spots))
    length = lengths(G)[: len(shells)]
    main = np.array(
        [s is known_by(s.element, shells) and not is_scatter(s.main_kev, usual.anode) for s in shells]
    )
    names = np.array([shell.element for shell in shells])
    kept = np.arange(len(shells)) < len(usual.shells)
    found: list[str] = []
    while len(found) < _MOST_RARE:
        left = (c - G @ solved(system, kept))[: len(shells)] / length
        left[~main | kept] = 0.0
        tried = [kept | (names == names[at]) for at in np.argsort(-left)[:_TRIED] if left[at] > 0]
        fits = [solved(system, shown) for shown in tried]
        if not fits:
            break
        best = int(np.argmin([fit @ (G @ fit - 2.0 * c) for fit in fits]))
        new = main & tried[best] & ~kept
        if not (fits[best][: len(new)][new] >= _EVIDENT * errors_of(system, fits[best])[: len(new)][new]).any():
            break
        kept, found = tried[best], [*found, str(names[new][0])]
    return found
