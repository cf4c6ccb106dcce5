"""Spots that stalled or failed are told from paint, and only they."""

import numpy as np
import pytest

from xrfsr_dask.kernels.dwell import filled, misdwelt
from xrfsr_dask.phantom import aligned_painting

PLACES = [(2, 3), (9, 12), (9, 13), (15, 7), (0, 0), (19, 24)]


def counts(per_spot: float = 6000.0, seed: int = 0) -> np.ndarray:
    scene = aligned_painting(shape=(100, 125), factor=5, n_channel=256, counts_per_spot=per_spot, seed=seed)
    return np.asarray(scene.counts, np.float32)


def at(places) -> tuple[np.ndarray, ...]:
    return tuple(np.transpose(places))


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("per_spot", [100.0, 6000.0, 100_000.0])
def test_paint_alone_is_never_doubted(per_spot, seed):
    assert not misdwelt(counts(per_spot, seed)).any()


@pytest.mark.parametrize("times", [0.0, 6.0, 15.0])
def test_spots_of_another_dwell_are_found_and_no_others(times):
    X = counts()
    X[at(PLACES)] *= times
    found = misdwelt(X)
    assert found.sum() == found[at(PLACES)].sum() >= len(PLACES) - 1


def test_units_do_not_matter():
    X = counts()
    X[at(PLACES)] *= 15
    np.testing.assert_array_equal(misdwelt(X / 5000, 5000.0), misdwelt(X))
    assert not misdwelt(X / 5000).any()  # taken for so few counts, nothing is sure


@pytest.mark.parametrize("side", [1, 2])
def test_a_nail_has_a_spectrum_of_its_own(side):
    X = counts()
    X[10 : 10 + side, 5 : 5 + side, 150:154] += 10 * X.sum(axis=2).mean()
    assert not misdwelt(X).any()


def test_a_bright_shape_and_a_hole_are_paint():
    X = counts()
    X[4:7, 4:7] *= 8
    X[12, 12] *= 0.1  # what scatters behind a hole
    assert not misdwelt(X).any()


def test_two_rows_without_counts_are_found():
    X = counts()
    X[7:9] = 0
    found = misdwelt(X)
    assert found[7:9].all()
    assert found.sum() == 2 * X.shape[1]


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (2, 2)])
def test_the_smallest_scans_are_taken(shape):
    X = counts()[: shape[0], : shape[1]]
    assert not misdwelt(X).any()
    assert misdwelt(np.zeros_like(X)).sum() == 0


def test_what_is_wrong_is_filled_from_the_nearest_that_are_not():
    values = np.arange(25.0).reshape(5, 5, 1)
    wrong = np.zeros((5, 5), bool)
    wrong[2, 2] = wrong[0, :] = wrong[1, :] = True
    out = filled(values, wrong)
    np.testing.assert_array_equal(out[~wrong], values[~wrong])
    assert out[2, 2, 0] == np.mean([11, 13, 16, 17, 18])
    assert out[0, 0, 0] == np.mean([10, 11])  # (2, 2) is wrong itself
    assert np.isfinite(filled(values, np.ones((5, 5), bool))).all()
