"""Counts of one energy axis rebinned onto another: what a channel counted is shared out by overlap."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from xrfsr_dask.errors import InputError


@dataclass(frozen=True, eq=False)
class Rebinning:
    """Shares of each old channel that fall into each new one."""

    share: Any
    """Sparse (n_old, n_new), float64; rows sum to one, less where a channel reaches out of the new axis."""

    @cached_property
    def lost(self) -> np.ndarray:
        """Share of each old channel outside the new axis, float64 of shape (n_old,)."""
        return 1.0 - np.asarray(self.share.sum(axis=1)).ravel()

    @cached_property
    def reached(self) -> np.ndarray:
        """Which new channels some old channel reaches, bool (n_new,)."""
        return np.asarray(self.share.sum(axis=0)).ravel() > 0

    @cached_property
    def n_empty(self) -> int:
        """New channels that no old channel reaches; they count 0."""
        return int((~self.reached).sum())

    def apply(self, counts: np.ndarray) -> np.ndarray:
        """Rebin (rows, nx, n_old) to float32 (rows, nx, n_new), one row at a time to bound memory."""
        out = np.empty((*counts.shape[:2], self.share.shape[1]), np.float32)
        for row, spectra in zip(out, counts, strict=True):
            row[...] = spectra @ self.share
        return out

    def dropped(self, counts: np.ndarray) -> float:
        """Sum of the counts of (rows, nx, n_old) that fall outside the new axis."""
        return float(counts.sum(axis=(0, 1), dtype=np.float64) @ self.lost)


def rebinning(old_kev: np.ndarray, new_kev: np.ndarray, *, source: str = "the scan") -> Rebinning:
    """Shares in which counts pass from one energy axis to another.

    Parameters
    ----------
    old_kev, new_kev : float arrays of shape (n_old,), (n_new,), keV
        Centres of the channels, rising; a channel reaches half way to its neighbours.
    source : str
        Name of the scan, for messages.

    Raises
    ------
    InputError
        An axis of a single channel or one that does not rise; axes that do not overlap.
    """
    from scipy.sparse import coo_array

    old, new = _edges(old_kev, source), _edges(new_kev, "the store")
    if old[-1] <= new[0] or new[-1] <= old[0]:
        raise InputError(
            f"{source} spans {old[0]:.4f} to {old[-1]:.4f} keV, the store {new[0]:.4f} to {new[-1]:.4f} keV; "
            "they have no energy in common; check the calibration."
        )
    edges = np.union1d(old, new)
    edges = edges[(edges >= max(old[0], new[0])) & (edges <= min(old[-1], new[-1]))]
    middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    row, column = np.searchsorted(old, middle) - 1, np.searchsorted(new, middle) - 1
    share = coo_array((width / np.diff(old)[row], (row, column)), shape=(len(old) - 1, len(new) - 1))
    return Rebinning(share.tocsr())


def _edges(kev: np.ndarray, source: str) -> np.ndarray:
    kev = np.asarray(kev, float)
    if len(kev) < 2 or not (np.diff(kev) > 0).all():
        raise InputError(
            f"the energy axis of {source} does not rise over two channels or more; it cannot be rebinned."
        )
    middle = (kev[1:] + kev[:-1]) / 2
    return np.concatenate([[2 * kev[0] - middle[0]], middle, [2 * kev[-1] - middle[-1]]])
