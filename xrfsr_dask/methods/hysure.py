"""HySure (Simoes, Bioucas-Dias, Almeida, Chanussot 2015): scores in a subspace under vector total variation.

``min |X - S Z E|^2 / 2 + lam_m |I - Z E P^T|^2 / 2 + lam_tv VTV(Z)`` for maps Z of the coordinates in the
basis E of the spectra, by ADMM with the splits V = Z (both data terms at once) and U = G Z (the variation).
VTV adds over pixels the length of all differences of all maps together, so edges of all maps fall in one place.

Two departures: block means and differences with no flux across the border in place of a periodic blur, so
the left edge knows nothing of the right one (every step is closed: `solve_blocks` and a cosine transform);
and weights that follow the noise (`super_resolve`), so that nothing is tuned to a scene.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import dctn, idctn

from xrfsr_dask.methods.blocks import block_mean, block_spread, solve_blocks
from xrfsr_dask.methods.protocol import Factors, Scene, bytes_for, factors, require_memory
from xrfsr_dask.methods.response import colour_response
from xrfsr_dask.methods.subspace import find_subspace, upsampled

RANK = 50
VARIATION = 0.02
ITERATIONS = 150


def bytes_needed(scene: Scene, atoms: int) -> int:
    """Working arrays of `super_resolve`, bytes."""
    rank = min(atoms, scene.n_channel, scene.counts[..., 0].size)
    return bytes_for(scene, per_pixel=14 * rank, per_spot=3 * scene.n_channel, fixed=8 * scene.n_channel**2)


def super_resolve(
    scene: Scene,
    *,
    atoms: int = RANK,
    seed: int = 0,
    memory: int,
    weighted: bool = True,
    bounded: bool = False,
    variation: float = VARIATION,
    iterations: int = ITERATIONS,
) -> Factors:
    """Super-resolve in the subspace.

    Coordinates are in units of their noise. The photograph's weight is that of Gaussian errors as large as
    what (27) leaves of the colours of the spots.

    Parameters
    ----------
    scene : Scene
    atoms : int
        Directions kept at most; fewer where no more stand above the noise.
    seed : int
        Not used: nothing is drawn.
    memory : int
        Bytes this may need.
    weighted : bool
        Weigh channels by their variance before anything else.
    bounded : bool
        P >= 0, as in the paper's (27); False: P without bounds, which is blind to what the photograph does
        not show.
    variation : float
        Weight of VTV, in standard deviations of the noise of a coordinate.
    iterations : int
        Steps of ADMM.
    """
    require_memory("hysure", scene, bytes_needed(scene, atoms), memory)
    space = find_subspace(scene, most=atoms, weighted=weighted)
    f = scene.factor
    Il = block_mean(scene.photo, f).reshape(-1, scene.photo.shape[2])
    X = scene.counts.reshape(-1, scene.n_channel) / space.scale
    P = colour_response(X, Il, bounded=bounded) @ space.basis.T
    left = Il - space.scores.reshape(-1, P.shape[1]) @ P.T
    noise = np.maximum(left.std(axis=0), 1e-3).astype(np.float32)
    Z = vector_tv(
        space.scores,
        scene.photo / noise,
        P / noise[:, None],
        factor=f,
        variation=variation,
        iterations=iterations,
    )
    return factors(scene, Z, space.endmember)


def vector_tv(
    X: np.ndarray,
    I: np.ndarray,
    P: np.ndarray,
    *,
    factor: int,
    variation: float,
    iterations: int,
) -> np.ndarray:
    """``argmin |X - S Z|^2 / 2 + |I - Z P^T|^2 / 2 + variation VTV(Z)``; float32 (ny, nx, k).

    Parameters
    ----------
    X : float32 array of shape (ny / factor, nx / factor, k)
    I : float32 array of shape (ny, nx, n_band)
    P : float array of shape (n_band, k)
    factor, variation, iterations
        As in `super_resolve`.
    """
    curvature, W = np.linalg.eigh(P.T.astype(np.float64) @ P)  # VTV does not see a rotation of the maps
    W, curvature = W.astype(np.float32), np.maximum(curvature, 0.0).astype(np.float32)
    given = block_spread(X @ W, factor) + I.astype(np.float32) @ (P.astype(np.float32) @ W)
    Z = upsampled(X @ W, factor)
    slope = difference(Z)
    mu = _first_penalty(slope, variation)
    V_dual, U_dual, U = np.zeros_like(Z), np.zeros_like(slope), np.zeros_like(slope)
    smoother = _Smoother(Z.shape[:2])
    for step in range(iterations):
        V = solve_blocks(given + mu * (Z - V_dual), curvature + mu, factor)
        before, U = U, shrink(slope - U_dual, variation / mu)
        Z_before, Z = Z, smoother(V + V_dual + difference_adjoint(U + U_dual))
        slope = difference(Z)
        V_gap, U_gap = V - Z, U - slope
        V_dual += V_gap
        U_dual += U_gap
        if step % 10 == 9 and step < iterations // 2:  # balance what is left of both kinds (Boyd et al. 2011)
            apart = np.hypot(np.linalg.norm(V_gap), np.linalg.norm(U_gap))
            moved = mu * np.hypot(np.linalg.norm(Z - Z_before), np.linalg.norm(U - before))
            change = np.float32(2.0 if apart > 5 * moved else 0.5 if moved > 5 * apart else 1.0)
            mu *= change
            V_dual /= change
            U_dual /= change
    return V @ W.T


def difference(Z: np.ndarray) -> np.ndarray:
    """G: differences to the next pixel below and to the right, (2, ny, nx, k); zero across the border."""
    out = np.zeros((2, *Z.shape), Z.dtype)
    out[0, :-1] = np.diff(Z, axis=0)
    out[1, :, :-1] = np.diff(Z, axis=1)
    return out


def difference_adjoint(D: np.ndarray) -> np.ndarray:
    """G^T: (2, ny, nx, k) -> (ny, nx, k)."""
    out = np.zeros(D.shape[1:], D.dtype)
    out[:-1] -= D[0, :-1]
    out[1:] += D[0, :-1]
    out[:, :-1] -= D[1, :, :-1]
    out[:, 1:] += D[1, :, :-1]
    return out


def shrink(D: np.ndarray, threshold: float | np.floating) -> np.ndarray:
    """Prox of VTV: the differences of a pixel, (2, k) numbers, are one vector, shortened by `threshold`."""
    length = np.sqrt(np.einsum("dyxk,dyxk->yx", D, D))
    kept = np.maximum(1 - np.float32(threshold) / np.maximum(length, np.float32(1e-20)), np.float32(0))
    return D * kept[..., None]


class _Smoother:
    """``(I + G^T G)^-1`` by cosine transforms, which no flux across the border makes exact."""

    def __init__(self, shape: tuple[int, int]) -> None:
        own = [2 - 2 * np.cos(np.pi * np.arange(n) / n) for n in shape]
        self.inverse = (1 / (1 + own[0][:, None] + own[1][None, :])).astype(np.float32)[..., None]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        return idctn(dctn(values, axes=(0, 1), norm="ortho") * self.inverse, axes=(0, 1), norm="ortho")


def _first_penalty(slope: np.ndarray, variation: float) -> np.float32:
    """A penalty whose threshold is of the size of the steepest per cent of the start's differences."""
    length = np.sqrt(np.einsum("dyxk,dyxk->yx", slope, slope))
    steep = float(np.quantile(length, 0.99))
    return np.float32(min(max(variation / max(steep, 1e-6), 1e-6), 1e6))
