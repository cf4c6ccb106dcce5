"""A disk that is full at any moment: said plainly, the last checkpoint as it was, and on it goes afterwards."""

import os
import shutil
import subprocess
import sys

import pytest
from engine.scenes import OPTIONS, figures, narrow_painting, planned, result_hash, started, words
from helpers import tree_bytes

from xrfsr_dask.cli import main
from xrfsr_dask.solver import solve
from xrfsr_dask.store.check import check_store
from xrfsr_dask.tiling.executor import LocalExecutor

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounts a small tmpfs, as root on Linux"
)


@pytest.fixture
def disk(tmp_path):
    """A file system of 24 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def leave_free(disk, n_bytes: int):
    """Fill a disk but for `n_bytes`; the file that does it."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        file.write(b"\0" * max(0, shutil.disk_usage(disk).free - n_bytes))
    return ballast


@pytest.mark.slow
@pytest.mark.parametrize("method", ["paper", "joint"])
@pytest.mark.parametrize("where", [(), ("--processes", "--workers", 2)], ids=["threads", "processes"])
def test_a_full_disk_is_said_and_the_same_command_goes_on_when_there_is_space(disk, tmp_path, method, where):
    right = tmp_path / "right.zarr"
    narrow_painting(right)
    figures(words(right, method))
    path = disk / "p.zarr"
    narrow_painting(path)
    kept, told = [], 0
    for free in (0, 60_000, 400_000, 900_000, 1_600_000, 2_600_000, 3_600_000):
        ballast = leave_free(disk, free)
        run = started(words(path, method, *where))
        _, err = run.communicate(timeout=120)
        if run.returncode == 0:
            break
        told += 1
        assert run.returncode == 1
        assert "the disk is full" in err, err
        assert len(err.splitlines()) == 1
        assert not (path / "results" / "r").exists()
        ballast.unlink()
        assert check_store(path).damage == ()
        kept.append(len(list(path.rglob("checkpoint.json"))))
        assert "--resume" in err or not kept[-1], err
    (disk / "ballast").unlink(missing_ok=True)
    assert told >= 3
    if not (path / "results" / "r").exists():
        figures(words(path, method, "--resume"))
    assert kept[-1] == 1  # it went on from a checkpoint, at least once
    assert result_hash(path) == result_hash(right)
    assert main(["check", str(path), "--quiet"]) == 0


def test_a_disk_full_at_the_first_byte_leaves_the_store_as_it_was(disk):
    path = disk / "p.zarr"
    narrow_painting(path, "a")
    before = tree_bytes(path)
    leave_free(disk, 0)
    with pytest.raises(OSError, match="No space left"):
        solve(planned(path, OPTIONS["paper"]), LocalExecutor(1))
    assert tree_bytes(path) == before
