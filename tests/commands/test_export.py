"""`xrfsr export`: the cube for other programs, equal to the lazy one, in bounded memory, and going on."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from helpers import small_painting, small_truth

from xrfsr_dask.cli import main
from xrfsr_dask.commands import export as module
from xrfsr_dask.commands.export import export
from xrfsr_dask.errors import InputError, OptionError
from xrfsr_dask.options import ExportOptions
from xrfsr_dask.readers import open_scan
from xrfsr_dask.result import open_result
from xrfsr_dask.store.results import new_result
from xrfsr_dask.store.staging import staged

KINDS = [".zarr", ".rpl", ".h5", ".nxs", ".zspy"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "p.zarr"
    painting = small_painting(path, "a")
    A, D, _ = small_truth()
    with staged(path, "results/joint") as group:
        whole = new_result(
            group, shape=A.shape[:2], pitch_mm=painting.pitch_mm, endmember=D, layer=np.array([0, 0, 1, 1]),
            energy_kev=painting.energy_kev, cell=50, attrs={"method": "joint"},
        )  # fmt: skip
        whole[...] = A
        group["coverage"][...] = np.ones(A.shape[:2], np.float32)
    return path


@pytest.fixture(scope="module")
def cube(store):
    return open_result(store).cube.compute(scheduler="synchronous")


def read_back(path) -> np.ndarray:
    """With this package's own readers; Zarr with xarray."""
    if path.suffix == ".zarr":
        return xr.open_dataset(path, engine="zarr", consolidated=False, chunks=None).cube.values
    return np.concatenate([block for _, block in open_scan(path).blocks()])


@pytest.mark.parametrize("suffix", KINDS)
def test_the_whole_cube_comes_back_as_it_was(store, cube, suffix, tmp_path):
    found = export(store, tmp_path / f"cube{suffix}", ExportOptions())
    assert found["shape"] == list(cube.shape)
    np.testing.assert_allclose(read_back(tmp_path / f"cube{suffix}"), cube, rtol=1e-5, atol=1e-5)
    left = sorted(p.suffix for p in tmp_path.iterdir())
    assert left == ([".raw", ".rpl"] if suffix == ".rpl" else [suffix])


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".rpl", ".zspy"])
def test_one_channel_alone_keeps_its_width(store, cube, suffix, tmp_path):
    api = pytest.importorskip("hyperspy.api", reason="needs hyperspy, of the [dev] extra")
    energy = open_result(store).energy.values
    at = len(energy) // 2
    asked = ExportOptions(energy_kev=(energy[at] - 1e-6, energy[at] + 1e-6))
    export(store, tmp_path / f"cube{suffix}", asked)
    signal = api.load(str(tmp_path / f"cube{suffix}"))
    np.testing.assert_allclose(np.asarray(signal.data).reshape(cube.shape[:2]), cube[..., at], rtol=1e-5)
    if suffix == ".zspy":
        assert signal.axes_manager.signal_axes[0].scale == pytest.approx(energy[1] - energy[0])


def test_a_channel_at_the_very_end_of_what_is_asked_is_in(store, tmp_path):
    energy = open_result(store).energy.values
    assert energy[3] > 0.7  # by what 0.1 + 0.2 * 3 is off in floats
    assert export(store, tmp_path / "cube.rpl", ExportOptions(energy_kev=(0.1, 0.7)))["shape"][2] == 4


def test_letters_of_a_title_that_lispix_does_not_know_are_no_error(store, tmp_path):
    named = store.rename(store.with_name("Künstler 画.zarr"))
    try:
        export(named, tmp_path / "cube.rpl", ExportOptions(energy_kev=(2.0, 3.0)))
    finally:
        named.rename(store)
    assert "title\tKünstler ?, " in (tmp_path / "cube.rpl").read_text(encoding="latin-1")


@pytest.mark.parametrize("suffix", KINDS)
def test_a_part_keeps_its_place_and_energies(store, cube, suffix, tmp_path):
    target = tmp_path / "new" / f"part{suffix}"
    words = ["export", str(store), "--to", str(target), "--energy", "2.0:7.05", "--region", "60.2:133,20:101.9"]
    assert main([*words, "--layer", "hidden"]) == 0
    expected = open_result(store).xrf.hidden.cube.sel(
        y=slice(60.2, 133), x=slice(20, 101.9), energy=slice(2, 7.05)
    )
    np.testing.assert_allclose(read_back(target), expected, rtol=1e-5, atol=1e-5)
    if suffix != ".zarr":
        scan = open_scan(target)
        np.testing.assert_allclose(scan.energy_kev, expected.energy, atol=1e-9)
        assert scan.step_mm == pytest.approx(1.0)
        return
    opened = xr.open_dataset(target, engine="zarr", consolidated=False, chunks=None)
    for axis in ("y", "x", "energy"):
        np.testing.assert_allclose(opened[axis], expected[axis])
    assert opened.y.attrs["units"] == "mm"


class Stopped(Exception):
    """The user had enough."""


class Stopping:
    """A progress bar that stops the work after some blocks."""

    def __init__(self, after: int) -> None:
        self.left, self.done = after, []

    def expect(self, total: int) -> None:
        self.total = total

    def advance(self, n: int = 1) -> None:
        self.done.append(n)
        self.left -= n
        if self.left < 0:
            raise Stopped

    def note(self, text: str) -> None:
        pass


