import numpy as np
import pytest
from scipy.stats import multivariate_normal

from xrfsr_dask.kernels.cokriging import (
    SCALES,
    SHARES,
    Law,
    Neighbours,
    Prior,
    best_prior,
    class_scale,
    classes_of,
    evidence,
    krige,
    krige_blind,
    likeliest,
    likelihoods,
    local_prior,
    map_sums,
)
from xrfsr_dask.kernels.covariance import Apart

DRIFT, HIDDEN, OTHER = Law("matern32", 6.0), Law("exponential", 5.0), Law("matern52", 2.0)
MIXED = (HIDDEN, OTHER, HIDDEN)


def alike(P, Q, law, spots):
    """Correlations, checked against quadrature in test_covariance.py."""
    return Apart.of(P, Q, size=1.0, spots=spots).correlation(*law).astype(float)


def dense(P, F, law, share, scale, spots=2, Q=None, G=None):
    """Covariance (J2) of v and of h, dense and in float64."""
    Q, G = (P, F) if Q is None else (Q, G)
    v = scale * share * (F.astype(float) @ G.T.astype(float)) * alike(P, Q, DRIFT, spots)
    return v, scale * (1 - share) * alike(P, Q, law, spots)


def spots(n=40, r=3, seed=0):
    rng = np.random.default_rng(seed)
    F = rng.random((n, 5)).astype("f4")
    return Neighbours(
        places=rng.uniform(0, 8, (n, 2)).astype("f4"),
        features=F / np.linalg.norm(F, axis=1, keepdims=True),
        scores=rng.normal(0, 3, (n, r)),
        variance=rng.uniform(0.5, 2.0, (n, r)),
    )


def prior_of(share, scale, hidden=MIXED):
    r = len(hidden)
    return Prior(DRIFT, hidden, np.full(r, share), np.full(r, scale))


@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
def test_estimates_are_the_conditional_means_of_the_model(share):
    s, scale = spots(), 4.0
    prior = prior_of(share, scale)
    rng = np.random.default_rng(2)
    places, features = rng.uniform(0, 8, (9, 2)).astype("f4"), rng.random((9, 5)).astype("f4")
    found, blind = krige(s, prior).at(places, features), krige_blind(s, prior, places)
    for law, scores in ((HIDDEN, [0, 2]), (OTHER, [1])):
        noise = np.diag(s.variance[:, scores].mean(axis=1) + 1e-6 * scale)
        for q, parts in ((share, (found.drift, found.hidden)), (0.0, (None, blind))):
            near = dense(places, features, law, q, scale, 1, s.places, s.features)
            K = sum(dense(s.places, s.features, law, q, scale)) + noise
            weights = np.linalg.solve(K, s.scores[:, scores])
            for part, joint in zip(parts, near, strict=True):
                if part is not None:
                    np.testing.assert_allclose(part[:, scores], joint @ weights, atol=2e-3)


def test_spots_with_much_noise_are_ignored():
    s = spots()
    quiet = krige(s, prior_of(0.5, 1e-8)).at(s.places, s.features)
    assert max(np.abs(part).max() for part in (quiet.drift, quiet.hidden)) < 1e-5


def test_likelihoods_are_those_of_a_normal_distribution():
    s = spots(n=25)
    s = Neighbours(s.places, s.features, s.scores, np.ones_like(s.variance))
    table = likelihoods(s, (DRIFT,), (HIDDEN, OTHER))
    constant = -0.5 * 25 * np.log(2 * np.pi)
    for i, law in enumerate((HIDDEN, OTHER)):
        for j, k in ((0, 4), (2, 9), (5, 20)):
            K = sum(dense(s.places, s.features, law, SHARES[j], SCALES[k])) + np.eye(25)
            for score in range(3):
                wanted = multivariate_normal(cov=K).logpdf(s.scores[:, score]) - constant
                assert table[0, i, j, k, score] == pytest.approx(wanted, rel=2e-3, abs=0.05)


def test_the_prior_that_made_the_data_is_found():
    """Drawn from the model with known laws, share and scale; many neighbourhoods."""
    rng = np.random.default_rng(3)
    laws = (HIDDEN,) * 6 + (OTHER,) * 6
    table = 0.0
    for block in range(6):
        s = spots(n=150, r=12, seed=10 + block)
        drawn = np.empty((150, 12))
        for i, law in enumerate(laws):
            K = sum(dense(s.places, s.features, law, 0.6, 100.0)) + np.eye(150)
            drawn[:, i] = np.linalg.cholesky(K) @ rng.normal(size=150)
        known = Neighbours(s.places, s.features, drawn, np.ones((150, 12)))
        table = table + likelihoods(known, (DRIFT,), (OTHER, HIDDEN))
    prior = best_prior(table, (DRIFT,), (OTHER, HIDDEN), np.ones(12))
    assert sum(a == b for a, b in zip(prior.hidden, laws, strict=True)) >= 11
    assert np.abs(np.log10(prior.scale) - 2).max() <= 0.5
    assert np.isin(prior.share, (0.3, 0.6, 0.85)).mean() > 0.8
    assert set(likeliest(table, (OTHER, HIDDEN))) == {OTHER, HIDDEN}


def test_a_photograph_that_says_nothing_has_no_share():
    rng = np.random.default_rng(4)
    table = 0.0
    for block in range(4):
        s = spots(n=150, r=8, seed=20 + block)
        K = sum(dense(s.places, s.features, HIDDEN, 0.0, 100.0)) + np.eye(150)
        drawn = np.linalg.cholesky(K) @ rng.normal(size=(150, 8))
        known = Neighbours(s.places, s.features, drawn, np.ones((150, 8)))
        table = table + likelihoods(known, (DRIFT,), (HIDDEN,))
    assert (best_prior(table, (DRIFT,), (HIDDEN,), np.ones(8)).share == 0).mean() >= 0.75


