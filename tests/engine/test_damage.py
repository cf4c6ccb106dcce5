"""Harm to every file of a store with a result and unfinished runs: found by a check, never read as a number."""

import shutil

import numpy as np
import pytest
from engine.scenes import (
    JOINT,
    OPTIONS,
    PAPER,
    checkpoint,
    interrupt_in_a_visit,
    narrow_painting,
    planned,
    result_hash,
    run_folder,
)
from helpers import levels_from

from xrfsr_dask.cli import main
from xrfsr_dask.commands.info import describe
from xrfsr_dask.commands.report import _trust
from xrfsr_dask.errors import StoreError, XrfsrError
from xrfsr_dask.result import open_result
from xrfsr_dask.result.levels import Levels
from xrfsr_dask.solver import solve
from xrfsr_dask.solver.outer import task_count
from xrfsr_dask.store import open_painting
from xrfsr_dask.store.arrays import open_group, read_finite
from xrfsr_dask.store.check import check_store
from xrfsr_dask.store.metadata import set_attributes
from xrfsr_dask.store.results import stored_levels
from xrfsr_dask.store.staging import work_area
from xrfsr_dask.store.unfinished import TRIED
from xrfsr_dask.tiling.executor import LocalExecutor

HARMS = {
    "flip": lambda good: (
        good[: len(good) // 2] + bytes([good[len(good) // 2] ^ 1]) + good[len(good) // 2 + 1 :]
    ),
    "flip first": lambda good: bytes([good[0] ^ 4]) + good[1:],
    "truncate": lambda good: good[: len(good) // 2],
    "empty": lambda good: b"",
    "delete": lambda good: None,
}


def harmed(file, harm):
    """Whether there was anything to harm."""
    good = file.read_bytes()
    if not good:
        return False
    bad = HARMS[harm](good)
    file.unlink() if bad is None else file.write_bytes(bad)
    return True


@pytest.fixture(scope="module", autouse=True)
def low_levels():
    """The result has levels too."""
    with levels_from(50):
        yield


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory):
    """A result of `joint`; and a run of each method, in the middle of a visit to the tiles."""
    path = tmp_path_factory.mktemp("damage") / "p.zarr"
    narrow_painting(path)
    solve(planned(path, JOINT, name="done", tile=100), LocalExecutor(2))
    for name, options in (("r", PAPER), ("j", JOINT)):
        run = planned(path, options, name=name, tile=50)
        interrupt_in_a_visit(run)
    assert check_store(path).damage == ()
    return path


def files(path):
    return sorted(p for p in path.rglob("*") if p.is_file())


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("kind", ["chunks", "metadata"])
def test_a_check_names_every_harmed_file(unfinished, tmp_path, harm, kind, capsys):
    """All chunks at once, and all metadata and records at once, but those without which it is no store."""
    path = tmp_path / "p.zarr"
    shutil.copytree(unfinished, path)
    chosen = [f for f in files(path) if bool(f.suffix) == (kind == "metadata") and f.parent not in tops(path)]
    chosen = [f for f in chosen if harmed(f, harm) and not is_harmless(f, harm)]
    assert len(chosen) > 30
    found = {damage.place for damage in check_store(path).damage}
    assert [str(f.relative_to(path)) for f in chosen if not named_by(found, f.relative_to(path))] == []
    assert main(["check", str(path), "--quiet"]) == 1
    capsys.readouterr()


def tops(path):
    """Folders whose metadata make it a store, or a run, at all: these are harmed one at a time."""
    return [
        path,
        run_folder(path),
        run_folder(path).with_name("j"),
        *(path / name for name in ("rgb", "rgb/0", "patches", "results")),
    ]


def named_by(found, file) -> bool:
    """An array that lost its metadata and one that lost a chunk of a visit are named as a whole."""
    return bool({str(file), *map(str, file.parents[: 4 if file.suffix == "" else 1])} & found)


@pytest.mark.slow
@pytest.mark.parametrize("harm", HARMS)
def test_a_check_finds_every_harm_to_every_file(unfinished, tmp_path, harm, capsys):
    path = tmp_path / "p.zarr"
    shutil.copytree(unfinished, path)
    missed, n = [], 0
    for file in files(path):
        good = file.read_bytes()
        if harmed(file, harm):
            n += 1
            if not check_store(path).damage and not is_harmless(file, harm):
                missed.append(str(file.relative_to(path)))
            file.write_bytes(good)
    assert missed == []
    assert n > 150
    assert main(["check", str(path), "--quiet"]) == 0
    harmed(files(path)[-1], "empty")
    assert main(["check", str(path), "--quiet"]) == 1
    capsys.readouterr()


def is_harmless(file, harm) -> bool:
    """Receipts cut off within a line, as by a kill: the tiles are done again. What was tried is over."""
    return (file.name == "receipts.jsonl" and harm == "truncate") or TRIED in file.parts


@pytest.mark.slow
@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize(("name", "method"), [("r", "paper"), ("j", "joint")])
def test_a_run_over_harmed_state_is_refused_by_name_or_ends_with_the_same_bits(
    unfinished, tmp_path, harm, name, method
):
    """Every metadata file and record, and the first, a middle and the last chunk of every array."""
    options = OPTIONS[method]
    alone = tmp_path / "alone.zarr"
    narrow_painting(alone)
    solve(planned(alone, options, name=name), LocalExecutor(2))
    right, outcomes = result_hash(alone, name), {"refused": 0, "same": 0}
    inside = unfinished
    for file in some_files(work_area(inside) / name):
        path = tmp_path / "p.zarr"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(inside, path)
        if not harmed(path / file.relative_to(inside), harm):
            continue
        told = solved_or_told(planned(path, options, name=name))
        outcomes["refused" if told else "same"] += 1
        assert named_in(told, file) if told else result_hash(path, name) == right, (file, told)
    assert outcomes["refused"] > 5


def solved_or_told(plan) -> str:
    try:
        solve(plan, LocalExecutor(2))
    except XrfsrError as error:
        return str(error)
    return ""


def some_files(folder):
    for path in files(folder):
        siblings = files(path.parent)
        if path.suffix or path in (siblings[0], siblings[len(siblings) // 2], siblings[-1]):
            yield path


def named_in(message: str, file) -> bool:
    """The array's or record's own path stands in the message."""
    parts = file.parts[file.parts.index(".work") + 3 :]
    array = "/".join(part for part in parts if part not in ("zarr.json", "c") and not part.isdigit())
    return array.split("/")[0] in message


def told_of_each(folder, harm, read, words) -> None:
    """Harm to the first chunk of an array, and to its metadata, is an error of these words."""
    for file in (files(folder / "c")[0], folder / "zarr.json"):
        good = file.read_bytes()
        harmed(file, harm)
        with pytest.raises(XrfsrError, match=words):
            read()
        file.write_bytes(good)
    read()


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", ["abundance", "endmember", "layer", "coverage", "evidence", "y", "energy"])
def test_a_harmed_result_is_an_error_with_array_and_place_and_never_a_number(unfinished, tmp_path, harm, name):
    path = tmp_path / "p.zarr"
    shutil.copytree(unfinished, path)
    folder = path / "results" / "done" / name
    told_of_each(folder, harm, lambda: open_result(path, "done").load(), f"results/done.*{name}")


ASKED = {
    "fit/a/chi_square": lambda path: _trust(open_painting(path), open_result(path, "done")),
    "history/objective": lambda path: _trust(open_painting(path), open_result(path, "done")),
    "pyramid/2/abundance": lambda path: levels_read(path),
    "pyramid/4/measured": lambda path: levels_read(path),
}
"""What is read beside a Dataset's own arrays, and who reads it."""


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", ["energy", "mean_spectrum"])
def test_a_harmed_axis_or_mean_of_a_patch_is_an_error_with_array_and_place(unfinished, tmp_path, harm, name):
    path = tmp_path / "p.zarr"
    shutil.copytree(unfinished, path)
    harmed(files(path / "patches" / "a" / name / "c")[0], harm)
    patch = open_painting(path).patch("a")
    with pytest.raises(XrfsrError, match=f"patches/a.*{name}"):
        patch.energy_kev() if name == "energy" else patch.mean_spectrum()


@pytest.mark.parametrize("told", [{"a": ["NaN", 1]}, {"a": [1]}, [1], 5], ids=repr)
def test_forged_displacements_are_an_error_and_damage(unfinished, tmp_path, told):
    path = tmp_path / "p.zarr"
    shutil.copytree(unfinished, path)
    set_attributes(path / "results" / "done", {"displacement_px": told, "smoothed_px": {"a": 1.0}})
    with pytest.raises(StoreError, match="results/done is damaged"):
        describe(path)
    assert "results/done" in {found.place for found in check_store(path).damage}


@pytest.mark.parametrize("told", [{"a": "x"}, {"a": -1}, [1], 5], ids=repr)
def test_forged_numbers_of_spots_are_an_error_and_damage(unfinished, tmp_path, told):
    path = tmp_path / "p.zarr"
    shutil.copytree(unfinished, path)
    set_attributes(path / "results" / "done", {"misdwelt_spots": told})
    with pytest.raises(StoreError, match="results/done is damaged"):
        describe(path)
    assert "results/done" in {found.place for found in check_store(path).damage}


def levels_read(path) -> None:
    """All levels of the result, as the explorer reads them."""
    for abundance, measured in stored_levels(open_group(path / "results" / "done")).values():
        read_finite(abundance)
        read_finite(measured)


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", ASKED)
def test_harm_to_what_is_read_beside_a_result_is_an_error_with_array_and_place(
    unfinished, tmp_path, harm, name
):
    path = tmp_path / "p.zarr"
    shutil.copytree(unfinished, path)
    folder = path / "results" / "done" / name
    told_of_each(folder, harm, lambda: ASKED[name](path), f"results/done.*{name.split('/')[0]}")


@pytest.mark.parametrize(
    "harm", [pytest.param(harm, marks=[pytest.mark.slow] * (harm != "empty")) for harm in (*HARMS, "list")]
)
def test_harm_to_any_metadata_of_a_result_is_one_error_whatever_is_asked(unfinished, tmp_path, harm):
    path = tmp_path / "p.zarr"
    shutil.copytree(unfinished, path)
    right = [seen(look, path) for look in LOOKS]
    for file in [f for f in files(path / "results") if f.name == "zarr.json"]:
        good = file.read_bytes()
        file.write_bytes(b"[1]") if harm == "list" else harmed(file, harm)
        for look, found in zip(LOOKS, right, strict=True):
            assert seen(look, path) in (found, "refused")
        assert check_store(path).damage
        file.write_bytes(good)


def seen(look, path) -> str:
    """What a look shows, or that an error of this package refused it; any other error comes through."""
    try:
        return repr(look(path))
    except XrfsrError:
        return "refused"


LOOKS = (
    describe,
    lambda path: open_result(path, "done").xrf.mean_spectrum().values.tolist(),
    lambda path: Levels(open_result(path, "done")).mixed(np.ones((7, 1), "f4"), 2, REGION).tolist(),
    lambda path: [section.rows for section in _trust(open_painting(path), open_result(path, "done"))],
)
"""What `xrfsr info`, the maps, the explorer and the report begin with."""
REGION = (slice(10, 20), slice(5, 15))


@pytest.mark.parametrize(
    "factors",
    [5, None, [2, 2], ["../../x"], [2, 5], [True], [2, 4, 8, 16], {"2": 2}, [2, None]],
    ids=repr,
)
def test_forged_levels_are_an_error_and_damage(unfinished, tmp_path, factors):
    path = tmp_path / "p.zarr"
    shutil.copytree(unfinished, path)
    set_attributes(path / "results" / "done" / "pyramid", {"factors": factors})
    with pytest.raises(StoreError, match="results/done"):
        Levels(open_result(path, "done"))
    assert any("pyramid" in found.place for found in check_store(path).damage)


@pytest.mark.parametrize("written", [b"", b"0123abcd {"], ids=["empty", "torn"])
def test_receipts_of_which_the_first_was_never_whole_are_no_damage(unfinished, tmp_path, written):
    """As after a kill, or on a full disk, just as a generation begins."""
    path = tmp_path / "p.zarr"
    shutil.copytree(unfinished, path)
    (receipts,) = max(work_area(path).glob("r/*/gen-*")).glob("receipts.jsonl")
    shutil.rmtree(receipts.parent / "abundance" / "c")
    receipts.write_bytes(written)
    assert check_store(path).damage == ()


@pytest.mark.parametrize("left", [0, 2])
def test_receipts_that_lost_some_of_their_lines_are_damage(unfinished, tmp_path, left):
    """Of the generation that the checkpoint names, every tile is told."""
    path = tmp_path / "p.zarr"
    shutil.copytree(unfinished, path)
    told = checkpoint(path)["generation"]
    receipts = next(run_folder(path).glob(f"*/gen-{told:06d}")) / "receipts.jsonl"
    lines = receipts.read_text().splitlines(keepends=True)
    assert len(lines) > 3
    receipts.write_text("".join(lines[: 1 + left]))
    (found,) = check_store(path).damage
    assert "receipts.jsonl" in found.place
    assert "do not tell of" in found.what


def test_a_level_of_another_size_is_an_error_and_damage(unfinished, tmp_path):
    path = tmp_path / "p.zarr"
    shutil.copytree(unfinished, path)
    pyramid = path / "results" / "done" / "pyramid"
    shutil.rmtree(pyramid / "4")
    shutil.copytree(pyramid / "2", pyramid / "4")
    with pytest.raises(StoreError, match="pyramid/4 is damaged"):
        Levels(open_result(path, "done"))
    assert "results/done/pyramid" in {found.place for found in check_store(path).damage}


def test_a_damaged_checkpoint_is_refused_and_its_state_kept(unfinished, tmp_path):
    path = tmp_path / "p.zarr"
    shutil.copytree(unfinished, path)
    file = run_folder(path) / "checkpoint.json"
    for harm in HARMS:
        good = file.read_bytes()
        harmed(file, harm)
        with pytest.raises(
            XrfsrError, match=r"run 'r' left no readable checkpoint .*checkpoint.json.*--restart"
        ):
            solve(planned(path), LocalExecutor(1))
        file.write_bytes(good)
    assert task_count(planned(path)) > 0
    solve(planned(path), LocalExecutor(2), resume=True)
