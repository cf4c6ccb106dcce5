"""Regions drawn on a painting: the pixels within, and the same mean whether levels are there or not."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from helpers import levels_from
from skimage.draw import polygon2mask

from xrfsr_dask.errors import InputError
from xrfsr_dask.result import open_result
from xrfsr_dask.solver.levels import write_level
from xrfsr_dask.store import create_painting
from xrfsr_dask.store.arrays import place_of
from xrfsr_dask.store.results import level_shapes, new_levels, new_result
from xrfsr_dask.store.staging import staged
from xrfsr_dask.tiling.grid import blocks
from xrfsr_dask.view.regions import Region, mean_abundance

SHAPE, PITCH = (430, 370), 0.5
SHAPES = {
    "star": [(20.13, 20.37), (180.71, 90.19), (30.57, 160.83), (200.29, 30.61), (90.43, 180.97)],
    "beyond": [(-50, -40), (120, 400), (300, 100)],
    "edge": [(150, 100), (400, 100), (400, 400), (150, 400)],
    "small": [(10.1, 10.1), (10.1, 12.4), (12.9, 11.0)],
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Random mixtures; a corner of the painting that nothing was measured of."""
    path = tmp_path_factory.mktemp("regions") / "p.zarr"
    create_painting(path, np.zeros((*SHAPE, 3), "u1"), width_mm=SHAPE[1] * PITCH)
    rng = np.random.default_rng(0)
    A = rng.dirichlet(np.ones(4), SHAPE).astype("f4")
    coverage = np.ones(SHAPE, "f4")
    coverage[:113, :77] = 0
    with levels_from(40), staged(path, "results/r") as group:
        layout = {"shape": SHAPE, "pitch_mm": PITCH, "energy_kev": np.linspace(0.1, 20, 64)}
        whole = new_result(
            group, endmember=rng.random((4, 64)), layer=np.array([0, 0, 1, 1]), attrs={}, **layout
        )
        whole[...] = A
        group["coverage"][...] = coverage
        new_levels(group, shape=SHAPE, n_atom=4, cell=50)
        for factor, shape in level_shapes(SHAPE).items():
            for part in blocks(shape, 50):
                write_level(50, place_of(group), factor, part)
    return path


def mask_of(name: str) -> np.ndarray:
    return np.asarray(polygon2mask(SHAPE, np.array(SHAPES[name], float) / PITCH - 0.5), bool)


@pytest.mark.parametrize("side", [1600, 128, 64])
@pytest.mark.parametrize("name", SHAPES)
def test_a_region_is_the_pixels_whose_centres_it_surrounds(name, side, monkeypatch):
    monkeypatch.setattr("xrfsr_dask.view.regions.BLOCK_PX", side)
    found = np.zeros(SHAPE, bool)
    for box, mask in Region(SHAPES[name], SHAPE, PITCH).blocks():
        found[box] = mask
    expected = mask_of(name)
    assert (found != expected).sum() <= 2  # centres on an edge
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    np.testing.assert_array_equal(Region(SHAPES[name], SHAPE, PITCH).contains(y, x), found)


@pytest.mark.parametrize("side", [1600, 128])
@pytest.mark.parametrize("name", SHAPES)
def test_its_mean_is_that_of_all_its_pixels(path, name, side, monkeypatch):
    monkeypatch.setattr("xrfsr_dask.view.regions.BLOCK_PX", side)
    ds, mask = open_result(path), mask_of(name)
    for part in (ds, ds.xrf.hidden):  # a layer has no levels of its own
        A, n = mean_abundance(part, Region(SHAPES[name], SHAPE, PITCH))
        assert n == pytest.approx(mask.sum(), abs=2)
        expected = part.xrf.spectrum(mask=mask).values
        np.testing.assert_allclose(A @ part.endmember.values, expected, rtol=1e-4 if n > 50 else 0.1)


def test_the_inside_is_taken_from_a_level(path, monkeypatch):
    read = []
    monkeypatch.setattr("xrfsr_dask.view.regions.loaded", lambda A: read.append(A.shape) or np.asarray(A))
    mean_abundance(open_result(path), Region([(70, 60), (190, 60), (190, 170), (70, 170)], SHAPE, PITCH))
    n_px = sum(ny * nx for ny, nx, _ in read)
    assert n_px < 0.5 * 240 * 220


def test_memory_is_that_of_a_block():
    region = Region([(0, 0), (0, 40000), (30000, 40000), (30000, 1000)], (30000, 40000))
    tracemalloc.start()
    try:
        next(region.blocks())
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_a_region_without_a_pixel_is_refused(path):
    with pytest.raises(InputError, match="the region holds no pixel of the painting; draw a larger one"):
        mean_abundance(open_result(path), Region([(500, 1), (500, 2), (501, 2)], SHAPE, PITCH))


def test_pixels_without_numbers_are_in_no_mean(path):
    ds = open_result(path, "r")
    gaps = ds.assign(abundance=ds.abundance.where((ds.y > 90) | (ds.atom > 1)))
    region, mask = Region(np.array(SHAPES["star"]) / PITCH, SHAPE), mask_of("star")
    found, n = mean_abundance(gaps, region)
    within = mask & (ds.y.values > 90)[:, None]
    np.testing.assert_allclose(found, ds.abundance.values[within].mean(axis=0), rtol=1e-5)
    assert n == mask.sum()
    with pytest.raises(InputError, match="No pixel of the region has abundances that are all numbers"):
        mean_abundance(ds.assign(abundance=ds.abundance.where(ds.y > 1e9)), region)
