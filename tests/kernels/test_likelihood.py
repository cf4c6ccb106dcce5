import numpy as np
import pytest

from xrfsr_dask.kernels.likelihood import log_likelihoods

SCALES = 10.0 ** np.arange(-2.0, 6.0)


def covariance(n: int) -> np.ndarray:
    places = np.random.default_rng(0).random((n, 2)) * np.sqrt(n)
    return np.exp(-np.linalg.norm(places[:, None] - places, axis=2) / 3)


def dense(K: np.ndarray, z: np.ndarray) -> np.ndarray:
    """As it is written, by the inverse."""
    out = []
    for scale in SCALES:
        whole = scale * K + np.eye(len(K))
        out.append(-0.5 * ((z * np.linalg.solve(whole, z)).sum(axis=0) + np.linalg.slogdet(whole)[1]))
    return np.array(out)


@pytest.mark.parametrize("n", [1, 2, 3, 60])
@pytest.mark.parametrize("k", [0, 1, 5])
def test_likelihoods_are_those_of_the_dense_matrices(n, k):
    K, z = covariance(n), np.random.default_rng(1).normal(0, 3, (n, k))
    found = log_likelihoods(K, z, SCALES)
    assert found.shape == (len(SCALES), k)
    np.testing.assert_allclose(found, dense(K, z), rtol=1e-8)


def test_what_is_given_is_left_as_it_is():
    K, z = covariance(20), np.random.default_rng(1).normal(0, 3, (20, 4))
    before = K.copy(), z.copy()
    log_likelihoods(K, z, SCALES)
    np.testing.assert_array_equal(K, before[0])
    np.testing.assert_array_equal(z, before[1])


def test_a_matrix_that_rounding_made_indefinite_is_raised_by_as_much():
    smooth = np.exp(-(((np.arange(50)[:, None] - np.arange(50)) / 20.0) ** 2))  # numerically of low rank
    K = smooth.astype("f2").astype(float)
    least = np.linalg.eigvalsh(K)[0]
    assert least < -1e-4
    z = np.random.default_rng(2).normal(0, 3, (50, 3))
    np.testing.assert_allclose(
        log_likelihoods(K, z, SCALES), dense(K - least * np.eye(50), z), rtol=1e-6, atol=1e-6
    )
