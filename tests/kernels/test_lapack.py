import threading
import time

import numpy as np
import pytest
import scipy.linalg

from xrfsr_dask.kernels import lapack


def definite(n: int, dtype: str = "f8") -> np.ndarray:
    rows = np.random.default_rng(n).normal(size=(n, 2 * n))
    return np.ascontiguousarray(rows @ rows.T / n, dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n", [1, 2, 37])
@pytest.mark.parametrize("k", [0, 1, 5])
def test_systems_are_solved_as_scipy_solves_them(dtype, n, k):
    K, B = definite(n, dtype), np.random.default_rng(1).normal(size=(n, k)).astype(dtype)
    whole = K.copy()
    assert lapack.factor(K)
    np.testing.assert_array_equal(np.triu(K), np.triu(scipy.linalg.cholesky(whole, lower=True).T))
    found = lapack.solved(K, B)
    assert found.dtype == dtype
    if k:
        np.testing.assert_array_equal(found, scipy.linalg.cho_solve((np.asfortranarray(K.T), True), B))
        X = np.array(B, order="F")
        L = np.ascontiguousarray(np.tril(K.T))
        lapack.solve_lower(L, X)
        np.testing.assert_array_equal(X, scipy.linalg.solve_triangular(L, B, lower=True))


@pytest.mark.parametrize("n", [1, 2, 40])
@pytest.mark.parametrize("k", [0, 1, 3])
def test_a_tridiagonal_form_is_a_rotation_of_the_matrix(n, k):
    K, Z = definite(n), np.random.default_rng(2).normal(size=(n, k))
    diagonal, below, turned = lapack.tridiagonal(K, Z)
    T = np.diag(diagonal) + np.diag(below, 1) + np.diag(below, -1)
    np.testing.assert_allclose(lapack.eigenvalues(diagonal, below), np.linalg.eigvalsh(K), rtol=1e-10)
    np.testing.assert_allclose(turned.T @ T @ turned, Z.T @ K @ Z, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.square(turned).sum(axis=0), np.square(Z).sum(axis=0), rtol=1e-12)


def test_what_is_given_to_be_reduced_is_left_as_it_is():
    K, Z = definite(10), np.ones((10, 2), order="F")
    before = K.copy()
    diagonal, below, _ = lapack.tridiagonal(K, Z)
    kept = diagonal.copy(), below.copy()
    lapack.eigenvalues(diagonal, below)
    for now, then in ((K, before), (Z, np.ones((10, 2))), (diagonal, kept[0]), (below, kept[1])):
        np.testing.assert_array_equal(now, then)


def test_what_is_not_positive_definite_or_not_regular_is_told():
    assert not lapack.factor(-np.eye(3))
    with pytest.raises(np.linalg.LinAlgError):
        lapack.solve_lower(np.zeros((3, 3)), np.ones((3, 1), order="F"))


@pytest.mark.parametrize("wrong", [np.ones((2, 3)), np.ones(4), np.asfortranarray(definite(3))])
def test_what_lapack_would_read_amiss_is_refused(wrong):
    with pytest.raises(ValueError, match="a square matrix in C order"):
        lapack.factor(wrong)
    with pytest.raises(ValueError, match="Fortran order"):
        lapack.solve_lower(np.eye(3), np.ones((3, 2)))
    with pytest.raises(ValueError, match="of L's type"):
        lapack.solve_lower(np.eye(3), np.ones((3, 2), "f4", order="F"))


def test_python_goes_on_while_a_matrix_is_factored():
    """Another thread has its turn in the middle of one call, not only at its end."""
    K, began, turns = definite(1500), threading.Event(), []

    def factor() -> None:
        began.set()
        started = time.perf_counter()
        lapack.factor(K)
        turns.append((started, time.perf_counter()))

    thread = threading.Thread(target=factor)
    thread.start()
    began.wait()
    seen = []
    while thread.is_alive():
        seen.append(time.perf_counter())
        time.sleep(0.001)
    (started, ended), took = turns[0], turns[0][1] - turns[0][0]
    assert sum(started + 0.2 * took < at < ended - 0.2 * took for at in seen) >= 2
