"""Links, pipes and folders where files should be: named before anything is read, written or waited for."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from engine.scenes import interrupt_in_a_visit, narrow_painting, planned, run_folder
from helpers import tree_bytes

from xrfsr_dask.cli import main
from xrfsr_dask.errors import DamagedStoreError, StoreError
from xrfsr_dask.result import open_result
from xrfsr_dask.solver import solve
from xrfsr_dask.store import open_painting
from xrfsr_dask.store.arrays import new_array, new_group, open_array, open_group, read, write
from xrfsr_dask.store.check import check_store
from xrfsr_dask.store.shards import assembled
from xrfsr_dask.store.staging import work_area
from xrfsr_dask.tiling.executor import LocalExecutor


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A painting with a result, and a run that was interrupted in the middle of a visit."""
    path = tmp_path_factory.mktemp("good") / "p.zarr"
    narrow_painting(path, "a")
    solve(planned(path, tile=500, name="paper"), LocalExecutor(1))
    interrupt_in_a_visit(planned(path))
    return path


@pytest.fixture
def store(good, tmp_path):
    return shutil.copytree(good, tmp_path / "p.zarr")


def moved_out(place: Path) -> Path:
    """Move something out of the store and leave a link to it."""
    outside = next(up for up in place.parents if up.name == "p.zarr").with_name("outside")
    place.rename(outside)
    place.symlink_to(outside)
    return outside


def chunks_of_a_run(store):
    return max(run_folder(store).glob("*/gen-*")) / "abundance" / "c"


@pytest.mark.parametrize("place", ["5", "5/1", "5/1/0"])
def test_a_run_goes_not_on_through_a_link_among_its_chunks(store, place):
    chunk = chunks_of_a_run(store) / "5" / "1" / "0"
    if not chunk.exists():
        chunk.parent.mkdir(parents=True, exist_ok=True)
        chunk.write_bytes(b"")
    plan = planned(store)
    outside = moved_out(chunks_of_a_run(store) / place)
    before = tree_bytes(outside.parent)
    with pytest.raises(StoreError, match=f"abundance/c/{place} is a link that leads out of the store"):
        open_painting(store)
    with pytest.raises(StoreError, match=f"abundance/c/{place} is a link that leads out of the store"):
        solve(plan, LocalExecutor(1), resume=True)  # as where it came after the painting was opened
    assert main(["check", str(store), "--quiet"]) == 1
    assert tree_bytes(outside.parent) == before


def test_nothing_is_written_through_a_link(tmp_path):
    group = new_group(tmp_path / "p.zarr")
    array = new_array(group, "a", shape=(4, 4), dtype="f4", chunks=(2, 2), dims=("y", "x"))
    array[:] = 1.0
    outside = moved_out(tmp_path / "p.zarr" / "a" / "c" / "1")
    before = tree_bytes(outside)
    with pytest.raises(DamagedStoreError, match="a/c/1 is a link; nothing is written through it"):
        write(array, (slice(2, 4), slice(0, 4)), np.zeros((2, 4), "f4"))
    assert tree_bytes(outside) == before


@pytest.mark.parametrize("place", ["patches/a/counts/c/0", "patches/a/counts/c/0/0/0", "patches/a/energy/c/0"])
def test_a_chunk_of_a_patch_that_leads_out_of_the_store_is_refused_when_it_is_read(store, place):
    moved_out(store / place)
    patch = open_painting(store).patches[0]
    with pytest.raises(DamagedStoreError, match=f"{place} is a link that leads out of the store"):
        patch.energy_kev() if "energy" in place else read(patch.counts())


@pytest.mark.parametrize("reader", [read, assembled])
def test_a_shard_that_leads_out_of_the_store_is_refused_when_it_is_read(store, reader):
    moved_out(store / "results" / "paper" / "abundance" / "c" / "0")
    array = open_array(open_group(store / "results" / "paper"), "abundance")
    with pytest.raises(DamagedStoreError, match="abundance/c/0 is a link that leads out of the store"):
        reader(array, tuple(slice(0, n) for n in array.shape))


def test_a_chunk_may_be_a_link_to_elsewhere_in_the_store(store):
    counts = store / "patches" / "a" / "counts" / "c"
    before = read(open_painting(store).patches[0].counts())
    counts.joinpath("0").rename(store / "patches" / "a" / "elsewhere")
    counts.joinpath("0").symlink_to(store / "patches" / "a" / "elsewhere")
    np.testing.assert_array_equal(read(open_painting(store).patches[0].counts()), before)