def test_map_sums_are_generalised_least_squares():
    s, law = spots(), (HIDDEN,) * 3
    prior = prior_of(0.6, 4.0, law)
    sums = map_sums(s, prior, classes_of(prior, most=1))
    K = sum(dense(s.places, s.features, HIDDEN, 0.6, 4.0)) + np.diag(s.variance.mean(axis=1) + 4e-6)
    F = np.column_stack([s.features, np.ones(40)]).astype(float)
    np.testing.assert_allclose(sums.normal[0], F.T @ np.linalg.solve(K, F), rtol=1e-4)
    np.testing.assert_allclose(sums.right, F.T @ np.linalg.solve(K, s.scores), atol=1e-3)
    np.testing.assert_allclose(sums.square, (s.scores * np.linalg.solve(K, s.scores)).sum(axis=0), rtol=1e-4)
    assert sums.n == 40


def test_classes_hold_every_score_once_strongest_first():
    prior = Prior(DRIFT, (HIDDEN,) * 7, np.zeros(7), np.array([1.0, 100.0, 3.0, 3.0, 50.0, 2.0, 9.0]))
    classes = classes_of(prior)
    assert sorted(np.concatenate(classes)) == list(range(7))
    scales = [class_scale(prior, c) for c in classes]
    assert scales == sorted(scales, reverse=True)


def test_evidence_is_the_share_of_variance_that_the_spots_take_away():
    s = spots()
    prior = prior_of(0.3, 4.0)
    far = np.array([[400.0, 400.0]], "f4")
    places, features = np.concatenate([s.places[:5], far]), np.concatenate([s.features[:5], s.features[:1]])
    found = evidence(s, prior, places, features)
    near = sum(dense(places, features, HIDDEN, 0.3, 4.0, 1, s.places, s.features))
    K = sum(dense(s.places, s.features, HIDDEN, 0.3, 4.0)) + np.diag(s.variance.mean(axis=1))
    own = 4.0 * (0.3 * np.square(features).sum(axis=1) + 0.7)
    wanted = np.einsum("ij,ji->i", near, np.linalg.solve(K, near.T)) / own
    np.testing.assert_allclose(found, wanted, atol=2e-3)
    assert found[-1] < 1e-4


def far_from_noise(n=20, height=300.0):
    """Spots of nothing but noise, save that three of them hold one score of their own."""
    places = np.stack(np.meshgrid(np.arange(n), np.arange(n), indexing="ij"), -1).reshape(-1, 2)
    scores = np.random.default_rng(1).standard_normal((n * n, 2))
    rare = np.array([5 * n + 5, 5 * n + 6, 6 * n + 5])
    scores[rare, 1] += height
    features = np.zeros((n * n, 1), "f4")
    return Neighbours(places.astype("f4"), features, scores, np.ones_like(scores)), rare


def test_what_is_in_one_place_only_is_not_taken_for_noise():
    """The sampled neighbourhoods held nothing of it, so that its scale is that of noise."""
    found, rare = far_from_noise()
    prior = Prior(DRIFT, (OTHER, OTHER), np.zeros(2), np.full(2, 0.01))
    before = krige_blind(found, prior, found.places)[rare, 1]
    there = local_prior(prior, found)
    after = krige_blind(found, there, found.places)
    assert (before < 100).all()
    assert (after[rare, 1] > 0.5 * before.max() + 100).all()
    assert there.scale[0] == prior.scale[0]  # a score of noise keeps its own
    assert np.abs(after[:, 0]).max() < 0.5
    elsewhere = np.linalg.norm(found.places - found.places[rare[0]], axis=1) > 8
    assert np.abs(after[elsewhere, 1]).max() < 5


@pytest.mark.parametrize("law", [Law("matern32", 6.0), Law("exponential", 20.0)])
def test_a_few_spots_of_a_paint_keep_their_counts_whatever_law_was_learned_of_noise(law):
    found, rare = far_from_noise()
    found.variance[rare] = 15.0**2  # many counts have much noise
    there = local_prior(Prior(DRIFT, (law, law), np.zeros(2), np.full(2, 0.01)), found)
    after = krige_blind(found, there, found.places)[:, 1]
    assert there.hidden[0] == law
    assert 0.6 < after.sum() / found.scores[rare, 1].sum() < 1.2


def test_places_as_the_prior_expects_them_keep_it():
    places = np.stack(np.meshgrid(np.arange(16), np.arange(16), indexing="ij"), -1).reshape(-1, 2).astype("f4")
    K = 9.0 * alike(places, places, OTHER, 2) + np.eye(256)
    draws = np.linalg.cholesky(K) @ np.random.default_rng(3).standard_normal((256, 40))
    prior = Prior(DRIFT, (OTHER,) * 40, np.zeros(40), np.full(40, 9.0))
    there = local_prior(prior, Neighbours(places, np.zeros((256, 1), "f4"), draws, np.ones_like(draws)))
    assert (there.scale == prior.scale).mean() > 0.9
    assert there.scale.max() < 2 * prior.scale.max()


def test_a_score_of_noise_has_the_law_of_the_others():
    table = np.zeros((1, 2, len(SHARES), len(SCALES), 3))
    table[0, 1, 0, 20, :2] = 50.0  # two scores are sure of the second law
    table[0, 0, 0, 3, 2] = 0.1  # the third, all but flat, leans to the first
    found = best_prior(table, [DRIFT], [HIDDEN, OTHER], np.ones(3))
    assert found.hidden == (OTHER, OTHER, OTHER)
