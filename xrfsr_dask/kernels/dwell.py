"""Spots measured for another time than those around them: a stage that stalled, a readout that failed.

Nothing in a spectrum tells dwell from thickness. But paint does not end and begin again within one spot: a
single spot, or two side by side, with next to no counts among full ones, or with the very spectrum of its
surroundings many times over, was measured wrongly. A nail has a spectrum of its own, and is left alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import median_filter, rank_filter
from scipy.optimize import nnls

_REACH = 2  # spots to each side that surround one
_DEAD = 0.02  # share of what surrounds it, below which a spot counts next to nothing; a hole counts more
_STALLED = 3.0  # times what surrounds it, above which a spot of the same spectrum stalled
_BEYOND, _FEW = 2.0, 2  # times what but so few around it count, for where paint varies as much
_UNLIKE = 0.2  # share of a spectrum that mixtures of others may leave, for it to be of the same paints
_SURE = 8.0  # standard deviations of counting
_PER_BAND = 50.0  # counts that a band of channels needs to be compared
_LEAST_BANDS, _MOST_BANDS = 6, 32
_ORDINARY = 2.0  # times what is usual, that spots count which stand for the surroundings


def misdwelt(X: np.ndarray, unit: float = 1.0) -> np.ndarray:
    """Spots that were measured for another time than the others, bool (ny, nx).

    Parameters
    ----------
    X : float array of shape (ny, nx, n_channel)
        Neighbouring spots of one scan, >= 0, with Poisson noise. At the edges fewer surround a spot.
    unit : float
        Counts that 1 in X stands for.
    """
    total = unit * X.sum(axis=2, dtype=np.float64)
    usual, high = _surroundings(total)
    found = (total < _DEAD * usual) & (usual - total > _SURE * np.sqrt(usual))
    hot = (total > np.maximum(_STALLED * usual, _BEYOND * high)) & (
        total - usual > _SURE * np.sqrt(np.maximum(total, 1.0))
    )
    for y, x in np.argwhere(hot):
        found[y, x] = _is_like_its_surroundings(X, total, float(usual[y, x]), int(y), int(x))
    return found


def filled(values: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Values (ny, nx, n) in which spots that are wrong, bool (ny, nx), have the mean of the others around
    them, the nearest that there are; nothing changes where all are wrong."""
    out = values.copy()
    if wrong.all():
        return out
    for y, x in np.argwhere(wrong):
        for reach in range(1, max(wrong.shape)):
            part = _around(int(y), int(x), reach)
            if (good := ~wrong[part]).any():
                out[y, x] = values[part][good].mean(axis=0)
                break
    return out


def _surroundings(total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What surrounds each spot, itself left out: median, and what `_FEW` of them exceed."""
    shape = np.ones((2 * _REACH + 1,) * 2, bool)
    shape[_REACH, _REACH] = False
    look: dict[str, Any] = {"footprint": shape, "mode": "mirror"}
    return median_filter(total, **look), rank_filter(total, -1 - _FEW, **look)


def _is_like_its_surroundings(X: np.ndarray, total: np.ndarray, usual: float, y: int, x: int) -> bool:
    """Whether a bright spot has a spectrum mixed of those around it that are not bright: bright ones side by
    side, of one spectrum, are paint."""
    part = _around(y, x, _REACH)
    near = X[part][total[part] < _ORDINARY * usual]
    if not len(near):
        return False
    n_band = int(np.clip(usual / _PER_BAND, _LEAST_BANDS, _MOST_BANDS))
    edges = np.searchsorted(np.cumsum(X[y, x]), np.linspace(0, X[y, x].sum(), n_band + 1)[1:-1])
    starts = np.unique(np.concatenate([[0], edges])).astype(int)
    mine, others = (np.add.reduceat(v, starts, axis=-1).astype(float) for v in (X[y, x], near))
    _, left = nnls(others.T, mine)
    return bool(left < _UNLIKE * np.linalg.norm(mine))


def _around(y: int, x: int, reach: int) -> tuple[slice, slice]:
    return slice(max(0, y - reach), y + reach + 1), slice(max(0, x - reach), x + reach + 1)
