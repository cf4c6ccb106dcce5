import json
import os
import shutil
import time

import numpy as np
import pytest
from helpers import small_painting, small_patch, small_truth

from xrfsr_dask.errors import DamagedStoreError, StoreError
from xrfsr_dask.result import open_result
from xrfsr_dask.store import open_painting, whose
from xrfsr_dask.store.arrays import write_values
from xrfsr_dask.store.check import check_store
from xrfsr_dask.store.metadata import set_attributes, write_metadata
from xrfsr_dask.store.results import new_result
from xrfsr_dask.store.staging import staged, sweep, work_area


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("check") / "p.zarr"
    small_painting(path, "ab")
    rng = np.random.default_rng(0)
    with staged(path, "results/r") as group:
        abundance = new_result(
            group,
            shape=(230, 170),
            pitch_mm=1.0,
            endmember=rng.random((3, 64)),
            layer=np.array([0, 0, 1]),
            energy_kev=np.arange(64.0),
            attrs={},
        )
        abundance[:] = rng.random((230, 170, 3)).astype("f4")
        group["coverage"][:] = 1.0
        write_values(group, "evidence", np.ones((230, 170), "f4"), ("y", "x"))
        fit = group.create_group("fit").create_group("a")
        write_values(fit, "chi_square", np.ones((36, 30), "f4"), ("spot_y", "spot_x"))
    return path


def test_a_whole_store_is_found_whole(whole):
    report = check_store(whole)
    assert report.damage == ()
    assert report.chunks > report.arrays > 15


def stored_files(path):
    return sorted(p for p in path.rglob("*") if p.is_file())


