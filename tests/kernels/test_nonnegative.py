import numpy as np
import pytest
from scipy.optimize import nnls

from xrfsr_dask.kernels.nonnegative import abundances, choose_endmembers


@pytest.mark.parametrize("k", [1, 7, 40])
def test_abundances_are_those_of_lawson_and_hanson(k):
    rng = np.random.default_rng(k)
    E, X = rng.random((k, 60)), rng.normal(0.3, 0.5, (30, 60))
    found = abundances((X @ E.T).astype("f4"), (E @ E.T).astype("f4"))
    wanted = np.array([nnls(E.T, x)[0] for x in X])
    assert found.min() >= 0
    residual = [np.square(X - A @ E).sum() for A in (found, wanted)]
    assert residual[0] <= residual[1] * (1 + 1e-4)
    if k < 40:
        np.testing.assert_allclose(found, wanted, atol=2e-3)


def test_no_small_change_of_an_abundance_does_better():
    """Brute force about the minimum: every coordinate, up and down."""
    rng = np.random.default_rng(5)
    E, x = rng.random((6, 20)), rng.random(20)
    (a,) = abundances((x @ E.T)[None].astype("f4"), (E @ E.T).astype("f4")).astype(float)
    least = np.square(x - a @ E).sum()
    for j in range(6):
        for step in (-0.02, 0.02):
            other = a.copy()
            other[j] = max(0.0, a[j] + step)
            assert np.square(x - other @ E).sum() >= least - 1e-6


def test_a_start_decides_between_equal_mixtures():
    G = np.ones((2, 2), "f4")
    first = abundances(np.ones((1, 2), "f4"), G, np.array([[1, 0]], "f4"))
    second = abundances(np.ones((1, 2), "f4"), G, np.array([[0, 1]], "f4"))
    np.testing.assert_allclose(first, [[1, 0]], atol=1e-6)
    np.testing.assert_allclose(second, [[0, 1]], atol=1e-6)


def test_no_endmembers_and_empty_endmembers_are_no_trouble():
    assert abundances(np.zeros((3, 0), "f4"), np.zeros((0, 0), "f4")).shape == (3, 0)
    found = abundances(np.array([[1.0, 0.0]], "f4"), np.diag([1.0, 0.0]).astype("f4"))
    assert np.isfinite(found).all()
    assert found[0, 0] == pytest.approx(1.0)


def test_pure_spectra_are_chosen_among_their_mixtures():
    rng = np.random.default_rng(6)
    pure = rng.random((5, 30))
    Z = np.concatenate([rng.dirichlet(np.ones(5), 200) @ pure, pure]).astype("f4")
    chosen = choose_endmembers(Z, Z, 5)
    assert len(set(chosen)) == len(chosen) == 5
    D = Z[chosen]
    left = Z - abundances(Z @ D.T, D @ D.T) @ D
    assert np.square(left).sum() < 1e-2 * np.square(Z - Z.mean(axis=0)).sum()


def test_no_more_are_chosen_than_are_needed_or_allowed():
    rng = np.random.default_rng(7)
    Z = (rng.random((50, 1)) * rng.random(12)).astype("f4")
    assert len(choose_endmembers(Z, Z, 10)) == 1
    assert len(choose_endmembers(rng.random((50, 12)).astype("f4"), rng.random((50, 12)).astype("f4"), 3)) == 3
    assert len(choose_endmembers(np.zeros((0, 12), "f4"), np.zeros((0, 12), "f4"), 3)) == 0


@pytest.mark.parametrize("n", [1000, 5003])
def test_threads_leave_no_trace(n):
    rng = np.random.default_rng(5)
    E = rng.random((7, 20)).astype("f4")
    C, G = (rng.random((n, 20)).astype("f4") @ E.T), E @ E.T
    alone = abundances(C, G)
    for threads in (2, 3, 8):
        np.testing.assert_array_equal(abundances(C, G, threads=threads), alone)
    Z = rng.random((n, 20)).astype("f4")
    np.testing.assert_array_equal(choose_endmembers(Z, Z, 12, threads=3), choose_endmembers(Z, Z, 12))
