"""Stores made to harm: refused by their metadata before an array is read, and nothing is unpickled."""

import contextlib
import dataclasses
import json
import os
import pickle
import shutil
import time
import tracemalloc
import zlib

import google_crc32c
import numpy as np
import pytest
from engine.scenes import OPTIONS, PAPER, interrupt_in_a_visit, narrow_painting, planned, run_folder
from helpers import levels_from
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numcodecs import Blosc

from xrfsr_dask.cli import main
from xrfsr_dask.commands.info import describe
from xrfsr_dask.commands.report import report
from xrfsr_dask.errors import DamagedStoreError, StoreError, XrfsrError
from xrfsr_dask.result import open_result
from xrfsr_dask.solver import solve
from xrfsr_dask.solver.standing import MOST_STAGES, State, checked
from xrfsr_dask.store import open_painting
from xrfsr_dask.store.arrays import new_array, new_group, open_array, open_group, read, read_finite, write
from xrfsr_dask.store.check import check_store
from xrfsr_dask.store.journal import add_line, as_line, read_record, write_record
from xrfsr_dask.store.metadata import CHECKSUM, checksum_of
from xrfsr_dask.tiling.executor import LocalExecutor


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "p.zarr"
    narrow_painting(path, "a")
    with levels_from(50):
        for name, options in OPTIONS.items():
            solve(planned(path, options, tile=500, name=name), LocalExecutor(1))
    return path


@pytest.fixture
def store(good, tmp_path):
    return shutil.copytree(good, tmp_path / "p.zarr")


def forge(file, change) -> None:
    """Change metadata and give them the checksum that belongs to them, as an attacker would."""
    found = json.loads(file.read_text())
    change(found)
    if isinstance(found.get("attributes"), dict):
        found["attributes"].pop(CHECKSUM, None)
        found["attributes"][CHECKSUM] = checksum_of(found)
    file.write_text(json.dumps(found))


def sets(*keys_and_value):
    *keys, value = keys_and_value

    def change(found):
        for key in keys[:-1]:
            found = found[key]
        found[keys[-1]] = value

    return change


