"""Co-kriging of spot scores with a photograph: the linear heart of `joint`, one neighbourhood at a time.

A score z of the HR picture is modelled as

    z(x) = phi(I(x)) . g  +  v(x)  +  h(x)                                                             (J1)

with g one map from colour to score for the whole painting, v a Gaussian process that lets this map drift with
place, and h one that does not know the photograph (what it does not show):

    cov v(x), v(x') = s q (phi(I) . phi(I')) k_v(|x - x'|),   cov h(x), h(x') = s (1 - q) k_h(|x - x'|)     (J2)

A spot sees the mean of z under its beam, plus noise of known variance. Scale s and share q belong to each
score, the two correlations (a `Law`) to all. All of it is linear: estimates are conditional means
(Wackernagel 2003; Rasmussen and Williams 2006, chapter 2), and s, q and the law maximise the likelihood of
sampled neighbourhoods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from xrfsr_dask.kernels.projection import FAST

SHARES = (0.0, 0.3, 0.6, 0.85, 0.97, 1.0)
"""Shares q of the photograph that are tried."""
SCALES = tuple(float(s) for s in 10.0 ** np.arange(-2.0, 8.01, 0.25))
"""Scales s that are tried, in variances of the noise."""

_KINDS = ("exponential", "matern32", "matern52")
_SPOT_SPOT, _SPOT_PIXEL = 0.2, 0.1  # squared spots added to squared distances: spots are means, not points
_JITTER = 1e-6  # of the scale, on the diagonal


@dataclass(frozen=True)
class Law:
    """How correlation falls with distance; reaches in steps of the scan."""

    drift: str
    """Kind of k_v: ``"exponential"``, ``"matern32"`` or ``"matern52"``."""
    drift_reach: float
    hidden: str
    """Kind of k_h."""
    hidden_reach: float


LAWS = tuple(
    Law("matern32", drift_reach, hidden, hidden_reach)
    for drift_reach in (6.0, 12.0, 24.0)
    for hidden, hidden_reach in (
        ("matern32", 1.5),
        ("matern32", 3.0),
        ("matern32", 6.0),
        ("exponential", 5.0),
        ("exponential", 20.0),
        ("matern52", 2.0),
        ("matern52", 4.0),
    )
)
"""Laws that are tried."""


@dataclass(frozen=True)
class Prior:
    """(J2) as chosen from the data."""

    law: Law
    share: np.ndarray
    """float64 (r,): q of each score."""
    scale: np.ndarray
    """float64 (r,): s of each score."""

    def blind(self) -> Prior:
        """The same prior without the photograph: all departures from the global map are h."""
        return Prior(self.law, np.zeros_like(self.share), self.scale)

    def alike(self) -> list[np.ndarray]:
        """Scores of equal share and scale, together: they need one factorisation."""
        pairs = np.stack([self.share, self.scale], axis=1)
        _, label = np.unique(pairs, axis=0, return_inverse=True)
        return [np.flatnonzero(label == i) for i in range(int(label.max()) + 1)]


@dataclass(frozen=True)
class Neighbours:
    """Spots that speak about one neighbourhood."""

    places: np.ndarray
    """float32 (n, 2): centres, in steps of the scan."""
    features: np.ndarray
    """float32 (n, m): S phi."""
    scores: np.ndarray
    """float64 (n, r): scores less the global map."""
    variance: np.ndarray
    """float64 (n, r): of their noise."""


def correlation(P: np.ndarray, Q: np.ndarray, kind: str, reach: float, *, soft: float) -> np.ndarray:
    """k(|p - q|) of places (n, 2) and (m, 2), float32 (n, m); `soft` is added to the squared distance."""
    out = np.empty((len(P), len(Q)), np.float32)
    _correlate(P, Q, _KINDS.index(kind), np.float32(1.0 / reach), np.float32(soft), out)
    return out


def likelihoods(spots: Neighbours, laws: Sequence[Law]) -> np.ndarray:
    """Log likelihood of the scores under every law, share and scale; float64 (law, share, scale, r)."""
    spread = np.sqrt(spots.variance.mean(axis=1))
    relative = spots.variance.mean(axis=0) / spots.variance.mean()
    whitened = spots.scores / spread[:, None] / np.sqrt(relative)
    alike = spots.features @ spots.features.T
    scales = np.asarray(SCALES)[:, None]
    correlations: dict[tuple[str, float], np.ndarray] = {}
    found: dict[tuple[object, ...], np.ndarray] = {}

    def known(kind: str, reach: float) -> np.ndarray:
        if (kind, reach) not in correlations:
            correlations[kind, reach] = correlation(spots.places, spots.places, kind, reach, soft=_SPOT_SPOT)
        return correlations[kind, reach]

    def likelihood(law: Law, share: float) -> np.ndarray:
        K = share * alike * known(law.drift, law.drift_reach)
        K += (1 - share) * known(law.hidden, law.hidden_reach)
        values, vectors = np.linalg.eigh((K / spread[:, None] / spread).astype(np.float64))
        spectrum = scales * np.maximum(values, 0.0) + 1.0
        fit = (1.0 / spectrum) @ (vectors.T @ whitened) ** 2
        return np.asarray(-0.5 * (fit + np.log(spectrum).sum(axis=1)[:, None]))

    out = np.empty((len(laws), len(SHARES), len(SCALES), spots.scores.shape[1]))
    for i, law in enumerate(laws):
        for j, share in enumerate(SHARES):
            key = _told_apart(law, share)
            if key not in found:
                found[key] = likelihood(law, share)
            out[i, j] = found[key]
    return out


def _told_apart(law: Law, share: float) -> tuple[object, ...]:
    """What of a law matters at a share: one of its correlations drops out at either end."""
    drift = (law.drift, law.drift_reach) if share > 0 else None
    hidden = (law.hidden, law.hidden_reach) if share < 1 else None
    return share, drift, hidden


def likeliest(table: np.ndarray, laws: Sequence[Law], n: int) -> tuple[Law, ...]:
    """The `n` laws under which all scores together are most likely, best first."""
    best = np.argsort(-table.max(axis=(1, 2)).sum(axis=1), kind="stable")[:n]
    return tuple(laws[i] for i in best)


def best_prior(table: np.ndarray, laws: Sequence[Law], relative: np.ndarray) -> Prior:
    """The law most likely for all scores together, and the best share and scale of each under it.

    Parameters
    ----------
    table : float64 (law, share, scale, r)
        `likelihoods`, summed over neighbourhoods.
    laws : sequence of Law
    relative : float64 (r,)
        Noise variance of each score over the mean of all, the unit of the scales.
    """
    _, n_share, n_scale, r = table.shape
    law = int(table.max(axis=(1, 2)).sum(axis=1).argmax())
    share, scale = np.unravel_index(table[law].reshape(-1, r).argmax(axis=0), (n_share, n_scale))
    return Prior(laws[law], np.asarray(SHARES)[share], np.asarray(SCALES)[scale] * relative)


def map_sums(spots: Neighbours, prior: Prior, classes: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Normal equations of g by generalised least squares: ``s F^T K^-1 F`` and ``s F^T K^-1 z``.

    Parameters
    ----------
    spots : Neighbours
        Their `scores` are whole, the global map not taken off.
    prior : Prior
    classes : sequence of int arrays
        Scores that share one covariance, the median of theirs; s is `class_scale`.

    Returns
    -------
    float64 (n_class, m + 1, m + 1) and (m + 1, r); the last feature is 1
    """
    F = np.column_stack([spots.features, np.ones(len(spots.features))]).astype(np.float64)
    drift, hidden = _laws_of(spots, prior.law)
    normal = np.zeros((len(classes), F.shape[1], F.shape[1]))
    right = np.zeros((F.shape[1], spots.scores.shape[1]))
    for i, scores in enumerate(classes):
        scale, share = class_scale(prior, scores), float(np.median(prior.share[scores]))
        factor = _factor(drift, hidden, share, scale, spots.variance[:, scores].mean(axis=1))
        KF = scale * cho_solve(factor, F, check_finite=False)
        normal[i] = F.T @ KF
        right[:, scores] = KF.T @ spots.scores[:, scores]
    return normal, right


