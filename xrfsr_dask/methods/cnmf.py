"""CNMF (Yokoya, Yairi, Iwasaki 2012): two non-negative factorisations, of spots and photograph, in turn.

Spots give endmembers D, the photograph abundances A: ``X = (S A) D`` is refined for D, then its own abundances;
``I = A C`` with C = D P^T for A, then C; and again. All updates are multiplicative (Lee and Seung 2001), which
keep what is non-negative so. A constant channel that all endmembers share draws abundances to sum to one.

Departures: endmembers start from the purest spots (successive projections) in place of VCA, and the abundances
of the photograph start from those of the spots by cubic spline in place of repeated values.
"""

from __future__ import annotations

import numpy as np

from xrfsr_dask.methods.blocks import block_mean
from xrfsr_dask.methods.protocol import Factors, Scene, bytes_for, factors, require_memory
from xrfsr_dask.methods.response import colour_response
from xrfsr_dask.methods.subspace import above_noise, right_vectors, upsampled, weighted_spectra
from xrfsr_dask.methods.unmixing import pure_spots

ATOMS = 50
ROUNDS = 1
STEPS = 100
TOGETHER = 0.3
_TINY = np.float32(1e-12)
_LEAST = np.float32(1e-6)  # of an abundance at the start: what is zero stays zero


def bytes_needed(scene: Scene, atoms: int) -> int:
    """Working arrays of `super_resolve`, bytes."""
    n = min(atoms, scene.counts[..., 0].size)
    return bytes_for(
        scene,
        per_pixel=5 * n + 4 * scene.photo.shape[2],
        per_spot=5 * scene.n_channel + 8 * n,
        fixed=16 * scene.n_channel**2,
    )


def super_resolve(
    scene: Scene,
    *,
    atoms: int = ATOMS,
    seed: int = 0,
    memory: int,
    weighted: bool = True,
    rounds: int = ROUNDS,
    steps: int = STEPS,
    together: float = TOGETHER,
) -> Factors:
    """Factorise spots and photograph in turn; P >= 0 always, as the colours of endmembers must be.

    Parameters
    ----------
    scene : Scene
    atoms : int
        Endmembers at most.
    seed : int
        Not used: nothing is drawn.
    memory : int
        Bytes this may need.
    weighted : bool
        Weigh channels by their variance before anything else.
    rounds : int
        Times that both images are factorised.
    steps : int
        Multiplicative updates of each kind.
    together : float
        Weight of abundances that sum to one, in root mean squares of the data; 0 leaves them free.
    """
    n = min(atoms, scene.counts[..., 0].size)
    require_memory("cnmf", scene, bytes_needed(scene, atoms), memory)
    X, scale = weighted_spectra(scene, weighted=weighted)
    f, I = scene.factor, scene.photo.reshape(-1, scene.photo.shape[2])
    P = colour_response(X, block_mean(scene.photo, f).reshape(len(X), -1), bounded=True)
    X = np.maximum(X, 0.0)
    rank, _ = above_noise(right_vectors(X)[0], X.shape)
    D = np.maximum(pure_spots(X, n, rank=rank), _TINY)
    Al = np.full((len(X), n), 1.0 / n, np.float32)
    Al, D = _factorise(X, Al, D, steps, together, first="A")
    A = np.maximum(upsampled(Al.reshape(*scene.spots, n), f).reshape(-1, n), _LEAST)
    for _ in range(rounds):
        A, _ = _factorise(I, A, np.maximum(D @ P.T, _TINY), steps, together, first="A")
        Al = block_mean(A.reshape(*scene.shape, n), f).reshape(-1, n)
        _, D = _factorise(X, Al, D, steps, together, first="D")
    return factors(scene, A, D * scale)


def _factorise(
    X: np.ndarray, A: np.ndarray, D: np.ndarray, steps: int, together: float, *, first: str
) -> tuple[np.ndarray, np.ndarray]:
    """``min |X - A D|^2 + w^2 |1 - A 1|^2``: one factor alone, named by `first`, then both in turn."""
    w2 = np.float32(together**2 * float(np.mean((X.astype(np.float64) ** 2).sum(axis=1))))
    for step in range(2 * steps):
        alone = step < steps
        if not (alone and first == "D"):
            model = (A @ D) @ D.T + w2 * A.sum(axis=1, keepdims=True)
            A = A * ((X @ D.T + w2) / (model + _TINY))
        if not (alone and first == "A"):
            D = D * ((A.T @ X) / ((A.T @ A) @ D + _TINY))
    return A, D
