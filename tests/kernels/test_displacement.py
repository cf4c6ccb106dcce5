import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from xrfsr_dask.kernels.displacement import (
    Displacement,
    ShiftSums,
    colour_terms,
    displacement,
    is_out_of_place,
    shift_sums,
    square_of_shifts,
)
from xrfsr_dask.kernels.sampling import Beam, downsample

SHAPE = (160, 200)


def photograph(seed=0):
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.standard_normal((*SHAPE, 3)), (3, 3, 0))
    return (0.5 + 0.2 * smooth / smooth.std()).clip(0, 1).astype(np.float32)


def spectra_like(photo):
    """Scores that are no linear map of colour."""
    r, g, b = np.moveaxis(photo, -1, 0)
    return np.stack([100 * r * g, 80 * np.square(b), 50 * (g > 0.5)], axis=-1).astype(np.float32)


def beams(kind):
    turn = np.deg2rad({"box": 0.0, "gaussian": 4.0}[kind])
    matrix = 5.0 * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    T = np.eye(3)
    T[:2, :2], T[:2, 2] = matrix, (24.5, 22.5)
    return Beam(T, (20, 28), SHAPE, kind, {"box": 1.0, "gaussian": 6.0}[kind])


def found(photo, shown, kind="box", spots=None, seed=1):
    """Displacement of the scan of `photo` against the photograph `shown`."""
    beam = beams(kind)
    index = np.arange(20 * 28)[:spots]
    footprints = beam.footprints(index)
    scores = downsample(spectra_like(photo), footprints)
    scores = scores + np.random.default_rng(seed).standard_normal(scores.shape)
    shifts, apart = square_of_shifts(10.0)
    sums = shift_sums(scores, np.ones(len(scores)), colour_terms(shown), footprints, (0, 0), shifts)
    return displacement(sums, shifts, apart)


@pytest.mark.parametrize("kind", ["box", "gaussian"])
@pytest.mark.parametrize("moved", [(0, 0), (1, 0), (-2, 3), (6, -7)])
def test_a_moved_photograph_is_found_to_a_fifth_of_a_px(kind, moved):
    photo = photograph()
    told = found(photo, np.roll(photo, moved, axis=(0, 1)), kind)
    np.testing.assert_allclose(told.offset, moved, atol=0.2)
    assert is_out_of_place(told, 5.0) == (moved != (0, 0))


def test_coarse_shifts_are_refined_between_them():
    shifts, apart = square_of_shifts(80.0)
    assert (apart, shifts[0], shifts[-1]) == (7, (-77, -77), (77, 77))
    left = np.minimum(np.exp([((y - 11.0) ** 2 + 2 * (x + 5.0) ** 2) / 200 for y, x in shifts]), 90.0)
    normal = np.tile(np.eye(2), (len(shifts), 1, 1))
    right = np.zeros((len(shifts), 2, 1))
    right[:, 1, 0] = np.sqrt(1e5 - 1e3 * left)
    told = displacement(ShiftSums(normal, right, np.array([[1e5]]), 1.0, 100.0), shifts, apart)
    np.testing.assert_allclose(told.offset, (11.0, -5.0), atol=0.5)


def test_a_photograph_of_something_else_tells_nothing():
    assert found(photograph(0), photograph(7)) is None


def test_a_constant_photograph_tells_nothing():
    assert found(photograph(), np.full((*SHAPE, 3), 0.4, np.float32)) is None


@pytest.mark.parametrize("moved", [(0, 0), (0, 3), (3, -2)])
def test_of_equally_good_places_on_a_pattern_the_nearest_is_told(moved):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    checks = np.where((y // 7 + x // 7) % 2, 0.8, 0.2)
    photo = np.stack([checks, 0.5 * checks, 1 - checks], axis=-1).astype(np.float32)
    told = found(photo, np.roll(photo, moved, axis=(0, 1)))
    np.testing.assert_allclose(told.offset, moved, atol=0.2)


def test_a_gradient_tells_no_place():
    photo = np.repeat(np.linspace(0.2, 0.8, SHAPE[1])[None, :, None], SHAPE[0], axis=0)
    photo = np.repeat(photo, 3, axis=2).astype(np.float32)
    told = found(photo, photo)
    assert told is None or np.abs(told.offset).max() < 1.0


def test_few_spots_tell_nothing():
    photo = photograph()
    assert found(photo, photo, spots=60) is None
    assert found(photo, photo, spots=300) is not None


def test_what_lies_further_away_than_was_sought_is_not_told():
    photo = photograph()
    told = found(photo, np.roll(photo, (14, 0), axis=(0, 1)))
    assert told is None


@pytest.mark.parametrize(
    ("offset", "gain", "step_px", "out"),
    [((0.5, 0.5), 2.0, 5.0, False), ((0.6, 0.6), 2.0, 5.0, True), ((3.0, 0.0), 0.1, 5.0, False),
     ((3.0, 0.0), 2.0, 40.0, False), ((3.0, 3.0), 2.0, 40.0, True)],
)  # fmt: skip
def test_out_of_place_is_what_is_large_and_sure_enough_to_matter(offset, gain, step_px, out):
    assert is_out_of_place(Displacement(offset, gain), step_px) is out
