"""A store on S3, played by moto's server: bits and checks of a local one, and a sentence for each failure."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import os
import pickle
import signal
import socket
import sys
import threading
import time
import urllib.request

import boto3
import numpy as np
import obstore
import pytest
import xarray as xr
import zarr
from engine import scenes
from engine.scenes import (
    JOINT,
    PAPER,
    InterruptAfter,
    add_narrow_patch,
    figures,
    narrow_painting,
    planned,
    result_hash,
    run_folder,
    started,
    wait_for,
    words,
)
from helpers import levels_from
from moto.server import ThreadedMotoServer
from PIL import Image

from xrfsr_dask.cli import main
from xrfsr_dask.cluster import executor_for
from xrfsr_dask.commands.info import describe
from xrfsr_dask.errors import InputError, StoreError
from xrfsr_dask.options import RunOptions
from xrfsr_dask.result import open_patch, open_result
from xrfsr_dask.result.levels import Levels
from xrfsr_dask.solver import solve
from xrfsr_dask.store import (
    PatchSpec,
    add_patch,
    create_painting,
    locks,
    moves,
    open_painting,
    placement,
    whose,
)
from xrfsr_dask.store.arrays import open_array, open_group
from xrfsr_dask.store.check import check_store
from xrfsr_dask.store.journal import read_record, write_record
from xrfsr_dask.store.metadata import read_metadata, write_metadata
from xrfsr_dask.store.places import as_place, files_below, node
from xrfsr_dask.store.staging import staged, work_area
from xrfsr_dask.tiling.executor import LocalExecutor

SHORT = {
    "paper": dataclasses.replace(PAPER, iterations=1, steps=2),
    "joint": dataclasses.replace(JOINT, iterations=1),
}
SECRET = "not-to-be-found-anywhere"
number = itertools.count()


@pytest.fixture(scope="module")
def server():
    """The address of an object store; whoever is started knows it and has credentials."""
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    known = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "conservator",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in known.items():
            patch.setenv(name, value)
            patch.setitem(scenes.ENVIRONMENT, name, value)
        yield known["AWS_ENDPOINT_URL"]
    moto.stop()


@pytest.fixture
def url(server):
    """Where a painting may be put, in a bucket of its own."""
    bucket = f"paintings-{next(number)}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    return f"s3://{bucket}/paris/p.zarr"


@pytest.fixture(scope="module")
def painted(server):
    """A painting on S3 with two patches, not to be changed."""
    boto3.client("s3").create_bucket(Bucket="painted")
    narrow_painting("s3://painted/p.zarr")
    return "s3://painted/p.zarr"


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory):
    """Hashes of short runs on a local disk."""
    found = {}

    def hash_of(method: str) -> str:
        if method not in found:
            path = tmp_path_factory.mktemp(method) / "p.zarr"
            narrow_painting(path)
            solve(planned(path, SHORT[method], tile=250), LocalExecutor(2))
            found[method] = result_hash(path)
        return found[method]

    return hash_of


def hash_on_s3(url: str) -> str:
    return result_hash(node(url, read_only=True))


def objects(url: str) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in files_below(as_place(url))}


@pytest.mark.parametrize("method", ["paper", pytest.param("joint", marks=pytest.mark.slow)])
def test_a_run_on_s3_has_the_bits_of_one_on_disk_and_leaves_nothing_else(url, on_disk, method):
    narrow_painting(url)
    before = set(objects(url))
    solve(planned(url, SHORT[method], tile=500), LocalExecutor(2))
    assert hash_on_s3(url) == on_disk(method)
    assert all("/results/" in new for new in set(objects(url)) - before)
    assert check_store(url).damage == ()


def test_levels_of_a_result_are_written_checked_and_read_on_s3(url, tmp_path):
    for place in (url, tmp_path / "p.zarr"):
        narrow_painting(place)
        with levels_from(50):
            solve(planned(place, SHORT["paper"], tile=500), LocalExecutor(2))
    assert hash_on_s3(url) == result_hash(tmp_path / "p.zarr")
    assert check_store(url).damage == ()
    rows = slice(0, 130), slice(0, 30)
    found = [open_result(place) for place in (url, tmp_path / "p.zarr")]
    one, two = (Levels(ds).mixed(np.ones((ds.sizes["atom"], 1)), 2, rows) for ds in found)
    np.testing.assert_array_equal(one, two)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_two_worker_processes_give_these_bits_too(url, on_disk):
    narrow_painting(url)
    with executor_for(RunOptions(processes=True, workers=2)) as executor:
        solve(planned(url, SHORT["paper"], tile=100), executor)
    assert hash_on_s3(url) == on_disk("paper")


@pytest.mark.slow
def test_a_run_that_was_interrupted_checks_out_and_goes_on_to_the_same_bits(url, on_disk):
    narrow_painting(url)
    with pytest.raises(KeyboardInterrupt):
        solve(planned(url, SHORT["paper"], tile=100), LocalExecutor(1), progress=InterruptAfter(12))
    assert [run["name"] for run in describe(url)["unfinished_runs"]] == ["r"]
    assert check_store(url).damage == ()
    solve(planned(url, SHORT["paper"], tile=100), LocalExecutor(2), resume=True)
    assert hash_on_s3(url) == on_disk("paper")


@pytest.mark.slow
def test_a_driver_killed_within_a_pass_is_resumed_to_the_same_bits(url, on_disk):
    narrow_painting(url)
    command = words(url, "paper", "--iterations", 1, "--steps", 2)
    run = started(command)
    wait_for(lambda: any(len(found.splitlines()) >= 4 for found in receipts(url)), run)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    assert check_store(url).damage == ()
    figures([*command, "--resume"])
    assert hash_on_s3(url) == on_disk("paper")


def receipts(url: str) -> list[bytes]:
    with contextlib.suppress(FileNotFoundError):  # swept meanwhile
        return [found.read_bytes() for found in run_folder(url).glob("*/gen-*/receipts.jsonl")]
    return []


@pytest.mark.slow
def test_a_second_run_in_another_process_is_refused_and_ctrl_c_says_how_to_go_on(url):
    narrow_painting(url)
    first = started(
        words(url, "paper", "--iterations", 500),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        wait_for((run_folder(url) / "checkpoint.json").exists, first)
        _, err = started(words(url, "paper", "--iterations", 500)).communicate(timeout=60)
        assert f"run 'r' is being worked on by process {first.pid} on {socket.gethostname()}" in err
        first.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, err = first.communicate(timeout=60)
        assert time.monotonic() - began < 5
        assert f"Go on with: xrfsr solve {url}" in err
    finally:
        first.kill()
        first.communicate()


def test_of_many_that_begin_together_one_holds_the_lock(url):
    path, held, told = as_place(url) / "lock.json", [], []
    gate = threading.Barrier(8)

    def run():
        gate.wait()
        try:
            with locks.held(path, "run 'r'"):
                held.append(1)
                time.sleep(0.5)
        except StoreError as error:
            told.append(str(error))

    in_threads([run] * 8)
    assert len(held) == 1
    assert len(told) == 7
    assert not path.exists()


def in_threads(calls) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(("dead_s", "alive"), [(60.0, True), (-1.0, False)])
def test_a_lock_of_another_machine_holds_as_long_as_it_is_touched(url, monkeypatch, dead_s, alive):
    path = as_place(url) / "lock.json"
    write_record(path, {"host": "elsewhere", "pid": 7, "started": 0.0})
    monkeypatch.setattr(locks, "DEAD_S", dead_s)
    with contextlib.ExitStack() as stack:
        if alive:
            stack.enter_context(pytest.raises(StoreError, match="by process 7 on elsewhere"))
        with locks.held(path, "run 'r'"):
            assert read_record(path)["pid"] == os.getpid()


def test_a_lock_that_is_held_is_touched(url, monkeypatch):
    path = as_place(url) / "lock.json"
    monkeypatch.setattr(locks, "BEAT_S", 0.2)
    with locks.held(path, "run 'r'"):
        before = path.stat().st_mtime
        deadline = time.monotonic() + 10
        while path.stat().st_mtime == before:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_patches_that_are_added_at_once_are_all_recorded(url):
    narrow_painting(url, "")
    in_threads([lambda: add_narrow_patch(url, "a"), lambda: add_narrow_patch(url, "b")])
    assert [patch.name for patch in open_painting(url).patches] == ["a", "b"]
    names = zarr.open_group(node(url, read_only=True), mode="r")["patches"].attrs["names"]
    assert names == ["a", "b"]
    assert check_store(url).damage == ()
    assert not work_area(url).exists()


def test_what_fails_halfway_leaves_the_store_as_it_was(url):
    narrow_painting(url, "a")
    before = objects(url)
    spec = PatchSpec(
        shape=(40, 5, 24),
        dtype="u2",
        transform=placement(at_mm=(5, 5), step_mm=5),
        energy_kev=0.1 + 0.5 * np.arange(24),
    )
    with pytest.raises(InputError, match="ends after 32 of 40 rows"):
        add_patch(url, "c", spec, [(0, np.ones((32, 5, 24), "u2"))])
    with pytest.raises(KeyError), staged(url, "results/x") as group:
        group["no such array"]
    assert objects(url) == before


def test_what_a_kill_left_of_a_move_is_passed_over_and_may_be_put_there_again(url):
    """All objects of a patch but its own metadata, which come last."""
    narrow_painting(url, "ab")
    whole = objects(url)
    parent = as_place(url) / "patches" / "zarr.json"
    (as_place(url) / "patches" / "b" / "zarr.json").unlink()
    assert "patches/b/zarr.json" in {d.place for d in check_store(url).damage}  # it was whole once
    told = read_metadata(parent)
    told["attributes"]["names"] = ["a"]
    write_metadata(parent, told)
    assert check_store(url).damage == ()
    assert [patch.name for patch in open_painting(url).patches] == ["a"]
    (as_place(url) / "patches" / "b" / "counts" / "stale").touch()
    add_narrow_patch(url, "b")
    assert objects(url) == whole


@pytest.fixture
def answers_are_lost(monkeypatch):
    """What may be put only once is put, its answer lost, and asked for again, as the client does by itself."""
    put = obstore.put

    def put_again(*args, mode=None, **kwargs):
        if mode is not None:
            put(*args, mode=mode, **kwargs)
        return put(*args, mode=mode, **kwargs)

    monkeypatch.setattr(obstore, "put", put_again)


@pytest.mark.usefixtures("answers_are_lost")
def test_a_lost_answer_is_not_taken_for_another_mover_or_holder(url, on_disk):
    narrow_painting(url)
    solve(planned(url, SHORT["paper"], tile=250), LocalExecutor(2))
    assert hash_on_s3(url) == on_disk("paper")
    assert check_store(url).damage == ()


def test_a_place_that_a_dead_process_was_moving_a_painting_to_may_be_taken(url, monkeypatch):
    image = np.zeros((20, 30, 3), "u1")
    create_painting(url, image, width_mm=30.0)
    whole = objects(url)
    left, mark = as_place(url) / "patches" / "stale", as_place(url) / ".moving"
    signed = whose.signature()
    dead, elsewhere = signed.replace(f"-{os.getpid()}-", f"-{2**30}-"), "other-7-1234-9-1"
    for owner, quiet_s, free in (
        (signed, 0, False), (dead, 120, True), (elsewhere, 120, False), (elsewhere, -1, True), ("", 120, False),
    ):  # fmt: skip
        as_place(url).remove_tree()
        mark.write_bytes(owner.encode())
        left.write_bytes(b"stale")
        monkeypatch.setattr(moves, "_QUIET_S", quiet_s)
        if free:
            create_painting(url, image, width_mm=30.0)
            assert objects(url) == whole
        else:
            with pytest.raises(StoreError, match="already exists"):
                create_painting(url, image, width_mm=30.0)
            assert left.read_bytes() == b"stale"


@pytest.mark.parametrize(
    "place",
    [
        "patches/a/counts/c/0/0/0",
        *(pytest.param(p, marks=pytest.mark.slow) for p in ("rgb/0/image/c/0/0/0", "patches/b/zarr.json")),
    ],
)
@pytest.mark.parametrize("harm", ["flip", "delete"])
def test_a_check_names_a_flipped_byte_and_an_object_that_is_gone(painted, capsys, place, harm):
    file = as_place(painted).joinpath(*place.split("/"))
    good = file.read_bytes()
    try:
        if harm == "delete":
            file.unlink()
        else:
            file.write_bytes(good[:40] + bytes([good[40] ^ 1]) + good[41:])
        assert place in {damage.place for damage in check_store(painted).damage}
        assert main(["check", painted, "--quiet"]) == 1
        assert place in capsys.readouterr().out
    finally:
        file.write_bytes(good)
    assert main(["check", painted, "--quiet"]) == 0


@pytest.mark.slow
def test_a_damaged_result_is_refused_when_it_is_read(url):
    narrow_painting(url, "a")
    solve(planned(url, SHORT["paper"], tile=500), LocalExecutor(2))
    file = as_place(url) / "results" / "r" / "abundance" / "c" / "0" / "0" / "0"
    file.unlink()
    with pytest.raises(StoreError, match="a chunk is missing"):
        open_result(url).abundance.compute()


@pytest.mark.slow
def test_commands_take_an_address_on_s3_as_a_path(url, tmp_path, capsys):
    A = np.random.default_rng(0).random((100, 60, 3))
    Image.fromarray((255 * A).astype("u1")).save(tmp_path / "photo.png")
    np.save(tmp_path / "scan.npy", np.random.default_rng(1).poisson(3.0, (18, 10, 800)).astype("u2"))
    add = ["--at", "5,5", "--step-mm", "5", "--calibration", "0.0,0.02", "--name", "a"]
    assert main(["new", url, "--rgb", str(tmp_path / "photo.png"), "--width-mm", "60"]) == 0
    assert main(["new", url, "--rgb", str(tmp_path / "photo.png"), "--width-mm", "60"]) == 1
    assert f"{url} already exists" in capsys.readouterr().err
    assert main(["add", url, str(tmp_path / "scan.npy"), *add]) == 0
    solving = ["--method", "paper", "--atoms", "3", "--iterations", "1", "--steps", "2"]
    assert main(["solve", url, *solving, "--dry-run"]) == 0
    assert main(["solve", url, *solving]) == 0
    assert main(["info", url]) == 0
    told = capsys.readouterr().out
    assert told.count(url) >= 1
    assert "result      paper: 6 atoms" in told
    assert main(["maps", url, "--elements", "Cr", "--out", str(tmp_path / "maps")]) == 0
    assert (tmp_path / "maps" / "Cr-Ka.tif").is_file()
    assert main(["maps", url, "--elements", "Cr", "--out", f"{url}/maps"]) == 1
    assert "files are written to this machine only" in capsys.readouterr().err
    assert open_patch(url, "a").counts.shape == (18, 10, 800)


def test_credentials_are_neither_stored_nor_handed_to_workers(painted):
    lazy = open_patch(painted, "a").counts
    assert SECRET.encode() not in pickle.dumps(lazy)
    assert SECRET.encode() not in pickle.dumps(planned(painted))
    assert not any(SECRET.encode() in stored for stored in objects(painted).values())
    again = pickle.loads(pickle.dumps(lazy))
    np.testing.assert_array_equal(again.values, lazy.values)


def test_plain_xarray_reads_the_store(painted):
    from obstore.store import S3Store

    store = S3Store("painted", prefix="p.zarr", client_options={"allow_http": True})
    with xr.open_datatree(
        zarr.storage.ObjectStore(store, read_only=True), engine="zarr", consolidated=False
    ) as tree:
        counts = open_array(open_group(f"{painted}/patches/a"), "counts")
        np.testing.assert_array_equal(tree["patches/a/counts"].values, counts[:])


def one_sentence(capsys, *command: str) -> str:
    began = time.monotonic()
    assert main(list(command)) == 1
    assert time.monotonic() - began < 20
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    return err


@pytest.mark.parametrize(
    "command", [["info"], ["check"], ["solve"], ["new", "--rgb", "photo.png", "--width-mm", "9"]]
)
def test_a_bucket_that_is_not_there_is_one_sentence(server, tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (9, 9)).save("photo.png")
    err = one_sentence(capsys, command[0], "s3://nowhere-at-all/p.zarr", *command[1:])
    assert err.startswith(f"xrfsr: there is no bucket 'nowhere-at-all' at {server}; create it")


def test_a_store_that_is_not_there_is_one_sentence(painted, capsys):
    assert "s3://painted/q.zarr does not exist; create it with `xrfsr new`" in one_sentence(
        capsys, "info", "s3://painted/q.zarr"
    )


@pytest.mark.parametrize("command", ["info", "solve"])
def test_a_server_that_is_not_there_is_one_sentence(painted, monkeypatch, capsys, command):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    err = one_sentence(capsys, command, painted)
    assert f"the bucket 'painted' at {address} cannot be reached or failed" in err


def test_credentials_that_are_refused_or_missing_are_one_sentence(server, painted, monkeypatch, capsys):
    guard(server, 0)
    try:
        assert "refuses these credentials for the bucket 'painted'" in one_sentence(capsys, "info", painted)
    finally:
        guard(server, float("inf"))
    assert main(["info", painted]) == 0
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "no credentials were found for the bucket 'painted'" in one_sentence(capsys, "info", painted)


def guard(server: str, free_actions: float) -> None:
    """Let moto look at credentials after so many more actions."""
    data, kind = str(free_actions).encode(), {"Content-Type": "text/plain"}
    urllib.request.urlopen(urllib.request.Request(f"{server}/moto-api/reset-auth", data, kind)).close()


@pytest.mark.slow
def test_a_server_that_goes_away_ends_a_run_with_one_sentence(url, monkeypatch, on_disk):
    narrow_painting(url)

    class GoesAway(InterruptAfter):
        def advance(self, n: int = 1) -> None:
            with contextlib.suppress(KeyboardInterrupt):
                super().advance(n)
                return
            monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    with pytest.raises(StoreError, match="cannot be reached or failed"):
        solve(planned(url, SHORT["paper"], tile=100), LocalExecutor(2), progress=GoesAway(12))
    monkeypatch.undo()  # and this process may go on at once with what it held
    solve(planned(url, SHORT["paper"], tile=100), LocalExecutor(2))
    assert hash_on_s3(url) == on_disk("paper")


def test_a_missing_package_is_one_sentence(painted, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "obstore", None)
    err = one_sentence(capsys, "info", painted)
    assert "needs obstore; `pip install 'xrfsr_dask[s3]'`" in err


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("gs://bucket/p.zarr", "gs://bucket/p.zarr is of no kind that is known here"),
        ("s3://bucket", "s3://bucket is a whole bucket"),
        ("s3:///p.zarr", "is no place on an object store"),
        ("s3://bucket/../p.zarr", "is no place on an object store"),
    ],
)
def test_an_address_of_another_kind_is_one_sentence(capsys, address, told):
    assert told in one_sentence(capsys, "info", address)
