"""What the explorer draws, as pixels: the photograph and maps in their place, mixed as light."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import small_painting, small_truth

from xrfsr_dask.errors import InputError
from xrfsr_dask.phantom.instrument import energy_axis
from xrfsr_dask.phantom.pigments import VISIBLE
from xrfsr_dask.phantom.spectra import film_spectrum
from xrfsr_dask.result import open_result
from xrfsr_dask.store import open_painting
from xrfsr_dask.store.results import new_result
from xrfsr_dask.store.staging import staged
from xrfsr_dask.view.scene import Channel, Scene

RED = (1.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("scene") / "p.zarr"
    painting = small_painting(path, "a")
    A, _, _ = small_truth()
    paints = ("lead white", "emerald green", "viridian", "vermilion")
    energy = energy_axis(512)
    D = 5000 * np.array([film_spectrum(VISIBLE[name], energy) for name in paints])
    with staged(path, "results/joint") as group:
        layout = {"shape": A.shape[:2], "pitch_mm": painting.pitch_mm, "energy_kev": energy}
        whole = new_result(group, endmember=D, layer=np.array([0, 0, 1, 1]), attrs={}, **layout)
        whole[...] = A
        group["coverage"][...] = np.ones(A.shape[:2], np.float32)
    return Scene(open_result(path), open_painting(path))


def photo(scene) -> np.ndarray:
    _, _, photograph = small_truth()
    return photograph


def test_without_maps_the_photograph_is_shown_pixel_by_pixel(scene):
    shown = scene.picture(scene.whole, (230, 170), [])
    np.testing.assert_array_equal(shown[..., :3], photo(scene))
    assert (shown[..., 3] == 255).all()
    part = scene.picture((100.0, 150.0, 20.0, 60.0), (50, 40), [], photo=0.5)
    np.testing.assert_allclose(part[..., :3], 0.5 * photo(scene)[100:150, 20:60], atol=1)


def test_what_lies_outside_is_transparent(scene):
    shown = scene.picture((-20.0, 30.0, 150.0, 190.0), (50, 40), [])
    assert (shown[:20, :, 3] == 0).all()
    assert (shown[20:, :20, 3] == 255).all()
    assert (shown[:, 20:, 3] == 0).all()


def test_a_map_is_laid_over_as_light_between_its_limits(scene):
    values = scene.ds.xrf.element("Cr", layer="hidden").values
    top = scene.top("Cr", "hidden")
    shown = scene.picture(
        scene.whole, (230, 170), [Channel("Cr", RED, 0.5, 0.1, 0.9)], layer="hidden", photo=0.0
    )
    light = np.clip((values / top - 0.1) / 0.8, 0, 1)
    np.testing.assert_allclose(shown[..., 0], 255 * 0.5 * light, atol=1)
    assert (shown[..., 1:3] == 0).all()
    over = scene.picture(scene.whole, (230, 170), [Channel("Cr", RED)], layer="hidden")
    assert (over[..., 0] >= photo(scene)[..., 0]).all()
    np.testing.assert_array_equal(over[..., 1:3], photo(scene)[..., 1:])


def test_a_region_is_the_pixels_within(scene):
    spectra, area = scene.spectra_within([(10.0, 5.0), (10.0, 25.0), (30.0, 25.0), (30.0, 5.0)])
    mask = np.zeros(scene.painting.shape, bool)
    mask[10:30, 5:25] = True
    assert area == mask.sum() * scene.painting.pitch_mm**2
    for layer, found in spectra.items():
        np.testing.assert_allclose(found, scene.ds.xrf.spectrum(mask=mask, layer=layer), rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match="the region holds no pixel"):
        scene.spectra_within([(500.0, 1.0), (500.0, 2.0), (501.0, 2.0)])
