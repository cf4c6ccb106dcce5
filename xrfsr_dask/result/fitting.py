"""Lines of all elements fitted together, non-negatively, so that none counts what is another's.

A result is fitted on its endmembers, once, over a SNIP background each: the map of a line is then the
abundances times one number per endmember, non-negative and linear, whatever the overlaps. A patch is fitted
spot by spot.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from xrfsr_dask.errors import InputError
from xrfsr_dask.result.background import snip
from xrfsr_dask.result.lines import M6_NOISE_KEV2, fwhm_kev
from xrfsr_dask.result.peaks import ELEMENTS, Shell, cores, known_by, shapes, shells_on

SHAPE_ERROR = 0.04
"""How far the shape of an element's lines may be off (films and varnish absorb), as a share of its counts: what
hides within that share of its neighbours' counts is not told from them, and not counted."""
BACKGROUND_ERROR = 0.05
"""The same of the background."""

CERTAIN = 3.0
"""Standard errors of its counts that a shell must have where the exposure is known."""

_FLOOR = 1e-3  # variance of a channel, as a share of the highest: what is left of a wrong shape
_NOISES_KEV2 = (M6_NOISE_KEV2, *(float(v) for v in np.geomspace(2e-4, 1e-2, 9)))
_COARSEST_FWHM = 1.5  # channels wider than that many FWHM (at 6 keV) show no lines


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

    @property
    def lowest_kev(self) -> float:
        """Where the first line begins: below lie zero peak and noise."""
        return min(float(self.energy_kev[core].min()) for core in self.cores if core.any()) - 0.1

    @property
    def fwhm_channels(self) -> np.ndarray:
        """Width of a line at each channel, in channels, float64 (n_channel,)."""
        width = self.energy_kev[1] - self.energy_kev[0]
        widths = fwhm_kev(np.maximum(self.energy_kev, 0.1), self.noise_kev2)
        return np.asarray(np.maximum(widths / width, 1.0))


@dataclass(frozen=True)
class LineFit:
    """Spectra taken apart: counts = photons of each shell @ shapes + background + what is left."""

    axis: Axis
    photons: np.ndarray
    """float64 (n, n_shell), >= 0: detected photons of each shell; 0 where it cannot be told from others."""
    background: np.ndarray
    """float64 (n, n_channel)."""
    error: np.ndarray
    """float64 (n, n_shell): standard error of the photons, by statistics, by `SHAPE_ERROR` and by
    `BACKGROUND_ERROR`; statistics only where the exposure is known."""

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
    """Shapes of the lines of `elements` on an axis, as sharp as a spectrum shows them.

    Parameters
    ----------
    spectrum : float array of shape (n_channel,), counts
        Of many counts; the detector's noise that explains it best is taken.
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
            f"{fwhm_kev(6.0) * 1000:.0f} eV wide; ask for background='linear', which counts the line's window."
        )
    shells = shells_on(energy, dict.fromkeys(elements), tube, tube_kv)
    if not any(s.element != "tube" for s in shells):
        raise InputError(
            f"no line of these elements lies on the energy axis, {energy[0]:.3f} to {energy[-1]:.3f} keV."
        )
    tried = [_axis(energy, shells, noise) for noise in _NOISES_KEV2]
    left = [_left(np.asarray(spectrum, float), axis) for axis in tried]
    return tried[int(np.argmin(left))]


def fit_lines(
    spectra: np.ndarray,
    axis: Axis,
    exposure: np.ndarray | float = np.inf,
    background: np.ndarray | None = None,
) -> LineFit:
    """Fit spectra by non-negative least squares.

    A first fit says how much of each shell there may be; a shell that has less than its error, or belongs to an
    element whose main shell has, is left out of the second.

    Parameters
    ----------
    spectra : float array of shape (n, n_channel), counts per spot
    axis : Axis
    exposure : float or array of shape (n,), spots
        How many spots each spectrum is the mean of.
    background : float array of shape (m, n_channel), optional
        What backgrounds are mixtures of (`background.varied`); each spectrum's own SNIP where not given, for
        which it must be of many counts a channel.
    """
    spectra = np.maximum(np.asarray(spectra, float), 0.0)
    own = snip(spectra, axis.fwhm_channels) if background is None else np.zeros_like(spectra)
    basis = np.zeros((0, spectra.shape[1])) if background is None else background
    spots = np.broadcast_to(np.asarray(exposure, float), len(spectra))
    photons, error = np.zeros((2, len(spectra), len(axis.shells)))
    every = np.ones(len(axis.shells), bool)
    for i, (s, b) in enumerate(zip(spectra, own, strict=True)):
        first, beneath = _fitted(s, b, basis, axis, every)
        limit = _errors(first, s, beneath, axis, spots[i]) * (CERTAIN if np.isfinite(spots[i]) else 1.0)
        photons[i], own[i] = _fitted(s, b, basis, axis, _supported(first >= limit, axis.shells))
        error[i] = _errors(photons[i], s, own[i], axis, spots[i])
    return LineFit(axis, photons, own, error)


def weights_of(spectrum: np.ndarray, axis: Axis) -> np.ndarray:
    """One over the variance of each channel, float64 (n_channel,); 0 below `lowest_kev`."""
    variance = spectrum + _FLOOR * max(float(spectrum.max()), 1e-30)
    return np.where(axis.energy_kev >= axis.lowest_kev, 1.0 / variance, 0.0)


def _axis(energy: np.ndarray, shells: list[Shell], noise: float) -> Axis:
    return Axis(energy, shells, noise, shapes(shells, energy, noise), cores(shells, energy, noise))


def _fitted(
    spectrum: np.ndarray, background: np.ndarray, basis: np.ndarray, axis: Axis, kept: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Photons (n_shell,) of the shells that are kept, and the background (n_channel,)."""
    photons, drawn = np.zeros(len(kept)), np.concatenate([axis.shapes[kept], basis])
    if len(drawn):
        P = drawn * weights_of(spectrum, axis)
        found = nonnegative(P @ drawn.T, P @ (spectrum - background))
        photons[kept] = found[: int(kept.sum())]
        background = background + found[int(kept.sum()) :] @ basis
    return photons, background


