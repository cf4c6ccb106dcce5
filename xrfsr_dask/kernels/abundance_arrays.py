"""The abundance step of `abundance` in whole arrays, by NumPy or, on a GPU, by CuPy: the same to 1e-5.

Products are left to the library, whose order of operations depends on their size: a pixel's last bits depend on
the tile it is in, as they do not in `abundance`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from xrfsr_dask.errors import MissingPackageError
from xrfsr_dask.kernels.abundance import StepMatrices
from xrfsr_dask.kernels.abundance_spots import TileSpots
from xrfsr_dask.kernels.sampling import Bounds


@functools.cache
def gpu() -> Any:
    """CuPy, with a GPU to compute on; `MissingPackageError` says what is not there."""
    try:
        import cupy
    except ImportError as error:
        raise MissingPackageError(
            "a GPU is used by way of CuPy; install the one of your CUDA, such as: pip install cupy-cuda13x."
        ) from error
    try:
        n = int(cupy.cuda.runtime.getDeviceCount())
    except Exception as error:  # of CUDA's own kinds: no driver, one that is too old, …
        raise MissingPackageError(f"CuPy finds no GPU here ({error}); leave out --device gpu.") from error
    if not n:
        raise MissingPackageError("CuPy finds no GPU here; leave out --device gpu.")
    return cupy


def abundance_steps(
    A: np.ndarray,
    photo: np.ndarray,
    spots: Sequence[TileSpots],
    matrices: StepMatrices,
    regions: Sequence[Bounds],
    *,
    shape: tuple[int, int],
    xp: Any = None,
) -> np.ndarray:
    """Take ``len(regions) - 1`` abundance steps on one tile, as `abundance.abundance_steps` does.

    Parameters
    ----------
    A, photo, spots, matrices, regions, shape
        As there; A is not overwritten.
    xp : module, optional
        NumPy, or CuPy, which is taken where none is given.

    Returns
    -------
    float32 NumPy array of shape (ny, nx, n_v + n_nv)
        Right on ``regions[0]``; elsewhere not to be used.
    """
    xp = gpu() if xp is None else xp
    y0, _, x0, _ = regions[-1]
    size, n_v = A.shape[:2], len(matrices.Drgb)
    held, light = xp.array(A), xp.asarray(photo)
    Drgb, Kn = xp.asarray(matrices.Drgb), xp.asarray(matrices.Kn)
    K = xp.concatenate([xp.asarray(matrices.Kvn), Kn])
    seen = [_Seen(xp, patch, (y0, x0), size) for patch in spots]
    smooth = np.float32(matrices.lam * matrices.inv_dnv)
    for bounds in reversed(regions[:-1]):
        inside = slice(bounds[0] - y0, bounds[1] - y0), slice(bounds[2] - x0, bounds[3] - x0)
        flat = held.reshape(-1, held.shape[2])
        new = held[inside].copy()
        for patch in seen:
            pull = patch.adjoint @ patch.step(flat, K, matrices.inv_dnv)
            new[..., n_v:] += pull.reshape(*size, -1)[inside]
        error = held[inside][..., :n_v] @ Drgb - light[inside]
        new[..., :n_v] -= np.float32(matrices.inv_dv) * (error @ Drgb.T)
        if smooth > 0:
            new[..., n_v:] -= smooth * (_laplacian(xp, held[..., n_v:])[inside] @ Kn)
        held[inside] = _onto_simplex(xp, new) if matrices.exact else _rescaled(xp, new)
    return np.asarray(held if xp is np else xp.asnumpy(held))


class _Seen:
    """The spots of a patch beside a tile, on the device."""

    def __init__(self, xp: Any, patch: TileSpots, corner: tuple[int, int], size: tuple[int, int]) -> None:
        """`corner` and `size` of the tile, px; it holds every window whole that a pixel to be updated is in."""
        n_spot, wy, wx = patch.footprints.weight.shape
        y, x = (patch.footprints.origin - np.asarray(corner, np.int32)).T
        rows = y[:, None, None] + np.arange(wy)[:, None]
        columns = x[:, None, None] + np.arange(wx)
        inside = (rows >= 0) & (rows < size[0]) & (columns >= 0) & (columns < size[1])
        rows, columns, inside = np.broadcast_arrays(rows, columns, inside)
        spot = np.broadcast_to(np.arange(n_spot)[:, None, None], inside.shape)
        at = spot[inside], rows[inside] * size[1] + columns[inside]
        S = sparse.csr_matrix((patch.footprints.weight[inside], at), (n_spot, size[0] * size[1]))
        self.forward, self.adjoint = (_on(xp, matrix) for matrix in (S, S.T.tocsr()))
        self._C, self._gain = xp.asarray(patch.C), np.float32(patch.gain)

    def step(self, A: Any, K: Any, inv_dnv: float) -> Any:
        """-(1/dnv) g (g S A K - C), (n_spot, n_nv)."""
        return np.float32(-self._gain * inv_dnv) * (self._gain * ((self.forward @ A) @ K) - self._C)


def _on(xp: Any, matrix: sparse.csr_matrix) -> Any:
    if xp is np:
        return matrix
    from cupyx.scipy import sparse as on_gpu

    return on_gpu.csr_matrix(matrix)


def _laplacian(xp: Any, H: Any) -> Any:
    """L H of a tile (ny, nx, n): right at the painting's edges, and wherever all four neighbours are there."""
    out = xp.zeros_like(H)
    down, right = H[1:] - H[:-1], H[:, 1:] - H[:, :-1]
    out[:-1] -= down
    out[1:] += down
    out[:, :-1] -= right
    out[:, 1:] += right
    return out


def _onto_simplex(xp: Any, V: Any) -> Any:
    """Exact projection of rows, all at once: what falls below the threshold is dropped, until none does."""
    n = np.float32(V.shape[-1])
    threshold = (V.sum(axis=-1, keepdims=True) - 1) / n
    held = xp.full_like(threshold, n)
    while True:
        over = V - threshold
        left = (over > 0).sum(axis=-1, keepdims=True).astype(np.float32)
        fewer = (left > 0) & (left < held)
        if not bool(fewer.any()):
            return xp.maximum(over, 0)
        above = xp.maximum(over, 0).sum(axis=-1, keepdims=True)
        threshold = xp.where(fewer, threshold + (above - 1) / xp.maximum(left, 1), threshold)
        held = xp.where(fewer, left, held)


def _rescaled(xp: Any, V: Any) -> Any:
    """The paper's projection of rows: clip at zero, divide by the sum; an all-zero row becomes uniform."""
    V = xp.maximum(V, 0)
    total = V.sum(axis=-1, keepdims=True)
    return xp.where(total > 0, V / xp.where(total > 0, total, 1), np.float32(1.0 / V.shape[-1]))
