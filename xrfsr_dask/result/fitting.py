"""Lines of all elements fitted together, non-negatively, so that none counts what is another's.

A result is fitted on its endmembers, once: the map of a line is then the abundances times one number per
endmember, non-negative and linear, whatever the overlaps. A patch is fitted spot by spot. The background of
either is the SNIP background of the mean spectrum, slowly varied, and fitted with the lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xrfsr_dask.errors import InputError
from xrfsr_dask.result.background import snip, varied
from xrfsr_dask.result.lines import M6_NOISE_KEV2, fwhm_kev
from xrfsr_dask.result.peaks import ELEMENTS, Shell, cores, known_by, shapes, shells_on
from xrfsr_dask.result.pivoting import nonnegative

SHAPE_ERROR = 0.04
"""How far the shape of an element's lines may be off (films and varnish absorb), as a share of its counts: what
hides within that share of its neighbours' counts is not told from them, and not counted."""
BACKGROUND_ERROR = 0.05
"""The same of the background."""
TAIL_ERROR = 1e-4
"""Share of all photons that tails, escape and pile-up may put at any line."""

CERTAIN = 3.0
"""Standard errors of its counts that a shell must have where the exposure is known."""

_FLOOR = 1e-3  # variance of a channel, as a share of the highest: what is left of a wrong shape
_NOISES_KEV2 = (M6_NOISE_KEV2, *(float(v) for v in np.geomspace(2e-4, 8e-3, 6)))
_STRIP = 64  # channels; 19 of 82 shapes and backgrounds lie in one at most
_TOGETHER = 64  # spectra whose systems are made together
_COARSEST_FWHM = 1.0  # channels wider than that many FWHM (at 6 keV) do not tell lines apart


@dataclass(frozen=True)
class Axis:
    """What lines look like on one energy axis with one detector."""

    energy_kev: np.ndarray
    """float64 (n_channel,)"""
    shells: list[Shell]
    noise_kev2: float
    """Constant part of the variance of a line."""
    shapes: np.ndarray
    """float64 (n_shell, n_channel), as `peaks.shapes`."""
    cores: np.ndarray
    """bool (n_shell, n_channel), as `peaks.cores`."""
    backgrounds: np.ndarray
    """float64 (m, n_channel): what backgrounds are non-negative mixtures of, as `background.varied`."""
    lowest_kev: float
    """Where the first line begins: below lie zero peak and noise."""

    @cached_property
    def drawn(self) -> np.ndarray:
        """All that is fitted: shapes, then backgrounds, float64 (n_shell + m, n_channel)."""
        return np.concatenate([self.shapes, self.backgrounds])

    @cached_property
    def shares(self) -> np.ndarray:
        """float64 (n_shell, n_shell): share of one shell's photons (row) in the core of another (column)."""
        return self.in_cores(self.shapes)

    @cached_property
    def strips(self) -> list[tuple[slice, np.ndarray, np.ndarray]]:
        """Strips of the axis: channels, which rows of `drawn` are not zero there, and those (r, `_STRIP`)."""
        parts = [slice(at, at + _STRIP) for at in range(0, len(self.energy_kev), _STRIP)]
        rows = [np.flatnonzero(self.drawn[:, part].any(axis=1)) for part in parts]
        return [(part, at, self.drawn[at, part]) for part, at in zip(parts, rows, strict=True)]

    def in_cores(self, spectra: np.ndarray) -> np.ndarray:
        """Counts of spectra (n, n_channel) in the cores, float64 (n, n_shell)."""
        return np.stack([spectra[:, core].sum(axis=1) for core in self.cores], axis=1)


