"""Tasks on spots: each reads one chunk of one patch's counts, and writes or returns little."""

from __future__ import annotations

import numpy as np

from xrfsr_dask.beams import spot_window
from xrfsr_dask.kernels.dictionary import spot_statistics
from xrfsr_dask.kernels.dwell import DOUBT, filled, misdwelt
from xrfsr_dask.kernels.poisson import count_sums
from xrfsr_dask.kernels.spectral import pair_sums
from xrfsr_dask.solver.joint import model
from xrfsr_dask.solver.joint.desk import Desk
from xrfsr_dask.solver.passes import scaled_counts, seen_abundances
from xrfsr_dask.solver.run import COLOUR_DEPTH, Chunk, Plan
from xrfsr_dask.solver.state import load_matrix
from xrfsr_dask.store.arrays import read_finite, write
from xrfsr_dask.tiling.grid import Rect
from xrfsr_dask.tiling.sums import Sums, quantised

FOLDS = 5
"""Parts of the spots that are left out in turn when the global map is tried."""

_FOLD_SPOTS = 8  # side of the squares of spots that stay together
_LEAST_VARIANCE = 0.05  # of the mean of a patch


def counts_at_gain_one(plan: Plan, chunk: Chunk) -> np.ndarray:
    """Counts of one chunk over the patch's relative gain, float32 (ny, nx, n_channel), counts."""
    gain = plan.gain(plan.painting.patch(chunk.patch))
    return scaled_counts(plan, chunk) * np.float32(plan.scale / gain)


def largest_score(plan: Plan, chunk: Chunk) -> float:
    """Largest score of a spot of one chunk in any candidate direction: bounds the sums of `candidate_pairs`."""
    T = counts_at_gain_one(plan, chunk) @ model.load_candidates(plan).astype(np.float32)
    return float(np.abs(T).max())


def candidate_pairs(plan: Plan, bound: float, chunk: Chunk) -> Sums:
    """`pair_sums` of the scores of the candidate directions."""
    T = counts_at_gain_one(plan, chunk) @ model.load_candidates(plan).astype(np.float32)
    p = pair_sums(T)
    return {
        "n": np.array(float(p.n)),
        "first": quantised(p.first, bound),
        "second": quantised(p.second, bound),
        "n_pair": np.array(float(p.n_pair)),
        "pair_first": quantised(p.pair_first, bound),
        "pair_second": quantised(p.pair_second, bound),
    }


def describe_spots(plan: Plan, chunk: Chunk) -> dict[str, float]:
    """Write scores, their variance and S phi of one chunk of spots; tell the extremes."""
    spectra = model.load_spectra(plan)
    patch = plan.painting.patch(chunk.patch)
    X = counts_at_gain_one(plan, chunk)
    features = write_features(plan, "features", 0.0, chunk)
    wrong = np.zeros(X.shape[:2], bool)
    if patch.noise == "poisson":  # elsewhere nothing tells how sure a value is
        wrong = misdwelt(X, features, plan.gain(patch))
    scores = filled(spectra.scores(X), wrong)
    if patch.noise == "poisson":
        variance = filled(spectra.variance(np.maximum(X, 0)) / np.float32(plan.gain(patch)), wrong)
        usual = spectra.variance(patch.mean_spectrum()[None].astype(np.float32)) / plan.gain(patch) ** 2
        variance = np.maximum(variance, np.maximum(_LEAST_VARIANCE * usual, 1e-12))
        variance[wrong] *= np.float32(DOUBT)
    else:
        variance = np.full(scores.shape, 1.0 / plan.gain(patch) ** 2, np.float32)
    believed = (~wrong[..., None]).astype(np.float32)
    for name, values in (("scores", scores), ("variance", variance), ("believed", believed)):
        write(model.open_spots(plan, name, chunk.patch), chunk.spots.slices, values)
    return {
        "misdwelt": float(wrong.sum()),
        "score": float(np.abs(scores).max()),
        "variance": float(variance.min()),
        "certainty": float((np.square(scores).max(axis=(0, 1)) / variance.min(axis=(0, 1))).max()),
    }


