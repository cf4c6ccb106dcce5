"""The command line as a user meets it: exit status, one sentence on stderr, and a store left as it was."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from engine.scenes import InterruptAfter, narrow_painting, planned
from helpers import small_painting, tree_bytes
from PIL import Image

import xrfsr_dask as xs
from xrfsr_dask.cli import main
from xrfsr_dask.errors import OptionError
from xrfsr_dask.options import SolveOptions, as_attributes
from xrfsr_dask.solver import solve
from xrfsr_dask.store.journal import read_record
from xrfsr_dask.store.staging import work_area
from xrfsr_dask.tiling.executor import LocalExecutor

PHOTO = np.random.default_rng(0).integers(0, 255, (60, 50, 3)).astype("u1")


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A folder with a photograph, a scan of 10 x 8 spots and a painting with one patch."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(PHOTO).save("photo.png")
    rng = np.random.default_rng(0)
    np.save("scan.npy", rng.poisson(3.0, (10, 8, 32)).astype("u2"))
    assert main(["new", "p.zarr", "--rgb", "photo.png", "--width-mm", "50"]) == 0
    assert main(["add", "p.zarr", "scan.npy", *PLACE]) == 0
    return tmp_path


PLACE = ["--at", "2,3", "--step-mm", "5", "--calibration", "0.0,0.1"]


def refused(capsys, words, sentence, *, status=1, store="p.zarr"):
    """The command fails with one sentence that holds `sentence`, and the store keeps every byte."""
    before = tree_bytes(Path(store)) if Path(store).is_dir() else None
    capsys.readouterr()
    try:
        found = main(words)
    except SystemExit as error:
        found = error.code
    out, err = capsys.readouterr()
    assert found == status, err
    assert sentence in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err
    assert out == ""
    assert before is None or tree_bytes(Path(store)) == before


def test_new_add_solve_info_and_check_are_a_road(bench, capsys):
    np.save("other.npy", np.load("scan.npy") + 1)
    assert main(["add", "p.zarr", "other.npy", "--rotation", "1", *PLACE]) == 0
    assert main(["solve", "p.zarr", "--atoms", "4", "--iterations", "2", "--json"]) == 0
    solved = json.loads(capsys.readouterr().out.split("counts a spot")[-1])
    assert solved["iterations"] == 2
    assert solved["objective"] > 0
    assert main(["solve", "p.zarr", "--name", "again", "--atoms", "4", "--iterations", "2"]) == 0
    told = capsys.readouterr().out
    assert "result 'again' of p.zarr in" in told
    assert "xrfsr browse p.zarr" in told
    assert main(["info", "p.zarr", "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert [p["name"] for p in info["patches"]] == ["p01", "p02"]
    assert [r["name"] for r in info["results"]] == ["again", "joint"]
    assert main(["info", "p.zarr"]) == 0
    assert "8 x 10 spots, 32 channels 0.000 to 3.100 keV" in capsys.readouterr().out
    assert main(["check", "p.zarr"]) == 0
    assert "0 damaged" in capsys.readouterr().out


def test_an_offset_below_zero_can_be_typed_as_it_stands(bench):
    words = ["add", "p.zarr", "scan.npy", "--at", "2,3", "--step-mm", "5", "--name", "m6"]
    assert main(["new", "q.zarr", "--rgb", "photo.png", "--width-mm", "50"]) == 0
    assert main([words[0], "q.zarr", *words[2:], "--calibration", "-0.96,0.01"]) == 0


def test_a_dry_run_says_what_it_would_need_and_does_nothing(bench, capsys):
    before = tree_bytes(bench / "p.zarr")
    capsys.readouterr()
    assert main(["solve", "p.zarr", "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["tiles"] == 2  # of one cell: smaller ones than the painting, so that all workers have some
    assert plan["bytes_per_task"] > 0
    assert tree_bytes(bench / "p.zarr") == before


def test_check_names_damage_and_exits_with_one(bench, capsys):
    chunk = bench / "p.zarr" / "patches" / "p01" / "counts" / "c" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-3])
    assert main(["check", "p.zarr"]) == 1
    assert "patches/p01/counts/c/0/0/0" in capsys.readouterr().out
    refused(capsys, ["solve", "p.zarr"], "patches/p01/counts")


def test_bad_solves_are_refused(bench, capsys):
    before = sorted(Path("p.zarr").rglob("*"))
    solve = ["solve", "p.zarr"]
    refused(capsys, [*solve, "--memory", "200KB"], "the limit is 200 kB; raise --memory")
    refused(capsys, [*solve, "--resume", "--restart"], "give --resume or --restart")
    refused(capsys, [*solve, "--dry-run", "--resume"], "leave out --resume and --restart")
    refused(capsys, [*solve, "--scheduler", "tls://h:99999"], "is not the address of a scheduler")
    refused(capsys, [*solve, "--scheduler", "tls://127.0.0.1:9"], "no certificates are configured")
    refused(capsys, [*solve, "--name", "zarr.json"], "cannot be the name of a result")
    both = ["--processes", "--scheduler", "tcp://127.0.0.1:1"]
    refused(capsys, [*solve, *both], "give --processes or --scheduler")
    refused(capsys, [*solve, "--tile", "55"], "55 px is not a whole number of 50-px cells; try 50 or 100")
    refused(capsys, [*solve, "--atoms", "0"], "atoms must lie between 1 and 1000, got 0")
    refused(capsys, [*solve, "--hidden-atoms", "0"], "--hidden-atoms must lie between 1 and 200, got 0")
    refused(capsys, [*solve, "--gamma", "0"], "unrecognized arguments: --gamma 0", status=2)
    refused(capsys, [*solve, "--name", "../../x"], "cannot be the name of a result")
    refused(capsys, [*solve, "--name", "truth"], "'truth' is kept for the known truth of a phantom")
    refused(capsys, [*solve, "--resume"], "no unfinished run 'joint'")
    refused(
        capsys, [*solve, "--scheduler", "tcp://127.0.0.1:1"], "no Dask scheduler answers at tcp://127.0.0.1:1"
    )
    for plain in ("tcp://192.0.2.7:8786", "ws://192.0.2.7:8786", "ucx://192.0.2.7:13337", "any://192.0.2.7:1"):
        refused(capsys, [*solve, "--scheduler", plain], f"{plain} is not encrypted and not on this machine")
    refused(capsys, [*solve, "--scheduler", "http://127.0.0.1:8787"], "is the address of a web page")
    refused(capsys, [*solve, "--magic"], "unrecognized arguments: --magic", status=2)
    refused(capsys, [*solve, "--memory", "lots"], "'lots' is not an amount of memory", status=2)
    refused(capsys, ["solve", "absent.zarr"], "absent.zarr does not exist; create it with `xrfsr new`")
    refused(capsys, ["solve", "photo.png"], "photo.png is a file; a painting store is a folder")
    refused(capsys, ["dance"], "invalid choice: 'dance'", status=2)
    assert sorted(Path("p.zarr").rglob("*")) == before


@pytest.mark.parametrize("method", ["paper", "joint"])
@pytest.mark.parametrize("more", [[], ["--restart"], ["--resume"], ["--dry-run"]], ids=str)
def test_a_name_leads_a_solve_nowhere_else(bench, capsys, method, more):
    """Nothing is removed, wherever the name leads: not other runs, nor the store, nor any other folder."""
    assert main(["solve", "p.zarr", "--name", "done", "--method", "paper", "--iterations", "1", "--quiet"]) == 0
    run = Path("p.zarr/rgb/0/image/.work/r")
    run.mkdir(parents=True)
    (run / "state").write_text("mine")
    (bench / "victim" / "letters").mkdir(parents=True)
    (bench / "victim" / "letters" / "a").write_text("precious")
    before = tree_bytes(bench)
    names = ["", ".", "./", "..", "../..", "../../..", "../../../..", "../../../../..", "r/../..", "/", "a/b"]
    for name in [*names, str(bench / "victim"), "../../../../../victim", "done/", "done/../done", "\0", "r\\x"]:
        solve = ["solve", "p.zarr", "--method", method, f"--name={name}", *more, "--quiet"]
        refused(capsys, solve, "cannot be the name of a result")
    for name in (7, Path("r"), ["r"], b"r"):
        with pytest.raises(OptionError, match="name of a result"):
            xs.super_resolve("p.zarr", name=name)
    assert tree_bytes(bench) == before


def test_an_unfinished_run_is_told_with_the_words_that_go_on(tmp_path, capsys):
    path = tmp_path / "p.zarr"
    narrow_painting(path)
    given = SolveOptions(method="paper", atoms=6, hidden_atoms=5, iterations=2, steps=3)
    with pytest.raises(KeyboardInterrupt):
        solve(planned(path, given, name="few", tile=100), LocalExecutor(1), progress=InterruptAfter(12))
    assert main(["info", str(path), "--json"]) == 0
    (run,) = json.loads(capsys.readouterr().out)["unfinished_runs"]
    assert run["name"] == "few"
    assert run["options"] == as_attributes(given)
    assert main(["info", str(path)]) == 0
    told = capsys.readouterr().out
    words = ["--name", "few", "--method", "paper", "--atoms", "6", "--hidden-atoms", "5", "--iterations", "2"]
    way_on = shlex.join(["xrfsr", "solve", str(path), *words, "--steps", "3"])
    assert f"unfinished  few: go on with {way_on}\n" in told
    for name in ("run.json", "checkpoint.json"):
        record = work_area(path) / "few" / name
        good = record.read_bytes()
        record.write_bytes(good[:-9])
        assert main(["info", str(path)]) == 0
        told = capsys.readouterr().out
        assert "unfinished  few: its records cannot be read; `xrfsr check` tells more" in told
        record.write_bytes(good)
    assert main(way_on.split()[1:]) == 0


def test_bad_additions_are_refused(bench, capsys):
    counts = np.load("scan.npy").astype("f4")
    counts[4, 2, 7] = np.nan
    np.save("nan.npy", counts)
    np.save("other.npy", np.load("scan.npy")[..., :20])
    np.save("empty.npy", np.zeros((0, 8, 32), "u2"))
    add = ["add", "p.zarr"]
    refused(capsys, [*add, "scan.npy", "--name", "p01", *PLACE], "already holds a patch 'p01'")
    refused(capsys, [*add, "nan.npy", *PLACE], "row 4, column 2, channel 7 is not finite")
    refused(capsys, [*add, "other.npy", *PLACE], "has 20 channels, patch 'p01' has 32")
    refused(capsys, [*add, "empty.npy", *PLACE], "empty.npy has no data")
    refused(capsys, [*add, "scan.npy", "--at", "30,30", *PLACE[2:]], "reaches outside the photograph")
    refused(capsys, [*add, "scan.npy", *PLACE[2:]], "give --at X,Y or --transform FILE")
    refused(
        capsys, [*add, "scan.npy", *PLACE[2:]], "scan.npy, patch 'p02': where the patch lies is not known; give"
    )
    refused(
        capsys,
        [*add, "scan.npy", "--at", "2,3", "--step-mm", "0"],
        "scan.npy, patch 'p02': --step-mm must be more than 0, got 0.0",
    )
    refused(capsys, [*add, "scan.npy", "--name", "a/b", *PLACE], "'a/b' cannot be the name of a patch")
    refused(capsys, [*add, "absent.rpl", *PLACE], "absent.rpl")
    refused(capsys, [*add, "", *PLACE], "the name of the scan is empty")
    refused(capsys, [*add, f"{'n' * 5000}.rpl", *PLACE], "nnn…nnn")
    refused(capsys, [*add, "scan.npy", "--at", "3", *PLACE[2:]], "'3' is not X,Y in mm", status=2)


def test_bad_photographs_are_refused(bench, capsys):
    new = ["new", "q.zarr", "--width-mm", "50", "--rgb"]
    (bench / "text.png").write_text("not a picture")
    refused(capsys, [*new, "absent.tif"], "absent.tif", store="q.zarr")
    refused(capsys, [*new, "text.png"], "text.png", store="q.zarr")
    refused(capsys, ["new", "p.zarr", "--width-mm", "50", "--rgb", "photo.png"], "p.zarr already exists")
    assert not (bench / "q.zarr").exists()


def test_an_empty_name_of_a_store_is_refused(bench, capsys):
    before = sorted(bench.iterdir())
    words = "the name of the store is empty; give a path such as painting.zarr"
    refused(capsys, ["new", "", "--rgb", "photo.png", "--width-mm", "50"], words)
    refused(capsys, ["add", "", "scan.npy", *PLACE], words)
    refused(capsys, ["solve", ""], words)
    refused(capsys, ["info", ""], words)
    refused(capsys, ["check", ""], words)
    refused(capsys, ["demo", ""], "the name of the folder for output is empty")
    evaluate = ["evaluate", "scan.npy", "--photo", "photo.png", "--factor", "2"]
    refused(capsys, [*evaluate, "--out", ""], "the name of the folder for output is empty")
    assert sorted(bench.iterdir()) == before


def test_an_answer_that_cannot_be_printed_is_one_sentence(bench):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    for more in ([], ["--json"]):
        with Path("/dev/full").open("w") as full:
            words = [sys.executable, "-m", "xrfsr_dask", "info", "p.zarr", *more]
            ended = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert ended.returncode == 1
        assert ended.stderr.startswith("xrfsr: the answer could not be printed (No space left on device)")
        assert ended.stderr.count("\n") == 1


def test_letters_that_a_terminal_does_not_know_are_spelled_out(bench):
    Path("p.zarr").rename("für.zarr")
    words, only_ascii = [sys.executable, "-m", "xrfsr_dask", "info"], os.environ | {"PYTHONIOENCODING": "ascii"}
    ended = subprocess.run([*words, "für.zarr"], capture_output=True, env=only_ascii, check=False)
    assert ended.returncode == 0
    assert b"f\\xfcr" in ended.stdout


def test_options_are_taken_by_their_whole_names_only(bench, capsys):
    refused(capsys, ["solve", "p.zarr", "--iter", "2"], "unrecognized arguments: --iter", status=2)
    refused(capsys, ["add", "p.zarr", "scan.npy", *PLACE, "--res"], "unrecognized arguments: --res", status=2)
    refused(capsys, ["info", "p.zarr", "--js"], "unrecognized arguments: --js", status=2)
    refused(capsys, ["--vers"], "the following arguments are required: COMMAND", status=2)


def test_an_alpha_channel_is_dropped_and_said(bench, capsys):
    rgba = np.dstack([PHOTO, np.full(PHOTO.shape[:2], 255, "u1")])
    Image.fromarray(rgba).save("alpha.png")
    assert main(["new", "q.zarr", "--rgb", "alpha.png", "--width-mm", "50"]) == 0
    assert "alpha" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_ends_a_solve_soon_and_the_same_command_goes_on(tmp_path):
    path = tmp_path / "p.zarr"
    small_painting(path)
    command = [sys.executable, "-m", "xrfsr_dask", "solve", str(path), "--atoms", "10", "--tolerance", "0"]
    command += ["--iterations", "4", "--tile", "50", "--method", "paper"]
    run = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # ignored where tests run in background
    )
    checkpoint = work_area(path) / "paper" / "checkpoint.json"
    deadline = time.monotonic() + 60
    while not (checkpoint.exists() and read_record(checkpoint)["state"]["iteration"] >= 1):
        assert time.monotonic() < deadline
        assert run.poll() is None
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, err = run.communicate(timeout=30)
    assert time.monotonic() - began < 5
    assert run.returncode == 1
    assert err.decode().strip().startswith("xrfsr: interrupted")
    assert not (path / "results" / "paper").exists()
    done = subprocess.run([*command, "--resume", "--json"], check=True, capture_output=True)
    assert json.loads(done.stdout)["iterations"] == 4


def test_an_address_where_something_else_listens_is_refused(bench, capsys, monkeypatch):
    import socket

    from xrfsr_dask import cluster

    monkeypatch.setattr(cluster, "_CONNECT_S", 1)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        refused(capsys, ["solve", "p.zarr", "--scheduler", address], f"no Dask scheduler answers at {address}")
    for address in ("tcp://127.0.0.1", "localhost", ""):
        words = f"'{address}' is not the address of a scheduler"
        refused(capsys, ["solve", "p.zarr", "--scheduler", address], words)


def test_a_memory_of_nothing_is_refused(bench, capsys):
    refused(
        capsys, ["solve", "p.zarr", "--memory", "0"], "memory must be a number of bytes, more than 0, got 0"
    )
    refused(capsys, ["solve", "p.zarr", "--workers", "0"], "workers must be at least 1, got 0")


def test_a_demo_that_cannot_be_solved_is_not_painted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    refused(capsys, ["demo", "d", "--memory", "1KB"], "the start needs")
    refused(capsys, ["demo", "d", "--memory", "150MB"], "the limit is 150 MB; raise --memory")
    refused(capsys, ["demo", "d", "--memory", "180MB"], "the limit is 180 MB; raise --memory")  # by joint alone
    refused(capsys, ["demo", "d", "--tile", "7"], "7 px is not a whole number of 50-px cells")
    refused(capsys, ["demo", "file"], "file is a file")
    refused(capsys, ["demo", "file/deeper"], "file is a file")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_check_refuses_what_is_no_store_or_a_newer_one(bench, capsys):
    import zarr

    zarr.create_group("other.zarr", zarr_format=3)
    refused(capsys, ["check", "other.zarr"], "not a painting store", store="other.zarr")
    (bench / "folder").mkdir()
    refused(capsys, ["check", "folder"], "is not a painting store", store="folder")
    meta = json.loads((bench / "p.zarr" / "zarr.json").read_text())
    meta["attributes"] = {"format": "xrfsr painting", "format_version": 3}
    (bench / "p.zarr" / "zarr.json").write_text(json.dumps(meta))
    refused(capsys, ["check", "p.zarr"], "store format 3, this version reads up to 2")


def test_a_missing_chunk_of_counts_is_never_read_as_zeros(bench, capsys):
    (bench / "p.zarr" / "patches" / "p01" / "counts" / "c" / "0" / "0" / "0").unlink()
    refused(capsys, ["solve", "p.zarr"], "the chunk c/0/0/0 is missing")


def test_two_additions_at_once_leave_one_whole_patch_each_or_a_refusal(bench):
    np.save("other.npy", np.load("scan.npy") + 1)
    command = [sys.executable, "-m", "xrfsr_dask", "add", "p.zarr", "other.npy", *PLACE]
    runs = [subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) for _ in range(3)]
    errors = [run.communicate()[1].decode() for run in runs]
    for run, error in zip(runs, errors, strict=True):
        assert run.returncode == 0 or "already" in error
    assert any(run.returncode == 0 for run in runs)
    assert main(["check", "p.zarr"]) == 0
    assert not list(work_area(bench / "p.zarr").iterdir())


def test_a_horizon_within_a_patch_is_outside_the_photograph(bench, capsys):
    from pathlib import Path

    Path("hz.txt").write_text("-11.4 0 10\n-5.7 .5 10\n-.28 0 1\n")
    refused(
        capsys,
        ["add", "p.zarr", "scan.npy", "--transform", "hz.txt", "--calibration", "0,0.1"],
        "reaches outside the photograph",
    )


def test_an_amount_of_memory_beyond_all_numbers_is_a_usage_error(bench, capsys):
    for amount in ("9" * 400 + "GB", "9" * 19):
        refused(
            capsys, ["solve", "p.zarr", "--memory", amount], "more memory than a machine can have", status=2
        )


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31mb", "a\udcffb"])
def test_control_characters_of_a_name_are_shown_as_escapes(bench, capsys, name):
    refused(capsys, ["add", "p.zarr", "scan.npy", "--name", name, *PLACE], "cannot be the name of a patch")
    refused(capsys, ["solve", "p.zarr", "--name", name], "cannot be the name of a result")
    refused(capsys, ["add", "p.zarr", f"{name}.npy", *PLACE], "does not exist")
    refused(capsys, ["solve", "p.zarr", f"--{name}"], "unrecognized arguments", status=2)
    refused(capsys, ["info", name], "does not exist")


def test_libtiff_does_not_speak_before_us(bench, capfd):
    Image.fromarray(PHOTO).save("lzw.tif", compression="tiff_lzw")
    data = bytearray((bench / "lzw.tif").read_bytes())
    for i in range(len(data) // 4, len(data) // 2):
        data[i] ^= 0x5A
    (bench / "lzw.tif").write_bytes(data)
    capfd.readouterr()
    assert main(["new", "q.zarr", "--rgb", "lzw.tif", "--width-mm", "50"]) == 1
    err = capfd.readouterr().err
    assert err.startswith("xrfsr: photograph lzw.tif cannot be read")
    assert len(err.splitlines()) == 1


SIGNALLED = """
import os, signal, sys
from xrfsr_dask import cli
from xrfsr_dask.__main__ import main