@dataclass(frozen=True)
class LineFit:
    """Spectra taken apart: counts = photons of each shell @ shapes + backgrounds + what is left."""

    axis: Axis
    photons: np.ndarray
    """float64 (n, n_shell), >= 0: detected photons of each shell; 0 where it cannot be told from others."""
    error: np.ndarray
    """float64 (n, n_shell): standard error of the photons, by statistics, `SHAPE_ERROR`,
    `BACKGROUND_ERROR` and `TAIL_ERROR`; statistics only where the exposure is known."""

    def counts_of(self, element: str, line: str) -> np.ndarray:
        """Net counts of a line in each spectrum, float64 (n,)."""
        at = [i for i, s in enumerate(self.axis.shells) if s.element == element and s.share(line) > 0]
        return np.asarray(
            sum((self.photons[:, i] * self.axis.shells[i].share(line) for i in at), np.zeros(len(self.photons)))
        )


def axis_for(
    spectrum: np.ndarray,
    energy_kev: np.ndarray,
    elements: Iterable[str] = ELEMENTS,
    *,
    tube: str = "Rh",
    tube_kv: float = 50.0,
) -> Axis:
    """Lines of `elements` and backgrounds on an axis, as sharp as a spectrum shows them.

    Parameters
    ----------
    spectrum : float array of shape (n_channel,), counts
        The mean of those to be fitted, of many counts; the detector's noise that explains it best is taken.
    energy_kev : float array of shape (n_channel,), keV
    elements, tube, tube_kv
        As for `peaks.shells_on`.

    Raises
    ------
    InputError
        The axis is not one of energies, or too coarse to show lines, or holds no line of them.
    """
    energy = np.asarray(energy_kev, float)
    step = float(energy[-1] - energy[0]) / max(len(energy) - 1, 1)
    if not 0 < step < _COARSEST_FWHM * fwhm_kev(6.0):
        raise InputError(
            f"lines cannot be told apart on channels of {step * 1000:.0f} eV, a line is "
            f"{fwhm_kev(6.0) * 1000:.0f} eV wide; in Python, `ds.xrf.element` with background='linear' counts "
            "the line's window."
        )
    shells = shells_on(energy, dict.fromkeys(elements), tube, tube_kv)
    if not any(s.element != "tube" for s in shells):
        raise InputError(
            f"no line of these elements lies on the energy axis, {energy[0]:.3f} to {energy[-1]:.3f} keV."
        )
    mean = np.maximum(np.asarray(spectrum, float), 0.0)
    tried = [_axis(energy, mean, shells, noise) for noise in _NOISES_KEV2]
    return tried[int(np.argmin([_left(mean, axis) for axis in tried]))]


def _axis(energy: np.ndarray, mean: np.ndarray, shells: list[Shell], noise: float) -> Axis:
    drawn, core = shapes(shells, energy, noise), cores(shells, energy, noise)
    lowest = min(float(energy[part].min()) for part in core if part.any()) - 0.1
    width = np.maximum(fwhm_kev(np.maximum(energy, 0.1), noise) / (energy[1] - energy[0]), 1.0)
    under = varied(snip(mean[None], width)[0], energy, lowest)
    return Axis(energy, shells, noise, drawn, core, under, lowest)


def fit_lines(spectra: np.ndarray, axis: Axis, exposure: np.ndarray | float = np.inf) -> LineFit:
    """Fit spectra by non-negative least squares.

    A first fit says how much of each shell there may be; a shell that has less than its error, or belongs to an
    element whose main shell has, is left out of the second.

    Parameters
    ----------
    spectra : float array of shape (n, n_channel), counts per spot
    axis : Axis
    exposure : float or array of shape (n,), spots
        How many spots each spectrum is the mean of.

    Raises
    ------
    InputError
        A spectrum holds values that are not finite.
    """
    spectra = np.maximum(np.asarray(spectra, float), 0.0)
    if not np.isfinite(spectra).all():
        raise InputError("spectra hold values that are not finite, which no lines can be fitted to.")
    spots = np.broadcast_to(np.asarray(exposure, float), len(spectra))
    n_shell = len(axis.shells)
    found = np.zeros((len(spectra), len(axis.drawn)))
    error = np.zeros((len(spectra), n_shell))
    counts, beneath = axis.in_cores(spectra), axis.in_cores(axis.backgrounds)
    for i, system in enumerate(_systems(spectra, axis)):
        first = _solved(system, np.ones(n_shell, bool))
        limit = _errors(first, counts[i], beneath, axis, spots[i]) * (CERTAIN if np.isfinite(spots[i]) else 1.0)
        found[i] = _solved(system, _supported(first[:n_shell] >= limit, axis.shells))
        error[i] = _errors(found[i], counts[i], beneath, axis, spots[i])
    return LineFit(axis, found[:, :n_shell], error)


