import numpy as np
import pyproximal
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xrfsr_dask.kernels.projection import project_box, project_rows

ROWS = hnp.arrays("f4", st.tuples(st.integers(1, 4), st.integers(1, 30)), elements=st.floats(-5, 5, width=32))


def sorted_simplex(v: np.ndarray) -> np.ndarray:
    """The textbook projection by sorting, in float64."""
    v = v.astype(float)
    u = np.sort(v)[::-1]
    tau = (np.cumsum(u) - 1) / np.arange(1, v.size + 1)
    return np.maximum(v - tau[np.nonzero(u > tau)[0][-1]], 0)


@settings(max_examples=200, deadline=None)
@given(ROWS)
def test_the_exact_projection_is_the_one_by_sorting(V):
    expected = np.array([sorted_simplex(v) for v in V])
    np.testing.assert_allclose(project_rows(V, exact=True), expected, atol=2e-6)


def test_projections_are_those_of_pyproximal():
    V = np.random.default_rng(0).normal(0, 2, (300, 40)).astype("f4")
    simplex = pyproximal.Simplex(V.size, 1.0, dims=V.shape, axis=1, maxiter=200, xtol=1e-10, engine="numpy")
    theirs = simplex.prox(V.astype(float).ravel(), 1.0).reshape(V.shape)
    np.testing.assert_allclose(project_rows(V, exact=True), theirs, atol=1e-5)
    np.testing.assert_array_equal(project_box(V, 0.7), pyproximal.Box(0.0, 0.7).prox(V, 1.0))


@settings(max_examples=50, deadline=None)
@given(ROWS, st.integers(0, 1000))
def test_no_point_of_the_simplex_is_nearer(V, seed):
    P = project_rows(V, exact=True).astype(float)
    others = np.random.default_rng(seed).dirichlet(np.ones(V.shape[1]), 50)
    best = np.square(P - V).sum(1)
    for other in others:
        assert (np.square(other - V).sum(1) >= best - 1e-4).all()


def test_the_papers_projection_clips_and_rescales():
    V = np.array([[0.5, -1.0, 1.5], [0.2, 0.2, 0.6]], "f4")
    np.testing.assert_allclose(project_rows(V, exact=False), [[0.25, 0, 0.75], [0.2, 0.2, 0.6]], rtol=1e-6)


@pytest.mark.parametrize("exact", [True, False])
def test_rows_without_anything_positive_still_sum_to_one(exact):
    P = project_rows(np.full((2, 4), -3.0, "f4"), exact=exact)
    np.testing.assert_allclose(P, 0.25)


def test_the_box_clips_to_zero_and_one():
    np.testing.assert_array_equal(project_box(np.array([-1.0, 0.5, 2.0])), [0, 0.5, 1])
