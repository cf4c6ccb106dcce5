"""The pieces of the comparison methods against brute force, adjoints and other people's solvers."""

import numpy as np
import pyproximal
import pytest
from helpers import adjoint_test
from scipy.optimize import minimize, nnls

from xrfsr_dask.kernels.projection import project_rows
from xrfsr_dask.methods.blocks import block_mean, block_spread, repeated, solve_blocks
from xrfsr_dask.methods.colours import memberships, palette
from xrfsr_dask.methods.gsomp import code_patches
from xrfsr_dask.methods.guided import guided_upsampling
from xrfsr_dask.methods.hysure import _Smoother, difference, difference_adjoint, shrink, vector_tv
from xrfsr_dask.methods.protocol import Scene
from xrfsr_dask.methods.response import colour_response
from xrfsr_dask.methods.subspace import find_subspace, upsampled
from xrfsr_dask.methods.unmixing import (
    learn_dictionary,
    nonnegative_least_squares,
    pure_spots,
    simplex_codes,
)

RNG = np.random.default_rng


@pytest.mark.parametrize("factor", [1, 2, 3, 5, 8])
def test_block_spread_is_the_adjoint_of_block_mean(factor):
    ny, nx = 4 * factor, 3 * factor
    adjoint_test(lambda a: block_mean(a, factor), lambda b: block_spread(b, factor), (ny, nx, 2), (4, 3, 2))


@pytest.mark.parametrize("factor", [2, 3, 4, 5])
def test_sampling_has_no_phase(factor):
    """A ramp's block means are the ramp at the blocks' centres, whether there is a pixel there or not."""
    y = np.arange(4.0 * factor)[:, None, None] * np.ones((1, factor, 1))
    np.testing.assert_allclose(block_mean(y, factor)[:, 0, 0], np.arange(4) * factor + (factor - 1) / 2)
    np.testing.assert_array_equal(block_mean(repeated(y[:4, :1], factor), factor), y[:4, :1])
    low = block_mean(y, factor)
    middle = slice(factor, 3 * factor)
    np.testing.assert_allclose(upsampled(low, factor)[middle, 0, 0], y[middle, 0, 0], atol=0.2 * factor)


def test_the_closed_inverse_of_the_data_term_is_one():
    rng, f = RNG(0), 3
    ridge = np.array([0.01, 2.0])
    V = rng.standard_normal((9, 6, 2))
    image = ridge * V + block_spread(block_mean(V, f), f)
    np.testing.assert_allclose(solve_blocks(image, ridge, f), V, atol=1e-10)


def test_difference_adjoint_is_the_adjoint_of_difference():
    adjoint_test(difference, difference_adjoint, (7, 6, 2), (2, 7, 6, 2))


def test_the_smoother_inverts_the_laplacian_without_wrapping_around():
    V = RNG(0).standard_normal((7, 6, 2)).astype("f4")
    np.testing.assert_allclose(_Smoother((7, 6))(V + difference_adjoint(difference(V))), V, atol=1e-5)
    step = np.zeros((8, 30, 1), "f4")
    step[:, 15:] = 1.0
    out = _Smoother((8, 30))(step)
    assert abs(out[:, 0]).max() < 1e-4  # what happens at the right edge stays there
    assert abs(out[:, -1] - 1).max() < 1e-4


def test_the_prox_of_vector_tv_is_the_minimum_that_brute_force_finds():
    D = RNG(1).standard_normal((2, 1, 1, 3))
    for threshold in (0.3, 1.5, 10.0):
        found = minimize(
            lambda z, t=threshold: 0.5 * np.sum((z - D.ravel()) ** 2) + t * np.sqrt(np.sum(z**2) + 1e-18),
            0.5 * D.ravel(),
            method="Nelder-Mead",
            options={"xatol": 1e-7, "fatol": 1e-12, "maxiter": 20_000, "maxfev": 20_000},
        )
        np.testing.assert_allclose(shrink(D, threshold).ravel(), found.x, atol=2e-4)


def test_the_prox_of_vector_tv_is_that_of_pyproximal():
    D = RNG(3).standard_normal((2, 5, 4, 3))
    of_a_pixel = np.moveaxis(D, -1, 1).reshape(6, -1)  # L21 sums the lengths of columns
    theirs = pyproximal.L21(ndim=6, sigma=1.0).prox(of_a_pixel.ravel(), 0.8).reshape(2, 3, 5, 4)
    np.testing.assert_allclose(shrink(D, 0.8), np.moveaxis(theirs, 1, -1), atol=1e-6)


def test_vector_tv_reaches_the_minimum_of_what_it_minimises():
    rng, f = RNG(2), 2
    truth = np.zeros((8, 6, 2), "f4")
    truth[3:, 2:] = (3.0, -2.0)
    P = rng.standard_normal((1, 2)).astype("f4")
    X = block_mean(truth, f) + 0.1 * rng.standard_normal((4, 3, 2)).astype("f4")
    I = truth @ P.T

    def value(Z):
        G = difference(Z)
        variation = np.sqrt(np.einsum("dyxk,dyxk->yx", G, G) + 1e-12).sum()
        return 0.5 * ((X - block_mean(Z, f)) ** 2).sum() + 0.5 * ((I - Z @ P.T) ** 2).sum() + 0.1 * variation

    Z = vector_tv(X, I, P, factor=f, variation=0.1, iterations=600).astype(float)
    by_force = minimize(lambda z: value(z.reshape(Z.shape)), Z.ravel() * 0.9, method="L-BFGS-B").fun
    assert value(Z) < by_force + 1e-3 * abs(by_force)


