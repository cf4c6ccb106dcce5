"""Spots that were taken out of a patch are not measured: what is left answers, and maps are empty there."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xrfsr_dask.result  # noqa: F401  # the accessor
from xrfsr_dask.errors import InputError
from xrfsr_dask.phantom.instrument import energy_axis
from xrfsr_dask.phantom.pigments import VISIBLE
from xrfsr_dask.phantom.spectra import film_spectrum

KEV = energy_axis(1024)


@pytest.fixture(scope="module")
def patch() -> xr.Dataset:
    """Lead white left, umber right, of 18 x 20 spots."""
    films = np.array([film_spectrum(VISIBLE[name], KEV) for name in ("lead white", "umber")])
    films *= 6000 / films.sum(axis=1, keepdims=True)
    counts = np.random.default_rng(0).poisson(np.repeat(films, 10, axis=0), size=(18, 20, 1024))
    y, x = np.mgrid[:18, :20] + 0.5
    spots = ("spot_y", "spot_x")
    return xr.Dataset(
        {"counts": ((*spots, "energy"), counts.astype("f4"))},
        coords={"energy": KEV, "y": (spots, y), "x": (spots, x)},
        attrs={"step_mm": 1.0},
    )


def test_the_mean_is_that_of_the_spots_that_are_left(patch):
    left = patch.where(patch.x < 10)
    np.testing.assert_allclose(
        left.xrf.mean_spectrum(), patch.counts[:, :10].mean(("spot_y", "spot_x")), rtol=1e-5
    )
    region = (patch.y < 9).values
    np.testing.assert_allclose(
        left.xrf.spectrum(mask=region), patch.counts[:9, :10].mean(("spot_y", "spot_x")), rtol=1e-5
    )


def test_elements_and_maps_are_those_of_the_spots_that_are_left(patch):
    left = patch.where(patch.x < 10)
    told = left.xrf.elements()
    assert "Pb" in told.index
    assert not {"Fe", "Mn"} & set(told.index)
    assert told.counts["Pb"] == pytest.approx(
        patch.isel(spot_x=slice(0, 10)).xrf.elements().counts["Pb"], rel=0.02
    )
    pb = left.xrf.element("Pb")
    assert np.isfinite(pb[:, :10]).all()
    assert np.isnan(pb[:, 10:]).all()


def test_one_channel_of_one_spot_takes_out_that_spot_alone(patch):
    holed = patch.copy(deep=True)
    holed.counts[3, 4, 500] = np.inf
    pb = holed.xrf.element("Pb")
    assert np.argwhere(np.isnan(pb.values)).tolist() == [[3, 4]]
    assert set(holed.xrf.elements().index) == set(patch.xrf.elements().index)


def test_a_patch_of_which_nothing_is_left_says_so(patch):
    nothing = patch.where(patch.x < 0)
    for ask in (nothing.xrf.mean_spectrum, nothing.xrf.elements, lambda: nothing.xrf.element("Pb")):
        with pytest.raises(InputError, match=r"no spot .* was measured"):
            ask()
