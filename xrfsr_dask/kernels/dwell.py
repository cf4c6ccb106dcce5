"""Spots measured for another time than those around them: a readout that failed, a stage that stalled.

Nothing in a spectrum tells dwell from thickness, so only what paint cannot be is doubted: not one count where
even a hole would have scattered some; or many times the spectrum of the surroundings, every line and the
scatter alike, where the photograph shows nothing of its own. Nails, retouches, holes and edges are left alone,
and so are scans of too few counts to tell.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.optimize import nnls

DOUBT = 25.0
"""Times as much noise as theirs has what stands in the place of spots that are not believed."""

_REACH = 2  # spots to each side that surround one
_LEAST_AROUND = 5  # of them
_HOLE = 0.003  # share of its surroundings that a hole counts at least: what air and backing scatter
_SURELY = 6.0  # counts that a hole would have, for none to be no chance
_STALLED = 3.0  # times what surrounds it, above which a spot of the same spectrum stalled
_BEYOND, _FEW = 2.0, 4  # times what but so few around it count: these may have stalled with it, as a row does
_LEAST = 1000.0  # counts around, to compare spectra at all
_PER_BAND, _MOST_BANDS = 50.0, 32  # counts and number of bands of channels that are compared
_UNLIKE = 0.2  # share of a spectrum that mixtures of others may leave, for it to be of the same paints
_ORDINARY = 2.0  # times what is usual, that spots count which stand for the surroundings
_COLOUR = 0.8  # cosine between memberships of colours, for the photograph to show the same


def misdwelt(X: np.ndarray, features: np.ndarray, unit: float = 1.0) -> np.ndarray:
    """Spots that were measured for another time than the others, bool (ny, nx).

    Parameters
    ----------
    X : float array of shape (ny, nx, n_channel)
        Neighbouring spots of one scan, >= 0, with Poisson noise. At the edges fewer surround a spot.
    features : float array of shape (ny, nx, m)
        Memberships of colours of what each spot sees of the photograph, S phi.
    unit : float
        Counts that 1 in X stands for.
    """
    total = unit * X.sum(axis=2, dtype=np.float64)
    usual, high = _surroundings(total)
    found = (total == 0) & (_HOLE * usual > _SURELY)
    hot = (usual > _LEAST) & (total > np.maximum(_STALLED * usual, _BEYOND * high))
    for y, x in np.argwhere(hot):
        found[y, x] = _is_like_its_surroundings(X, features, total, float(usual[y, x]), int(y), int(x))
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
    """What surrounds each spot, itself left out: median, and what `_FEW` of them exceed; 0 where too few do."""
    side = 2 * _REACH + 1
    windows = sliding_window_view(np.pad(total, _REACH, constant_values=-1.0), (side, side))
    around = np.sort(np.delete(windows.reshape(*total.shape, side * side), side * side // 2, axis=2), axis=2)
    n = (around >= 0).sum(axis=2)
    middle = np.take_along_axis(around, (-1 - n // 2)[..., None], axis=2)[..., 0]
    high = around[..., -1 - _FEW]
    enough = n >= _LEAST_AROUND
    return np.where(enough, middle, 0.0), np.where(enough & (high >= 0), high, np.inf)


def _is_like_its_surroundings(
    X: np.ndarray, features: np.ndarray, total: np.ndarray, usual: float, y: int, x: int
) -> bool:
    """Whether a bright spot has a spectrum mixed of those around it that are not bright, and a colour as one of
    them: bright ones side by side, of one spectrum, are paint."""
    part = _around(y, x, _REACH)
    ordinary = total[part] < _ORDINARY * usual
    near, colours = X[part][ordinary], features[part][ordinary]
    if not len(near) or not _alike(features[y, x], colours):
        return False
    n_band = int(np.clip(usual / _PER_BAND, 1, _MOST_BANDS))
    edges = np.searchsorted(np.cumsum(X[y, x]), np.linspace(0, X[y, x].sum(), n_band + 1)[1:-1])
    starts = np.unique(np.concatenate([[0], edges])).astype(int)
    mine, others = (np.add.reduceat(v, starts, axis=-1).astype(float) for v in (X[y, x], near))
    _, left = nnls(others.T, mine)
    return bool(left < _UNLIKE * np.linalg.norm(mine))


def _alike(colour: np.ndarray, others: np.ndarray) -> bool:
    lengths = np.linalg.norm(others, axis=1) * np.linalg.norm(colour)
    return bool((others @ colour > _COLOUR * lengths).any())


def _around(y: int, x: int, reach: int) -> tuple[slice, slice]:
    return slice(max(0, y - reach), y + reach + 1), slice(max(0, x - reach), x + reach + 1)
