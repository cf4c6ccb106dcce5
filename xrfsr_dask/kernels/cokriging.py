"""Co-kriging of spot scores with a photograph: the linear heart of `joint`, one neighbourhood at a time.

A score z of the HR picture is modelled as

    z(x) = phi(I(x)) . g  +  v(x)  +  h(x)                                                             (J1)

with g one map from colour to score for the whole painting, v a Gaussian process that lets this map drift with
place, and h one that does not know the photograph (what it does not show):

    cov v(x), v(x') = s q (phi(I) . phi(I')) k_v(|x - x'|),   cov h(x), h(x') = s (1 - q) k_h(|x - x'|)     (J2)

A spot sees the mean of z under its beam, plus noise of known variance. Scale s, share q and k_h belong to
each score, k_v to all. All of it is linear: estimates are conditional means
(Wackernagel 2003; Rasmussen and Williams 2006, chapter 2), and s, q and the law maximise the likelihood of
sampled neighbourhoods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import numpy as np

from xrfsr_dask.kernels.covariance import Apart
from xrfsr_dask.kernels.lapack import solve_lower
from xrfsr_dask.kernels.likelihood import log_likelihoods
from xrfsr_dask.kernels.positive import Systems, combine, solution
from xrfsr_dask.kernels.ridge import MapSums

SHARES = (0.0, 0.3, 0.6, 0.85, 0.97, 1.0)
"""Shares q of the photograph that are tried."""
SCALES = tuple(float(s) for s in 10.0 ** np.arange(-2.0, 8.01, 0.25))
"""Scales s that are tried, in variances of the noise."""

_JITTER = 1e-6  # of the scale, on the diagonal
PIXELS_AT_ONCE = 1024
"""Pixels that are joined to the spots at a time."""


class Law(NamedTuple):
    """How correlation falls with distance."""

    kind: str
    """One of `covariance.KINDS`."""
    reach: float
    """Steps of the scan."""


DRIFTS = tuple(Law("matern32", reach) for reach in (12.0, 6.0, 24.0))
"""Laws k_v that are tried, the usual one first; all scores share one."""
HIDDENS = (
    *(Law("matern32", reach) for reach in (1.5, 3.0, 6.0)),
    *(Law("wide", reach) for reach in (0.7, 1.0, 1.5, 2.5)),
    *(Law("exponential", reach) for reach in (5.0, 20.0)),
    *(Law("matern52", reach) for reach in (2.0, 4.0)),
)
"""Laws k_h that are tried; each score has its own, of `_HIDDEN_KEPT` in all."""

_HIDDEN_KEPT = 3
_WORTH = 3.0  # log likelihood that the photograph's share must add before a score has one
_SURE = 5.0  # standard deviations of noise by which departures must exceed it
_MEAN, _LARGEST = 2.0, 25.0  # times what the prior expects, before a place has a scale of its own
_BEYOND, _SHORTEST = 10.0, HIDDENS[0]  # times, beyond which a place has this law
_BY_COLOUR = 10.0  # times that v has more scale at most: what departs by more does not follow the photograph


@dataclass(frozen=True)
class Prior:
    """(J2) as chosen from the data."""

    drift: Law
    hidden: tuple[Law, ...]
    """(r): k_h of each score."""
    share: np.ndarray
    """float64 (r,): q of each score."""
    scale: np.ndarray
    """float64 (r,): s of each score."""

    def blind(self) -> Prior:
        """The same prior without the photograph: all departures from the global map are h."""
        return replace(self, share=np.zeros_like(self.share))

    def alike(self) -> list[np.ndarray]:
        """Scores of equal law, share and scale, together: they need one factorisation."""
        found: dict[tuple[object, ...], list[int]] = {}
        for i, key in enumerate(zip(self.hidden, self.share, self.scale, strict=True)):
            found.setdefault(key, []).append(i)
        return [np.array(scores) for scores in found.values()]

    def usual_hidden(self, scores: np.ndarray, weight: np.ndarray) -> Law:
        """The law k_h that stands for some scores: the one with most weight (n,)."""
        total: dict[Law, float] = {}
        for i, w in zip(scores, weight, strict=True):
            total[self.hidden[i]] = total.get(self.hidden[i], 0.0) + float(w)
        return max(total, key=lambda law: total[law])


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
    size: float = 1.0
    """Side of a square spot that is as wide as theirs, steps."""


def likelihoods(spots: Neighbours, drifts: Sequence[Law], hiddens: Sequence[Law]) -> np.ndarray:
    """Log likelihood of the scores under all laws, shares and scales.

    Returns
    -------
    float64 (drift, hidden, share, scale, r)
    """
    spread = np.sqrt(spots.variance.mean(axis=1))
    relative = spots.variance.mean(axis=0) / spots.variance.mean()
    whitened = spots.scores / spread[:, None] / np.sqrt(relative)
    alike = spots.features @ spots.features.T
    scales = np.asarray(SCALES)
    apart = _between(spots)
    v = [alike * apart.correlation(*law) for law in drifts]
    h = [apart.correlation(*law) for law in hiddens]
    out = np.empty((len(drifts), len(hiddens), len(SHARES), len(SCALES), spots.scores.shape[1]))
    for (i, one), (j, other), (k, share) in product(enumerate(v), enumerate(h), enumerate(SHARES)):
        if (share == 0 and i) or (share == 1 and j):  # one of the laws drops out at either end
            out[i, j, k] = out[0, j, k] if share == 0 else out[i, 0, k]
            continue
        K = share * one + (1 - share) * other
        K = (K / spread[:, None] / spread).astype(np.float64)
        out[i, j, k] = log_likelihoods(K, whitened, scales)
    return out


def likeliest(table: np.ndarray, hiddens: Sequence[Law]) -> tuple[Law, ...]:
    """The few hidden laws among which scores choose that make all scores most likely, under the first drift."""
    best = table[0].max(axis=(1, 2))
    kept: list[int] = []
    held = np.full(best.shape[1], -np.inf)
    for _ in range(min(_HIDDEN_KEPT, len(hiddens))):
        kept.append(int(np.maximum(best, held).sum(axis=1).argmax()))
        held = np.maximum(held, best[kept[-1]])
    return tuple(hiddens[i] for i in dict.fromkeys(kept))


def best_prior(table: np.ndarray, drifts: Sequence[Law], hiddens: Sequence[Law], relative: np.ndarray) -> Prior:
    """The drift most likely for all scores together; under it, the best law, share and scale of each.

    Parameters
    ----------
    table : float64 (drift, hidden, share, scale, r)
        `likelihoods`, summed over neighbourhoods.
    drifts, hiddens : sequence of Law
    relative : float64 (r,)
        Noise variance of each score over the mean of all, the unit of the scales.
    """
    table = table - _WORTH * (np.asarray(SHARES) > 0)[:, None, None]
    _, n_hidden, n_share, n_scale, r = table.shape
    drift = int(table.max(axis=(1, 2, 3)).sum(axis=1).argmax())
    best = table[drift].reshape(-1, r).argmax(axis=0)
    law, share, scale = np.unravel_index(best, (n_hidden, n_share, n_scale))
    by_law = table[drift].max(axis=(1, 2))
    told = by_law.max(axis=0) - table[drift, :, 0, 0].max(axis=0) > _WORTH
    if told.any():  # a score that is noise here has the law of the others: it may be met elsewhere
        law = np.where(told, law, by_law[:, told].sum(axis=1).argmax())
    return Prior(
        drifts[drift],
        tuple(hiddens[i] for i in law),
        np.asarray(SHARES)[share],
        np.asarray(SCALES)[scale] * relative,
    )


def local_prior(prior: Prior, spots: Neighbours) -> Prior:
    """The prior where these spots depart from the global map by far more than it expects.

    What is in one place only is in none of the sampled neighbourhoods, and the prior that they give would take
    it for noise, or tie it to the photograph. So a score is given more scale, until the mean square of its
    departures, noise taken off, is at most `_MEAN` times what is expected, and that of any one spot `_LARGEST`
    times, where these are sure; v at most `_BY_COLOUR` times as much, h the rest. Beyond `_BEYOND` times, what
    was learned elsewhere of the score is of noise, and h has the shortest law: a wide one holds a few spots of
    a paint for less likely than their counts to be wrong.
    """
    one = _between(replace(spots, places=spots.places[:1]))
    alone = {law: float(one.correlation(*law)[0, 0]) for law in {prior.drift, *prior.hidden}}
    drift = alone[prior.drift] * float(np.square(spots.features).sum(axis=1).mean())
    expected = prior.share * drift + (1 - prior.share) * np.array([alone[law] for law in prior.hidden])
    expected *= prior.scale
    square, noise = np.square(spots.scores), spots.variance.mean(axis=0)
    mean = square.mean(axis=0) - noise
    mean[mean < _SURE * np.sqrt(2.0 / len(square)) * noise] = 0.0
    largest = np.where(square > _SURE**2 * spots.variance, square - spots.variance, 0.0).max(axis=0)
    times = np.maximum(mean / (_MEAN * expected), largest / (_LARGEST * expected))
    steps = np.round(4.0 * np.log10(np.maximum(times, 1.0)))  # equal scales need one factorisation
    times = 10.0 ** (steps / 4.0)
    share = prior.share * np.minimum(1.0, _BY_COLOUR / times)
    beyond = times > _BEYOND
    hidden = tuple(_SHORTEST if own else law for law, own in zip(prior.hidden, beyond, strict=True))
    return replace(prior, scale=prior.scale * times, share=share, hidden=hidden)


def map_sums(spots: Neighbours, prior: Prior, classes: Sequence[np.ndarray]) -> MapSums:
    """Normal equations of the global map g by generalised least squares, for one neighbourhood.

    Parameters
    ----------
    spots : Neighbours
        Their `scores` are whole, the global map not taken off.
    prior : Prior
    classes : sequence of int arrays
        Scores that share one covariance, the median of theirs.
    """
    F = np.column_stack([spots.features, np.ones(len(spots.features))]).astype(np.float64)
    apart = _between(spots)
    drift = _drifting(spots, apart, prior.drift)
    normal = np.zeros((len(classes), F.shape[1], F.shape[1]))
    right = np.zeros((F.shape[1], spots.scores.shape[1]))
    square = np.zeros(spots.scores.shape[1])
    for i, scores in enumerate(classes):
        scale, share = class_scale(prior, scores), float(np.median(prior.share[scores]))
        hidden = apart.correlation(*prior.usual_hidden(scores, np.ones(len(scores))))
        noise = spots.variance[:, scores].mean(axis=1)
        K = combine(*_covariance(drift, hidden, share, scale, noise), np.empty(hidden.shape))
        Z = spots.scores[:, scores]
        both = solution(K, np.column_stack([F, Z]))
        KF, KZ = both[:, : F.shape[1]], both[:, F.shape[1] :]
        normal[i], right[:, scores] = F.T @ KF, KF.T @ Z
        square[scores] = (Z * KZ).sum(axis=0)
    return MapSums(normal, right, square, float(len(F)))


def classes_of(prior: Prior, most: int = 4) -> list[np.ndarray]:
    """Scores grouped by scale into `most` classes, strongest first."""
    order = np.argsort(-prior.scale, kind="stable")
    return [part for part in np.array_split(order, min(most, len(order))) if len(part)]


def class_scale(prior: Prior, scores: np.ndarray) -> float:
    """Scale that stands for a class of scores."""
    return float(np.exp(np.median(np.log(prior.scale[scores]))))


@dataclass(frozen=True)
class Estimate:
    """Conditional means at some pixels, float32 (n, r) each."""

    drift: np.ndarray
    """v"""
    hidden: np.ndarray
    """h"""


@dataclass(frozen=True)
class Kriged:
    """What the spots of a neighbourhood say, wherever they are asked."""

    spots: Neighbours
    """Without their scores."""
    prior: Prior
    drifting: np.ndarray
    """float32 (n, r): weights of the spots in v."""
    hidden: np.ndarray
    """float32 (n, r): in h."""

    @classmethod
    def of(cls, spots: Neighbours, prior: Prior, weights: np.ndarray) -> Kriged:
        """From `weights` as `solved` finds them under a prior."""
        drifting, hidden = (np.ascontiguousarray(part) for part in np.split(weights, 2, axis=1))
        return cls(replace(spots, scores=spots.scores[:0].copy()), prior, drifting, hidden)

    def at(self, places: np.ndarray, features: np.ndarray) -> Estimate:
        """Estimate at pixels: places (n, 2) in steps of the scan, features phi (n, m)."""
        drift, hidden = np.empty((2, len(places), self.drifting.shape[1]), np.float32)
        for part in _parts(len(places)):
            apart = _with_pixels(self.spots, places[part])
            near = apart.correlation(*self.prior.drift)
            near *= features[part] @ self.spots.features.T
            drift[part] = near @ self.drifting
            _tell_hidden(apart, self.prior.hidden, self.hidden, hidden[part])
        return Estimate(drift, hidden)


def solved(spots: Neighbours, prior: Prior) -> np.ndarray:
    """The systems of a neighbourhood solved, one for all scores that share a prior.

    Returns
    -------
    float32 (n, 2 r)
        Weights of the spots in v, then in h.
    """
    weights = prior.scale * _weights(spots, prior)
    return np.hstack([prior.share * weights, (1 - prior.share) * weights]).astype(np.float32)


def krige(spots: Neighbours, prior: Prior) -> Kriged:
    """What a neighbourhood says, its systems solved."""
    return Kriged.of(spots, prior, solved(spots, prior))


def krige_blind(spots: Neighbours, prior: Prior, places: np.ndarray) -> np.ndarray:
    """h of `Prior.blind`: all departures from the global map, the photograph not asked; float32 (n, r)."""
    weights = (prior.scale * _weights(spots, prior.blind())).astype(np.float32)
    out = np.empty((len(places), weights.shape[1]), np.float32)
    for part in _parts(len(places)):
        _tell_hidden(_with_pixels(spots, places[part]), prior.hidden, weights, out[part])
    return out


def evidence(spots: Neighbours, prior: Prior, places: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Share of a pixel's uncertainty, given photograph and global map, that the counts take away; float32 (n,).

    ``1 - var(z | counts) / var(z)`` of (J2), for the scores together, each weighted by its scale. 0 where no
    spot is near: there the photograph speaks alone.
    """
    weight = prior.scale / prior.scale.sum()
    share, scale = float(weight @ prior.share), float(np.exp(weight @ np.log(prior.scale)))
    law = prior.usual_hidden(np.arange(len(weight)), weight)
    noise = spots.variance @ weight
    apart = _between(spots)
    drift, hidden = _drifting(spots, apart, prior.drift), apart.correlation(*law)
    parts, diagonal = _covariance(drift, hidden, share, scale, noise)
    L = np.linalg.cholesky(combine(parts, diagonal + 1e-5 * scale, np.empty(hidden.shape, np.float32)))
    told = np.empty(len(places))
    for part in _parts(len(places)):
        apart = _with_pixels(spots, places[part])
        near = np.float32(share) * apart.correlation(*prior.drift)
        near *= features[part] @ spots.features.T
        near += np.float32(1 - share) * apart.correlation(*law)
        near *= np.float32(scale)
        solve_lower(L, near.T)
        told[part] = np.square(near.T).sum(axis=0)
    own = scale * (share * np.square(features).sum(axis=1) + 1 - share)
    return np.clip(told / np.maximum(own, 1e-12), 0.0, 1.0).astype(np.float32)