def write_features(plan: Plan, name: str, smoothing: float, chunk: Chunk) -> np.ndarray:
    """S phi (ny, nx, m) of one chunk of spots, of the photograph smoothed over `smoothing` px, into the array
    `name`."""
    desk, patch = Desk(plan), plan.painting.patch(chunk.patch)
    features = np.empty((*chunk.spots.shape, desk.colours.n), np.float32)
    for block in plan.spot_blocks(chunk, COLOUR_DEPTH):
        window = spot_window(plan.painting, patch, *block.slices)
        phi = window.downsample(desk.colours.features(desk.photograph(Rect(*window.bounds), smoothing)))
        features[block.within((chunk.spots.y0, chunk.spots.x0))] = phi.reshape(*block.shape, -1)
    write(model.open_spots(plan, name, chunk.patch), chunk.spots.slices, features)
    return features


def ridge_sums(plan: Plan, bound: float, chunk: Chunk) -> Sums:
    """Normal equations of the global map for each fold: small squares of spots go to folds by turns."""
    desk = Desk(plan)
    values = [desk.spots(name, chunk.patch, chunk.spots) for name in ("features", "scores", "variance")]
    F, Z, variance = (v.reshape(-1, v.shape[2]).astype(np.float64) for v in values)
    F = np.column_stack([F, np.ones(len(F))])
    weight = 1.0 / variance.mean(axis=1)
    fold = _folds(chunk)
    out = {
        "normal": np.zeros((FOLDS, F.shape[1], F.shape[1])),
        "right": np.zeros((FOLDS, F.shape[1], Z.shape[1])),
    }
    out["square"] = np.zeros((FOLDS, Z.shape[1]))
    for i in range(FOLDS):
        at = fold == i
        WF = F[at] * weight[at, None]
        out["normal"][i], out["right"][i] = WF.T @ F[at], WF.T @ Z[at]
        out["square"][i] = weight[at] @ np.square(Z[at])
    return {name: quantised(value, bound) for name, value in out.items()}


def _folds(chunk: Chunk) -> np.ndarray:
    """Fold of each spot of a chunk, int (n_spot,): squares of 8 x 8 spots, of fewer in a small scan."""
    s = chunk.spots
    side = max(1, min(_FOLD_SPOTS, min(s.y1, s.x1) // 3))
    y, x = np.mgrid[s.y0 : s.y1, s.x0 : s.x1] // side
    return ((2 * y + x + sum(map(ord, chunk.patch))) % FOLDS).ravel()


def see_spots(plan: Plan, generation: int, chunk: Chunk) -> None:
    """Write S A of one chunk of spots, gain included: what the dictionary steps know of the abundances."""
    SA = seen_abundances(plan, generation, chunk)
    SA *= np.float32(plan.gain(plan.painting.patch(chunk.patch)))
    write(model.open_spots(plan, "seen", chunk.patch), chunk.spots.slices, SA.reshape(*chunk.spots.shape, -1))


def dictionary_sums(plan: Plan, dictionary: int, noise: str, bound: float, chunk: Chunk) -> Sums:
    """What the next dictionary step needs of one chunk of counts, in scaled units."""
    X = scaled_counts(plan, chunk)
    believed = read_finite(model.open_spots(plan, "believed", chunk.patch), chunk.spots.slices)[..., 0] > 0
    X = X[believed]
    SA = read_finite(model.open_spots(plan, "seen", chunk.patch), chunk.spots.slices)[believed]
    if noise == "gaussian":
        P, Q, xx = spot_statistics(SA, X)
        found = {"P": P, "Q": Q, "xx": np.array(xx)}
    else:
        D = np.concatenate([load_matrix(plan, dictionary, name) for name in ("Dv", "Dnv")]).astype(np.float32)
        s = count_sums(SA, X, D)
        found = {"pull": s.pull, "seen": s.seen, "deviance": np.array(s.deviance)}
    return {name: quantised(value, bound) for name, value in found.items()}