@pytest.mark.parametrize("harm", ["flip", "truncate", "empty", "delete"])
def test_every_kind_of_damage_to_every_file_is_found(whole, tmp_path, harm):
    shutil.copytree(whole, tmp_path / "p.zarr")
    missed = []
    for file in stored_files(tmp_path / "p.zarr"):
        good = file.read_bytes()
        if harm == "flip":
            middle = len(good) // 2
            file.write_bytes(good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :])
        elif harm == "truncate":
            file.write_bytes(good[: len(good) // 2])
        elif harm == "empty":
            file.write_bytes(b"")
        else:
            file.unlink()
        if not check_store(tmp_path / "p.zarr").damage:
            missed.append(str(file.relative_to(tmp_path)))
        file.write_bytes(good)
    assert missed == []


def test_a_missing_array_is_found(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "p.zarr")
    shutil.rmtree(tmp_path / "p.zarr" / "patches" / "a" / "counts")
    assert [(d.place, d.what) for d in check_store(tmp_path / "p.zarr").damage] == [
        ("patches/a/counts", "the array is missing")
    ]


def test_every_array_that_was_removed_is_found_by_name(whole, tmp_path):
    """Those that may be there or not are listed where they were written."""
    path = shutil.copytree(whole, tmp_path / "p.zarr")
    arrays = [p.parent for p in path.rglob("zarr.json") if json.loads(p.read_text())["node_type"] == "array"]
    assert {"evidence", "chi_square"} < {array.name for array in arrays}
    for array in arrays:
        place = str(array.relative_to(path))
        array.rename(tmp_path / "aside")
        assert (place, "the array is missing") in {(d.place, d.what) for d in check_store(path).damage}
        (tmp_path / "aside").rename(array)
    assert check_store(path).damage == ()


def test_an_array_a_result_was_written_with_is_missed_when_it_is_opened(whole, tmp_path):
    path = shutil.copytree(whole, tmp_path / "p.zarr")
    assert "evidence" in open_result(path, "r")
    shutil.rmtree(path / "results" / "r" / "evidence")
    with pytest.raises(DamagedStoreError, match="results/r is damaged: it was written with 'evidence'"):
        open_result(path, "r")


@pytest.mark.parametrize(
    "listed", [7, ["../../x"], [""], [3], {"a": 1}, ["y" * 300], ["a\0b"], ["\ud800"]], ids=ascii
)
def test_a_list_of_arrays_that_is_none_is_damage(whole, tmp_path, listed):
    path = shutil.copytree(whole, tmp_path / "p.zarr")
    set_attributes(path / "results" / "r", {"arrays": listed})
    assert [d.place for d in check_store(path).damage] == ["results/r/zarr.json"]


def test_a_shape_for_which_next_to_nothing_was_written_is_told_at_once(whole, tmp_path):
    path = shutil.copytree(whole, tmp_path / "p.zarr")
    meta = path / "results" / "r" / "coverage" / "zarr.json"
    found = json.loads(meta.read_text())
    found["shape"], found["chunk_grid"]["configuration"]["chunk_shape"] = [10**6, 10], [1, 10]
    found["attributes"].pop("checksum")
    write_metadata(meta, found)
    began = time.monotonic()
    told = {d.place: d.what for d in check_store(path).damage}
    assert "only 1 of the 1000000 chunks" in told["results/r/coverage"]
    assert time.monotonic() - began < 5


def test_what_killed_processes_left_half_made_goes_with_the_next_patch(whole, tmp_path):
    path = shutil.copytree(whole, tmp_path / "p.zarr")
    area = work_area(path)
    area.mkdir(exist_ok=True)
    place = whose.signature().rpartition(f"-{os.getpid()}-")[0]
    dead, mine, elsewhere = f"{place}-{2**30}-1", f"{place}-{os.getpid()}-1", f"other-7-{2**30}-1"
    forsaken = f"other-8-{os.getpid()}-1"
    for name in (f"names-results-q.partial-{dead}", f"staging-results-q.partial-{dead}"):
        (area / name).mkdir()
        (area / name / "zarr.json").touch()
    for alive in (mine, elsewhere):  # a number says nothing of another machine, or namespace
        (area / f"staging-results-q.partial-{alive}").mkdir()
    (area / f"staging-results-q.partial-{forsaken}").mkdir()
    for old in (mine, forsaken):  # nothing was written there for more than a day
        os.utime(area / f"staging-results-q.partial-{old}", (time.time() - 90_000,) * 2)
    A, D, _ = small_truth()
    small_patch(path, "c", A, D)
    left = {p.name.removeprefix("staging-results-q.partial-") for p in area.iterdir()}
    assert left == {mine, elsewhere}


def test_what_others_put_together_is_forsaken_by_the_clock_of_who_stores_it(tmp_path, monkeypatch):
    """That of this machine may be days ahead."""
    fresh = tmp_path / "staging-results-q.partial-other-7-9-1"
    fresh.mkdir()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 1e6)
    sweep(tmp_path)
    assert fresh.is_dir()
    monkeypatch.setattr(time, "time", lambda: real() - 1e6)
    os.utime(fresh, (real() - 90_000,) * 2)
    sweep(tmp_path)
    assert not fresh.exists()


@pytest.mark.parametrize("place", ["patches/a", "patches/b", "results/r"])
def test_a_patch_or_result_that_was_removed_whole_is_found_by_name(whole, tmp_path, place):
    shutil.copytree(whole, tmp_path / "p.zarr")
    shutil.rmtree(tmp_path / "p.zarr" / place)
    found = [(d.place, d.what) for d in check_store(tmp_path / "p.zarr").damage]
    assert found == [(place, "it was added, and its folder is gone")]
    if place.startswith("patches"):
        with pytest.raises(
            DamagedStoreError, match=f"the folder of patch '{place[-1]}' is gone; put {place} back"
        ):
            open_painting(tmp_path / "p.zarr")
    else:
        open_painting(tmp_path / "p.zarr")  # nothing is made from a result


def test_a_store_from_before_names_were_kept_opens_and_gets_them_with_the_next_patch(tmp_path):
    path = tmp_path / "p.zarr"
    small_painting(path, "ab")
    for meta in path.rglob("zarr.json"):
        found = json.loads(meta.read_text())
        found["attributes"].pop("checksum")
        found["attributes"] |= {"format_version": 1} if meta.parent == path else {}
        meta.write_text(json.dumps(found))
    meta = path / "patches" / "zarr.json"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"attributes": {}}))
    assert check_store(path).damage == ()
    A, D, _ = small_truth()
    small_patch(path, "c", A, D)
    assert json.loads(meta.read_text())["attributes"]["names"] == ["a", "b", "c"]


def test_names_that_are_none_are_damage(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "p.zarr")
    meta = tmp_path / "p.zarr" / "patches" / "zarr.json"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"attributes": {"names": 7}}))
    with pytest.raises(DamagedStoreError, match="'names' is no list of names"):
        open_painting(tmp_path / "p.zarr")
    assert [d.place for d in check_store(tmp_path / "p.zarr").damage] == ["patches/zarr.json"]


def test_a_path_that_is_not_there_is_told(tmp_path):
    (tmp_path / "file.zarr").touch()
    for name, words in (("nothing.zarr", "does not exist"), ("file.zarr", "is a file, not a folder")):
        with pytest.raises(StoreError, match=words):
            check_store(tmp_path / name)


@pytest.mark.parametrize("group", ["rgb", "patches", "results"])
def test_a_missing_group_is_found(whole, tmp_path, group):
    shutil.copytree(whole, tmp_path / "p.zarr")
    shutil.rmtree(tmp_path / "p.zarr" / group)
    assert any(group in d.what for d in check_store(tmp_path / "p.zarr").damage)


def test_a_patch_may_be_called_c(tmp_path):
    path = tmp_path / "p.zarr"
    painting = small_painting(path, "c")
    assert painting.patches[0].name == "c"
    chunk = next((path / "patches" / "c" / "counts" / "c").rglob("0"))
    while chunk.is_dir():
        chunk = next(chunk.iterdir())
    chunk.write_bytes(b"xx")
    assert check_store(path).damage