def classes_of(prior: Prior, most: int = 4) -> list[np.ndarray]:
    """Scores grouped by scale into `most` classes, strongest first."""
    order = np.argsort(-prior.scale, kind="stable")
    return [part for part in np.array_split(order, min(most, len(order))) if len(part)]


def class_scale(prior: Prior, scores: np.ndarray) -> float:
    """Scale that stands for a class of scores."""
    return float(np.exp(np.median(np.log(prior.scale[scores]))))


@dataclass(frozen=True)
class Estimate:
    """Conditional means at some pixels."""

    drift: np.ndarray
    """float32 (n, r): v."""
    hidden: np.ndarray
    """float32 (n, r): h."""


class Kriging:
    """The spots of one neighbourhood, factored: ready to be asked about any place near them."""

    def __init__(self, spots: Neighbours, prior: Prior) -> None:
        self._spots, self._prior = spots, prior
        drift, hidden = _laws_of(spots, prior.law)
        self._weights = np.zeros(spots.scores.shape)  # K^-1 z
        for scores in prior.alike():
            share, scale = float(prior.share[scores[0]]), float(prior.scale[scores[0]])
            factor = _factor(drift, hidden, share, scale, spots.variance[:, scores].mean(axis=1))
            self._weights[:, scores] = cho_solve(factor, spots.scores[:, scores], check_finite=False)

    def at(self, places: np.ndarray, features: np.ndarray) -> Estimate:
        """Estimate at pixels: places (n, 2) in steps of the scan, features phi (n, m)."""
        p, law = self._prior, self._prior.law
        near = [
            correlation(places, self._spots.places, kind, reach, soft=_SPOT_PIXEL)
            for kind, reach in ((law.drift, law.drift_reach), (law.hidden, law.hidden_reach))
        ]
        near[0] *= features @ self._spots.features.T
        drift, hidden = p.share * p.scale * self._weights, (1 - p.share) * p.scale * self._weights
        return Estimate(near[0] @ drift.astype(np.float32), near[1] @ hidden.astype(np.float32))


