"""What lines look like on one energy axis: a shape and a core for each shell, escape peaks, backgrounds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xrfsr_dask.lines.background import snip, varied
from xrfsr_dask.lines.peaks import Shell, cores, escapes, escaping, known_by, shapes, share_of
from xrfsr_dask.lines.tables import fwhm_channels

_STRIP = 64  # channels; 19 of 82 shapes and backgrounds lie in one at most


@dataclass(frozen=True)
class Axis:
    """What lines look like on one energy axis with one detector."""

    energy_kev: np.ndarray
    """float64 (n_channel,)"""
    shells: list[Shell]
    noise_kev2: float
    """Constant part of the variance of a line."""
    peaks: np.ndarray
    """float64 (n_shell, n_channel), as `peaks.shapes`."""
    has_escape: bool
    """Whether the detector shows escape peaks; they are gone where a program has corrected for them."""
    cores: np.ndarray
    """bool (n_shell, n_channel), as `peaks.cores`."""
    backgrounds: np.ndarray
    """float64 (m, n_channel): what backgrounds are non-negative mixtures of, as `background.varied`."""
    lowest_kev: float
    """Where the first line begins: below lie zero peak and noise."""

    @cached_property
    def shapes(self) -> np.ndarray:
        """Counts per channel of one detected photon of each shell, float64 (n_shell, n_channel)."""
        if not self.has_escape:
            return self.peaks
        return self.peaks + escapes(self.shells, self.energy_kev, self.noise_kev2)

    @cached_property
    def width(self) -> np.ndarray:
        """Full width of a line at half maximum at each channel, channels, float64 (n_channel,), 1 at least."""
        return fwhm_channels(self.energy_kev, self.noise_kev2)

    @cached_property
    def escaping(self) -> np.ndarray:
        """Counts in the escape peak of each channel's photons by their own, float64 (n_channel,)."""
        return escaping(self.energy_kev)

    @cached_property
    def drawn(self) -> np.ndarray:
        """All that is fitted: shapes, then backgrounds, float64 (n_shell + m, n_channel)."""
        return np.concatenate([self.shapes, self.backgrounds])

    @cached_property
    def strips(self) -> list[tuple[slice, np.ndarray, np.ndarray]]:
        """Strips of the axis: channels, which rows of `drawn` are not zero there, and those (r, `_STRIP`)."""
        parts = [slice(at, at + _STRIP) for at in range(0, len(self.energy_kev), _STRIP)]
        rows = [np.flatnonzero(self.drawn[:, part].any(axis=1)) for part in parts]
        return [(part, at, self.drawn[at, part]) for part, at in zip(parts, rows, strict=True)]

    @property
    def anode(self) -> str:
        """Of the tube whose scattered light is drawn; "" where none of its lines lies on the axis."""
        return next((shell.anode for shell in self.shells if shell.anode), "")

    @cached_property
    def is_tube(self) -> np.ndarray:
        """Which shells are the tube's light thrown back, bool (n_shell,)."""
        return np.array([shell.element == "tube" for shell in self.shells])

    @cached_property
    def main_of(self) -> np.ndarray:
        """The shell that the element of each shell is known by, int (n_shell,); its own for the tube."""
        main = {s.element: known_by(s.element, self.shells) for s in self.shells}
        at = {s.element: i for i, s in enumerate(self.shells) if s is main[s.element]}
        return np.array([i if s.element == "tube" else at[s.element] for i, s in enumerate(self.shells)])

    def gram(self, weights: np.ndarray) -> np.ndarray:
        """Gram of all that is fitted in some weights (n_channel,), float64 (k, k)."""
        out = np.zeros((len(self.drawn),) * 2)
        for part, rows, drawn in self.strips:
            out[np.ix_(rows, rows)] += (drawn * weights[part]) @ drawn.T
        return out

    def share_of(self, element: str, line: str) -> np.ndarray:
        """Share of a line in the photons of each shell, float64 (n_shell,); 0 for shells of other elements."""
        return share_of(element, line, self.shells)


def axis_of(energy_kev: np.ndarray, mean: np.ndarray, shells: list[Shell], noise_kev2: float) -> Axis:
    """Shells as a detector of some noise sees them without escape, over backgrounds like that of a spectrum.

    Parameters
    ----------
    energy_kev, mean : float64 arrays of shape (n_channel,), keV and counts
    shells : list of Shell
        One has its main line on the axis at least.
    noise_kev2 : float
    """
    core = cores(shells, energy_kev, noise_kev2)
    lowest = min(float(energy_kev[part].min()) for part in core if part.any()) - 0.1
    under = varied(snip(mean[None], fwhm_channels(energy_kev, noise_kev2))[0], energy_kev, lowest)
    drawn = shapes(shells, energy_kev, noise_kev2)
    return Axis(energy_kev, shells, noise_kev2, drawn, False, core, under, lowest)
