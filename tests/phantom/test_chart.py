import numpy as np
import pytest

from xrfsr_dask.errors import OptionError
from xrfsr_dask.options import ChartOptions
from xrfsr_dask.phantom import resolution_chart
from xrfsr_dask.phantom.chart import FULL_SCALE, draw_chart, overlapping_spectra


@pytest.fixture(scope="module")
def scene():
    return resolution_chart()


def runs(line: np.ndarray) -> set[int]:
    """Lengths of the runs of True in a line."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(int), [0]])))
    return set((edges[1::2] - edges[::2]).tolist())


def test_the_scene_has_the_sizes_of_the_paper(scene):
    assert scene.photo.shape == (345, 490, 3)
    assert scene.counts.shape == (69, 98, 1024)
    assert scene.endmember.shape == (3, 1024)


def test_the_chart_has_bars_from_a_tenth_of_its_height_or_so_down_to_one_pixel():
    chart = draw_chart((345, 490))
    lying = set().union(*(runs(column) for column in chart.T))
    upright = set().union(*(runs(row) for row in chart))
    for found in (lying, upright):
        assert {1, 2, 3, 4} <= found
        assert max(found) > 60  # the largest bars are long


def test_yellow_is_where_the_first_atom_is_and_blue_elsewhere(scene):
    yellow = (scene.photo == (255, 255, 0)).all(axis=-1)
    blue = (scene.photo == (0, 0, 255)).all(axis=-1)
    np.testing.assert_array_equal(scene.abundance[..., 0] == 1, yellow)
    np.testing.assert_array_equal(scene.abundance[..., 1] == 1, blue)
    assert (yellow ^ blue).all()


def test_rectangles_add_their_spectrum_and_nothing_to_the_photograph(scene):
    hidden = scene.region == 1
    assert 0.1 < hidden.mean() < 0.6
    np.testing.assert_array_equal(scene.abundance[..., 2], hidden)
    for colour in (0, 1):
        there = hidden & (scene.abundance[..., colour] == 1)
        y, x = np.argwhere(there)[0]
        pixel = scene.abundance[y, x] @ scene.endmember
        np.testing.assert_allclose(pixel, scene.endmember[colour] + scene.endmember[2], rtol=1e-6)


def test_the_cube_reaches_full_scale():
    small = resolution_chart(ChartOptions(shape=(120, 160), n_channel=128))
    assert small.cube.max() == pytest.approx(FULL_SCALE, rel=1e-5)
    assert small.cube.shape == (120, 160, 128)


def test_the_noise_lies_as_many_decibels_below_the_signal_as_asked(scene):
    blocks = scene.abundance.reshape(69, 5, 98, 5, 3).mean(axis=(1, 3))
    clean = blocks @ scene.endmember
    noise = scene.counts - clean
    snr_db = 10 * np.log10(np.mean(clean**2) / np.mean(noise**2))
    assert snr_db == pytest.approx(35, abs=0.02)
    assert noise.std() == pytest.approx(scene.noise_sigma, rel=0.01)


def test_spectra_overlap_and_the_yellow_and_the_hidden_one_share_a_peak_near_channel_200():
    spectra = overlapping_spectra(1024)
    unit = spectra / np.linalg.norm(spectra, axis=1, keepdims=True)
    assert ((unit @ unit.T)[np.triu_indices(3, 1)] > 0.15).all()
    for which in (0, 2):
        assert abs(int(spectra[which].argmax()) - 200) < 6
    assert (spectra[:, 100:400].sum(axis=1) > 0.7 * spectra.sum(axis=1)).all()


def test_the_same_seed_gives_the_same_noise_and_another_one_does_not():
    a, b, c = (
        resolution_chart(ChartOptions(shape=(50, 100), n_channel=64, seed=seed)).counts for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_a_factor_that_does_not_divide_the_chart_is_refused():
    with pytest.raises(OptionError, match=r"factor 4 does not divide a chart of \(345, 490\)"):
        ChartOptions(factor=4)