def weights_of(spectra: np.ndarray, axis: Axis) -> np.ndarray:
    """One over the variance of each channel, float64 (..., n_channel); 0 below `Axis.lowest_kev`."""
    variance = spectra + _FLOOR * np.maximum(spectra.max(axis=-1, keepdims=True), 1e-30)
    return np.where(axis.energy_kev >= axis.lowest_kev, 1.0 / variance, 0.0)


def _systems(spectra: np.ndarray, axis: Axis) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of each spectrum, in its weights: Gram (k, k) of shells and backgrounds, and their products (k,) with it.

    Few lines reach into a strip of the axis. Products that small are a hundredth of the work, and BLAS takes
    one thread for each: several wait for one another, which takes seconds where other work has the cores.
    """
    k = len(axis.drawn)
    for first in range(0, len(spectra), _TOGETHER):
        some = spectra[first : first + _TOGETHER]
        weights = weights_of(some, axis)
        G, c = np.zeros((len(some), k, k)), np.zeros((len(some), k))
        for part, rows, drawn in axis.strips:
            weighted = drawn * weights[:, None, part]
            G[:, rows[:, None], rows] += weighted @ drawn.T
            c[:, rows] += (weighted @ some[:, part, None])[..., 0]
        yield from zip(G, c, strict=True)


def _solved(system: tuple[np.ndarray, np.ndarray], kept: np.ndarray) -> np.ndarray:
    """Photons (n_shell,) of the shells that are kept, then the shares (m,) of the backgrounds."""
    G, c = system
    at = np.flatnonzero(np.append(kept, np.ones(len(c) - len(kept), bool)))
    found = np.zeros(len(c))
    found[at] = nonnegative(G[np.ix_(at, at)], c[at])
    return found


def _left(spectrum: np.ndarray, axis: Axis) -> float:
    """Weighted squares that a fit leaves."""
    G, c = system = next(_systems(spectrum[None], axis))
    found = _solved(system, np.ones(len(axis.shells), bool))
    return float(np.square(spectrum) @ weights_of(spectrum, axis) + found @ (G @ found - 2.0 * c))


def _errors(found: np.ndarray, counts: np.ndarray, beneath: np.ndarray, axis: Axis, spots: float) -> np.ndarray:
    """Standard error of each shell's photons, from what else lies in the core of its main line.

    Parameters
    ----------
    found : float64 array of shape (n_shell + m,)
        As `_solved` gives it.
    counts : float64 array of shape (n_shell,)
        Of the spectrum, in the cores.
    beneath : float64 array of shape (m, n_shell)
        Of each background, in the cores.
    """
    photons, own = found[: len(axis.shells)], np.diag(axis.shares)
    others = photons @ axis.shares - photons * own
    tails = TAIL_ERROR * photons.sum()
    background = BACKGROUND_ERROR * (found[len(photons) :] @ beneath)
    square = (SHAPE_ERROR * others) ** 2 + background**2 + tails**2
    if np.isfinite(spots):
        square = square + (counts + 1.0 / max(spots, 1e-9)) / max(spots, 1e-9)
    return np.asarray(np.sqrt(square) / np.maximum(own, 1e-12))


def _supported(kept: np.ndarray, shells: list[Shell]) -> np.ndarray:
    """Without the shells of elements that their main shell does not show."""
    shown = {shell.element: False for shell in shells} | {"tube": True}
    for shell, there in zip(shells, kept, strict=True):
        if there and shell is known_by(shell.element, shells):
            shown[shell.element] = True
    return kept & np.array([shown[shell.element] for shell in shells])