def test_what_is_called_c_hides_no_link(store, tmp_path):
    """Chunks lie in the ``c`` of an array; a patch, a result or a run may have that name."""
    for place in ("patches/c/counts", "results/c/history"):
        shutil.copytree(store / "patches" / "a", store / place)
        (store / place / "link").symlink_to(tmp_path)
        with pytest.raises(StoreError, match=f"{place}/link is a link that leads out of the store"):
            open_painting(store)
        shutil.rmtree((store / place).parent)
    run = work_area(store) / "c"
    run.mkdir()
    (run / "link").symlink_to(tmp_path)
    with pytest.raises(StoreError, match=r"\.work/c/link is a link"):
        open_painting(store)


def test_links_in_a_circle_do_not_keep_a_check_for_ever(store, capsys):
    a, r = store / "patches" / "a", store / "results" / "paper"
    for number in range(4):
        (a / f"up{number}").symlink_to("..", target_is_directory=True)
        (a / f"over{number}").symlink_to(r, target_is_directory=True)
        (r / f"back{number}").symlink_to(a, target_is_directory=True)
    began = time.monotonic()
    assert main(["check", str(store), "--quiet"]) in (0, 1)
    assert time.monotonic() - began < 20
    assert "unforeseen" not in capsys.readouterr().err


def pipe(place):
    os.mkfifo(place)


def folder(place):
    place.mkdir()


def endless(place):
    place.symlink_to("/dev/zero")


def loop(place):
    place.symlink_to(place.name)


STRANGE = {pipe: "a pipe", folder: "a folder", endless: "a device|leads out", loop: "leads to itself"}


@pytest.fixture(params=STRANGE, ids=lambda put: put.__name__)
def strange(request):
    """Something else in the place of a file."""

    def put(place: Path) -> str:
        place.unlink()
        request.param(place)
        return STRANGE[request.param]

    return put


@pytest.mark.parametrize(
    "place",
    ["patches/a/counts/c/0/0/0", "patches/a/energy/c/0", "results/paper/endmember/c/0/0",
     "results/paper/abundance/c/0/0/0", "results/paper/coverage/c/0/0"],
)  # fmt: skip
def test_what_is_no_file_in_place_of_a_chunk_is_told_by_name_and_never_waited_for(store, strange, place):
    words, began = strange(store / place), time.monotonic()
    array = open_array(open_group((store / place.partition("/c/")[0]).parent), place.split("/")[2])
    with pytest.raises(DamagedStoreError, match=f"{place}.*({words})|counts: the chunk c/0/0/0 is missing"):
        read(array)
    if array.shards:
        with pytest.raises(DamagedStoreError, match=f"{place}.*({words})"):
            assembled(array, tuple(slice(0, n) for n in array.shape))
    assert place in {found.place for found in check_store(store).damage}
    assert main(["check", str(store), "--quiet"]) == 1
    if place.startswith("results"):
        with pytest.raises(DamagedStoreError, match=place.split("/")[2]):
            open_result(store, "paper").load()
    assert time.monotonic() - began < 20


def test_what_is_no_file_in_place_of_a_chunk_is_never_written_to(store, strange):
    chunk = next(p for p in chunks_of_a_run(store).rglob("*") if p.is_file())
    strange(chunk)
    with pytest.raises((StoreError, OSError), match=r"gen-\d+"):
        solve(planned(store), LocalExecutor(1), resume=True)
    assert main(["check", str(store), "--quiet"]) == 1


@pytest.mark.parametrize("place", ["zarr.json", "patches/zarr.json", "results/paper/layer/zarr.json"])
def test_what_is_no_file_in_place_of_metadata_is_told_and_never_waited_for(store, strange, place, capsys):
    strange(store / place)
    began = time.monotonic()
    assert main(["check", str(store), "--quiet"]) == 1
    assert main(["info", str(store), "--quiet"]) in (0, 1)
    assert "unforeseen" not in capsys.readouterr().err
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("name", ["run.json", "checkpoint.json", "lock.json", "receipts.jsonl"])
def test_what_is_no_file_in_place_of_a_record_is_told_and_never_waited_for(store, strange, name, capsys):
    files = [*run_folder(store).glob(name), *run_folder(store).glob(f"*/gen-*/{name}")]
    file = max(files) if files else run_folder(store) / name
    file.touch()
    strange(file)
    began = time.monotonic()
    words = ["--method", "paper", "--atoms", "5", "--iterations", "3", "--steps", "6", "--tolerance", "0"]
    assert main(["solve", str(store), "--name", "r", *words, "--resume", "--quiet"]) == 1
    assert main(["check", str(store), "--quiet"]) == 1
    assert "unforeseen" not in capsys.readouterr().err
    assert time.monotonic() - began < 20


def test_many_chunks_do_not_make_opening_slow(store):
    """Looked at where they are read."""
    row = store / "results" / "paper" / "abundance" / "c" / "9"
    row.mkdir()
    for number in range(20_000):
        (row / str(number)).touch()
    began = time.monotonic()
    open_painting(store)
    assert time.monotonic() - began < 0.5
