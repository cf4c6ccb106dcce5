import math

import numpy as np
import pytest
from helpers import adjoint_test
from helpers_beams import BEAMS, aligned, turned
from hypothesis import given, settings
from hypothesis import strategies as st

from xrfsr_dask.kernels.sampling import Beam, downsample, downsample_adjoint, needed_bounds, touching


def all_footprints(beam: Beam):
    return beam.footprints(np.arange(beam.spots[0] * beam.spots[1]))


@pytest.mark.parametrize("factor", [1, 2, 3, 5, 8])
def test_an_aligned_box_is_the_block_mean(factor):
    beam = aligned(factor, (7, 6))
    A = np.random.default_rng(0).random((*beam.shape, 3)).astype("f4")
    blocks = A.reshape(7, factor, 6, factor, 3).mean(axis=(1, 3)).reshape(42, 3)
    np.testing.assert_allclose(downsample(A, all_footprints(beam)), blocks, rtol=1e-6)


@pytest.mark.parametrize("beam", BEAMS.values(), ids=BEAMS)
def test_every_footprint_is_a_weighting_that_sums_to_one(beam):
    weight = all_footprints(beam).weight
    assert (weight >= 0).all()
    np.testing.assert_allclose(weight.sum(axis=(1, 2)), 1.0, atol=1e-6)


@pytest.mark.parametrize("beam", BEAMS.values(), ids=BEAMS)
def test_the_adjoint_is_exact(beam):
    fp = all_footprints(beam)
    n_spot = len(fp.origin)
    adjoint_test(
        lambda a: downsample(a, fp),
        lambda b: downsample_adjoint(b, fp, beam.shape),
        (*beam.shape, 2),
        (n_spot, 2),
    )


@pytest.mark.parametrize("name", ["turned", "small box", "wide box"])
def test_a_box_weighs_pixels_by_the_area_it_covers(name):
    """Against a count of fine sample points inside the turned square."""
    beam = BEAMS[name]
    fp = all_footprints(beam)
    fine = (np.arange(40) + 0.5) / 40
    back = np.linalg.inv(beam.transform)
    for spot in (0, 13, len(fp.origin) - 1):
        row, column = divmod(spot, beam.spots[1])
        for dy, dx in np.ndindex(*fp.weight.shape[1:]):
            y, x = np.meshgrid(fp.origin[spot, 0] + dy + fine, fp.origin[spot, 1] + dx + fine, indexing="ij")
            r, c, _ = back @ np.stack([y.ravel(), x.ravel(), np.ones(y.size)])
            half = beam.size / 2
            share = np.mean((abs(r - row) < half) & (abs(c - column) < half))
            area = (np.linalg.norm(beam.transform[:2, 0]) * beam.size) ** 2
            assert fp.weight[spot, dy, dx] * area == pytest.approx(share, abs=0.02)


def test_a_gaussian_has_the_width_asked_for():
    beam = Beam(turned(step=5, degrees=0, at=(40, 40)), (1, 1), (81, 81), "gaussian", 12.0)
    fp = all_footprints(beam)
    y = fp.origin[0, 0] + np.arange(fp.weight.shape[1]) + 0.5
    profile = fp.weight[0].sum(axis=1)
    sigma = math.sqrt(np.sum(profile * (y - 40) ** 2))
    assert 2.3548 * sigma == pytest.approx(12.0, rel=0.03)  # a little less: the tails are cut at 3 sigma


def test_a_footprint_does_not_depend_on_which_others_are_asked_for():
    beam = BEAMS["turned"]
    everything, some = all_footprints(beam), beam.footprints(np.array([3, 50, 7]))
    np.testing.assert_array_equal(some.weight, everything.weight[[3, 50, 7]])
    np.testing.assert_array_equal(some.origin, everything.origin[[3, 50, 7]])


def test_halos_grow_as_measured_for_an_aligned_block_mean():
    """FINDINGS: 2 steps need 5 px, 4 need 10, 6 need 15, 10 need 25."""
    beam = aligned(5, (60, 60))
    for steps, halo in {1: 1, 2: 5, 4: 10, 6: 15, 10: 25}.items():
        bounds = needed_bounds((100, 150, 100, 150), [beam.windows()], steps=steps, margin=1, shape=beam.shape)
        y0, y1, x0, x1 = bounds[-1]
        assert (100 - y0, y1 - 150, 100 - x0, x1 - 150) == (halo,) * 4


@settings(max_examples=40, deadline=None)
@given(
    step=st.floats(1.2, 9),
    degrees=st.floats(-180, 180),
    kind=st.sampled_from(["box", "gaussian"]),
    data=st.data(),
)
def test_no_weight_lies_outside_its_window(step, degrees, kind, data):
    size = data.draw(st.floats(0.3, 2.0)) * (step if kind == "gaussian" else 1)
    beam = Beam(turned(step=step, degrees=degrees, at=(40, 40)), (3, 4), (80, 80), kind, size)
    windows, fp = beam.windows(), all_footprints(beam)
    for s in range(12):
        y, x = np.nonzero(fp.weight[s])
        y, x = y + fp.origin[s, 0], x + fp.origin[s, 1]
        assert y.min() >= windows[s, 0]
        assert y.max() < windows[s, 1]
        assert x.min() >= windows[s, 2]
        assert x.max() < windows[s, 3]


def test_touching_finds_the_spots_of_an_area():
    windows = aligned(5, (4, 4)).windows()
    assert list(touching(windows, (0, 5, 0, 5))) == [0]
    assert list(touching(windows, (4, 6, 4, 6))) == [0, 1, 4, 5]
