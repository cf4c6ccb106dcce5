import dataclasses

import numpy as np
import pytest

from xrfsr_dask.errors import OptionError
from xrfsr_dask.options import BedroomOptions
from xrfsr_dask.phantom.layout import lay_patches, uneven
from xrfsr_dask.store.patches import apply_transform, step_of

SIZE_MM = 722.6, 923.0
OPTIONS = BedroomOptions.bedroom()


def outlines(transforms: list[np.ndarray], spots: tuple[int, int]) -> np.ndarray:
    """Outer corners of each patch, mm, (n, 4, 2)."""
    ny, nx = spots
    corners = np.array([(-0.5, -0.5), (-0.5, nx - 0.5), (ny - 0.5, nx - 0.5), (ny - 0.5, -0.5)])
    return np.array([apply_transform(t, corners) for t in transforms])


def test_counts_of_rows_are_as_even_as_can_be():
    assert uneven(10, 3) == [3, 4, 3]
    assert uneven(10, 2) == [5, 5]
    assert uneven(4, 2) == [2, 2]
    assert sum(uneven(17, 5)) == 17


@pytest.mark.parametrize("seed", range(5))
def test_every_footprint_lies_inside_with_a_margin_and_some_reach_it(seed):
    transforms = lay_patches(dataclasses.replace(OPTIONS, seed=seed), SIZE_MM, 1.0)
    corners = outlines(transforms, OPTIONS.spots)
    gaps = np.concatenate([corners.min(axis=(0, 1)), np.array(SIZE_MM) - corners.max(axis=(0, 1))])
    assert gaps.min() == pytest.approx(1.0, abs=1e-6)


def test_ten_patches_lie_as_three_four_and_three_and_cover_most():
    transforms = lay_patches(OPTIONS, SIZE_MM, 0.5)
    centres = outlines(transforms, OPTIONS.spots).mean(axis=1)
    step = step_of(transforms[0], OPTIONS.spots)
    rows = np.unique(np.rint((centres[:, 0] - centres[:, 0].min()) / (80 * step)), return_counts=True)[1]
    assert rows.tolist() == [3, 4, 3]
    assert 10 * 96 * 85 * step**2 > 0.8 * SIZE_MM[0] * SIZE_MM[1]


def test_neighbours_overlap_by_the_spots_asked_for_and_are_turned_by_less_than_asked():
    transforms = lay_patches(OPTIONS, SIZE_MM, 0.5)
    step = step_of(transforms[0], OPTIONS.spots)
    assert len({round(step_of(t, OPTIONS.spots), 9) for t in transforms}) == 1
    middle = outlines(transforms, OPTIONS.spots).mean(axis=1) / step
    beside = [middle[i + 1, 1] - middle[i, 1] for i in (0, 1, 3, 4, 5, 7, 8)]
    below = [middle[3, 0] - middle[0, 0], middle[7, 0] - middle[3, 0]]
    assert all(6 <= 85 - gap <= 10 for gap in beside)
    assert all(6 <= 96 - gap <= 10 for gap in below)
    degrees = [np.degrees(np.arctan2(t[0, 1], t[0, 0])) for t in transforms]
    assert max(map(abs, degrees)) <= 2
    assert len({round(d, 6) for d in degrees}) == 10


def test_a_painting_without_room_is_refused():
    with pytest.raises(OptionError, match="has no room for patches"):
        lay_patches(OPTIONS, (10.0, 10.0), 6.0)
