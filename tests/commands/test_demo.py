import dataclasses
import json

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from xrfsr_dask.commands import demo as module
from xrfsr_dask.commands.demo import demo
from xrfsr_dask.commands.judge import comparing, judge
from xrfsr_dask.errors import InputError, StoreError
from xrfsr_dask.metrics import row_sums
from xrfsr_dask.options import BedroomOptions, RunOptions, SolveOptions
from xrfsr_dask.phantom import write_painting
from xrfsr_dask.progress import Silent
from xrfsr_dask.result import open_result
from xrfsr_dask.tiling.executor import LocalExecutor

TINY = BedroomOptions(
    shape=(120, 150), width_mm=82.0, n_patches=2, spots=(16, 12), overlap_spots=(2, 3), n_channel=256
)
QUICK = SolveOptions(atoms=8, iterations=2)


@pytest.fixture
def tiny(monkeypatch):
    """The small demo, smaller still."""
    monkeypatch.setattr(module.BedroomOptions, "small", classmethod(lambda cls, seed=0: TINY))


def run(folder, **changes):
    given = {"size": "small", "photo": None, "seed": 0, "options": QUICK, "resources": RunOptions(workers=2)}
    return demo(folder, **(given | changes))


def test_a_demo_leaves_a_store_a_picture_and_a_table_by_region(tiny, tmp_path, monkeypatch):
    found = run(tmp_path / "d")
    rows = {(row["region"], row["method"]): row for row in found["metrics"]}
    for region in ("whole", "hidden", "elsewhere"):
        for method in ("cubic", "paper"):
            assert np.isfinite(rows[region, method]["psnr_db"])
        assert rows[region, "cubic"]["pixels"] == rows[region, "paper"]["pixels"] > 0
    report = tmp_path / "d" / "report"
    with Image.open(report / "overview.png") as picture:
        assert picture.size[0] > 1000
    assert json.loads((report / "metrics.json").read_text())["metrics"] == found["metrics"]
    again = run(tmp_path / "d")  # all is there already: nothing is painted or solved anew
    for row, before in zip(again["metrics"], found["metrics"], strict=True):
        assert (row["region"], row["method"]) == (before["region"], before["method"])
        for key in ("rmse", "psnr_db", "sam_deg"):
            assert row[key] == pytest.approx(before[key], rel=1e-12)  # sums round by how memory happens to lie
    with pytest.raises(StoreError, match="was solved with other options"):
        run(tmp_path / "d", options=SolveOptions(atoms=9, iterations=2))
    other = dataclasses.replace(TINY, n_patches=1)
    monkeypatch.setattr(module.BedroomOptions, "small", classmethod(lambda cls, seed=0: other))
    with pytest.raises(StoreError, match="is another painting"):
        run(tmp_path / "d")


def test_a_demo_does_not_go_on_with_another_photograph(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LEAST_PX", 60)
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        Image.fromarray(rng.integers(0, 255, (120, 150, 3)).astype("u1")).save(tmp_path / f"{name}.png")
    monkeypatch.setattr(module, "_solved", lambda *_: pytest.fail("solved"))
    for photo in (str(tmp_path / "a.png"), None):
        folder = tmp_path / f"d-{photo is None}"
        write_painting(
            tmp_path / "p.zarr", TINY, photo=None if photo is None else np.asarray(Image.open(photo))
        )
        folder.mkdir()
        (tmp_path / "p.zarr").rename(folder / "painting.zarr")
        for other in (str(tmp_path / "b.png"), None if photo else str(tmp_path / "a.png")):
            with pytest.raises(StoreError, match="is another painting"):
                run(folder, photo=other)
        with pytest.raises(pytest.fail.Exception, match="solved"):
            run(folder, photo=photo)


def test_a_photograph_too_small_to_paint_from_is_named(tiny, tmp_path):
    Image.new("RGB", (1, 1)).save(tmp_path / "one.png")
    with pytest.raises(InputError, match=r"one\.png has 1 x 1 px, which is too small to paint from"):
        run(tmp_path / "d", photo=str(tmp_path / "one.png"))


def test_a_grey_photograph_cannot_be_painted_from(tiny, tmp_path):
    Image.fromarray(np.zeros((40, 50), "u1")).save(tmp_path / "grey.png")
    with pytest.raises(InputError, match=r"grey.png is grey; .* give one in colour"):
        run(tmp_path / "d", photo=str(tmp_path / "grey.png"))


@pytest.mark.slow
def test_a_large_photograph_is_made_smaller(tiny, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (480, 600, 3)).astype("u1")
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    run(tmp_path / "d", photo=str(tmp_path / "photo.png"))
    assert open_result(tmp_path / "d" / "painting.zarr").abundance.shape[:2] == (120, 150)


def test_a_demo_inside_a_store_is_refused_before_it_paints(tiny, tmp_path):
    write_painting(tmp_path / "p.zarr", TINY)
    for folder in ("p.zarr/demo", "p.zarr/patches/demo"):
        with pytest.raises(StoreError, match=f"{folder}: {tmp_path / 'p.zarr'} is a store, and nothing else"):
            run(tmp_path / folder)
        assert not (tmp_path / folder).exists()


def test_as_many_tiles_are_judged_at_once_as_the_memory_has_room_for(tmp_path):
    painting = write_painting(tmp_path / "p.zarr", TINY)  # 256 channels: 7.7 MB a tile
    for memory, asked, most in ((512, None, 16), (50, None, 6), (50, 2, 2), (1, None, 1)):
        resources = RunOptions(memory=memory * 10**6, workers=asked)
        assert comparing(painting, resources, 16).workers == most


def test_judging_by_tiles_is_judging_the_whole(tmp_path):
    path = tmp_path / "p.zarr"
    painting = write_painting(path, TINY)
    from xrfsr_dask.solver import plan_run, solve

    plan = plan_run(painting, name="r", options=QUICK, resources=RunOptions(), slots=1)
    solve(plan, LocalExecutor(1))
    tables = judge(path, ["r", "cubic"], LocalExecutor(2), Silent())
    truth, result = open_result(path, "truth"), open_result(path, "r")
    assert isinstance(result, xr.Dataset)
    measured = tables["cubic"][0]["pixels"]
    labels = np.where(truth.coverage.values > 0.5, 0, -1).ravel()
    whole = row_sums(result.cube.values.reshape(-1, 256), truth.cube.values.reshape(-1, 256), labels).table()
    assert abs(whole[0]["pixels"] - measured) < 0.02 * measured
    assert tables["r"][0]["rmse"] == pytest.approx(whole[0]["rmse"], rel=0.05)


def test_a_file_where_the_report_is_to_lie_is_refused_before_painting(tiny, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "report").write_text("notes")
    with pytest.raises(InputError, match="d/report is a file, where the report is to lie"):
        run(tmp_path / "d")
    assert [p.name for p in (tmp_path / "d").iterdir()] == ["report"]
