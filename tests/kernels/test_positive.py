import numpy as np
import pytest

from xrfsr_dask.kernels import positive
from xrfsr_dask.kernels.covariance import Apart
from xrfsr_dask.kernels.positive import Systems, combine


def parts_of(n: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, 12, (n, 2)).astype("f4")
    apart = Apart.of(places, places, size=1.0, spots=2)
    A, B = (apart.correlation("matern32", reach) for reach in (2.0, 9.0))
    return A, B, rng


def test_a_combination_is_the_weighted_sum_and_the_diagonal():
    A, B, rng = parts_of(40)
    diagonal = rng.random(40)
    whole = 3.0 * A.astype(float) + 0.5 * B.astype(float) + np.diag(diagonal)
    np.testing.assert_allclose(combine([(3.0, A), (0.5, B)], diagonal, np.empty((40, 40))), whole, rtol=1e-14)
    alone = combine([(3.0, A)], diagonal, np.empty((40, 40)))
    np.testing.assert_allclose(alone, 3.0 * A.astype(float) + np.diag(diagonal), rtol=1e-14)


@pytest.mark.parametrize("scale", [1e-2, 1e2, 1e6, 1e10])
def test_solutions_are_those_of_float64_whatever_the_condition(scale):
    """From noise alone to matrices that float32 cannot factor."""
    A, B, rng = parts_of(150)
    Z, diagonal = rng.normal(size=(150, 3)) * [1.0, 1e-20, 1e20], 0.5 + rng.random(150)
    found = Systems.of(150).solve([(scale, A), (scale, B)], diagonal, Z)
    whole = np.linalg.solve(combine([(scale, A), (scale, B)], diagonal, np.empty((150, 150))), Z)
    off = np.abs(found - whole).max(axis=0) / np.abs(whole).max(axis=0)
    assert off.max() < max(1e-8, 1e-15 * scale)


def test_a_well_conditioned_system_needs_no_factor_in_float64(monkeypatch):
    A, B, rng = parts_of(60)
    monkeypatch.setattr(positive, "solution", None)
    Systems.of(60).solve([(10.0, A), (1.0, B)], np.ones(60), rng.normal(size=(60, 2)))


def test_memory_is_used_again_and_no_solution_with_it():
    A, B, rng = parts_of(30)
    systems, Z = Systems.of(30), rng.normal(size=(30, 1))
    first = systems.solve([(2.0, A)], np.ones(30), Z)
    kept = first.copy()
    systems.solve([(5.0, B)], np.ones(30), Z)
    np.testing.assert_array_equal(first, kept)


def test_what_is_not_positive_definite_is_not_solved():
    A, _, rng = parts_of(20)
    with pytest.raises(np.linalg.LinAlgError):
        Systems.of(20).solve([(-1.0, A)], np.zeros(20), rng.normal(size=(20, 1)))