BYTES, CRC = {"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}


def shard(sides, codecs=(BYTES, CRC), index=(BYTES, CRC)):
    inner = {"chunk_shape": sides, "codecs": [*codecs], "index_codecs": [*index], "index_location": "end"}
    return {"name": "sharding_indexed", "configuration": inner}


def endless(deep=300):
    found = BYTES
    for _ in range(deep):
        found = shard([1, 1, 1], [found])
    return found


HUGE = 2**40
CHUNKS = ("chunk_grid", "configuration", "chunk_shape")
FORGERIES = {
    "huge shape": sets("shape", [HUGE, HUGE, 24]),
    "tall shape": sets("shape", [10**6, 10, 24]),
    "negative shape": sets("shape", [-1, 10, 24]),
    "no pixels": sets("shape", [0, 10, 24]),
    "fractions": sets("shape", [30.5, 10, 24]),
    "words": sets("shape", "many"),
    "five axes": sets("shape", [30, 10, 24, 1, 1]),
    "huge chunks": sets(*CHUNKS, [HUGE, 10, 24]),
    "empty chunks": sets(*CHUNKS, [0, 10, 24]),
    "objects": sets("data_type", "object"),
    "strings": sets("data_type", "string"),
    "structs": sets("data_type", {"name": "structured", "configuration": {"fields": [["a", "int8"]]}}),
    "bytes": sets("data_type", {"name": "variable_length_bytes"}),
    "pickle": sets("codecs", [{"name": "numcodecs.pickle", "configuration": {}}]),
    "vlen": sets("codecs", [{"name": "vlen-bytes", "configuration": {}}]),
    "no codecs": sets("codecs", []),
    "nested": sets("codecs", [{"name": "sharding_indexed", "configuration": {"codecs": [{"name": "pickle"}]}}]),
    "no checksum": sets("codecs", [BYTES]),
    "gzip": sets("codecs", [BYTES, {"name": "gzip", "configuration": {"level": 10**9}}, CRC]),
    "chunks of shards with no side": sets("codecs", [shard([0, 1, 1])]),
    "chunks of shards of other axes": sets("codecs", [shard([1, 1])]),
    "chunks that do not fill their shard": sets("codecs", [shard([7, 7, 7])]),
    "shards in shards": sets("codecs", [shard([2, 2, 2], [shard([0, 1, 1])])]),
    "shards in an index": sets("codecs", [shard([1, 1, 1], index=[shard([1])])]),
    "shards without end": sets("codecs", [endless()]),
    "an index larger than what it is of": sets("codecs", [shard([1, 1, 1])]),
    "chunks larger than the array": sets(*CHUNKS, [4096, 4096, 16]),
    "big endian": sets("codecs", [{"name": "bytes", "configuration": {"endian": "big"}}, CRC]),
    "packed in another way": sets(
        "codecs", [BYTES, {"name": "blosc", "configuration": {"cname": "zstd"}}, CRC]
    ),
    "a number for what is missing": sets("fill_value", 0.5),
    "grid": sets("chunk_grid", {"name": "rectilinear", "configuration": {"chunk_shape": [32, 32, 24]}}),
    "keys": sets("chunk_key_encoding", {"name": "v2", "configuration": {"separator": "."}}),
    "transformer": sets("storage_transformers", [{"name": "redirect", "configuration": {"to": "/etc"}}]),
    "group": sets("node_type", "group"),
}


def most_held(work):
    """The most that Python, NumPy and what unpacks for them hold while some work is done, bytes."""
    tracemalloc.start()
    try:
        with contextlib.suppress(StoreError):
            work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("array", ["patches/a/counts", "rgb/0/image"])
def test_a_chunk_that_unpacks_to_more_than_it_may_hold_is_not_unpacked(store, array):
    chunk = next(file for file in sorted((store / array / "c").rglob("*")) if file.is_file())
    bomb = Blosc("lz4", 5, Blosc.BITSHUFFLE).encode(np.zeros(200 * 2**20, np.uint8))
    chunk.write_bytes(bytes(bomb) + google_crc32c.value(bytes(bomb)).to_bytes(4, "little"))
    group, _, name = array.rpartition("/")
    opened = open_array(open_group(store / group), name)
    with pytest.raises(StoreError, match=r"damaged|more than the"):
        read(opened)
    assert most_held(lambda: read(opened)) < 20 * 2**20
    assert [damage.place for damage in check_store(store).damage] == [str(chunk.relative_to(store))]
    small = bytearray(Blosc("lz4", 5, Blosc.BITSHUFFLE).encode(np.zeros(1000, np.uint8)))
    small[4:8] = (2**31 - 1).to_bytes(4, "little")  # what it claims is what would be made room for
    chunk.write_bytes(bytes(small) + google_crc32c.value(bytes(small)).to_bytes(4, "little"))
    with pytest.raises(StoreError, match="a block unpacks to 2147483647 bytes where a chunk has"):
        read(opened)
    assert most_held(lambda: read(opened)) < 20 * 2**20


@pytest.mark.parametrize("name", ["energy", "mean_spectrum"])
def test_a_shape_that_is_not_that_of_the_counts_is_refused_before_room_is_made_for_it(store, name):
    for key, value in ((("shape",), [2**28]), (CHUNKS, [2**20])):
        forge(store / "patches/a" / name / "zarr.json", sets(*key, value))
    shutil.rmtree(store / "patches/a" / name / "c")
    patch = open_painting(store).patch("a")
    told = rf"patches/a/{name} is damaged: its shape is \(268435456,\), \(24,\) was expected"
    with pytest.raises(DamagedStoreError, match=told):
        getattr(patch, {"energy": "energy_kev"}.get(name, name))()
    assert most_held(patch.energy_kev) < 2**20
    assert {damage.place for damage in check_store(store).damage} >= {f"patches/a/{name}/zarr.json"}


def test_no_room_is_made_for_what_is_not_there(tmp_path):
    array = new_array(new_group(tmp_path / "g"), "a", shape=(2**28,), dtype="f8", chunks=(2**20,), dims=("x",))
    with pytest.raises(DamagedStoreError, match="the chunk c/0 is missing"):
        read_finite(array)
    assert most_held(lambda: read_finite(array)) < 2**20


@pytest.mark.parametrize("name", ["zarr.json", "rgb/0/x/zarr.json", "results/joint/zarr.json"])
def test_metadata_that_go_on_for_ever_are_named_and_not_read(store, name):
    os.truncate(store / name, 2**31)
    assert most_held(lambda: check_store(store)) < 20 * 2**20
    assert any(damage.place == name for damage in check_store(store).damage)
    assert most_held(lambda: open_result(store, "joint")) < 20 * 2**20


@pytest.mark.parametrize("name", ["results/joint/abundance/c/0/0/0", "results/joint/history/objective/c/0"])
def test_chunks_that_go_on_for_ever_are_named_and_not_read(store, name):
    os.truncate(store / name, 2**31)
    assert most_held(lambda: check_store(store)) < 20 * 2**20
    assert [damage.place for damage in check_store(store).damage] == [name]


def test_a_history_without_iterations_is_damage(store, tmp_path, capsys):
    for array in (store / "results/joint/history").iterdir():
        if array.is_dir():
            forge(array / "zarr.json", sets("shape", []))
            forge(array / "zarr.json", sets(*CHUNKS, []))
            forge(array / "zarr.json", sets("dimension_names", []))
    assert any("history" in damage.place for damage in check_store(store).damage)
    assert main(["report", str(store), "--name", "joint", "--out", str(tmp_path / "r.html"), "--quiet"]) == 1
    assert "history" in capsys.readouterr().err


ENDLESS = 10**400


@pytest.mark.parametrize(
    ("node", "change"),
    [
        ("rgb/0", {"pitch_mm": ENDLESS}),
        ("patches/a", {"gain": ENDLESS}),
        ("patches/a", {"max_counts": ENDLESS}),
        ("patches/a", {"transform": [[ENDLESS, 0, 0], [0, 1, 0], [0, 0, 1]]}),
        ("results/joint", {"displacement_px": {"a": [ENDLESS, 0]}, "smoothed_px": {"a": 1.0}}),
    ],
)
def test_numbers_without_end_are_named(store, node, change, capsys):
    forge(store / node / "zarr.json", lambda found: found["attributes"].update(change))
    for command, *words in (["info"], ["check", "--quiet"], ["solve", "--name", "new", "--dry-run"]):
        main([command, str(store), *words])
        assert "unforeseen" not in capsys.readouterr().err
    assert main(["check", str(store), "--quiet"]) == 1


def arrays_of(store):
    found = (file for file in store.rglob("zarr.json") if '"node_type": "array"' in file.read_text())
    return sorted(str(file.parent.relative_to(store)) for file in found)


def shorter_by_one(axis):
    def change(found):
        found["shape"][axis] -= 1
        if found["codecs"][0]["name"] != "sharding_indexed":
            sides = found["chunk_grid"]["configuration"]["chunk_shape"]
            sides[:] = [max(1, min(side, n)) for side, n in zip(sides, found["shape"], strict=True)]

    return change


def test_every_shape_that_contradicts_another_is_found_by_a_check(good, tmp_path):
    names, told = [name for name in arrays_of(good) if name.startswith(("rgb", "patches", "results/joint"))], {}
    assert {"rgb/0/x", "results/joint/history/objective", "results/joint/fit/a/chi_square"} <= set(names)
    store = shutil.copytree(good, tmp_path / "p.zarr")
    for name in names:
        kept = (store / name / "zarr.json").read_bytes()
        for axis, n in enumerate(json.loads(kept)["shape"]):
            if n > 1:
                forge(store / name / "zarr.json", shorter_by_one(axis))
                told[name, axis] = [
                    d for d in check_store(store).damage if "shape" in d.what or d.place.startswith(name)
                ]
                (store / name / "zarr.json").write_bytes(kept)
    assert "; ".join(f"{name} {axis}" for (name, axis), found in told.items() if not found) == ""
    assert not check_store(store).damage


@pytest.mark.parametrize(
    "name", ["mean_abundance", "evidence", "coverage", "x", "fit/a/chi_square", "history/data"]
)
def test_a_report_refuses_shapes_that_contradict_by_name(store, tmp_path, name, capsys):
    of = "joint" if name == "evidence" else "paper"
    forge(store / "results" / of / name / "zarr.json", shorter_by_one(0))
    assert main(["report", str(store), "--name", of, "--out", str(tmp_path / "r.html"), "--quiet"]) == 1
    err = capsys.readouterr().err
    assert name in err
    assert "unforeseen" not in err
    assert not (tmp_path / "r.html").exists()


OTHERS = [pytest.param(name, marks=pytest.mark.slow) for name in ("rgb/0/image", "results/joint/abundance")]


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize("array", ["patches/a/counts", *OTHERS])
def test_forged_metadata_are_refused_before_the_first_read(store, monkeypatch, forgery, array, capsys):
    forge(store / array / "zarr.json", FORGERIES[forgery])
    chunks = [p for p in (store / array / "c").rglob("*") if p.is_file()]
    for chunk in chunks:
        chunk.unlink()  # a read would find nothing; a refusal does not look
        chunk.mkdir()
    began = time.monotonic()
    with pytest.raises(
        XrfsrError, match={"patches": "patch", "results": "result"}.get(array.split("/")[0], "image|photograph")
    ):
        open_result(store, "joint").load()  # opens the painting first
    assert check_store(store).damage or forgery == "group"
    assert main(["check", str(store), "--quiet"]) == 1
    assert main(["info", str(store), "--quiet"]) in (0, 1)
    assert time.monotonic() - began < 20
    assert "unforeseen" not in capsys.readouterr().err


class Planted:
    """Leaves a file where it is unpickled."""

    def __init__(self, trace) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def test_nothing_is_unpickled_from_a_store(store, tmp_path, capsys):
    """A group and an array of Zarr's second format, whose object codec would unpickle."""
    trace = tmp_path / "trace"
    counts = store / "patches" / "a" / "counts"
    shutil.rmtree(counts)
    counts.mkdir()
    array = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "fill_value": None, "order": "C"}
    array |= {"compressor": None, "filters": [{"id": "pickle", "protocol": 5}]}
    (counts / ".zarray").write_text(json.dumps(array))
    (counts / "0").write_bytes(pickle.dumps(np.array([Planted(trace)], dtype=object)))
    (store / "patches" / "a" / ".zgroup").write_text('{"zarr_format": 2}')
    with pytest.raises(XrfsrError):
        read(open_painting(store).patches[0].counts())
    (store / "patches" / "a" / "zarr.json").unlink()
    with pytest.raises(XrfsrError):
        open_painting(store)
    with pytest.raises(StoreError, match="no readable Zarr group"):
        read(open_array(open_group(store / "patches" / "a"), "counts"))
    for command in ("info", "check", "solve"):
        assert main([command, str(store), "--quiet"]) == 1
    assert not trace.exists()
    assert "unforeseen" not in capsys.readouterr().err


