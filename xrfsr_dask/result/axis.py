"""What lines look like on one energy axis: a shape and a core for each shell, escape peaks, backgrounds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xrfsr_dask.result.background import snip, varied
from xrfsr_dask.result.lines import fwhm_kev
from xrfsr_dask.result.peaks import Shell, cores, escapes, known_by, shapes

ESCAPE_ERROR = 0.3
"""How far escape peaks may be off where the detector shows them; where it does not, all they might hold."""
TAIL = 0.004
"""Share of a line's photons that may trail below it, where the detector collects their charge in part."""

_TAIL_KEV = 0.15  # within which that falls by e
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
    escapes: np.ndarray
    """float64 (n_shell, n_channel), as `peaks.escapes`."""
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
        return self.peaks + self.escapes if self.has_escape else self.peaks

    @cached_property
    def drawn(self) -> np.ndarray:
        """All that is fitted: shapes, then backgrounds, float64 (n_shell + m, n_channel)."""
        return np.concatenate([self.shapes, self.backgrounds])

    @cached_property
    def shares(self) -> np.ndarray:
        """float64 (n_shell, n_shell): share of one shell's photons (row) in the core of another (column)."""
        return self.in_cores(self.shapes)

    @cached_property
    def doubtful(self) -> np.ndarray:
        """float64 (n_shell, n_shell): what escape and tail of one shell (row) may put into another's core
        (column) unseen; 0 for its own."""
        escape = self.in_cores(self.escapes) * (ESCAPE_ERROR if self.has_escape else 1.0)
        out = np.hypot(escape, TAIL * self._trailing())
        np.fill_diagonal(out, 0.0)
        return out

    @cached_property
    def strips(self) -> list[tuple[slice, np.ndarray, np.ndarray]]:
        """Strips of the axis: channels, which rows of `drawn` are not zero there, and those (r, `_STRIP`)."""
        parts = [slice(at, at + _STRIP) for at in range(0, len(self.energy_kev), _STRIP)]
        rows = [np.flatnonzero(self.drawn[:, part].any(axis=1)) for part in parts]
        return [(part, at, self.drawn[at, part]) for part, at in zip(parts, rows, strict=True)]

    @cached_property
    def main_of(self) -> np.ndarray:
        """The shell that the element of each shell is known by, int (n_shell,); its own for the tube."""
        main = {s.element: known_by(s.element, self.shells) for s in self.shells}
        at = {s.element: i for i, s in enumerate(self.shells) if s is main[s.element]}
        return np.array([i if s.element == "tube" else at[s.element] for i, s in enumerate(self.shells)])

    def share_of(self, element: str, line: str) -> np.ndarray:
        """Share of a line in the photons of each shell, float64 (n_shell,); 0 for shells of other elements."""
        return np.array([s.share(line) if s.element == element else 0.0 for s in self.shells])

    def in_cores(self, spectra: np.ndarray) -> np.ndarray:
        """Counts of spectra (n, n_channel) in the cores, float64 (n, n_shell)."""
        return np.stack([spectra[:, core].sum(axis=1) for core in self.cores], axis=1)

    def _trailing(self) -> np.ndarray:
        """Share of each shell's tail (row) in the cores (column), float64 (n_shell, n_shell)."""
        ends = [self.energy_kev[core] for core in self.cores]
        low, high = (np.array([e[at] if len(e) else -np.inf for e in ends]) for at in (0, -1))
        out = np.zeros((len(self.shells), len(self.shells)))
        for row, shell in zip(out, self.shells, strict=True):
            for _, kev, share in shell.lines:
                upper, lower = (np.exp((np.minimum(end, kev) - kev) / _TAIL_KEV) for end in (high, low))
                row += share * (upper - lower)
        return out


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
    width = fwhm_kev(np.maximum(energy_kev, 0.1), noise_kev2) / (energy_kev[1] - energy_kev[0])
    under = varied(snip(mean[None], np.maximum(width, 1.0))[0], energy_kev, lowest)
    drawn, lost = (draw(shells, energy_kev, noise_kev2) for draw in (shapes, escapes))
    return Axis(energy_kev, shells, noise_kev2, drawn, lost, False, core, under, lowest)
