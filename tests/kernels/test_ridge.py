import numpy as np
import pytest
from scipy.stats import multivariate_normal

from xrfsr_dask.kernels.ridge import MapSums, ridge_by_evidence, ridge_by_folds, ridged


def problem(signal, n=400, m=30, seed=0):
    """One score that depends on the features and one that does not; noise that neighbours share."""
    rng = np.random.default_rng(seed)
    smooth = np.exp(-np.abs(np.subtract.outer(np.arange(n), np.arange(n))) / 15.0)
    F = np.linalg.cholesky(smooth + 1e-9 * np.eye(n)) @ rng.normal(size=(n, m)) / np.sqrt(m)
    K = smooth + 0.05 * np.eye(n)
    Z = np.linalg.cholesky(K) @ rng.normal(size=(n, 2)) + 5.0
    Z[:, 0] += signal * F @ rng.normal(size=m)
    return np.column_stack([F, np.ones(n)]), Z, K


def sums_of(F, Z, K):
    KF, KZ = np.linalg.solve(K, F), np.linalg.solve(K, Z)
    return MapSums((F.T @ KF)[None], KF.T @ Z, (Z * KZ).sum(axis=0), len(F))


def test_chance_likeness_of_smooth_things_is_no_evidence():
    """Ordinary folds fall for it, evidence under the right covariance does not."""
    fooled = caught = 0
    for seed in range(10):
        F, Z, K = problem(0.0, seed=seed)
        evident = ridge_by_evidence(sums_of(F, Z, K), [np.array([0, 1])])
        caught += np.square(F[:, :-1] @ evident[:-1]).mean() > 0.05
        fooled += np.square(F[:, :-1] @ ridged(F.T @ F, F.T @ Z, 1e-2)[:-1]).mean() > 0.05
    assert fooled == 10
    assert caught <= 1


def test_what_depends_on_colour_is_learned():
    F, Z, K = problem(3.0)
    g = ridge_by_evidence(sums_of(F, Z, K), [np.array([0, 1])])
    assert np.square(F[:, :-1] @ g[:-1, 0]).mean() > 0.3
    assert np.square(F[:, :-1] @ g[:-1, 1]).mean() < 0.05


def test_a_few_spots_or_more_colours_than_spots_teach_no_map_that_fits_them_all():
    for n, m in ((12, 30), (60, 250)):
        rng = np.random.default_rng(n)
        F, Z = np.column_stack([rng.normal(size=(n, m)), np.ones(n)]), 1e3 * rng.normal(size=(n, 1))
        g = ridge_by_evidence(sums_of(F, Z, np.eye(n)), [np.array([0])])
        elsewhere = rng.normal(size=(1000, m)) @ g[:-1]
        assert elsewhere.std() < (1e-9 if n < 30 else 1.0) * Z.std()
        assert np.square(Z - F @ g).mean() > 0.2 * Z.var()


def test_the_ridge_chosen_is_the_likeliest():
    """Brute force: the marginal density of the scores with the map integrated out, the scale of K known."""
    F, Z, K = problem(3.0, n=120, m=8)
    sums = sums_of(F, Z[:, :1], K)
    g = ridge_by_evidence(sums, [np.array([0])])
    ridges = 10.0 ** np.arange(-3, 3.1, 0.5)
    flat = 1e4  # of the constant
    covariances = [K + F[:, :-1] @ F[:, :-1].T / r + flat * np.ones_like(K) for r in ridges]
    density = [multivariate_normal(cov=C).logpdf(Z[:, 0]) for C in covariances]
    best = ridged(sums.normal[0], sums.right, ridges[int(np.argmax(density))])
    fits = [F[:, :-1] @ one[:-1, 0] for one in (g, best)]
    assert np.square(fits[0] - fits[1]).mean() < 0.02 * np.square(fits[1]).mean()


def test_folds_choose_between_a_map_and_a_constant():
    rng = np.random.default_rng(1)
    F = np.column_stack([rng.normal(size=(500, 6)), np.ones(500)])
    Z = np.column_stack([F[:, :6] @ np.arange(6.0) + rng.normal(size=500), 7 + rng.normal(size=500)])
    parts = np.arange(500) % 5
    folds = [parts == i for i in range(5)]
    normal, right = (np.stack([F[at].T @ other[at] for at in folds]) for other in (F, Z))
    square = np.stack([np.square(Z[at]).sum(axis=0) for at in folds])
    g = ridge_by_folds(normal, right, square)
    np.testing.assert_allclose(g[:6, 0], np.arange(6.0), atol=0.25)
    assert np.abs(g[:6, 1]).max() < 0.15
    assert g[6, 1] == pytest.approx(7, abs=0.2)


def test_an_infinite_ridge_leaves_the_mean():
    F = np.column_stack([np.random.default_rng(2).normal(size=(50, 3)), np.ones(50)])
    Z = np.full((50, 1), 4.0)
    g = ridged(F.T @ F, F.T @ Z, np.inf)
    np.testing.assert_allclose(g, [[0], [0], [0], [4]])
    empty = ridge_by_evidence(MapSums(np.zeros((1, 4, 4)), np.zeros((4, 1)), np.zeros(1), 0.0), [np.array([0])])
    assert np.isfinite(empty).all()