def test_paths_that_leave_the_store_are_refused(store, tmp_path):
    outside = shutil.copytree(store / "patches" / "a", tmp_path / "outside")
    (store / "patches" / "b").symlink_to(outside, target_is_directory=True)
    with pytest.raises(StoreError, match="patches/b is a link that leads out of the store"):
        open_painting(store)
    (store / "patches" / "b").unlink()
    forge(store / "patches" / "zarr.json", sets("attributes", "names", ["a", "../../outside"]))
    with pytest.raises(StoreError, match=r"\.\./\.\./outside"):
        open_painting(store)


@pytest.mark.parametrize(
    "place",
    ["rgb", "rgb/0", "rgb/0/image", "rgb/0/image/c", "patches", "results", "patches/a/counts",
     "patches/a/counts/c", "patches/a/counts/zarr.json", "results/joint/abundance",
     "results/joint/pyramid/2/abundance", "results/joint/pyramid/2/abundance/c",
     "results/joint/pyramid/2/abundance/zarr.json"],
)  # fmt: skip
def test_links_out_of_the_store_are_refused_wherever_they_lie(store, tmp_path, place):
    (store / place).rename(tmp_path / "outside")
    (store / place).symlink_to(tmp_path / "outside")
    with pytest.raises(StoreError, match=f"{place} is a link that leads out of the store"):
        open_painting(store)


