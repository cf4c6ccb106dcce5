import numpy as np
import pytest

from xrfsr_dask.errors import OptionError
from xrfsr_dask.options import ChartOptions
from xrfsr_dask.phantom import REGIONS, aligned_painting, resolution_chart


@pytest.fixture(scope="module")
def scene():
    return aligned_painting(shape=(135, 190), n_channel=256)


def test_counts_are_poisson_about_the_block_means_of_the_truth(scene):
    ny, nx, _ = scene.abundance.shape
    means = scene.abundance.reshape(ny // 5, 5, nx // 5, 5, -1).mean(axis=(1, 3)) @ scene.endmember
    assert scene.counts.shape == (27, 38, 256)
    assert scene.counts.dtype == np.float32
    assert (scene.counts == np.rint(scene.counts)).all()
    chi_square = np.mean((scene.counts - means) ** 2 / np.maximum(means, 1e-6), where=means > 0.5)
    assert 0.98 < chi_square < 1.02
    assert 4000 < scene.counts.sum(axis=2).mean() < 9000


def test_every_region_is_there(scene):
    assert scene.regions == REGIONS
    assert (np.bincount(scene.region.ravel(), minlength=3) > 0.02 * scene.region.size).all()


def test_the_scene_depends_on_the_seed_and_on_nothing_else(scene):
    again, other = (aligned_painting(shape=(135, 190), n_channel=256, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(again.counts, scene.counts)
    assert (other.counts != scene.counts).any()


def test_chart_and_painting_answer_to_the_same_names():
    chart = resolution_chart(ChartOptions(shape=(60, 80), n_channel=64))
    painted = aligned_painting(shape=(60, 80), n_channel=64)
    for name in ("photo", "counts", "abundance", "endmember", "layer", "region", "regions", "noise"):
        assert hasattr(chart, name)
        assert hasattr(painted, name)


def test_a_factor_that_does_not_divide_is_refused():
    with pytest.raises(OptionError, match=r"factor 4 does not divide a scene of \(345, 490\) px"):
        aligned_painting(factor=4)
