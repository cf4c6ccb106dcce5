"""What an explorer shows of a result with levels: what it shows of one without, from what the screen needs."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from helpers import levels_from, small_truth

from xrfsr_dask.errors import DamagedStoreError
from xrfsr_dask.kernels.halving import halved, halved_mixtures
from xrfsr_dask.lines.tables import usual_line
from xrfsr_dask.phantom.instrument import energy_axis
from xrfsr_dask.phantom.pigments import VISIBLE
from xrfsr_dask.phantom.spectra import film_spectrum
from xrfsr_dask.result import open_result
from xrfsr_dask.solver.levels import write_level
from xrfsr_dask.store import create_painting, open_painting
from xrfsr_dask.store.arrays import place_of, write_values
from xrfsr_dask.store.results import MEAN, level_shapes, new_levels, new_result
from xrfsr_dask.store.staging import staged
from xrfsr_dask.tiling.grid import blocks
from xrfsr_dask.view.scene import _FINE_ENOUGH, Channel, Scene

CELL = 50
ELEMENTS = ("Cr", "Pb")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A painting with a result of 230 x 170 px, its left and single pixels not measured, and its levels."""
    path = tmp_path_factory.mktemp("shown") / "p.zarr"
    A, _, photo = small_truth()
    painting = create_painting(path, photo, width_mm=float(photo.shape[1]))
    energy = energy_axis(512)
    paints = ("lead white", "emerald green", "viridian", "vermilion")
    D = 5000 * np.array([film_spectrum(VISIBLE[name], energy) for name in paints])
    coverage = (np.random.default_rng(0).random(A.shape[:2]) > 0.01).astype("f4")
    coverage[:, :61] = 0
    with levels_from(20), staged(path, "results/r") as group:
        layout = {"shape": A.shape[:2], "pitch_mm": painting.pitch_mm, "energy_kev": energy, "cell": CELL}
        new_result(group, endmember=D, layer=np.array([0, 0, 1, 1]), attrs={}, **layout)[...] = A
        group["coverage"][...] = coverage
        write_values(group, MEAN, A.mean(axis=(0, 1), dtype=np.float64), ("atom",), units="1")
        new_levels(group, shape=A.shape[:2], n_atom=4, cell=CELL)
        for factor, shape in level_shapes(A.shape[:2]).items():
            for shard in blocks(shape, 10 * CELL):
                write_level(CELL, place_of(group), factor, shard)
    return path


@pytest.fixture
def scene(path, monkeypatch):
    monkeypatch.setattr("xrfsr_dask.view.tiles.SIDE", 20)
    monkeypatch.setattr("xrfsr_dask.view.scene._SMALLEST", 10)
    return Scene(open_result(path), open_painting(path))


def finest(ds, element, layer="all"):
    """The whole map, as the accessor computes it, NaN where nothing was measured."""
    found = ds.xrf.element(element, usual_line(ds.energy.values, element), layer=layer)
    return found.where(ds.coverage > 0).values


@pytest.mark.parametrize("zoom", [0.4, 1.0, 1.7, 2.0, 3.9, 8.0, 20.0])
def test_a_window_is_that_of_the_map_and_its_halves(scene, zoom):
    """As it was shown before there were levels: where a part of a pixel was measured, a mean of means is not
    the mean."""
    size, pitch = (24, 18), scene.painting.pitch_mm
    y, x = ((low + zoom * (np.arange(n) + 0.5)) * pitch for low, n in zip((31.0, 58.0), size, strict=True))
    values = scene._values(ELEMENTS, "all", y, x)
    for element in ELEMENTS:
        whole, share = finest(scene.ds, element), (scene.ds.coverage.values > 0).astype("f4")
        factor = 1
        while 2 * factor <= zoom * _FINE_ENOUGH * (1 + 1e-9):
            whole, factor = halved(whole), 2 * factor
            _, share = halved_mixtures(share[..., None], share)
        assert factor in scene._maps._levels
        at = np.ix_(*(scene._pick(c, whole.shape[i], factor * pitch) for i, c in enumerate((y, x))))
        whole, sure = whole[at], share[at] == 1
        np.testing.assert_array_equal(np.isnan(values[element]), np.isnan(whole))
        assert zoom > 8 or sure.sum() > 20
        np.testing.assert_allclose(values[element][sure], whole[sure], rtol=1e-4, atol=1e-4)
        known = np.isfinite(whole)
        np.testing.assert_allclose(values[element][known], whole[known], rtol=0.2, atol=0.03 * np.nanmax(whole))