@pytest.mark.parametrize("place", ["patches/a/counts/c/0", "patches/a/counts/c/0/0/0"])
def test_a_link_among_chunks_that_leads_out_of_the_store_is_damage(store, tmp_path, place):
    (store / place).rename(tmp_path / "outside")
    (store / place).symlink_to(tmp_path / "outside")
    told = {(found.place, found.what) for found in check_store(store).damage}
    assert told == {("patches/a/counts/c/0/0/0", "a link leads out of the store; put the chunk there")}


@pytest.mark.parametrize("place", [".work", ".work/r", ".work/r/abcdef012345"])
def test_a_work_area_that_is_a_link_is_never_emptied(store, tmp_path, place, capsys):
    victim = tmp_path / "victim"
    (victim / "letters").mkdir(parents=True)
    (victim / "letters" / "a.txt").write_text("precious")
    link = store / "rgb" / "0" / "image" / place
    shutil.rmtree(link, ignore_errors=True)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(victim)
    assert main(["solve", str(store), "--name", "r", "--method", "paper", "--restart", "--quiet"]) == 1
    assert "is a link that leads out of the store" in capsys.readouterr().err
    assert main(["check", str(store), "--quiet"]) == 1
    assert (victim / "letters" / "a.txt").read_text() == "precious"