def evidence(spots: Neighbours, prior: Prior, places: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Share of a pixel's uncertainty, given photograph and global map, that the counts take away; float32 (n,).

    ``1 - var(z | counts) / var(z)`` of (J2), for the scores together, each weighted by its scale. 0 where no
    spot is near: there the photograph speaks alone.
    """
    weight = prior.scale / prior.scale.sum()
    share, scale = float(weight @ prior.share), float(np.exp(weight @ np.log(prior.scale)))
    drift, hidden = _laws_of(spots, prior.law)
    noise = spots.variance @ weight
    K = _covariance(drift, hidden, share, scale, noise).astype(np.float32)
    L = np.linalg.cholesky(K + np.float32(1e-5 * scale) * np.eye(len(K), dtype=np.float32))
    law = prior.law
    near = np.float32(share) * correlation(places, spots.places, law.drift, law.drift_reach, soft=_SPOT_PIXEL)
    near *= features @ spots.features.T
    near += np.float32(1 - share) * correlation(
        places, spots.places, law.hidden, law.hidden_reach, soft=_SPOT_PIXEL
    )
    half = solve_triangular(L, (np.float32(scale) * near).T, lower=True, check_finite=False, overwrite_b=True)
    own = scale * (share * np.square(features).sum(axis=1) + 1 - share)
    return np.clip(np.square(half).sum(axis=0) / np.maximum(own, 1e-12), 0.0, 1.0).astype(np.float32)


def _laws_of(spots: Neighbours, law: Law) -> tuple[np.ndarray, np.ndarray]:
    """Correlations of v and of h between the spots, float32 (n, n) each."""
    P = spots.places
    drift = correlation(P, P, law.drift, law.drift_reach, soft=_SPOT_SPOT)
    drift *= spots.features @ spots.features.T
    return drift, correlation(P, P, law.hidden, law.hidden_reach, soft=_SPOT_SPOT)


def _covariance(
    drift: np.ndarray, hidden: np.ndarray, share: float, scale: float, noise: np.ndarray
) -> np.ndarray:
    K = (scale * share) * drift.astype(np.float64) + (scale * (1 - share)) * hidden
    K[np.diag_indices_from(K)] += noise + _JITTER * scale
    return K


def _factor(drift: np.ndarray, hidden: np.ndarray, share: float, scale: float, noise: np.ndarray) -> tuple:
    K = _covariance(drift, hidden, share, scale, noise)
    return cho_factor(K, lower=True, overwrite_a=True, check_finite=False)


@njit(cache=True, nogil=True, fastmath=FAST)
def _correlate(P, Q, kind, inverse, soft, out):  # type: ignore[no-untyped-def]
    root3, root5, third = np.float32(1.7320508), np.float32(2.236068), np.float32(5.0 / 3.0)
    one = np.float32(1.0)
    for i in range(P.shape[0]):
        for j in range(Q.shape[0]):
            dy, dx = P[i, 0] - Q[j, 0], P[i, 1] - Q[j, 1]
            d = np.sqrt(dy * dy + dx * dx + soft) * inverse
            if kind == 0:
                out[i, j] = np.exp(-d)
            elif kind == 1:
                out[i, j] = (one + root3 * d) * np.exp(-root3 * d)
            else:
                out[i, j] = (one + root5 * d + third * d * d) * np.exp(-root5 * d)
