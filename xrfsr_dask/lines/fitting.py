"""Lines of all elements fitted together, non-negatively, so that none counts what is another's.

Each channel is weighed by how far it may be off what is drawn (`uncertainty`). The background is the SNIP
background of the mean spectrum, slowly varied, and fitted with the lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from xrfsr_dask.errors import InputError
from xrfsr_dask.lines.axis import Axis
from xrfsr_dask.lines.pivoting import inverse, nonnegative
from xrfsr_dask.lines.uncertainty import doubt

CERTAIN = 3.0
"""Standard errors that a shell must stand above nothing."""

_ROUNDS = 3  # in which shells are left out
_TOGETHER = 64  # spectra whose systems are made together


@dataclass(frozen=True)
class LineFit:
    """Spectra taken apart: counts = photons of each shell @ shapes + backgrounds + what is left."""

    axis: Axis
    photons: np.ndarray
    """float64 (n, n_shell), >= 0: detected photons of each shell; 0 where it cannot be told from others."""
    error: np.ndarray
    """float64 (n, n_shell): standard error of the photons, by all that `uncertainty.doubt` knows, statistics
    only where the exposure is known; infinite where there are none."""

    def counts_of(self, element: str, line: str) -> np.ndarray:
        """Net counts of a line in each spectrum, float64 (n,)."""
        return np.asarray(self.photons @ self.axis.share_of(element, line))


def fit_lines(
    spectra: np.ndarray, axis: Axis, exposure: np.ndarray | float = np.inf, doubts: np.ndarray | None = None
) -> LineFit:
    """Fit spectra by non-negative least squares, each channel weighted by how far it may be off.

    A shell that stands less than `CERTAIN` errors above nothing is left out, and so are the others of an
    element whose main shell is.

    Parameters
    ----------
    spectra : float array of shape (n, n_channel), counts per spot
    axis : Axis
    exposure : float or array of shape (n,), spots
        How many spots each spectrum is the mean of.
    doubts : float array of shape (n, n_channel), counts², optional
        `uncertainty.doubt` of the spectra, where it is at hand.

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
    photons, error = np.zeros((len(spectra), n_shell)), np.full((len(spectra), n_shell), np.inf)
    for i, system in enumerate(systems(spectra, axis, spots, doubts)):
        kept = np.ones(n_shell, bool)
        for _ in range(_ROUNDS):
            found = solved(system, kept)
            off = errors_of(system, found)[:n_shell]
            there = (found[:n_shell] > 0) & kept
            shown = axis.is_tube | (found[:n_shell] >= CERTAIN * off)
            shown &= shown[axis.main_of]
            if not (there & ~shown).any():
                break
            kept &= shown
        photons[i], error[i] = found[:n_shell], off
    return LineFit(axis, photons, error)


def weights_of(
    spectra: np.ndarray, axis: Axis, spots: np.ndarray | float = np.inf, doubts: np.ndarray | None = None
) -> np.ndarray:
    """One over the variance of each channel, float64 (n, n_channel); 0 below `Axis.lowest_kev`."""
    spectra = np.maximum(spectra, 0.0)
    n_spot = np.broadcast_to(np.asarray(spots, float), len(spectra))[:, None]
    off = (doubt(spectra, axis) if doubts is None else doubts) + (spectra + 1.0 / n_spot) / n_spot
    return np.where(axis.energy_kev >= axis.lowest_kev, 1.0 / off, 0.0)


def shared_weights(mean: np.ndarray, doubts: np.ndarray, axis: Axis, spots: float) -> np.ndarray:
    """Weights (n_channel,) for spots that some spectra are means of.

    Parameters
    ----------
    mean : float array of shape (n_channel,), counts
        Of all: a spot's counting noise is that of the mean.
    doubts : float array of shape (n, n_channel), counts²
        `uncertainty.doubt` of each. A channel is in doubt as where it is most so: lines of an element that few
        places show are as wrong there as anywhere.
    axis : Axis
    spots : float
        How many spots are taken together.
    """
    off = doubts.max(axis=0) + (np.maximum(mean, 0.0) + 1.0 / spots) / spots
    return np.where(axis.energy_kev >= axis.lowest_kev, 1.0 / off, 0.0)


def systems(
    spectra: np.ndarray, axis: Axis, spots: np.ndarray | float, doubts: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of each spectrum, in its weights: Gram (k, k) of shells and backgrounds, and their products (k,) with it.

    Few lines reach into a strip of the axis. Products that small are a hundredth of the work, and BLAS takes
    one thread for each: several wait for one another, which takes seconds where other work has the cores.
    """
    k, spots = len(axis.drawn), np.broadcast_to(np.asarray(spots, float), len(spectra))
    for first in range(0, len(spectra), _TOGETHER):
        some = spectra[first : first + _TOGETHER]
        known = None if doubts is None else doubts[first : first + _TOGETHER]
        weights = weights_of(some, axis, spots[first : first + _TOGETHER], known)
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


def errors_of(system: tuple[np.ndarray, np.ndarray], found: np.ndarray) -> np.ndarray:
    """Standard errors (k,) of what was found, all of it varied together; infinite where it is 0."""
    at = np.flatnonzero(found > 0)
    out = np.full(len(found), np.inf)
    out[at] = np.sqrt(np.maximum(np.diag(inverse(system[0][np.ix_(at, at)])), 0.0))
    return out