@pytest.mark.parametrize("suffix", KINDS)
def test_a_stopped_export_goes_on_and_ends_the_same(store, cube, suffix, tmp_path):
    target = tmp_path / f"cube{suffix}"
    with pytest.raises(Stopped):
        export(store, target, ExportOptions(), progress=Stopping(7))
    assert not target.exists()
    bar = Stopping(1000)
    export(store, target, ExportOptions(), progress=bar)
    assert bar.done[0] == 8  # the eighth was written before the bar stopped the work
    assert sum(bar.done) == bar.total == 20
    np.testing.assert_allclose(read_back(target), cube, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".rpl", ".h5", ".zarr"])
def test_a_killed_export_goes_on(store, cube, suffix, tmp_path):
    target = tmp_path / f"cube{suffix}"
    code = (
        "import os, signal\n"
        "from xrfsr_dask.commands import export as e\n"
        "from xrfsr_dask.options import ExportOptions\n"
        "e._SAVED_EVERY = 3\n"
        "class Bar:\n"
        "    n = 0\n"
        "    def expect(self, total): pass\n"
        "    def note(self, text): pass\n"
        "    def advance(self, n=1):\n"
        "        self.n += n\n"
        "        self.n < 11 or os.kill(os.getpid(), signal.SIGKILL)\n"
        f"e.export({str(store)!r}, {str(target)!r}, ExportOptions(), progress=Bar())"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    bar = Stopping(1000)
    export(store, target, ExportOptions(), progress=bar)
    assert bar.done[0] == 9
    np.testing.assert_allclose(read_back(target), cube, rtol=1e-5, atol=1e-5)


class Killed(BaseException):
    """Nothing after it is done."""


@pytest.mark.parametrize("moves", [0, 1, 2])
@pytest.mark.parametrize("suffix", KINDS)
def test_an_export_killed_while_it_is_put_in_place_is_ended(store, cube, suffix, moves, tmp_path, monkeypatch):
    target, left = tmp_path / f"cube{suffix}", [moves]
    for original in (Path.replace, Path.unlink):

        def done(self, *args, original=original, **flags):
            if not self.name.startswith("cube") or (".json" in self.name and args):
                return original(self, *args, **flags)
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return original(self, *args, **flags)

        monkeypatch.setattr(Path, original.__name__, done)
    with contextlib.suppress(Killed):  # two moves are more than some make
        export(store, target, ExportOptions())
    monkeypatch.undo()
    if (tmp_path / f"{target.name}.partial.json").exists() or not target.exists():
        export(store, target, ExportOptions())
    np.testing.assert_allclose(read_back(target), cube, rtol=1e-5, atol=1e-5)
    assert {file.name for file in tmp_path.iterdir()} <= {target.name, "cube.raw"}


@pytest.mark.parametrize("suffix", [".zarr", ".zspy"])
def test_what_a_killed_export_was_writing_to_is_no_part_of_it(store, cube, suffix, tmp_path):
    target = tmp_path / f"cube{suffix}"
    with pytest.raises(Stopped):
        export(store, target, ExportOptions(), progress=Stopping(3))
    made = tmp_path / f"{target.name}.partial"
    chunk = next(file for file in made.rglob("*") if file.is_file() and file.name.isdigit())
    chunk.with_name(f"{chunk.name}.0123456789abcdef.partial").write_bytes(b"half of a chu")  # as Zarr names it
    export(store, target, ExportOptions())
    assert not list(target.rglob("*.partial"))
    np.testing.assert_allclose(read_back(target), cube, rtol=1e-5, atol=1e-5)


def test_another_export_is_not_gone_on_with(store, tmp_path):
    target = tmp_path / "cube.h5"
    with pytest.raises(Stopped):
        export(store, target, ExportOptions(), progress=Stopping(3))
    with pytest.raises(InputError, match=r"cube\.h5\.partial\.json is left of another export; remove it"):
        export(store, target, ExportOptions(layer="hidden"))
    (tmp_path / "cube.h5.partial.json").unlink()
    assert export(store, target, ExportOptions(layer="hidden"))["shape"] == [230, 170, 64]


def test_what_cannot_be_written_is_refused_in_words(store, tmp_path, monkeypatch):
    (tmp_path / "there.raw").touch()
    for target, options, words in (
        ("cube.txt", {}, r"'cube.txt' ends in no known format; a cube is written as one of: \.zarr"),
        ("there.rpl", {}, r"there\.raw exists already"),
        (
            "a.h5",
            {"energy_kev": (90.0, 91.0)},
            "nothing lies at energy 90 to 91 keV; the result spans energy 0.1 to",
        ),
        (
            "a.h5",
            {"x_mm": (500.0, 600.0)},
            "nothing lies at x 500 to 600 mm; the result spans x 0.5 to 169.5 mm",
        ),
    ):
        with pytest.raises(InputError, match=words):
            export(store, tmp_path / target, ExportOptions(**options))
    with pytest.raises(OptionError, match="the range of y runs from 3 to 2; give the smaller first"):
        ExportOptions(y_mm=(3.0, 2.0))
    with pytest.raises(OptionError, match="unknown layer 'middle'"):
        ExportOptions(layer="middle")
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match=r"the export takes 0\.01 GB, .* has 0\.00 GB left"):
        export(store, tmp_path / "a.h5", ExportOptions())
    assert [p.name for p in tmp_path.iterdir()] == ["there.raw"]


def test_the_command_says_what_it_wrote(store, tmp_path, capsys):
    assert main(["export", str(store), "--to", str(tmp_path / "a.rpl"), "--energy", "2:3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["shape"] == [230, 170, 5]
    assert found["bytes"] == 4 * 230 * 170 * 5
    with pytest.raises(SystemExit, match="2"):
        main(["export", str(store), "--to", "x.h5", "--region", "1:2"])
    assert "'1:2' is not Y0:Y1,X0:X1 in mm" in capsys.readouterr().err
