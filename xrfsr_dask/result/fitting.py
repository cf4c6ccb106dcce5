"""Lines of all elements fitted together, non-negatively, so that none counts what is another's.

A result is fitted on its endmembers, once: the map of a line is then the abundances times one number per
endmember, non-negative and linear, whatever the overlaps. A patch is fitted spot by spot. The background of
either is the SNIP background of the mean spectrum, slowly varied, and fitted with the lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from xrfsr_dask.errors import InputError
from xrfsr_dask.result.axis import Axis
from xrfsr_dask.result.pivoting import nonnegative

SHAPE_ERROR = 0.04
"""How far the shape of an element's lines may be off (films and varnish absorb), as a share of its counts: what
hides within that share of its neighbours' counts is not told from them, and not counted."""
BACKGROUND_ERROR = 0.05
"""The same of the background."""
SHELF_ERROR = 1e-4
"""Share of all photons that the shelf below them and pile-up may put at any line."""

CERTAIN = 3.0
"""Standard errors of its counts that a shell must have where the exposure is known."""

_FLOOR = 1e-3  # variance of a channel, as a share of the highest: what is left of a wrong shape
_TOGETHER = 64  # spectra whose systems are made together


@dataclass(frozen=True)
class LineFit:
    """Spectra taken apart: counts = photons of each shell @ shapes + backgrounds + what is left."""

    axis: Axis
    photons: np.ndarray
    """float64 (n, n_shell), >= 0: detected photons of each shell; 0 where it cannot be told from others."""
    error: np.ndarray
    """float64 (n, n_shell): standard error of the photons, by statistics, `SHAPE_ERROR`, `BACKGROUND_ERROR`,
    `SHELF_ERROR` and what escape and tails may add (`Axis.doubtful`); statistics only where the exposure is
    known."""

    def counts_of(self, element: str, line: str) -> np.ndarray:
        """Net counts of a line in each spectrum, float64 (n,)."""
        return np.asarray(self.photons @ self.axis.share_of(element, line))


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
    for i, system in enumerate(systems(spectra, axis)):
        first = solved(system, np.ones(n_shell, bool))
        least = CERTAIN if np.isfinite(spots[i]) else 1.0
        kept = first[:n_shell] >= least * errors_of(first, counts[i], beneath, axis, spots[i])
        found[i] = solved(system, kept & kept[axis.main_of])
        error[i] = errors_of(found[i], counts[i], beneath, axis, spots[i])
    return LineFit(axis, found[:, :n_shell], error)


def weights_of(spectra: np.ndarray, axis: Axis) -> np.ndarray:
    """One over the variance of each channel, float64 (..., n_channel); 0 below `Axis.lowest_kev`."""
    variance = spectra + _FLOOR * np.maximum(spectra.max(axis=-1, keepdims=True), 1e-30)
    return np.where(axis.energy_kev >= axis.lowest_kev, 1.0 / variance, 0.0)


def systems(spectra: np.ndarray, axis: Axis) -> Iterator[tuple[np.ndarray, np.ndarray]]:
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


def solved(system: tuple[np.ndarray, np.ndarray], kept: np.ndarray) -> np.ndarray:
    """Photons (n_shell,) of the shells that are kept, then the shares (m,) of the backgrounds."""
    G, c = system
    at = np.flatnonzero(np.append(kept, np.ones(len(c) - len(kept), bool)))
    found = np.zeros(len(c))
    found[at] = nonnegative(G[np.ix_(at, at)], c[at])
    return found


def errors_of(
    found: np.ndarray, counts: np.ndarray, beneath: np.ndarray, axis: Axis, spots: float
) -> np.ndarray:
    """Standard error of each shell's photons, from what else lies in the core of its main line.

    Parameters
    ----------
    found : float64 array of shape (n_shell + m,)
        As `solved` gives it.
    counts : float64 array of shape (n_shell,)
        Of the spectrum, in the cores.
    beneath : float64 array of shape (m, n_shell)
        Of each background, in the cores.
    """
    photons, own = found[: len(axis.shells)], np.diag(axis.shares)
    others = photons @ axis.shares - photons * own
    shelf, doubtful = SHELF_ERROR * photons.sum(), photons @ axis.doubtful
    background = BACKGROUND_ERROR * (found[len(photons) :] @ beneath)
    square = (SHAPE_ERROR * others) ** 2 + background**2 + shelf**2 + doubtful**2
    if np.isfinite(spots):
        square = square + (counts + 1.0 / max(spots, 1e-9)) / max(spots, 1e-9)
    return np.asarray(np.sqrt(square) / np.maximum(own, 1e-12))
