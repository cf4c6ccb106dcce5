import numpy as np
import pytest
from scipy.special import gamma, kv

from xrfsr_dask.kernels.covariance import KINDS, Apart, point_correlation


def matern(d, nu):
    """The general Matérn law, by Bessel functions."""
    t = np.sqrt(2 * nu) * np.maximum(d, 1e-12)
    return 2 ** (1 - nu) / gamma(nu) * t**nu * kv(nu, t)


@pytest.mark.parametrize(("kind", "nu"), [("exponential", 0.5), ("matern32", 1.5), ("matern52", 2.5)])
def test_laws_are_those_of_matern(kind, nu):
    d = np.linspace(0.01, 8, 50)
    np.testing.assert_allclose(point_correlation(kind, d), matern(d, nu), rtol=1e-9)


def box(side, n=24):
    """Points spread evenly over a square."""
    at = (np.arange(n) + 0.5) / n * side - side / 2
    return np.stack(np.meshgrid(at, at), axis=-1).reshape(-1, 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spots", [0, 1, 2])
def test_a_spot_is_a_mean_over_its_square(kind, spots):
    """Against plain averaging over points, for squares turned every way: distance alone is what counts."""
    size, reach = 1.3, 1.0
    found, wanted = [], []
    for d in (0.0, 0.4, 1.0, 2.7, 9.0):
        P, Q = np.zeros((1, 2), "f4"), np.array([[0, d]], "f4")
        found.append(Apart.of(P, Q, size=size, spots=spots).correlation(kind, reach)[0, 0])
        values = []
        for turn in np.radians(np.arange(3.75, 45, 7.5)):
            R = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
            near = box(size, 14) @ R.T if spots == 2 else np.zeros((1, 2))
            far = (box(size, 15) @ R.T if spots else np.zeros((1, 2))) + (0, d)
            apart = np.linalg.norm(near[:, None] - far[None], axis=2)
            values.append(point_correlation(kind, apart / reach).mean())
        wanted.append(np.mean(values))
    np.testing.assert_allclose(found, wanted, atol=4e-3)


def test_places_of_a_table_are_met_within_rounding():
    d = np.geomspace(1e-3, 50, 400).astype("f4")
    P, Q = np.zeros((1, 2), "f4"), np.stack([np.zeros_like(d), d], axis=1)
    for kind in KINDS:
        found = Apart.of(P, Q, size=1.0, spots=0).correlation(kind, 2.0)[0]
        np.testing.assert_allclose(found, point_correlation(kind, d / 2.0), atol=3e-4)
    far = Apart.of(P, np.array([[0, 1e6]], "f4"), size=1.0, spots=2).correlation("matern32", 2.0)
    assert abs(far[0, 0]) < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_covariances_of_crowded_spots_are_positive_definite(kind):
    P = np.random.default_rng(0).uniform(0, 12, (300, 2)).astype("f4")
    for reach in (0.7, 6.0):
        K = Apart.of(P, P, size=1.5, spots=2).correlation(kind, reach).astype(float)
        assert np.linalg.eigvalsh(K).min() > -2e-4