@pytest.fixture(scope="module")
def half_done(good, tmp_path_factory):
    """A run that was interrupted in the middle of a visit to the tiles."""
    path = shutil.copytree(good, tmp_path_factory.mktemp("half") / "p.zarr")
    interrupt_in_a_visit(planned(path, PAPER, name="r", tile=50))
    return path


FORGED_RECEIPTS = {
    "no tile": {"checksum": 1},
    "a word": {"tile": "abc", "checksum": 1},
    "no checksum": {"tile": [0, 50, 0, 50]},
    "words": {"tile": ["a", "b", "c", "d"], "checksum": 1, "smallest": 0.0, "largest": 1.0},
    "words within": {"tile": [0, 50, 0, 50], "checksum": "x", "smallest": "y", "largest": None},
    "far away": {"tile": [10**9, 10**9 + 50, 0, 50], "checksum": 1, "smallest": 0.0, "largest": 1.0},
}


@pytest.mark.parametrize("forged", FORGED_RECEIPTS)
def test_forged_receipts_are_damage_and_the_rest_is_checked(half_done, tmp_path, forged):
    path = shutil.copytree(half_done, tmp_path / "p.zarr")
    (path / "results" / "joint" / "layer" / "zarr.json").unlink()
    receipts = max(run_folder(path).glob("*/gen-*")) / "receipts.jsonl"
    add_line(receipts, FORGED_RECEIPTS[forged])
    found = {damage.place for damage in check_store(path).damage}
    assert any("/gen-" in place for place in found)
    assert any(place.startswith("results/joint") for place in found)
    with contextlib.suppress(XrfsrError):
        solve(planned(path, PAPER, name="r", tile=50), LocalExecutor(1), resume=True)


@pytest.mark.parametrize("where", ["../" * 7 + "outside.zarr/secret", "{}/outside.zarr/secret", "..", "", 3])
def test_receipts_lead_a_check_nowhere_else(half_done, tmp_path, where):
    path = shutil.copytree(half_done, tmp_path / "p.zarr")
    secret = new_group(tmp_path / "outside.zarr").create_array("secret", data=np.full((60, 240, 2), np.nan))
    where = where.format(tmp_path) if isinstance(where, str) else where
    receipts = max(run_folder(path).glob("*/gen-*")) / "receipts.jsonl"
    first, *rest = receipts.read_text().splitlines(keepends=True)
    told = json.loads(first.partition(" ")[2]) | {"beside": [where]}
    receipts.write_text(as_line(told) + "".join(rest))
    found = check_store(path).damage
    assert any("receipts.jsonl" in damage.place for damage in found)
    assert not any("secret" in damage.place or "missing" in damage.what for damage in found), secret.path


@pytest.mark.parametrize(
    ("name", "value"),
    [("iteration", "x"), ("iteration", -1), ("passes", -3), ("passes", 10**9), ("generation", "../../x"),
     ("generation", True), ("dictionary", 10**6), ("history", "abc"), ("history", [{"objective": "x"}])],
)  # fmt: skip
def test_forged_states_are_no_readable_checkpoint(half_done, tmp_path, name, value):
    path = shutil.copytree(half_done, tmp_path / "p.zarr")
    file = run_folder(path) / "checkpoint.json"
    told = read_record(file)
    told["state"][name] = value
    write_record(file, told)
    assert isinstance(check_store(path).damage, tuple)
    with pytest.raises(XrfsrError, match=r"run 'r' left no readable checkpoint .*--restart"):
        solve(planned(path, PAPER, name="r", tile=50), LocalExecutor(1), resume=True)


