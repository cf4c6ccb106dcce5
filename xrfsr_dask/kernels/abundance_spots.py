"""The sampling operator within an abundance step: sums over a rectangle of pixels, and pulls on it.

A step goes over its pixels in rectangles; what spots see is summed, and what they pull at is added, while the
pixels of one are in the cache. Rectangles lie at fixed places of the whole grid, and a spot takes its pixels
rectangle by rectangle, row by row: its sum has the same bits in any tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

from xrfsr_dask.kernels.projection import FAST
from xrfsr_dask.kernels.sampling import Footprints


@dataclass(frozen=True)
class TileSpots:
    """The spots of one patch that a tile can see."""

    footprints: Footprints
    windows: np.ndarray
    """(n_spot, 4) bounds of each window, px of the grid."""
    C: np.ndarray
    """(n_spot, n_nv) float32: counts against the hidden endmembers, X Dnv^T."""
    gain: float


@dataclass(frozen=True)
class SeenSpots:
    """Spots of all patches that a tile can see, in one list; places are px of the tile."""

    windows: np.ndarray
    """int32 (n_spot, 4): y0, y1, x0, x1 of the pixels each sees."""
    origin: np.ndarray
    """int32 (n_spot, 2): where the weights of each begin."""
    width: np.ndarray
    """int64 (n_spot,): weights in a row."""
    start: np.ndarray
    """int64 (n_spot,): the first weight of each in `weight`."""
    weight: np.ndarray
    """float32 (n,): all weights, row by row."""
    C: np.ndarray
    """float32 (n_spot, n_nv): counts against the hidden endmembers."""
    gain: np.ndarray
    """float32 (n_spot,)"""

    @classmethod
    def of(cls, patches: Sequence[TileSpots], corner: tuple[int, int], n_nv: int) -> SeenSpots:
        """Those of all patches in their order, for a tile that begins at `corner`; `n_nv` columns of C."""
        weights, numbers = [p.footprints.weight for p in patches], [len(p.windows) for p in patches]
        size = np.repeat([w.shape[1] * w.shape[2] for w in weights], numbers).astype(np.int64)
        windows = np.concatenate([np.zeros((0, 4), np.int32), *(p.windows for p in patches)])
        origin = np.concatenate([np.zeros((0, 2), np.int32), *(p.footprints.origin for p in patches)])
        return cls(
            windows=windows - np.repeat(np.asarray(corner, np.int32), 2),
            origin=origin - np.asarray(corner, np.int32),
            width=np.repeat([w.shape[2] for w in weights], numbers).astype(np.int64),
            start=np.cumsum(size) - size,
            weight=np.concatenate([np.zeros(0, np.float32), *(w.ravel() for w in weights)]),
            C=np.concatenate([np.zeros((0, n_nv), np.float32), *(p.C for p in patches)]),
            gain=np.repeat([p.gain for p in patches], numbers).astype(np.float32),
        )

    @property
    def footprints(self) -> tuple[np.ndarray, ...]:
        """What kernels take: windows, origin, width, start, weight.

        No class of ours, which what was compiled earlier and lies on disk would look for by its name.
        """
        return self.windows, self.origin, self.width, self.start, self.weight


@njit(cache=True, nogil=True)
def meeting(windows, some, axis, low, high, out):  # type: ignore[no-untyped-def]
    """Those of `some` spots that see pixels low <= place < high; axis 0 are rows, 2 are columns."""
    n = 0
    for s in some:
        if windows[s, axis] < high and windows[s, axis + 1] > low:
            out[n] = s
            n += 1
    return out[:n]


# Without liberties of the compiler: these are part of more than one kernel, and round alike in all.


@njit(cache=True, nogil=True)
def add_seen(A, spots, some, part, SA):  # type: ignore[no-untyped-def]
    """Add to rows of S A what `some` spots see of the pixels y0 <= y < y1, x0 <= x < x1 of `part`."""
    windows, origin, width, start, weight = spots
    for s in some:
        window, row = windows[s], SA[s]
        x0, x1 = max(window[2], part[2]), min(window[3], part[3])
        for y in range(max(window[0], part[0]), min(window[1], part[1])):
            at = start[s] + (y - origin[s, 0]) * width[s] - origin[s, 1]
            for x in range(x0, x1 - 1, 2):  # two pixels at a time: half as often is the sum fetched and kept
                v, w, a, b = weight[at + x], weight[at + x + 1], A[y, x], A[y, x + 1]
                for k in range(row.size):
                    row[k] += v * a[k] + w * b[k]
            if (x1 - x0) % 2:
                v, a = weight[at + x1 - 1], A[y, x1 - 1]
                for k in range(row.size):
                    row[k] += v * a[k]


@njit(cache=True, nogil=True)
def add_pull(row, y, spots, some, x0, x1, R, first):  # type: ignore[no-untyped-def]
    """Add S^T R of `some` spots to the pixels x0 <= x < x1 of one row (nx, n), from entry `first` on."""
    windows, origin, width, start, weight = spots
    for s in some:
        window, pull = windows[s], R[s]
        if y < window[0] or y >= window[1]:
            continue
        at = start[s] + (y - origin[s, 0]) * width[s] - origin[s, 1]
        for x in range(max(window[2], x0), min(window[3], x1)):
            w, own = weight[at + x], row[x, first:]
            for k in range(pull.size):
                own[k] += w * pull[k]


@njit(cache=True, nogil=True, fastmath=FAST)
def residual_steps(SA, C, gain, some, K, inv_dnv, out):  # type: ignore[no-untyped-def]
    """-(1/dnv) g (g (S Anv Kn + S Av Kvn) - C), row by row: no spot has a place of its own in a product.

    `K` holds Kvn, then Kn.
    """
    for s in some:
        row, g = out[s], gain[s]
        row[:] = 0.0
        _add_rows(SA[s], K, row)
        scale = -g * inv_dnv
        for k in range(row.size):
            row[k] = scale * (g * row[k] - C[s, k])


@njit(cache=True, nogil=True, fastmath=FAST)
def _add_rows(a, K, row):  # type: ignore[no-untyped-def]
    """Add a @ K to a row, four rows of K at a time; where all four entries of a are 0 they are passed over."""
    whole = a.size // 4 * 4
    for j in range(0, whole, 4):
        p, q, r, s = a[j], a[j + 1], a[j + 2], a[j + 3]
        if p != 0.0 or q != 0.0 or r != 0.0 or s != 0.0:
            for k in range(row.size):
                row[k] += (p * K[j, k] + q * K[j + 1, k]) + (r * K[j + 2, k] + s * K[j + 3, k])
    for j in range(whole, a.size):
        for k in range(row.size):
            row[k] += a[j] * K[j, k]
