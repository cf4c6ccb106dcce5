"""NSSR (Dong, Fu, Shi, Cao, Wu, Li, Li 2016): non-negative sparse codes that similar pixels share.

A dictionary D is learned at the spots. Codes A of the pixels minimise

    |I - A D P^T|^2 + |X - S A D|^2 + structure |A D - U|^2 + sparsity |A|_1,   A >= 0,

where U gives each pixel the mean spectrum of all pixels whose surroundings in the photograph look alike
(k-means clusters of 3 x 3 px patches, weighted by likeness), renewed as the codes become better. Solved by ADMM
with Z = A D, in which both data terms are closed, and with a copy of A that is non-negative and sparse.

Departures: S is the exact block mean, so its inverse is exact and there is no phase to choose; spectra live in
the span of D, so nothing as large as the HR cube is held, and nothing is lost by that.
"""

from __future__ import annotations

import numpy as np

from xrfsr_dask.methods.blocks import block_mean, block_spread, solve_blocks
from xrfsr_dask.methods.colours import palette, squared_distances
from xrfsr_dask.methods.protocol import Factors, Scene, bytes_for, encoded, factors, require_memory
from xrfsr_dask.methods.response import colour_response
from xrfsr_dask.methods.subspace import upsampled, weighted_spectra
from xrfsr_dask.methods.unmixing import learn_dictionary

ATOMS = 50
ITERATIONS = 100
STRUCTURE = 1e-3
SPARSITY = 1e-4
CLUSTERS = 200
_BETA = 0.02
_PENALTY = 3e-3
_RENEWED = 5


def bytes_needed(scene: Scene, atoms: int, *, clusters: int = CLUSTERS) -> int:
    """Working arrays of `super_resolve`, bytes."""
    return bytes_for(
        scene,
        per_pixel=4 * atoms + 9 * min(atoms, scene.n_channel) + 6 * scene.photo.shape[2],
        per_spot=5 * scene.n_channel + 8 * atoms,
        fixed=16 * scene.n_channel**2 + 60_000 * clusters,
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
    structure: float = STRUCTURE,
    sparsity: float = SPARSITY,
    clusters: int = CLUSTERS,
    penalty: float = _PENALTY,
) -> Factors:
    """Find structured sparse codes.

    Parameters
    ----------
    scene : Scene
    atoms : int
        Size of the dictionary.
    seed : int
        Seed of the dictionary's first atoms and of the clusters.
    memory : int
        Bytes this may need.
    weighted : bool
        Weigh channels by their variance before anything else.
    bounded : bool
        P >= 0, as in the paper's (27), or without bounds.
    iterations : int
        Steps of ADMM.
    structure, sparsity : float
        Weights, for spectra of mean square norm one.
    clusters : int
        Clusters of similar pixels.
    """
    require_memory("nssr", scene, bytes_needed(scene, atoms, clusters=clusters), memory)
    X, scale = weighted_spectra(scene, weighted=weighted)
    f = scene.factor
    P = colour_response(X, block_mean(scene.photo, f).reshape(len(X), -1), bounded=bounded)
    size = np.float32(np.sqrt(max(float((X.astype(np.float64) ** 2).sum(axis=1).mean()), 1e-30)))
    X /= size
    P *= size
    D = learn_dictionary(X, atoms, beta=_BETA, seed=seed)
    _, s, basis = np.linalg.svd(D, full_matrices=False)
    basis = basis[s >= 1e-5 * s[0]]
    low = (X @ basis.T).reshape(*scene.spots, -1)
    alike = _Alike(scene.photo, clusters, seed=seed)
    A = _codes(scene, low, D @ basis.T, P @ basis.T, alike, iterations, structure, sparsity, penalty)
    return factors(scene, A, D * (size * scale))


def _codes(
    scene: Scene,
    X: np.ndarray,
    D: np.ndarray,
    P: np.ndarray,
    alike: _Alike,
    iterations: int,
    structure: float,
    sparsity: float,
    mu: float,
) -> np.ndarray:
    """The ADMM, in coordinates of the span of D; float32 (n_px, n_atom)."""
    f, r = scene.factor, X.shape[2]
    curvature, W = np.linalg.eigh(P.T.astype(np.float64) @ P)
    W = W.astype(np.float32)
    ridge = np.maximum(curvature, 0).astype(np.float32) + np.float32(mu)
    X, D, P = X @ W, D @ W, P @ W
    given = block_spread(X, f) + scene.photo @ P
    G = D @ D.T
    inverse = np.linalg.inv((1 + structure / mu) * G.astype(np.float64) + np.eye(len(D))).astype(np.float32)
    Z = upsampled(X, f).reshape(-1, r)
    A = np.maximum(Z @ np.linalg.pinv(D), 0).astype(np.float32)
    Z_dual, A_dual = np.zeros_like(Z), np.zeros_like(A)
    U = alike.mean(Z)
    for step in range(iterations):
        A += A_dual
        A += (Z + Z_dual + np.float32(structure / mu) * U) @ D.T
        B = A @ inverse
        BD = B @ D
        right = BD - Z_dual
        right *= np.float32(mu)
        right += given.reshape(right.shape)
        Z = solve_blocks(right.reshape(given.shape), ridge, f).reshape(-1, r)
        np.subtract(B, A_dual, out=A)
        A -= np.float32(sparsity / (2 * mu))
        np.maximum(A, 0, out=A)
        Z_dual += Z
        Z_dual -= BD
        A_dual += A
        A_dual -= B
        if step % _RENEWED == _RENEWED - 1:
            U = alike.mean(A @ D)
    return A


class _Alike:
    """Pixels whose surroundings look alike, and means over them."""

    def __init__(self, photo: np.ndarray, clusters: int, *, seed: int) -> None:
        around = _surroundings(encoded(photo))
        centres = palette(around, clusters, seed=seed)
        self.label = np.empty(len(around), np.int32)
        near = np.empty(len(around), np.float32)
        for first in range(0, len(around), 1 << 14):
            part = slice(first, first + (1 << 14))
            far = squared_distances(around[part], centres)
            self.label[part], near[part] = far.argmin(axis=1), far.min(axis=1)
        reach = max(float(near.mean()), 1e-6)
        self.weight = np.exp(near / np.float32(-2 * reach)).astype(np.float64)
        self.n = len(centres)
        self.total = np.maximum(np.bincount(self.label, weights=self.weight, minlength=self.n), 1e-30)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Each pixel's row (n_px, k) replaced by the weighted mean of its cluster."""
        sums = [np.bincount(self.label, weights=self.weight * v, minlength=self.n) for v in values.T]
        return (np.stack(sums, axis=1) / self.total[:, None]).astype(np.float32)[self.label]


def _surroundings(photo: np.ndarray) -> np.ndarray:
    """The 3 x 3 px around each pixel over 3, so that distances are those of colours; (n_px, 9 * n_band)."""
    ny, nx = photo.shape[:2]
    wide = np.pad(photo, ((1, 1), (1, 1), (0, 0)), mode="edge")
    shifted = [wide[y : y + ny, x : x + nx] for y in range(3) for x in range(3)]
    return np.concatenate(shifted, axis=2).reshape(ny * nx, -1) / np.float32(3)
