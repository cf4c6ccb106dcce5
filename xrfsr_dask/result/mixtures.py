"""What the endmembers of a result mix to, and the lines of an endmember as part of the mixtures it is in.

An endmember is no paint: what factors spectra may put Ba La into one and Ba Lb into another, and fitted alone
neither is barium. Mixtures are paints, so lines are fitted in the mean spectra of squares of the painting, and
each endmember is told what it adds to them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
import zarr

from xrfsr_dask.errors import InputError
from xrfsr_dask.lines.axis import Axis
from xrfsr_dask.lines.fitting import fit_lines, shared_weights
from xrfsr_dask.lines.pivoting import inverse, nonnegative
from xrfsr_dask.lines.uncertainty import doubt
from xrfsr_dask.result.levels import known_group
from xrfsr_dask.result.lowrank import Stored, loaded, product
from xrfsr_dask.store.arrays import open_array, read_finite
from xrfsr_dask.store.results import level_paths, stored_levels

_SQUARES = 121
"""Squares that a painting is divided into, about."""
_DRAWN = 6  # pixels of a square along each axis, that its products are taken of
_SELDOM = 1e-6  # of the mean of those
_APART = 1e-3  # of an endmember's own products: what two that are always together are told apart by


@dataclass(frozen=True)
class Mixtures:
    """Mean abundances over squares of a painting."""

    shape: tuple[int, int]
    """(ny, nx) of the result they are of, px."""
    abundance: np.ndarray
    """float64 (n, n_atom)"""
    share: np.ndarray
    """float64 (n,): how much of what was measured lies in each square, their sum 1."""
    endmember: np.ndarray
    """float64 (n_atom, n_channel)"""
    together: np.ndarray
    """float64 (n_atom, n_atom): mean products of the abundances of pixels."""

    @cached_property
    def spectra(self) -> np.ndarray:
        """Their mean spectra, float64 (n, n_channel)."""
        return product(self.abundance.astype(np.float32), self.endmember.astype(np.float32)).astype(float)


def mixtures_of(ds: xr.Dataset) -> Mixtures:
    """Those of the result that this is, or is a layer or a piece of: maps of a part are parts of the map.

    Parameters
    ----------
    ds : xarray.Dataset
        With ``abundance``, ``endmember`` and ``coverage``; where its store is not known, it answers itself.
    """
    group = known_group(ds)
    return _alone(ds) if group is None else mixtures_in(group)


def mixtures_in(group: zarr.Group) -> Mixtures:
    """Those of a stored result, by its coarsest level."""
    levels = stored_levels(group)
    whole = tuple(open_array(group, path) for path in level_paths(1))
    A, share, together = _over_squares(*map(Stored, levels[max(levels)] if levels else whole))
    ny, nx = whole[0].shape[:2]
    return Mixtures((ny, nx), A, share, read_finite(open_array(group, "endmember")).astype(float), together)


def own_mixtures(ds: xr.Dataset, whole: Mixtures) -> Mixtures:
    """Those of a layer or a piece alone, its endmembers in its own order.

    Parameters
    ----------
    ds : xarray.Dataset
    whole : Mixtures
        As `mixtures_of` gives them.
    """
    if tuple(ds.abundance.shape[:2]) != whole.shape:
        return _alone(ds)
    at = rows_among(ds.endmember.values, whole.endmember)
    together = whole.together[np.ix_(at, at)]
    return Mixtures(whole.shape, whole.abundance[:, at], whole.share, whole.endmember[at], together)


def rows_among(endmember: np.ndarray, known: np.ndarray) -> list[int]:
    """Which of some known endmembers (n_channel,) each of others, all among them, is."""
    rows = {row.tobytes(): i for i, row in enumerate(known)}
    return [rows[row.tobytes()] for row in np.asarray(endmember, float)]


def _alone(ds: xr.Dataset) -> Mixtures:
    measured = ds.coverage.data if "coverage" in ds else None
    A, share, together = _over_squares(ds.abundance.data, measured)
    ny, nx = ds.abundance.shape[:2]
    return Mixtures((ny, nx), A, share, np.asarray(ds.endmember.values, float), together)


def photons_in(mixtures: Mixtures, axis: Axis, spots: float) -> np.ndarray:
    """What each endmember adds to the shells in the mixtures it is in, float64 (n_atom, n_shell), >= 0.

    In least squares without bounds a mixture's photons are the sum of its endmembers', whatever these are, but
    wrong shapes put counts of strong lines into weak ones. Fitted alone, each without a negative line, paints
    are clean and what is no paint is lost. Between the two lies what agrees best with the mixtures, shell by
    shell; what is negative then is taken from the endmembers that are in the same pixels.

    Parameters
    ----------
    mixtures : Mixtures
    axis : Axis
    spots : float
        Measured spots that all of the mixtures together speak for.
    """
    share, A = mixtures.share, mixtures.abundance
    if not len(mixtures.endmember):
        return np.zeros((0, len(axis.shells)))
    doubts, own = doubt(mixtures.spectra, axis), doubt(np.maximum(mixtures.endmember, 0.0), axis)
    there = fit_lines(mixtures.spectra, axis, share * spots, doubts).photons
    alone = fit_lines(mixtures.endmember, axis, doubts=own).photons
    shown = np.concatenate([there, alone]).max(axis=0) > 0
    weights = shared_weights(share @ mixtures.spectra, np.concatenate([doubts, own]), axis, spots)
    towards = _unbounded(mixtures.endmember, axis, shown, weights) - alone
    short, gained = there - A @ alone, A @ towards
    fits = share @ (gained * short) / np.maximum(share @ gained**2, 1e-30)
    found = alone + np.clip(fits, 0.0, 1.0) * towards
    own = np.diag(mixtures.together)
    H = mixtures.together + np.diag(_APART * own + _SELDOM * own.mean())  # one in no drawn pixel keeps its own
    return np.stack([nonnegative(H, H @ photons) for photons in found.T], axis=1)


def _unbounded(spectra: np.ndarray, axis: Axis, shown: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Photons of spectra (n, n_channel) by least squares, negative ones too, float64 (n, n_shell); 0 of shells
    that are not `shown`."""
    at = np.flatnonzero(np.append(shown, np.ones(len(axis.backgrounds), bool)))
    products = product((axis.drawn[at] * weights).astype(np.float32), spectra.T.astype(np.float32))
    out = np.zeros((len(spectra), len(shown)))
    out[:, shown] = (inverse(axis.gram(weights)[np.ix_(at, at)]) @ products)[: np.count_nonzero(shown)].T
    return out


