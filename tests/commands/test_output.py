"""Where reports go: found fit before the work, and as it was after a failure."""

import subprocess
import sys

import numpy as np
import pytest
from helpers import tree_bytes

from xrfsr_dask.commands.output import output_folder, report_in
from xrfsr_dask.errors import InputError, StoreError
from xrfsr_dask.store import create_painting


def test_folders_that_were_made_go_again_when_nothing_came_into_them(tmp_path):
    with output_folder(tmp_path / "a" / "b") as folder:
        assert list(folder.iterdir()) == []
    folder.rmdir()
    with pytest.raises(InputError, match="none"), output_folder(tmp_path / "a" / "c"):
        raise InputError("none")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]  # was there before the second
    (tmp_path / "a").rmdir()
    with pytest.raises(InputError, match="none"), output_folder(tmp_path / "a" / "b"):
        raise InputError("none")
    assert list(tmp_path.iterdir()) == []


def half_done(folder):
    (folder / "metrics.txt").write_text("new")
    (folder / "none" / "overview.png").write_text("new")


def test_folders_that_hold_something_or_were_there_stay(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="none"), output_folder(tmp_path / "there"):
        raise InputError("none")
    with pytest.raises(FileNotFoundError), output_folder(tmp_path / "made") as folder:
        half_done(folder)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["made", "there"]
    assert list((tmp_path / "there").iterdir()) == []


def test_a_report_appears_whole_or_not_at_all(tmp_path):
    old = tmp_path / "report"
    old.mkdir()
    (old / "metrics.txt").write_text("old")
    (old / "mine.txt").write_text("mine")
    before = tree_bytes(tmp_path)
    with pytest.raises(FileNotFoundError), report_in(old) as folder:
        half_done(folder)
    assert tree_bytes(tmp_path) == before
    with report_in(old) as folder:
        (folder / "metrics.txt").write_text("new")
    assert tree_bytes(tmp_path) == {"report/metrics.txt": b"new", "report/mine.txt": b"mine"}
    with report_in(tmp_path / "new") as folder:
        (folder / "a.txt").write_text("a")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.txt"]


def test_a_folder_in_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for name in ("file", "file/deeper/still"):
        with pytest.raises(InputError, match=r"cannot be a folder for output: .*file is a file"):
            output_folder(tmp_path / name).__enter__()


FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # a file cannot grow: as on a full disk
from xrfsr_dask.cli import main
sys.exit(main(sys.argv[1:]))
"""
WITHOUT = """
import sys
sys.modules["matplotlib"] = None
from xrfsr_dask.cli import main
sys.exit(main(sys.argv[1:]))
"""
COMMANDS = [
    ["demo", "out/deep"],
    ["evaluate", "none.npy", "--photo", "none.png", "--factor", "2", "--out", "out/deep"],
]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        pytest.param(
            FULL,
            "xrfsr: out/deep",
            id="full",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX"),
        ),
        pytest.param(
            WITHOUT,
            "pictures need matplotlib, which is not installed; `pip install 'xrfsr_dask[view]'`",
            id="bare",
        ),
    ],
)
def test_what_a_report_needs_is_missed_before_any_work(tmp_path, command, code, sentence):
    run = subprocess.run(
        [sys.executable, "-c", code, *command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert len(run.stderr.strip().splitlines()) == 1
    assert sentence in run.stderr
    assert "none.npy" not in run.stderr  # a scan that is not there was not looked for yet
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_into_a_store(tmp_path):
    create_painting(tmp_path / "p.zarr", np.zeros((4, 4, 3), "u1"), width_mm=4.0)
    before = tree_bytes(tmp_path)
    for inside in ("", "out", "patches/x"):
        with (
            pytest.raises(StoreError, match=r"p.zarr is a store, and nothing else may lie inside it"),
            output_folder(tmp_path / "p.zarr" / inside),
        ):
            pass
    assert tree_bytes(tmp_path) == before