def test_rows_project_onto_the_simplex_exactly():
    V = RNG(3).standard_normal((20, 4))
    found = project_rows(V, exact=True)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    assert found.min() >= 0
    anywhere = RNG(0).dirichlet([0.5] * 4, 5000)
    for row, mine in zip(V, found, strict=True):  # no point of the simplex lies on the far side of it
        assert ((anywhere - mine) @ (row - mine)).max() < 1e-5


def test_simplex_codes_of_mixtures_are_the_mixtures():
    rng = RNG(4)
    D = rng.random((3, 20)).astype("f4")
    A = rng.dirichlet([1, 1, 1], 30).astype("f4")
    np.testing.assert_allclose(simplex_codes(A @ D, D), A, atol=0.02)


@pytest.mark.parametrize(("k", "b"), [(1, 3), (2, 3), (7, 3), (40, 3), (6, 1)])
def test_nonnegative_least_squares_agrees_with_scipy(k, b):
    rng = RNG(k)
    for _ in range(20):
        C, y = rng.random((k, b)) - 0.2, rng.random(b) - 0.1
        mine, (_, left) = nonnegative_least_squares(C, y), nnls(C.T, y)
        assert (mine >= 0).all()
        assert np.linalg.norm(y - mine @ C) < left + 1e-7


def test_gsomp_codes_a_colour_with_the_atom_that_has_it():
    C = np.array([[0.9, 0.1, 0.0], [0.1, 0.8, 0.1], [0.0, 0.1, 0.9]])
    want = RNG(5).integers(0, 3, (11, 13))
    A = np.zeros((11, 13, 3), np.float32)
    code_patches(C[want], C, A, 4, 1, 0.99)
    np.testing.assert_allclose(A, np.eye(3)[want], atol=1e-6)


def test_p_is_found_where_it_is_not_negative_and_bounded_where_it_is():
    rng = RNG(6)
    X = rng.random((60, 8)).astype("f4")
    P = np.array([[0, 1, 0, 2, 0, 0, 0.5, 0], [1, -1, 0, 0, 0, 0, 0, 0]], float)
    found = colour_response(X, X @ P.T, bounded=True)
    assert found.min() >= 0
    np.testing.assert_allclose(found[0], P[0], atol=1e-3)
    np.testing.assert_allclose(found[1], nnls(X, X @ P[1])[0], atol=1e-3)


def test_p_without_bounds_does_not_see_what_the_photograph_does_not_show():
    rng = RNG(7)
    D = rng.random((3, 40))
    A = np.column_stack([rng.dirichlet([1, 1], 400), rng.random(400) > 0.7])
    P = colour_response((A @ D + 1e-3 * rng.standard_normal((400, 40))).astype("f4"), A[:, :2], bounded=False)
    np.testing.assert_allclose(D @ P.T, [[1, 0], [0, 1], [0, 0]], atol=0.02)


@pytest.mark.parametrize("noise", ["poisson", "gaussian"])
def test_the_subspace_has_the_rank_of_the_signal_and_noise_of_one(noise):
    rng = RNG(8)
    D = 30 * rng.random((3, 100)) ** 4
    mean = rng.dirichlet([1, 1, 1], 600) @ D
    X = rng.poisson(mean) if noise == "poisson" else mean + 0.7 * rng.standard_normal(mean.shape)
    given = Scene(X.reshape(20, 30, 100).astype("f4"), np.zeros((20, 30, 1), "f4"), 1, noise)
    space = find_subspace(given, most=50)
    assert space.scores.shape == (20, 30, 3)
    left = (X - space.scores.reshape(600, 3) @ space.endmember) / space.scale
    assert left.std() == pytest.approx(1.0, abs=0.06)
    assert find_subspace(given, most=2).scores.shape == (20, 30, 2)


def test_pure_spots_are_found_among_mixtures():
    rng = RNG(9)
    D = rng.random((4, 30)).astype("f4")
    A = np.vstack([rng.dirichlet([1, 1, 1, 1], 50), np.eye(4)]).astype("f4")
    found = pure_spots(A @ D, 4, rank=4)
    assert max(abs(found - d).max(axis=1).min() for d in D) < 1e-3
    assert pure_spots(A @ D, 80, rank=4).shape == (80, 30)


def test_a_learned_dictionary_is_not_negative_of_norm_one_and_represents_the_spots():
    rng = RNG(10)
    X = (rng.dirichlet([0.5, 0.5, 0.5], 200) @ rng.random((3, 40))).astype("f4")
    D = learn_dictionary(X, 6, beta=1e-3, seed=0)
    assert D.min() >= 0
    np.testing.assert_allclose(np.linalg.norm(D, axis=1), 1, atol=1e-5)
    left = [nnls(D.T, x)[1] for x in X[:30].astype(float)]
    assert np.mean(left) < 0.03 * np.linalg.norm(X, axis=1).mean()


def test_a_map_that_is_linear_in_the_guide_passes_the_guided_filter():
    guide = RNG(11).random((30, 25, 3)).astype("f4")
    maps = (guide @ np.array([[1.0], [2.0], [-1.0]]) + 0.5).astype("f4")
    out = guided_upsampling(block_mean(maps, 5), guide, 5, radius=2, epsilon=1e-7)
    np.testing.assert_allclose(out, maps, atol=0.05)


def test_a_palette_of_two_colours_has_two_clusters():
    colours = np.repeat(np.array([[1, 1, 0], [0, 0, 1]], "f4"), 50, axis=0)
    centres = palette(colours, 24, seed=0)
    assert len(centres) == 2
    np.testing.assert_allclose(memberships(colours, centres, 0.08).max(axis=1), 1, atol=1e-6)