@pytest.mark.parametrize("layer", ["all", "hidden"])
def test_a_map_to_be_saved_is_the_finest_and_is_not_kept(scene, layer):
    for element in ELEMENTS:
        right = finest(scene.ds, element, layer)
        np.testing.assert_allclose(scene.values(element, layer), right, rtol=1e-5, atol=1e-5)
    assert not scene._maps._kept


def test_what_was_seen_is_not_read_again(scene, monkeypatch):
    channels = [Channel(element, (1.0, 0.0, 0.0)) for element in ELEMENTS]
    window = 20.0, 110.0, 40.0, 140.0
    first = scene.picture(window, (90, 100), channels)
    scene.picture((20.0, 110.0, 60.0, 160.0), (90, 100), channels)
    monkeypatch.setattr(type(scene._maps._levels), "mixed", None)
    np.testing.assert_array_equal(scene.picture(window, (90, 100), channels), first)


def test_a_layer_of_a_result_is_shown_at_every_size(path):
    """Its atoms are fewer than those of the levels."""
    ds = open_result(path)
    whole, hidden = (Scene(part, open_painting(path)) for part in (ds, ds.xrf.hidden))
    channels = [Channel("Cr", (1.0, 0.0, 0.0))]
    for size in ((230, 170), (58, 43)):
        shown = [
            scene.picture(scene.whole, size, channels, layer="hidden", photo=0.0) for scene in (whole, hidden)
        ]
        assert np.abs(shown[0].astype(int) - shown[1]).mean() < 3


def test_where_nothing_was_measured_is_known_of_places_and_regions(path, scene):
    coverage = open_result(path).coverage.values
    for y, x in ((20.5, 30.5), (20.5, 150.5)):
        assert scene.measured_at(y, x) == coverage[int(y), int(x)]
    corners = [(10.0, 40.0), (10.0, 90.0), (120.0, 90.0), (120.0, 40.0)]
    assert scene.measured_within(corners) == pytest.approx(coverage[10:120, 40:90].mean(), abs=1e-6)
    whole = [(0.0, 0.0), (0.0, 170.0), (230.0, 170.0), (230.0, 0.0)]
    assert scene.measured_within(whole) == pytest.approx(coverage.mean(), abs=1e-6)
    assert scene.measured_within([(5.0, 5.0), (5.0, 5.1), (5.1, 5.0)]) == 0


def test_of_a_large_region_a_coarser_level_says_what_was_measured(path, scene, monkeypatch):
    monkeypatch.setattr("xrfsr_dask.view.scene._REGION_PX", 30)
    corners = [(10.0, 40.0), (10.0, 90.0), (120.0, 90.0), (120.0, 40.0)]
    expected = open_result(path).coverage.values[10:120, 40:90].mean()
    assert scene.measured_within(corners) == pytest.approx(expected, abs=0.05)


def test_elements_are_told_and_an_overview_shown_without_reading_a_finest_abundance(
    path, tmp_path, monkeypatch
):
    monkeypatch.setattr("xrfsr_dask.view.scene._SMALLEST", 10)
    other = tmp_path / "p.zarr"
    shutil.copytree(path, other)
    right = open_result(path).xrf.elements()
    shutil.rmtree(other / "results/r/abundance/c")
    ds = open_result(other)
    assert ds.xrf.elements().equals(right)
    scene = Scene(ds, open_painting(other))
    assert scene.picture(scene.whole, (100, 70), [Channel("Pb", (1.0, 0.0, 0.0))]).any()
    shutil.rmtree(other / "results/r" / MEAN)  # as in a store of an earlier version
    with pytest.raises(DamagedStoreError, match="abundance"):
        open_result(other).xrf.elements()
