"""The abundance step (15) of Algorithm 1 on one tile, rectangle by rectangle, nothing of size B.

With D fixed the data speak only through ``C = X Dnv^T`` and two small Grams (M1). One step is

    Vv  = Av  - (1/dv)  (Av Drgb - I) Drgb^T                                                (15a)
    Vnv = Anv - (1/dnv) [ S^T g (g (S Anv Kn + S Av Kvn) - C) + lam L Anv Kn ]              (15b)
    [Av, Anv] = prox([Vv, Vnv])                                                             (15c)

with ``Kn = Dnv Dnv^T``, ``Kvn = Dv Dnv^T`` and g the patch's gain (M3). A row of A holds the visible
abundances first, then the hidden ones. Every pixel is computed in one order of operations, so its bits do
not depend on the tile it is in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xrfsr_dask.kernels.abundance_pixels import see_all, take_step
from xrfsr_dask.kernels.abundance_spots import SeenSpots, TileSpots, residual_steps
from xrfsr_dask.kernels.sampling import Bounds, needed_bounds, touching


@dataclass(frozen=True)
class StepMatrices:
    """The small matrices one abundance step needs, float32."""

    Drgb: np.ndarray
    """(n_v, n_band) colours of the visible endmembers."""
    Kn: np.ndarray
    """(n_nv, n_nv) Dnv Dnv^T."""
    Kvn: np.ndarray
    """(n_v, n_nv) Dv Dnv^T."""
    inv_dv: float
    """1 / dv, the visible step size."""
    inv_dnv: float
    """1 / dnv, the hidden step size."""
    lam: float
    """lambda of (9)."""
    exact: bool
    """Project exactly onto the simplex, else the paper's way."""


def step_matrices(
    Kn: np.ndarray, Kvn: np.ndarray, Drgb: np.ndarray, *, lam: float, gamma: float, exact: bool
) -> StepMatrices:
    """Step sizes of (15): dv = gamma |Drgb^T Drgb|_F, dnv = gamma |Dnv Dnv^T|_F; the rest is passed on."""
    return StepMatrices(
        Drgb=np.ascontiguousarray(Drgb, np.float32),
        Kn=np.ascontiguousarray(Kn, np.float32),
        Kvn=np.ascontiguousarray(Kvn, np.float32),
        inv_dv=_inverse(gamma * float(np.linalg.norm(Drgb.T @ Drgb))),
        inv_dnv=_inverse(gamma * float(np.linalg.norm(Kn))),
        lam=lam,
        exact=exact,
    )


def abundance_steps(
    A: np.ndarray,
    photo: np.ndarray,
    spots: Sequence[TileSpots],
    matrices: StepMatrices,
    regions: Sequence[Bounds],
    *,
    shape: tuple[int, int],
) -> np.ndarray:
    """Take ``len(regions) - 1`` abundance steps on one tile.

    Parameters
    ----------
    A : float32 array of shape (ny, nx, n_v + n_nv)
        Abundances of ``regions[-1]``; overwritten.
    photo : float32 array of shape (ny, nx, n_band)
        Linear light in [0, 1], of ``regions[-1]``.
    spots : one `TileSpots` per patch, in a fixed order
    matrices : StepMatrices
    regions : as `needed_bounds` gives them
    shape : (ny, nx) of the whole painting

    Returns
    -------
    float32 array of shape (ny, nx, n_v + n_nv)
        Right on ``regions[0]``; elsewhere not to be used.
    """
    m = matrices
    assert A.shape[2] == len(m.Drgb) + len(m.Kn), "abundances and dictionaries do not fit"
    assert _holds_what_is_needed(regions, spots, m, shape), "a step looks at pixels that the tile does not hold"
    corner = regions[-1][0], regions[-1][2]
    seen = SeenSpots.of(spots, corner, len(m.Kn))
    K, smooth = np.concatenate([m.Kvn, m.Kn]), np.float32(m.lam * m.inv_dnv)
    small = np.ascontiguousarray(m.Drgb.T), m.Kn, np.float32(m.inv_dv), smooth, m.exact
    SA, R = np.empty((len(seen.C), A.shape[2]), np.float32), np.empty_like(seen.C)
    read, *updated = (_within(bounds, corner) for bounds in reversed(regions))
    edge = _within((0, shape[0], 0, shape[1]), corner)
    asked = [touching(seen.windows, bounds) for bounds in updated]
    asked.append(np.zeros(0, np.intp))  # nothing comes after the last step
    see_all(A, seen.footprints, asked[0], read, corner, SA)
    for bounds, now, then in zip(updated, asked, asked[1:], strict=False):
        residual_steps(SA, seen.C, seen.gain, now, K, np.float32(m.inv_dnv), R)
        take_step(A, photo, small, seen.footprints, now, R, then, SA, bounds, edge, corner)
    return A


def _holds_what_is_needed(
    regions: Sequence[Bounds], spots: Sequence[TileSpots], m: StepMatrices, shape: tuple[int, int]
) -> bool:
    """Whether the last region, which is read, holds all that the first step looks at."""
    y0, y1, x0, x1 = regions[-1]
    windows, margin = [patch.windows for patch in spots], int(m.lam * m.inv_dnv > 0)
    top, bottom, left, right = needed_bounds(regions[-2], windows, steps=1, margin=margin, shape=shape)[1]
    return y0 <= top and bottom <= y1 and x0 <= left and right <= x1


def _within(bounds: Bounds, corner: tuple[int, int]) -> Bounds:
    """Bounds in px of a tile that begins at `corner`."""
    y, x = corner
    return bounds[0] - y, bounds[1] - y, bounds[2] - x, bounds[3] - x


def _inverse(value: float) -> float:
    return 1.0 / value if value > 0 else 0.0
