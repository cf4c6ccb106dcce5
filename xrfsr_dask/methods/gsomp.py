"""GSOMP (Akhtar, Shafait, Mian 2014): sparse non-negative codes found on the photograph alone.

A dictionary of spectra is learned at the spots, its colours are P times its atoms, and each patch of pixels is
coded on those colours by generalised simultaneous orthogonal matching pursuit (G-SOMP+): all pixels of a patch
choose atoms together, several at a time, then each has its own non-negative least squares on them. The codes
times the spectra are the estimate. What the spots measured enters through the dictionary only, so two paints of
one colour are told apart by nothing but the choices of their neighbours.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from xrfsr_dask.methods.blocks import block_mean
from xrfsr_dask.methods.protocol import Factors, Scene, bytes_for, factors, require_memory
from xrfsr_dask.methods.response import colour_response
from xrfsr_dask.methods.subspace import weighted_spectra
from xrfsr_dask.methods.unmixing import learn_dictionary, nonnegative_least_squares

ATOMS = 50
PATCH = 8
AT_ONCE = 20
GAMMA = 0.99
SPARSITY = 0.02


def bytes_needed(scene: Scene, atoms: int) -> int:
    """Working arrays of `super_resolve`, bytes."""
    return bytes_for(
        scene,
        per_pixel=3 * atoms + 3 * scene.photo.shape[2],
        per_spot=5 * scene.n_channel + 6 * atoms,
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
    patch: int = PATCH,
    at_once: int = AT_ONCE,
    gamma: float = GAMMA,
) -> Factors:
    """Code the photograph's patches.

    Parameters
    ----------
    scene : Scene
    atoms : int
        Size of the dictionary; any number, also below that of the bands.
    seed : int
        Seed of the dictionary's first atoms.
    memory : int
        Bytes this may need.
    weighted : bool
        Weigh channels by their variance before anything else.
    bounded : bool
        P >= 0, as in the paper's (27), or without bounds.
    patch : int
        Side of a patch, px; the last ones of a row or column may be smaller.
    at_once : int
        Atoms chosen at each step.
    gamma : float
        Stop once a step leaves more than this share of the residual.
    """
    require_memory("gsomp", scene, bytes_needed(scene, atoms), memory)
    X, scale = weighted_spectra(scene, weighted=weighted)
    Il = block_mean(scene.photo, scene.factor).reshape(len(X), -1)
    P = colour_response(X, Il, bounded=bounded)
    D = learn_dictionary(X, atoms, beta=SPARSITY, seed=seed)
    D *= np.float32(np.sqrt((X**2).sum(axis=1).mean()))  # codes near one
    A = np.zeros((*scene.shape, atoms), np.float32)
    code_patches(scene.photo.astype(np.float64), (D @ P.T).astype(np.float64), A, patch, at_once, gamma)
    return factors(scene, A, D * scale)


@njit(cache=True, nogil=True)
def code_patches(I, C, A, patch, at_once, gamma):  # type: ignore[no-untyped-def]
    """Codes A (ny, nx, k), in place, of an image I (ny, nx, b) on colours C (k, b), patch by patch."""
    ny, nx, b = I.shape
    for y in range(0, ny, patch):
        for x in range(0, nx, patch):
            y1, x1 = min(y + patch, ny), min(x + patch, nx)
            pixels = np.ascontiguousarray(I[y:y1, x:x1]).reshape(-1, b)
            A[y:y1, x:x1] = _pursue(pixels, C, at_once, gamma).reshape(y1 - y, x1 - x, len(C))


@njit(cache=True, nogil=True)
def _pursue(pixels, C, at_once, gamma):  # type: ignore[no-untyped-def]
    """G-SOMP+ of the pixels (n, b) of one patch; float32 (n, k)."""
    k = len(C)
    length = np.sqrt((C * C).sum(axis=1))
    codes = np.zeros((len(pixels), k), np.float32)
    chosen = np.zeros(k, np.bool_)
    residual = pixels.copy()
    left = np.sqrt((residual * residual).sum())
    while left > 0 and not chosen.all():
        towards = C @ residual.sum(axis=0)
        for i in range(k):
            usable = not chosen[i] and length[i] > 0
            towards[i] = towards[i] / length[i] if usable else -np.inf
        for i in np.argsort(-towards)[:at_once]:
            if towards[i] > -np.inf:
                chosen[i] = True
        index = np.flatnonzero(chosen)
        if len(index) == 0:
            break
        part = np.ascontiguousarray(C[index])
        new = np.zeros_like(codes)
        for n in range(len(pixels)):
            a = nonnegative_least_squares(part, pixels[n])
            residual[n] = pixels[n] - a @ part
            for i in range(len(index)):
                new[n, index[i]] = a[i]
        before, left = left, np.sqrt((residual * residual).sum())
        if left < before:
            codes = new
        if left > gamma * before:
            break
    return codes