def nonnegative(G: np.ndarray, c: np.ndarray) -> np.ndarray:
    """``argmin_{a >= 0} a G a / 2 - a c`` exactly (Lawson and Hanson), G (k, k) a Gram, c (k,)."""
    from scipy.linalg import cholesky, solve_triangular
    from scipy.optimize import nnls

    ridge = 1e-10 * max(float(np.diag(G).max()), 1e-30)  # a shell may lie where nothing is weighed
    R = cholesky(G + ridge * np.eye(len(G)))
    return np.asarray(nnls(R, solve_triangular(R, c, trans=1), maxiter=100 * len(G))[0])


def _left(spectrum: np.ndarray, axis: Axis) -> float:
    """Weighted squares that a fit leaves."""
    under, none = snip(spectrum[None], axis.fwhm_channels)[0], np.zeros((0, len(spectrum)))
    photons, _ = _fitted(spectrum, under, none, axis, np.ones(len(axis.shells), bool))
    return float(np.square(spectrum - under - photons @ axis.shapes) @ weights_of(spectrum, axis))


def _errors(
    photons: np.ndarray, spectrum: np.ndarray, background: np.ndarray, axis: Axis, spots: float
) -> np.ndarray:
    """Standard error of each shell's photons, from what else lies in the core of its main line."""
    drawn = axis.shapes * photons[:, None]
    own = np.einsum("gc,gc->g", axis.shapes, axis.cores)  # share of a shell's photons in its core
    others = axis.cores @ drawn.sum(axis=0) - np.einsum("gc,gc->g", drawn, axis.cores)
    beneath = axis.cores @ background
    counts = axis.cores @ spectrum
    square = (SHAPE_ERROR * others) ** 2 + (BACKGROUND_ERROR * beneath) ** 2
    if np.isfinite(spots):
        square = square + (counts + 1.0 / max(spots, 1e-9)) / max(spots, 1e-9)
    return np.asarray(np.sqrt(square) / np.maximum(own, 1e-12))


def _supported(kept: np.ndarray, shells: list[Shell]) -> np.ndarray:
    """Without the shells of elements that their main shell does not show."""
    out = kept.copy()
    for i, shell in enumerate(shells):
        main = known_by(shell.element, shells)
        if shell.element != "tube" and main is not None and not kept[shells.index(main)]:
            out[i] = False
    return out