def _over_squares(abundance: Any, measured: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of squares: mean abundances (n, n_atom), weighted by how far each pixel was measured, and shares (n,); of
    some pixels of each: mean products of abundances (n_atom, n_atom).

    Where nothing was measured at all, every pixel counts the same.
    """
    ny, nx = abundance.shape[:2]
    side = max(1, math.ceil(math.sqrt(ny * nx / _SQUARES)))
    at = np.arange(0, nx, side)
    sums, weights, together = [], [], np.zeros((abundance.shape[2],) * 2)
    for row in range(0, ny, side):
        rows = slice(row, min(row + side, ny))
        A, w = loaded(abundance[rows, 0:nx]), np.ones((rows.stop - rows.start, nx), np.float32)
        if measured is not None:
            w = np.minimum(loaded(measured[rows, 0:nx]), 1.0)
        total = A.sum(axis=0) if (w == 1).all() else np.einsum("yxm,yx->xm", A, w)
        if not np.isfinite(total).all():  # a pixel without numbers counts for nothing
            w = np.where(np.isfinite(A).all(axis=2), w, 0.0)
            total = np.einsum("yxm,yx->xm", np.where(w[..., None] > 0, A, 0.0), w)
        drawn = np.nan_to_num(A[:: max(1, side // _DRAWN), :: max(1, side // _DRAWN)]).astype(float)
        together += np.einsum("yxm,yxn->mn", drawn, drawn, optimize=True) / nx / ny
        sums.append(np.add.reduceat(total.astype(float), at))
        weights.append(np.add.reduceat(w.sum(axis=0, dtype=float), at))
    weight = np.concatenate(weights)
    if not weight.any():
        if measured is None:
            raise InputError("no pixel's abundances are all numbers; look where they were made NaN.")
        return _over_squares(abundance, None)
    there = weight > 0
    return np.concatenate(sums)[there] / weight[there, None], weight[there] / weight.sum(), together
