"""What the endmembers of a result mix to, and the lines of an endmember as part of the mixtures it is in.

An endmember is no paint: what factors spectra may put Ba La into one and Ba Lb into another, and fitted alone
neither is barium. Mixtures are paints, so lines are fitted in the mean spectra of squares of the painting, and
each endmember is told what it adds to them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xrfsr_dask.errors import InputError
from xrfsr_dask.result.axis import Axis
from xrfsr_dask.result.fitting import fit_lines, solved, weights_of
from xrfsr_dask.result.levels import known_group
from xrfsr_dask.result.lowrank import Stored, loaded
from xrfsr_dask.store.arrays import open_array, read_finite
from xrfsr_dask.store.results import level_paths, stored_levels

_SQUARES = 256
"""Squares that a painting is divided into, about."""


@dataclass(frozen=True)
class Mixtures:
    """Mean abundances over squares of a painting."""

    abundance: np.ndarray
    """float64 (n, n_atom)"""
    share: np.ndarray
    """float64 (n,): how much of what was measured lies in each square, their sum 1."""
    endmember: np.ndarray
    """float64 (n_atom, n_channel)"""

    @property
    def spectra(self) -> np.ndarray:
        """Their mean spectra, float64 (n, n_channel)."""
        return self.abundance @ self.endmember

    def rows_of(self, endmember: np.ndarray) -> list[int]:
        """Which endmembers (n_channel,) each, of those here, some are."""
        known = {row.tobytes(): i for i, row in enumerate(self.endmember)}
        return [known[row.tobytes()] for row in np.asarray(endmember, float)]


def mixtures_of(ds: xr.Dataset) -> Mixtures:
    """Those of the result that this is, or is a layer or a piece of: maps of a part are parts of the map.

    Parameters
    ----------
    ds : xarray.Dataset
        With ``abundance``, ``endmember`` and ``coverage``; where its store is not known, it answers itself.
    """
    group = known_group(ds)
    if group is None:
        return _alone(ds)
    levels = stored_levels(group)
    whole = tuple(open_array(group, path) for path in level_paths(1))
    A, share = _over_squares(*map(Stored, levels[max(levels)] if levels else whole))
    return Mixtures(A, share, read_finite(open_array(group, "endmember")).astype(float))


def own_mixtures(ds: xr.Dataset, whole: Mixtures) -> Mixtures:
    """Those of a layer or a piece alone, its endmembers in its own order.

    Parameters
    ----------
    ds : xarray.Dataset
    whole : Mixtures
        As `mixtures_of` gives them.
    """
    group = known_group(ds)
    if group is not None and ds.abundance.shape[:2] == open_array(group, "abundance").shape[:2]:
        at = whole.rows_of(ds.endmember.values)
        return Mixtures(whole.abundance[:, at], whole.share, whole.endmember[at])
    return _alone(ds)


def _alone(ds: xr.Dataset) -> Mixtures:
    measured = ds.coverage.data if "coverage" in ds else None
    return Mixtures(*_over_squares(ds.abundance.data, measured), np.asarray(ds.endmember.values, float))


def photons_in(mixtures: Mixtures, axis: Axis) -> np.ndarray:
    """What each endmember adds to the shells in the mixtures it is in, float64 (n_atom, n_shell), >= 0.

    In the equations of a mixture's lines its spectrum is the sum of what its endmembers add, and so are its
    photons: an endmember's are the mean over the mixtures. Fitted alone it has others, less exact for a mixture
    and cleaner where it is a paint; between the two lies what agrees best with the mixtures, shell by shell.
    """
    there = fit_lines(mixtures.spectra, axis).photons
    alone = fit_lines(mixtures.endmember, axis).photons
    towards = np.maximum(_added(mixtures, axis, there), 0.0) - alone
    short, gained = there - mixtures.abundance @ alone, mixtures.abundance @ towards
    fits = mixtures.share @ (gained * short) / np.maximum(mixtures.share @ gained**2, 1e-30)
    return np.asarray(alone + np.clip(fits, 0.0, 1.0) * towards)


def _added(mixtures: Mixtures, axis: Axis, there: np.ndarray) -> np.ndarray:
    """Each endmember's part in the equations of the mixtures' shells, their mean; float64 (n_atom, n_shell).

    The equations are weighted alike, as the mean spectrum asks, and hold what is `there` (n, n_shell).
    """
    n_shell = len(axis.shells)
    weighted = axis.drawn * weights_of(mixtures.share @ mixtures.spectra, axis)
    G, C = weighted @ axis.drawn.T, weighted @ mixtures.endmember.T
    size = np.sqrt(np.maximum(np.diag(G), 1e-300))
    out = np.zeros((C.shape[1], n_shell))
    for A, share, shells in zip(mixtures.abundance, mixtures.share, there > 0, strict=True):
        at = np.flatnonzero(solved((G, C @ A), shells))
        unit = G[np.ix_(at, at)] / size[at] / size[at, None] + 1e-10 * np.eye(len(at))
        part = np.linalg.solve(unit, C[at] / size[at, None]) / size[at, None]
        out[:, at[at < n_shell]] += share * A[:, None] * part[at < n_shell].T
    return np.asarray(out / np.maximum(mixtures.share @ mixtures.abundance, 1e-30)[:, None])


def _over_squares(abundance: Any, measured: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean abundances (n, n_atom) of some squares, weighted by how far each pixel was measured; shares (n,).

    Where nothing was measured at all, every pixel counts the same.
    """
    ny, nx = abundance.shape[:2]
    side = max(1, math.ceil(math.sqrt(ny * nx / _SQUARES)))
    at = np.arange(0, nx, side)
    sums, weights = [], []
    for row in range(0, ny, side):
        rows = slice(row, min(row + side, ny))
        A, w = loaded(abundance[rows, 0:nx]), np.ones((rows.stop - rows.start, nx), np.float32)
        if measured is not None:
            w = np.minimum(loaded(measured[rows, 0:nx]), 1.0)
        total = A.sum(axis=0) if (w == 1).all() else np.einsum("yxm,yx->xm", A, w)
        if not np.isfinite(total).all():  # a pixel without numbers counts for nothing
            w = np.where(np.isfinite(A).all(axis=2), w, 0.0)
            total = np.einsum("yxm,yx->xm", np.where(w[..., None] > 0, A, 0.0), w)
        sums.append(np.add.reduceat(total.astype(float), at))
        weights.append(np.add.reduceat(w.sum(axis=0, dtype=float), at))
    weight = np.concatenate(weights)
    if not weight.any():
        if measured is None:
            raise InputError("no pixel's abundances are all numbers; look where they were made NaN.")
        return _over_squares(abundance, None)
    there = weight > 0
    return np.concatenate(sums)[there] / weight[there, None], weight[there] / weight.sum()
