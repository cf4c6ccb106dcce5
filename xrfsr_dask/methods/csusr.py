"""CSUSR (Lanaras, Baltsavias, Schindler 2015): coupled spectral unmixing of spots and photograph.

``min |X - S A D|^2`` over endmembers D in [0, 1] and ``min |I - A (D P^T)|^2`` over abundances A on the
simplex, in turn, each by projected gradients. The spots speak to D only and the photograph to A only; what of A
the colours of D do not see stays as the start left it: the spots' own abundances, interpolated.

Departures: the start takes endmembers from the purest spots (successive projections) in place of SISAL;
abundances start from the spots by cubic spline; spectra are scaled with room above the brightest spot, so that
the box does not clip pixels brighter than any spot. And it matters when to stop: where (26) does not hold,
every further step trades what the spots said for a colour that P cannot give. Rounds are of one abundance step
each, and end once the photograph's residual falls by less than one per cent.
"""

from __future__ import annotations

import numpy as np

from xrfsr_dask.kernels.projection import project_rows
from xrfsr_dask.methods.blocks import block_mean
from xrfsr_dask.methods.protocol import Factors, Scene, bytes_for, factors, require_memory
from xrfsr_dask.methods.response import colour_response
from xrfsr_dask.methods.subspace import above_noise, right_vectors, upsampled, weighted_spectra
from xrfsr_dask.methods.unmixing import pure_spots, simplex_codes

ATOMS = 50
ITERATIONS = 40
TOLERANCE = 0.01
_DICTIONARY_STEPS = 50
_ROOM = 2.0


def bytes_needed(scene: Scene, atoms: int) -> int:
    """Working arrays of `super_resolve`, bytes."""
    return bytes_for(
        scene,
        per_pixel=4 * atoms + 3 * scene.photo.shape[2],
        per_spot=5 * scene.n_channel + 8 * atoms,
        fixed=16 * scene.n_channel**2,
    )


def super_resolve(
    scene: Scene,
    *,
    atoms: int = ATOMS,
    seed: int = 0,
    memory: int,
    weighted: bool = True,
    bounded: bool = True,
    iterations: int = ITERATIONS,
    tolerance: float = TOLERANCE,
) -> Factors:
    """Unmix spots and photograph together.

    Parameters
    ----------
    scene : Scene
    atoms : int
        Endmembers.
    seed : int
        Not used by the start from pure spots.
    memory : int
        Bytes this may need.
    weighted : bool
        Weigh channels by their variance before anything else.
    bounded : bool
        P >= 0, as in the paper's (27), or without bounds.
    iterations : int
        Rounds of both updates at most.
    tolerance : float
        Stop once a round takes less than this share off the photograph's residual; 0: never.
    """
    require_memory("csusr", scene, bytes_needed(scene, atoms), memory)
    X, scale = weighted_spectra(scene, weighted=weighted)
    f, I = scene.factor, scene.photo.reshape(-1, scene.photo.shape[2])
    P = colour_response(X, block_mean(scene.photo, f).reshape(len(X), -1), bounded=bounded)
    brightest = np.float32(_ROOM * max(float(X.max()), 1e-12))
    X /= brightest
    P *= brightest
    rank, _ = above_noise(right_vectors(X)[0], X.shape)
    D = np.clip(pure_spots(X, atoms, rank=rank), 0.0, 1.0)
    A = upsampled(simplex_codes(X, D).reshape(*scene.spots, atoms), f).reshape(-1, atoms)
    A = project_rows(A, exact=True)
    before = np.inf
    for _ in range(iterations):
        D = _endmember_steps(D, block_mean(A.reshape(*scene.shape, atoms), f).reshape(-1, atoms), X)
        A, left = _abundance_step(A, I, D @ P.T)
        if left > (1 - tolerance) * before:
            break
        before = left
    return factors(scene, A, D * (brightest * scale))


def _endmember_steps(D: np.ndarray, SA: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Projected gradient on ``|X - SA D|^2`` over D in [0, 1]."""
    G, SAX = SA.T @ SA, SA.T @ X
    step = np.float32(1.0 / max(float(np.linalg.norm(G, 2)), 1e-30))
    for _ in range(_DICTIONARY_STEPS):
        D = np.clip(D - step * (G @ D - SAX), 0.0, 1.0)
    return D


def _abundance_step(A: np.ndarray, I: np.ndarray, C: np.ndarray) -> tuple[np.ndarray, float]:
    """A projected gradient step on ``|I - A C|^2``, rows of A on the simplex, and the residual before."""
    step = np.float32(1.0 / max(float(np.linalg.norm(C, 2)) ** 2, 1e-30))
    residual = A @ C - I
    return project_rows(A - (step * residual) @ C.T, exact=True), float(np.linalg.norm(residual))