class Importing:
    def find_spec(self, name, *_):
        if name == "numpy":
            sys.meta_path.remove(self)
            os.kill(os.getpid(), {signal:d})

if "{when}" == "importing":
    sys.meta_path.insert(0, Importing())
elif "{when}" == "executing":  # as modules that make dataclasses do
    cli.paintings._run_info = lambda words: exec("import os; os.kill(os.getpid(), {signal:d})")
elif "{when}" == "failing":  # as an extension module does whose import was interrupted
    def broken(words):
        try:
            os.kill(os.getpid(), {signal:d})
        except KeyboardInterrupt:
            raise ImportError("numpy could not be imported") from None
    cli.paintings._run_info = broken
else:
    import atexit
    atexit.register(os.kill, os.getpid(), {signal:d})
sys.argv = ["xrfsr", "info", "p.zarr"]
sys.exit(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    ("when", "status"), [("importing", 1), ("executing", 1), ("failing", 1), ("ending", 0)]
)
def test_a_signal_while_importing_or_ending_is_one_sentence_or_none(bench, name, when, status):
    code = SIGNALLED.format(signal=getattr(signal, name), when=when)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert done.returncode == status, done.stderr
    assert len(done.stderr.splitlines()) == status
    assert done.stderr.startswith("xrfsr: interrupted" if status else "")
    assert ("photograph" in done.stdout) == (status == 0)


EARLY = """
import os, sys
sys.argv = ["xrfsr", "info", "p.zarr"]

class Importing:
    def find_spec(self, name, *_):
        if name == "xrfsr_dask.interrupts":
            os.kill(os.getpid(), {signal:d})

if {importing}:
    sys.meta_path.insert(0, Importing())
from xrfsr_dask.__main__ import main  # as the launcher does
if not {importing}:
    os.kill(os.getpid(), {signal:d})
sys.exit(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("importing", [True, False])
def test_a_signal_before_the_command_begins_is_one_sentence(bench, name, importing):
    done = subprocess.run(
        [sys.executable, "-c", EARLY.format(signal=getattr(signal, name), importing=importing)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert done.returncode == 1
    assert done.stderr == "xrfsr: interrupted before the work began; nothing was changed.\n"


def test_a_full_disk_is_told_with_patch_and_store(bench, capsys, monkeypatch):
    import errno

    from xrfsr_dask.store import adding

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(adding, "new_array", full)
    refused(
        capsys,
        ["add", "p.zarr", "scan.npy", "--name", "q", *PLACE],
        "the disk is full: patch 'q' (scan.npy) was not added to p.zarr; free some space and repeat.",
    )
