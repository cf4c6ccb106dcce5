import numpy as np
import pytest
from helpers import gradient_test

from xrfsr_dask.kernels.dictionary import (
    Dictionaries,
    Statistics,
    minimise_in_box,
    objective,
    spot_statistics,
    update_dictionaries,
)
from xrfsr_dask.kernels.smoothness import difference, smoothness_gram

LAM = 0.3


@pytest.fixture
def problem():
    """A small scene held in full: abundances, counts, photograph, dictionaries and their statistics."""
    rng = np.random.default_rng(1)
    n_v, n_nv, n_channel, ny, nx = 4, 3, 20, 12, 10
    A = rng.dirichlet(np.ones(n_v + n_nv), (ny, nx))
    SA = A.reshape(3, 4, 5, 2, -1).mean(axis=(1, 3)).reshape(-1, n_v + n_nv)
    X, I = rng.random((len(SA), n_channel)), rng.random((ny, nx, 3))
    P, Q, xx = spot_statistics(SA.astype("f4"), X.astype("f4"))
    Av = A[..., :n_v].reshape(-1, n_v)
    sums = Statistics(
        P=P,
        Q=Q,
        R=Av.T @ Av,
        Ri=Av.T @ I.reshape(-1, 3),
        T=smoothness_gram(A[..., n_v:], (ny, nx)),
        xx=xx,
        ii=float(np.square(I).sum()),
    )
    D = Dictionaries(
        Dv=rng.random((n_v, n_channel)), Dnv=rng.random((n_nv, n_channel)), Drgb=rng.random((n_v, 3))
    )
    return A, SA, X, I, D, sums


def written_out(A, SA, X, I, D):
    n_v = len(D.Dv)
    Y = SA[:, :n_v] @ D.Dv + SA[:, n_v:] @ D.Dnv
    smooth = LAM * sum(np.square(d @ D.Dnv).sum() for d in difference(A[..., n_v:]))
    return np.square(X - Y).sum(), np.square(I - A[..., :n_v] @ D.Drgb).sum(), smooth


def test_the_objective_from_the_statistics_is_the_objective_written_out(problem):
    A, SA, X, I, D, sums = problem
    value = objective(D, sums, lam=LAM)
    np.testing.assert_allclose(
        [value.data, value.photograph, value.smoothness], written_out(A, SA, X, I, D), rtol=1e-5
    )
    assert value.total == value.data + value.photograph + value.smoothness


def test_the_box_problem_has_the_gradient_it_descends():
    rng = np.random.default_rng(0)
    M = rng.random((6, 4))
    G, Q, D = M.T @ M, rng.random((4, 5)), rng.random((4, 5))
    gradient_test(lambda d: 0.5 * np.vdot(d, G @ d) - np.vdot(d, Q), G @ D - Q, D)


def test_the_box_minimum_is_the_one_of_bounded_least_squares():
    from scipy.optimize import lsq_linear

    rng = np.random.default_rng(0)
    M, X = rng.random((30, 5)), 1.4 * rng.random((30, 7)) - 0.2
    got = minimise_in_box(np.full((5, 7), 0.5), M.T @ M, M.T @ X, gamma=1.01, steps=5000, tolerance=1e-12)
    expected = np.stack([lsq_linear(M, X[:, k], (0, 1), tol=1e-14).x for k in range(7)], axis=1)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_updating_the_dictionaries_lowers_the_objective_and_keeps_the_box(problem):
    *_, D, sums = problem
    before = objective(D, sums, lam=LAM).total
    for _ in range(5):
        D = update_dictionaries(D, sums, lam=LAM, gamma=1.01, steps=100)
        after = objective(D, sums, lam=LAM).total
        assert after <= before * (1 + 1e-12)
        before = after
    for part in (D.Dv, D.Dnv, D.Drgb):
        assert part.min() >= 0
        assert part.max() <= 1


def test_atoms_that_nothing_uses_stay_as_they_are():
    D = np.full((2, 3), 0.4)
    np.testing.assert_array_equal(
        minimise_in_box(D, np.zeros((2, 2)), np.zeros((2, 3)), gamma=1.01, steps=9), D
    )
