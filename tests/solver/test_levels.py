"""Levels of a result: halves of its abundances, the same for every tiling, found by a check when harmed."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import xarray as xr
from helpers import levels_from, small_painting

from xrfsr_dask.errors import DamagedStoreError, StoreError
from xrfsr_dask.kernels.halving import halved, halved_mixtures
from xrfsr_dask.options import RunOptions, SolveOptions
from xrfsr_dask.progress import Silent
from xrfsr_dask.result import open_result
from xrfsr_dask.result.factors import Factors
from xrfsr_dask.result.levels import Levels
from xrfsr_dask.solver import plan_run, solve
from xrfsr_dask.solver.outer import task_count
from xrfsr_dask.store import open_painting
from xrfsr_dask.store.arrays import open_array, open_group
from xrfsr_dask.store.check import check_store
from xrfsr_dask.store.results import MEAN, level_paths, level_shapes
from xrfsr_dask.tiling.executor import LocalExecutor
from xrfsr_dask.view.tiles import Tiles

OPTIONS = {"paper": {"atoms": 3, "iterations": 1, "steps": 2}, "joint": {"atoms": 3, "iterations": 1}}


@pytest.fixture(scope="module", autouse=True)
def low_levels():
    """Levels for paintings as small as those of the tests."""
    with levels_from(50):
        yield


class Count(Silent):
    """What a bar is told."""

    total = done = 0

    def expect(self, total):
        self.total = total

    def advance(self, n=1):
        self.done += n


def solved(path, method, tile, threads=1):
    painting = small_painting(path, "a")  # it leaves much of the painting unmeasured
    plan = plan_run(
        painting,
        name="r",
        options=SolveOptions(method=method, **OPTIONS[method]),
        resources=RunOptions(tile=tile),
        slots=threads,
    )
    solve(plan, LocalExecutor(threads))
    return path


@pytest.fixture(scope="module", params=["paper", "joint"])
def store(request, tmp_path_factory):
    return solved(tmp_path_factory.mktemp("levels") / "p.zarr", request.param, 250), request.param


def levels_of(path):
    group = open_group(path / "results" / "r")
    return {
        factor: [open_array(group, at)[...] for at in level_paths(factor)]
        for factor in (1, *level_shapes(open_painting(path).shape))
    }


def test_each_level_holds_the_means_of_what_was_measured(store):
    path, _ = store
    found = levels_of(path)
    assert [A.shape[:2] for A, _ in found.values()] == [(230, 170), (115, 85), (58, 43), (29, 22)]
    A, measured = found[1]
    measured = (measured > 0).astype("f4")
    assert 0.1 < measured.mean() < 0.9
    for factor in (2, 4, 8):
        ny, nx = (-(-n // factor) for n in A.shape[:2])
        for y, x in np.random.default_rng(0).integers(0, (ny, nx), (40, 2)):
            part = slice(factor * y, factor * (y + 1)), slice(factor * x, factor * (x + 1))
            own, weight = A[part], measured[part]
            level, share = found[factor]
            if factor == 2:
                assert share[y, x] == weight.mean()
            mean = (own * weight[..., None]).sum((0, 1)) / max(weight.sum(), 1)
            if weight.shape == (factor, factor):  # a half at the edge counts as a whole in the level above
                np.testing.assert_allclose(level[y, x], mean, rtol=1e-5, atol=1e-7)


def test_levels_have_the_same_bits_for_every_tiling(store, tmp_path):
    path, method = store
    other = levels_of(solved(tmp_path / "p.zarr", method, 50, threads=2))
    for factor, arrays in levels_of(path).items():
        for one, two in zip(arrays, other[factor], strict=True):
            np.testing.assert_array_equal(one, two)


def test_as_many_tasks_are_done_as_were_told(tmp_path):
    painting = small_painting(tmp_path / "p.zarr", "a")
    options = SolveOptions(method="paper", tolerance=0, **OPTIONS["paper"])
    plan = plan_run(painting, name="r", options=options, resources=RunOptions(tile=50), slots=1)
    count = Count()
    solve(plan, LocalExecutor(1), progress=count)
    assert count.done == count.total == task_count(plan)


def test_plain_xarray_opens_a_store_with_levels(store):
    path, _ = store
    tree = xr.open_datatree(path, engine="zarr", consolidated=False)
    level = tree["results/r/pyramid/4"]
    assert level.abundance.dims == ("y_4", "x_4", "atom")
    assert level.abundance.shape[:2] == (58, 43)
    tree.close()


@pytest.mark.parametrize("what", ["abundance", "measured"])
def test_harm_to_a_level_is_named(store, tmp_path, what):
    path = tmp_path / "p.zarr"
    shutil.copytree(store[0], path)
    assert check_store(path).damage == ()
    chunk = next(p for p in sorted((path / "results/r/pyramid/2" / what / "c").rglob("*")) if p.is_file())
    good = chunk.read_bytes()
    chunk.write_bytes(good[:100] + bytes([good[100] ^ 1]) + good[101:])
    (damage,) = check_store(path).damage
    assert damage.place.startswith(f"results/r/pyramid/2/{what}")
    ds = open_result(path)
    with pytest.raises(DamagedStoreError, match=f"pyramid/2/{what}"):
        Levels(ds).mixed(np.ones((ds.sizes["atom"], 1)), 2, (slice(0, 115), slice(0, 85)))


def test_a_level_that_was_removed_is_named(store, tmp_path):
    path = tmp_path / "p.zarr"
    shutil.copytree(store[0], path)
    shutil.rmtree(path / "results/r/pyramid/2/abundance")
    assert any("pyramid" in damage.place for damage in check_store(path).damage)
    shutil.rmtree(path / "results/r/pyramid/2")
    assert any("pyramid/2" in str(damage) for damage in check_store(path).damage)
    with pytest.raises(StoreError, match="pyramid/2"):
        Levels(open_result(path))


def test_the_mean_of_the_abundances_is_stored_and_told_of_the_result_as_it_was_solved_only(store):
    ds = open_result(store[0])
    assert (
        Factors(ds)._mean_abundance().tolist()
        == open_array(open_group(store[0] / "results" / "r"), MEAN)[...].tolist()
    )
    for part in (ds, ds.xrf.hidden, ds.isel(y=slice(0, 40)), ds.assign(abundance=2 * ds.abundance), ds.load()):
        mean = part.abundance.values.mean(axis=(0, 1), dtype=np.float64)
        np.testing.assert_allclose(Factors(part)._mean_abundance(), mean, rtol=1e-6)


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_a_mean_that_was_lost_is_told_by_name(store, tmp_path, harm):
    path = tmp_path / "p.zarr"
    shutil.copytree(store[0], path)
    (chunk,) = (path / "results/r" / MEAN / "c").iterdir()
    chunk.unlink() if harm == "missing" else chunk.write_bytes(chunk.read_bytes()[:-1] + b"?")
    assert [damage.place for damage in check_store(path).damage] == [f"results/r/{MEAN}/c/0"]
    with pytest.raises(DamagedStoreError, match=rf"results/r/{MEAN}: (a chunk is missing|stored bytes)"):
        Factors(open_result(path))._mean_abundance()


def maps_of(ds, weights):
    """The whole map, and its halves, of each column of weights."""
    whole = ds.abundance.values @ weights
    whole[ds.coverage.values <= 0] = np.nan
    return whole


def test_a_window_of_any_size_of_pixel_is_that_of_the_whole_map(store, monkeypatch):
    ds = open_result(store[0])
    weights = {"Fe": np.arange(ds.sizes["atom"]) + 1.0, "Cu": np.ones(ds.sizes["atom"])}
    monkeypatch.setattr(Tiles, "_weight", lambda self, element, layer: weights[element].astype("f4"))
    monkeypatch.setattr("xrfsr_dask.view.tiles.SIDE", 20)
    plain = ds.drop_vars("cube")
    stored, halves = Tiles(ds, Levels(ds)), Tiles(plain, Levels(plain))
    halves._levels._of = {1: halves._levels._of[1]}  # as in a result without levels
    for element, weight in weights.items():
        whole = maps_of(ds, weight)
        for factor in (1, 2, 4, 8):
            ny, nx = whole.shape
            for y, x, h, w in ((0, 0, ny, nx), (3, 5, ny // 2, nx // 3), (ny - 1, nx - 1, 1, 1)):
                part = slice(y, min(y + h, ny)), slice(x, min(x + w, nx))
                for tiles in (stored, halves):
                    found = tiles.window([element, "Cu"], "all", factor, part)[element]
                    # where a part of a pixel was measured, a mean of means is not the mean
                    known = halved_share(ds.coverage.values > 0, factor)[part] == 1
                    np.testing.assert_array_equal(np.isnan(found), np.isnan(whole[part]))
                    np.testing.assert_allclose(found[known], whole[part][known], rtol=1e-5, atol=1e-6)
            whole = halved(whole)


def test_a_layer_and_changed_abundances_are_shown_as_they_are_at_every_size(store):
    ds = open_result(store[0])
    for changed in (ds.xrf.hidden, ds.assign(abundance=2 * ds.abundance), ds.isel(atom=[0, 1])):
        levels = Levels(changed)
        assert 1 in levels
        assert 2 not in levels
        whole = maps_of(changed, np.ones(changed.sizes["atom"]))
        found = levels.mixed(np.ones((changed.sizes["atom"], 1)), 1, (slice(0, 230), slice(0, 170)))
        np.testing.assert_allclose(found[..., 0], whole, rtol=1e-5, atol=1e-6)
    assert 2 in Levels(ds)


def halved_share(measured, factor):
    share = measured.astype("f4")
    for _ in range(int(np.log2(factor))):
        _, share = halved_mixtures(share[..., None], share)
    return share


def test_tiles_that_were_not_asked_for_lately_are_let_go(store, monkeypatch):
    ds = open_result(store[0])
    monkeypatch.setattr(Tiles, "_weight", lambda *_: np.ones(ds.sizes["atom"], "f4"))
    monkeypatch.setattr("xrfsr_dask.view.tiles.SIDE", 20)
    monkeypatch.setattr("xrfsr_dask.view.tiles._KEPT_BYTES", 10 * 4 * 20**2)
    tiles = Tiles(ds, Levels(ds))
    whole = tiles.window(["Fe"], "all", 1, (slice(0, 230), slice(0, 170)))["Fe"]
    assert whole.shape == (230, 170)
    assert len(tiles._kept) == 10


def test_mixtures_are_halved_as_maps_are_where_all_was_measured():
    A = np.random.default_rng(0).random((7, 5, 3)).astype("f4")
    half, share = halved_mixtures(A, np.ones((7, 5), "f4"))
    assert (share == 1).all()
    for atom in range(3):
        np.testing.assert_allclose(half[..., atom], halved(A[..., atom]), rtol=1e-6)
