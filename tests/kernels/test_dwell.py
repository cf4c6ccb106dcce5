"""Spots that stalled or failed are told from paint, and only they."""

import numpy as np
import pytest

from xrfsr_dask.kernels.dwell import filled, misdwelt
from xrfsr_dask.phantom import aligned_painting

PLACES = [(2, 3), (9, 12), (9, 13), (15, 7), (0, 0), (1, 1), (19, 24)]


def counts(per_spot: float = 6000.0, seed: int = 0) -> np.ndarray:
    scene = aligned_painting(shape=(100, 125), factor=5, n_channel=256, counts_per_spot=per_spot, seed=seed)
    return np.asarray(scene.counts, np.float32)


def plain(X: np.ndarray) -> np.ndarray:
    """Memberships of colours under a photograph that shows the same everywhere."""
    return np.ones((*X.shape[:2], 4), np.float32)


def doubted(X: np.ndarray, unit: float = 1.0) -> np.ndarray:
    return misdwelt(X, plain(X), unit)


def at(places) -> tuple[np.ndarray, ...]:
    return tuple(np.transpose(places))


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("per_spot", [100.0, 6000.0, 100_000.0])
def test_paint_alone_is_never_doubted(per_spot, seed):
    assert not doubted(counts(per_spot, seed)).any()


@pytest.mark.parametrize("times", [0.0, 6.0, 15.0])
def test_spots_of_another_dwell_are_found_and_no_others(times):
    X = counts()
    X[at(PLACES)] *= times
    found = doubted(X)
    assert found.sum() == found[at(PLACES)].sum() >= len(PLACES) - 1


def test_a_row_that_stalled_is_found():
    X = counts()
    X[11] *= 15
    found = doubted(X)
    assert found[11].sum() >= X.shape[1] - 3
    assert found.sum() == found[11].sum()


def test_what_the_photograph_shows_is_paint():
    X = counts()
    X[at(PLACES)] *= 15
    features = plain(X)
    features[at(PLACES)] = (0, 0, 1, -1)
    assert not misdwelt(X, features).any()


def test_units_do_not_matter_and_few_counts_tell_nothing():
    X = counts()
    X[at(PLACES)] *= 15
    np.testing.assert_array_equal(doubted(X / 5000, 5000.0), doubted(X))
    assert not doubted(X / 5000).any()
    faint = counts(300.0)
    faint[at(PLACES)] = 0  # a hole may show none by chance
    faint[14, 14] *= 20
    assert not doubted(faint).any()


@pytest.mark.parametrize("side", [1, 2])
def test_a_nail_has_a_spectrum_of_its_own(side):
    X = counts()
    X[10 : 10 + side, 5 : 5 + side, 150:154] += 10 * X.sum(axis=2).mean()
    assert not doubted(X).any()


@pytest.mark.parametrize("side", [1, 2, 3, 6])
def test_a_hole_scatters_some_counts_and_is_a_hole(side):
    X = counts()
    X[8 : 8 + side, 5 : 5 + side] = np.random.default_rng(0).poisson(0.005 * X[8 : 8 + side, 5 : 5 + side])
    assert not doubted(X).any()


def test_a_bright_shape_is_paint():
    X = counts()
    X[4:7, 4:7] *= 8
    assert not doubted(X).any()


def test_two_rows_without_counts_are_found():
    X = counts()
    X[7:9] = 0
    found = doubted(X)
    assert found[7:9].all()
    assert found.sum() == 2 * X.shape[1]


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (2, 2)])
def test_the_smallest_scans_are_taken(shape):
    X = counts()[: shape[0], : shape[1]]
    assert not doubted(X).any()
    assert not doubted(np.zeros_like(X)).any()


def test_what_is_wrong_is_filled_from_the_nearest_that_are_not():
    values = np.arange(25.0).reshape(5, 5, 1)
    wrong = np.zeros((5, 5), bool)
    wrong[2, 2] = wrong[0, :] = wrong[1, :] = True
    out = filled(values, wrong)
    np.testing.assert_array_equal(out[~wrong], values[~wrong])
    assert out[2, 2, 0] == np.mean([11, 13, 16, 17, 18])
    assert out[0, 0, 0] == np.mean([10, 11])  # (2, 2) is wrong itself
    assert np.isfinite(filled(values, np.ones((5, 5), bool))).all()
