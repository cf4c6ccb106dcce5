import numpy as np
from helpers import adjoint_test

from xrfsr_dask.kernels.smoothness import difference, difference_adjoint, smoothness_gram


def test_difference_and_its_adjoint_are_adjoint():
    ny, nx, n = 7, 5, 3
    split = (ny - 1) * nx * n

    def forward(a):
        return np.concatenate([part.ravel() for part in difference(a)])

    def adjoint(b):
        return difference_adjoint((b[:split].reshape(ny - 1, nx, n), b[split:].reshape(ny, nx - 1, n)))

    adjoint_test(forward, adjoint, (ny, nx, n), (split + ny * (nx - 1) * n,))


def test_a_constant_layer_costs_nothing():
    assert not difference_adjoint(difference(np.ones((6, 4, 2), "f4"))).any()


def test_the_grams_of_all_cells_add_up_to_the_whole():
    A = np.random.default_rng(0).random((23, 17, 3)).astype("f4")
    flat = A.reshape(-1, 3).astype(float)
    whole = flat.T @ difference_adjoint(difference(A.astype(float))).reshape(-1, 3)
    parts = sum(
        smoothness_gram(A[y : y + 11, x : x + 11], (min(10, 23 - y), min(10, 17 - x)))
        for y in range(0, 23, 10)
        for x in range(0, 17, 10)
    )
    np.testing.assert_allclose(parts, whole, rtol=1e-5)