@pytest.mark.parametrize(
    "forged",
    [{"iteration": 0}, {"iteration": 2}, {"passes": 2}, {"passes": 6}, {"passes": 7},
     {"iteration": 3, "passes": 0}, {"iteration": 3, "passes": 0, "dictionary": 3}, {"dictionary": 0},
     {"generation": 0}, {"generation": 7}, {"generation": 12},
     {"iteration": 3, "dictionary": 3, "passes": 2, "generation": 19}],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("method", ["paper", "baseline1", "baseline2"])
def test_states_that_contradict_themselves_are_no_readable_checkpoint(half_done, tmp_path, method, forged):
    options = dataclasses.replace(PAPER, method=method)
    if method == "paper":
        path = shutil.copytree(half_done, tmp_path / "p.zarr")
    else:
        path = tmp_path / "p.zarr"
        narrow_painting(path, "a")
        interrupt_in_a_visit(planned(path, options, name="r", tile=50))
    file = run_folder(path) / "checkpoint.json"
    told = read_record(file)
    state = told["state"]
    state |= forged
    state["history"] = (state["history"] * 3)[: state["iteration"]]
    write_record(file, told)
    with pytest.raises(XrfsrError, match=r"run 'r' left no readable checkpoint .*--restart"):
        solve(planned(path, options, name="r", tile=50), LocalExecutor(1), resume=True)


@pytest.mark.parametrize(
    "name", ["dictionary-*/Dnv", "dictionary-*/Kn", "dictionary-*/projected/a", "gen-*/abundance"]
)
def test_arrays_of_a_run_that_have_another_shape_are_named_when_it_goes_on(half_done, tmp_path, name):
    path = shutil.copytree(half_done, tmp_path / "p.zarr")
    for array in run_folder(path).glob(f"*/{name}"):
        forge(array / "zarr.json", shorter_by_one(1))
    with pytest.raises(StoreError, match=rf"{name.split('/')[-1]} is damaged: its shape is .*--restart"):
        solve(planned(path, PAPER, name="r", tile=50), LocalExecutor(1), resume=True)


def test_energies_of_any_patch_that_fall_are_damage(store):
    energy = open_array(open_group(store / "patches/a", mode="r+"), "energy")
    write(energy, ..., read(energy)[::-1].copy())
    assert [d.place for d in check_store(store).damage] == ["patches/a/energy"]
    with pytest.raises(DamagedStoreError, match="patches/a/energy is damaged: the energy axis does not rise"):
        planned(store, PAPER, name="new")


def test_a_state_of_joint_that_contradicts_itself_is_none(good):
    plan = planned(good, OPTIONS["joint"], name="new")
    assert checked(plan, State(passes=MOST_STAGES, generation=1))
    for forged in ({"dictionary": 1}, {"iteration": 1, "history": [{"objective": 1.0}]}):
        with pytest.raises(ValueError, match="its iteration is"):
            checked(plan, State(**{"passes": MOST_STAGES, "generation": 1} | forged))


@pytest.mark.parametrize(
    "line", [{"objective": 10**400}, {"objective": 1.0, "../x": 1.0}, {"objective": "1"}, {"data": 1.0}]
)
def test_a_history_of_what_are_no_objectives_is_none(good, line):
    plan = planned(good, OPTIONS["joint"], name="new")
    state = State(passes=MOST_STAGES, generation=1, iteration=1, dictionary=1, history=[line])
    with pytest.raises(ValueError, match="its history is not that of 1 iterations"):
        checked(plan, state)


@pytest.mark.parametrize(("name", "value"), [("energy", 5.0), ("x", -1.0)])
def test_axes_that_do_not_rise_are_damage(store, name, value):
    group = open_group(store / "results/joint", mode="r+")
    array = open_array(group, name)
    write(array, ..., np.full(array.shape, value))
    with pytest.raises(DamagedStoreError, match=f"its {name} does not rise"):
        open_result(store, "joint")
    assert any(name in damage.what for damage in check_store(store).damage)


@pytest.mark.parametrize(("number", "kind"), [("generation", "gen"), ("dictionary", "dictionary")])
def test_a_checkpoint_that_names_what_is_not_there_is_damage_and_the_way_on_is_told(
    half_done, tmp_path, number, kind
):
    path = shutil.copytree(half_done, tmp_path / "p.zarr")
    file = run_folder(path) / "checkpoint.json"
    told = read_record(file)
    state = told["state"] | {"generation": PAPER.steps, "dictionary": 1, "iteration": 1, "passes": 0}
    told["state"] = state | {"history": [{"objective": 1.0}]}
    told["whole"] = []
    write_record(file, told)
    for folder in run_folder(path).glob(f"*/{kind}-*"):
        shutil.rmtree(folder)
    found = {(damage.place, damage.what) for damage in check_store(path).damage}
    inside = f"{run_folder(path).relative_to(path)}/checkpoint.json"
    assert (inside, f"it names {kind}-{state[number]:06d}, which is not there") in found
    with pytest.raises(StoreError, match=r"begin again with --restart"):
        solve(planned(path, PAPER, name="r", tile=50), LocalExecutor(1), resume=True)


@pytest.mark.parametrize(
    "body", ["[1, 2]", "7", "[" * 5000 + "]" * 5000, '{"state": {"generation": Infinity}}'], ids=len
)
@pytest.mark.parametrize("name", ["checkpoint.json", "run.json", "lock.json", "receipts.jsonl"])
def test_records_that_are_none_are_damage_and_the_rest_is_checked(half_done, tmp_path, name, body):
    path = shutil.copytree(half_done, tmp_path / "p.zarr")
    (path / "results" / "joint" / "layer" / "zarr.json").unlink()
    folder = max(run_folder(path).glob("*/gen-*")) if name == "receipts.jsonl" else run_folder(path)
    (folder / name).write_text(f"{zlib.crc32(body.encode()):08x} {body}\n")
    assert any(found.place.startswith("results/joint") for found in check_store(path).damage)
    shutil.rmtree(path / "results" / "joint")
    with contextlib.suppress(XrfsrError):
        solve(planned(path, PAPER, name="r", tile=50), LocalExecutor(1), resume=True)


def test_links_deep_in_a_run_are_refused(half_done, tmp_path):
    path = shutil.copytree(half_done, tmp_path / "p.zarr")
    generation = max(run_folder(path).glob("*/gen-*"))
    (generation / "abundance").rename(tmp_path / "outside")
    (generation / "abundance").symlink_to(tmp_path / "outside")
    with pytest.raises(StoreError, match="abundance is a link that leads out of the store"):
        open_painting(path)


def test_a_pipe_in_place_of_metadata_is_damage(store):
    meta = store / "results" / "joint" / "layer" / "zarr.json"
    meta.unlink()
    os.mkfifo(meta)
    assert any("layer" in found.place for found in check_store(store).damage)


def test_names_too_long_for_any_file_are_damage(store):
    forge(store / "patches" / "zarr.json", sets("attributes", "names", ["a", "y" * 5000]))
    with pytest.raises(StoreError, match="is no name in 'names'"):
        open_painting(store)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def leaves(found, path=()):
    """Every place in a JSON document."""
    pairs = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for key, value in pairs:
        yield (*path, key)
        yield from leaves(value, (*path, key))


@pytest.mark.slow
@settings(
    max_examples=int(os.environ.get("XRFSR_FUZZ", "300")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
def test_metadata_with_any_value_anywhere_are_refused_by_name_or_harmless(good, tmp_path_factory, data):
    """A value at any place of any node's metadata, with the right checksum."""
    store = shutil.copytree(good, tmp_path_factory.mktemp("fuzz") / "p.zarr")
    try:
        nodes = sorted(p for p in store.rglob("zarr.json"))
        node = data.draw(st.sampled_from(nodes), label="node")
        place = data.draw(st.sampled_from(sorted(leaves(json.loads(node.read_text())), key=str)), label="place")
        forge(node, sets(*place, data.draw(json_values, label="value")))
        ends_or_refuses(lambda: open_painting(store))
        ends_or_refuses(lambda: check_store(store))
        for name in OPTIONS:
            ends_or_refuses(lambda name=name: open_result(store, name).load())
            if node.is_relative_to(store / "results" / name):
                page = store.parent / "page.html"
                ends_or_refuses(lambda name=name, page=page: report(store, name=name, out=page))
        ends_or_refuses(lambda: describe(store))
        ends_or_refuses(lambda: planned(store, PAPER, name="s"))
    finally:
        shutil.rmtree(store.parent)


def ends_or_refuses(call) -> None:
    """It gives something or refuses in our words, within seconds."""
    began, on_the_clock = time.process_time(), time.monotonic()
    with contextlib.suppress(XrfsrError):
        call()
    assert time.process_time() - began < 10
    assert time.monotonic() - on_the_clock < 60  # other work on the machine counts here
