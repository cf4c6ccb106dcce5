"""The patches as measured: maps as the accessor gives them, counts of the nearest spot, read once."""

from __future__ import annotations

import numpy as np
import pytest

from xrfsr_dask.errors import InputError
from xrfsr_dask.result import open_patch
from xrfsr_dask.store import open_painting
from xrfsr_dask.store.patches import apply_transform
from xrfsr_dask.view import spots as module
from xrfsr_dask.view.spots import Spots


@pytest.fixture(scope="module")
def painting(store):
    return open_painting(store)


def centre(patch, row: int, column: int) -> tuple[float, float]:
    return tuple(apply_transform(patch.transform, np.array([[row, column]], float))[0])


def test_maps_are_those_of_the_patch_whatever_was_asked_before(painting):
    spots = Spots(painting)
    for asked in (["Cr", "U"], ["Pb", "As"]):
        spots.drawn(asked, np.array([50.0]), np.array([50.0]))
    for patch in painting.patches:
        for element in ("Cr", "U", "Pb"):
            expected = open_patch(painting.path, patch.name).xrf.element(element).values / patch.gain
            found = spots._patches[painting.patches.index(patch)].maps([element])[element]
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * expected.max())


def test_the_counts_are_read_once_for_all_elements_that_are_there(painting, monkeypatch):
    spots = Spots(painting)
    y, x = np.linspace(1, 100, 40), np.linspace(1, 130, 50)
    spots.drawn(["Cr"], y, x)
    monkeypatch.setattr(module, "read", None)
    drawn = spots.drawn(["Pb", "Fe"], y, x)
    assert np.nanmax(drawn["Fe"]) > 0


def test_a_place_gives_the_counts_of_its_nearest_spot(painting):
    patch = painting.patches[0]
    y, x = centre(patch, 12, 9)
    found = Spots(painting).at(y + 0.1 * patch.step_mm, x)
    assert (found.spots, found.words.split(" (")[0]) == (1, f"patch {patch.name}, spot in row 12, column 9")
    np.testing.assert_array_equal(found.spectrum, patch.counts()[12, 9])


def test_spectra_have_the_channels_that_are_asked_for(painting):
    patch = painting.patches[0]
    spots, (y, x) = Spots(painting, patch.energy_kev()[20:90:2]), centre(patch, 12, 9)
    np.testing.assert_array_equal(spots.at(y, x).spectrum, patch.counts()[12, 9][20:90:2])
    corners = [(y - 2, x - 2), (y - 2, x + 2), (y + 2, x + 2), (y + 2, x - 2)]
    whole = Spots(painting).within(corners)
    np.testing.assert_array_equal(spots.within(corners).spectrum, whole.spectrum[20:90:2])


def test_of_several_patches_the_nearest_spot_answers_and_the_others_are_named(painting):
    spots, (one, other) = Spots(painting), painting.patches
    both = [
        centre(one, row, column)
        for row in range(34)
        for column in range(30)
        if spots._patches[1].nearest(*np.array(centre(one, row, column))[:, None])[2][0]
    ]
    assert both
    found = spots.at(*both[len(both) // 2])
    assert found.words.startswith(f"patch {one.name}, ")
    assert found.words.endswith(f"(the nearest; also measured by {other.name})")


def test_where_nothing_was_measured_that_is_said(painting):
    spots = Spots(painting)
    y, x = np.meshgrid(np.arange(1.0, 107, 3), np.arange(1.0, 139, 3), indexing="ij")
    drawn = spots.drawn(["Pb"], y[:, 0], x[0])["Pb"]
    i, j = np.argwhere(np.isnan(drawn))[0]
    with pytest.raises(InputError, match=r"Nothing was measured at x .* mm, y .* mm"):
        spots.at(y[i, 0], x[0, j])
    with pytest.raises(
        InputError,
        match="No spot's centre lies within this region: nothing was measured there, or it is too small",
    ):
        spots.within([(-9, -9), (-9, -8), (-8, -8)])
    y, x = (at + 0.3 * painting.patches[0].step_mm for at in centre(painting.patches[0], 12, 9))
    with pytest.raises(InputError, match="No spot's centre"):  # though a spot was measured there
        spots.within([(y - 0.2, x - 0.2), (y - 0.2, x + 0.2), (y + 0.2, x)])


def test_a_region_gives_the_mean_of_the_spots_within(painting):
    patch = painting.patches[0]
    corners = [centre(patch, *at) for at in ((2.5, 3.5), (2.5, 8.5), (6.5, 8.5), (6.5, 3.5))]
    only = Spots(painting)
    only._patches = only._patches[:1]
    found = only.within(corners)
    assert (found.spots, found.words) == (20, f"20 spots of patch {patch.name}")
    np.testing.assert_allclose(found.spectrum, patch.counts()[3:7, 4:9].mean(axis=(0, 1)))