def _weights(spots: Neighbours, prior: Prior) -> np.ndarray:
    """K^-1 z, float64 (n, r)."""
    out = np.zeros(spots.scores.shape)
    apart = _between(spots)
    drift = _drifting(spots, apart, prior.drift) if prior.share.any() else np.zeros((0, 0), np.float32)
    hidden = {law: apart.correlation(*law) for law in dict.fromkeys(prior.hidden)}
    del apart
    systems = Systems.of(len(out))
    for scores in prior.alike():
        first = int(scores[0])
        parts, diagonal = _covariance(
            drift,
            hidden[prior.hidden[first]],
            float(prior.share[first]),
            float(prior.scale[first]),
            spots.variance[:, scores].mean(axis=1),
        )
        out[:, scores] = systems.solve(parts, diagonal, spots.scores[:, scores])
    return out


def _tell_hidden(apart: Apart, laws: Sequence[Law], weights: np.ndarray, out: np.ndarray) -> None:
    """Write what spots say of pixels by weights, float32 (n_spot, k), each column under its own law k_h, to
    `out` (n, k)."""
    for law in dict.fromkeys(laws):
        at = [i for i, own in enumerate(laws) if own == law]
        out[:, at] = apart.correlation(*law) @ weights[:, at]


def _parts(n: int) -> list[slice]:
    return [slice(first, first + PIXELS_AT_ONCE) for first in range(0, n, PIXELS_AT_ONCE)]


def _drifting(spots: Neighbours, apart: Apart, law: Law) -> np.ndarray:
    """Correlation of v between the spots, float32 (n, n)."""
    drift = apart.correlation(*law)
    drift *= spots.features @ spots.features.T
    return drift


def _between(spots: Neighbours) -> Apart:
    return Apart.of(spots.places, spots.places, size=spots.size, spots=2)


def _with_pixels(spots: Neighbours, places: np.ndarray) -> Apart:
    return Apart.of(places, spots.places, size=spots.size, spots=1)


def _covariance(
    drift: np.ndarray, hidden: np.ndarray, share: float, scale: float, noise: np.ndarray
) -> tuple[list[tuple[float, np.ndarray]], np.ndarray]:
    """K of (J2) with the noise, as weighted parts and a diagonal (see `positive.combine`)."""
    parts = [(scale * (1 - share), hidden)]
    if share:
        parts.append((scale * share, drift))
    return parts, noise + _JITTER * scale
