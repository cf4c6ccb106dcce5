"""Endmembers of both layers, chosen among the spectra of sampled pixels."""

from __future__ import annotations

import numpy as np

from xrfsr_dask.kernels.nonnegative import abundances, choose_endmembers
from xrfsr_dask.solver.joint.model import Spectra

_PLAUSIBLE = 0.7  # cosine between a hidden spectrum and itself made non-negative
_ABOVE_NOISE = 3.0  # length of a hidden spectrum, in standard deviations of one score
_WELL = 0.5  # share of what is left unexplained, below which hidden endmembers are given up to help out
_LEFT = 1e-3  # share of the visible spectra that may stay unexplained before hidden endmembers help out


def layered_endmembers(
    spectra: Spectra, whole: np.ndarray, hidden: np.ndarray, *, n_visible: int, n_hidden: int, threads: int = 1
) -> tuple[np.ndarray, np.ndarray, int]:
    """Endmembers of the visible and of the hidden layer, in counts at gain 1, >= 0.

    Hidden ones are chosen first, among what the photograph does not explain and what looks like a spectrum;
    visible ones hold what is left. Where those asked for cannot hold it, further hidden ones take the rest, so
    that few visible endmembers never cost counts.

    Parameters
    ----------
    spectra : Spectra
    whole, hidden : float32 arrays of shape (n, r)
        Scores of the same pixels: all of the model (J1), and its part h.
    n_visible, n_hidden : int
        At most.
    threads : int
        That may work at once.

    Returns
    -------
    Dv (k, n_channel), Dnv (j, n_channel) : float64
        Scaled such that an abundance of 1 has as many counts as an average pixel.
    int
        How many of Dnv, the first ones, are to be held to the hidden layer as first found: none where the
        visible ones cannot hold what is visible, nor those that only take the rest.
    """
    likely = _nonnegative(spectra, hidden)
    length = np.linalg.norm(hidden, axis=1)
    alike = np.einsum("nr,nr->n", hidden, likely)
    alike /= np.maximum(length * np.linalg.norm(likely, axis=1), 1e-30)
    candidates = np.flatnonzero((alike > _PLAUSIBLE) & (length > _ABOVE_NOISE))
    chosen = choose_endmembers(hidden[candidates], likely[candidates], n_hidden, threads=threads)
    Enh = likely[candidates[chosen]].astype(np.float64)
    seen = whole - _mixed(hidden, Enh, threads)
    visible = _nonnegative(spectra, seen)
    Ev = visible[choose_endmembers(seen, visible, n_visible, threads=threads)].astype(np.float64)
    left = seen - _mixed(seen, Ev, threads)
    beneath, n_held = Enh, len(Enh)
    if np.square(left).sum() > _LEFT * np.square(seen).sum():
        rest = _nonnegative(spectra, left)
        Enh = _helped(beneath, left, rest, n_hidden, threads)
        fewer = _helped(beneath[: n_hidden // 4], left, rest, n_hidden, threads)
        mixtures = (np.concatenate([Ev, beside]) for beside in (fewer, Enh))
        by_fewer, by_all = (float(np.square(whole - _mixed(whole, E, threads)).sum()) for E in mixtures)
        if by_fewer < _WELL * by_all:
            Enh, n_held = fewer, 0
    usual = float(np.maximum(spectra.unwhitened(whole.mean(axis=0, keepdims=True)), 0).sum())
    return _scaled(spectra, Ev, usual), _scaled(spectra, Enh, usual), n_held


def _helped(E: np.ndarray, left: np.ndarray, rest: np.ndarray, most: int, threads: int) -> np.ndarray:
    """E, and as many endmembers of what is left as there is room for."""
    return np.concatenate([E, rest[choose_endmembers(left, rest, most - len(E), threads=threads)]])


def _nonnegative(spectra: Spectra, Z: np.ndarray) -> np.ndarray:
    """Scores of the spectra with their negative channels set to 0, float32 (n, r), a block at a time."""
    out = np.empty_like(Z)
    for first in range(0, len(Z), 512):
        counts = np.maximum(spectra.unwhitened(Z[first : first + 512]), 0.0)
        out[first : first + 512] = (counts * spectra.whitening) @ spectra.basis
    return out


def _mixed(Z: np.ndarray, E: np.ndarray, threads: int) -> np.ndarray:
    """The part of Z that non-negative mixtures of E explain."""
    if not len(E):
        return np.zeros_like(Z)
    A = abundances(Z @ E.T.astype(np.float32), (E @ E.T).astype(np.float32), threads=threads)
    return np.asarray(A @ E, Z.dtype)


def _scaled(spectra: Spectra, E: np.ndarray, usual: float) -> np.ndarray:
    counts = np.maximum(spectra.unwhitened(E), 0.0)
    total = counts.sum(axis=1, keepdims=True)
    return counts * (usual / np.maximum(total, 1e-12 * max(usual, 1e-30)))
