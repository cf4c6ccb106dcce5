"""Two runs at once, changed inputs, and tasks that come too late."""

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial

import numpy as np
import psutil
import pytest
from engine.scenes import (
    ENVIRONMENT,
    JOINT,
    OPTIONS,
    PAPER,
    InterruptAfter,
    add_narrow_patch,
    checkpoint,
    has_passes,
    narrow_painting,
    planned,
    result_hash,
    run_folder,
    solved_hash,
    started,
    wait_for,
    words,
)
from helpers import tree_bytes

from xrfsr_dask.cli import main
from xrfsr_dask.errors import OptionError, ResumeError, StoreError
from xrfsr_dask.progress import Silent
from xrfsr_dask.solver import outer, passes, solve
from xrfsr_dask.solver import state as states
from xrfsr_dask.store import locks, whose
from xrfsr_dask.store.arrays import open_array, open_group, write
from xrfsr_dask.store.check import check_store
from xrfsr_dask.store.contents import recorded
from xrfsr_dask.store.journal import read_record, write_record
from xrfsr_dask.store.metadata import set_attributes
from xrfsr_dask.store.places import as_place, files_below
from xrfsr_dask.store.staging import work_area
from xrfsr_dask.store.unfinished import LOCK
from xrfsr_dask.tiling.executor import LocalExecutor


def interrupted(path, tasks: int = 40, patches: str = "ab", options=PAPER) -> None:
    narrow_painting(path, patches)
    with pytest.raises(KeyboardInterrupt):
        solve(planned(path, options), LocalExecutor(1), progress=InterruptAfter(tasks))


@pytest.mark.slow
def test_a_second_run_in_another_process_is_refused_with_the_firsts_identity(tmp_path):
    path = tmp_path / "p.zarr"
    narrow_painting(path)
    first = started(words(path, "paper", "--iterations", 500))
    try:
        wait_for(lambda: has_passes(path, 0), first)
        second = started(words(path, "paper", "--iterations", 500))
        _, err = second.communicate(timeout=60)
        assert second.returncode == 1
        assert f"run 'r' is being worked on by process {first.pid} on {socket.gethostname()}" in err
        third = started(words(path, "paper", "--iterations", 500, "--restart"))
        assert "is being worked on" in third.communicate(timeout=60)[1]
        other = started([*words(path, "paper", "--iterations", 500), "--name", "other"])
        _, err = other.communicate(timeout=60)
        assert other.returncode == 1
        assert f"run 'r' is being worked on by process {first.pid} on {socket.gethostname()}" in err
        assert not (work_area(as_place(path)) / "other").exists()
        assert first.poll() is None
    finally:
        first.kill()
        first.communicate()
    assert (run_folder(path) / "lock.json").exists()  # of a dead process
    solve(planned(path), LocalExecutor(2), restart=True)
    assert not run_folder(path).exists()


def test_a_run_beside_one_of_another_name_is_refused_until_that_is_dead(tmp_path):
    path = tmp_path / "p.zarr"
    narrow_painting(path)
    beside = work_area(as_place(path)) / "other"
    beside.mkdir(parents=True)
    with locks.held(beside / LOCK, "run 'other'"):
        before = tree_bytes(path)
        refused = rf"run 'other' is being worked on by process {os.getpid()} on .*one run at a time"
        with pytest.raises(StoreError, match=refused):
            solve(planned(path), LocalExecutor(2))
        assert tree_bytes(path) == before
    write_record(beside / LOCK, whose.me() | {"pid": 2**22 - 1})
    solve(planned(path), LocalExecutor(2))
    assert (path / "results/r").is_dir()


def all_together(*calls):
    """Make calls in as many threads, and wait for all of them."""
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_of_runs_of_many_names_that_begin_together_one_goes_on(tmp_path):
    path, on, told = tmp_path / "p.zarr", [], []
    narrow_painting(path)
    plans = [planned(path, name=f"r{n}") for n in range(6)]
    gate, ended = threading.Barrier(6), threading.Event()

    def run(plan):
        gate.wait()
        try:
            with states.locked(plan):
                on.append(plan.name)
                ended.wait(60)
        except StoreError as error:
            told.append(str(error))
            if len(told) == 5:
                ended.set()

    all_together(*(partial(run, plan) for plan in plans))
    assert len(on) == 1
    assert len(told) == 5
    assert all(f"run '{on[0]}' is being worked on" in words for words in told)
    assert not files_below(work_area(as_place(path)))


def test_of_many_that_begin_together_one_holds_the_lock(tmp_path):
    path, held, told = tmp_path / "lock.json", [], []
    gate = threading.Barrier(8)

    def run():
        gate.wait()
        try:
            with locks.held(path, "run 'r'"):
                held.append(1)
                time.sleep(0.3)
        except StoreError as error:
            told.append(str(error))

    all_together(*[run] * 8)
    assert len(held) == 1
    assert len(told) == 7
    assert not path.exists()


@pytest.mark.parametrize(("quiet_s", "alive"), [(5.0, True), (locks.DEAD_S + 5, False)])
def test_a_lock_of_another_machine_holds_as_long_as_it_is_touched(tmp_path, quiet_s, alive):
    path = tmp_path / "lock.json"
    write_record(path, {"host": "elsewhere", "pid": 7, "started": 0.0})
    now = time.time()
    os.utime(path, (now - quiet_s, now - quiet_s))
    if alive:
        with pytest.raises(StoreError, match="by process 7 on elsewhere"), locks.held(path, "run 'r'"):
            pass
    else:
        with locks.held(path, "run 'r'"):
            assert read_record(path)["pid"] == os.getpid()


def test_a_number_that_another_process_has_now_does_not_hold_a_lock(tmp_path):
    path = tmp_path / "lock.json"
    write_record(path, whose.me() | {"started": 1.0})
    with locks.held(path, "run 'r'"):
        pass


def test_a_living_process_holds_its_lock_whatever_the_clock_is_set_to(tmp_path, monkeypatch):
    """What psutil reckons from the wall clock moves with it."""
    path, other = (
        tmp_path / "lock.json",
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE),
    )
    try:
        write_record(path, whose.me() | {"pid": other.pid, "started": whose.began(other.pid)})
        real = psutil.Process.create_time
        monkeypatch.setattr(psutil.Process, "create_time", lambda process: real(process) - 3600.0)
        os.utime(path, (1e9, 1e9))
        refused = pytest.raises(StoreError, match=f"is being worked on by process {other.pid}")
        with refused, locks.held(path, "run 'r'"):
            pass
    finally:
        other.communicate(b"")


@pytest.mark.parametrize("changed", [{"boot": "another"}, {"boot": None}], ids=["of the same name", "old"])
@pytest.mark.parametrize("quiet_s", [5.0, locks.DEAD_S + 5])
def test_a_lock_of_another_machine_of_that_name_holds_as_long_as_it_is_touched(tmp_path, changed, quiet_s):
    """Or of this one before it was started anew; or of an earlier version, which did not tell them apart."""
    path = tmp_path / "lock.json"
    found = whose.me() | {"pid": 2**30} | changed
    write_record(path, {name: value for name, value in found.items() if value is not None})
    os.utime(path, (time.time() - quiet_s,) * 2)
    refused = pytest.raises(StoreError, match="or was until less than 120 s ago")
    with refused if quiet_s < locks.DEAD_S else contextlib.nullcontext(), locks.held(path, "run 'r'"):
        assert read_record(path)["pid"] == os.getpid()


def test_what_another_machine_of_that_name_signed_is_not_taken_for_that_of_the_dead(monkeypatch):
    signed = whose.signature().replace(f"-{os.getpid()}-", f"-{2**30}-")
    assert whose.is_of_the_dead(signed)
    monkeypatch.setattr(whose, "_boot", lambda: "another-start")
    assert not whose.is_of_here(signed)
    assert not whose.is_of_the_dead(signed)


def test_a_dead_process_that_nobody_has_asked_for_holds_no_lock(tmp_path):
    """A zombie: its parent goes on, and has not noticed."""
    path = tmp_path / "lock.json"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    started = whose.began(dead.pid)
    while psutil.Process(dead.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    write_record(path, whose.me() | {"pid": dead.pid, "started": started})
    with locks.held(path, "run 'r'"):
        assert read_record(path)["pid"] == os.getpid()
    dead.wait()


@pytest.mark.parametrize("quiet_s", [5.0, locks.DEAD_S + 5])
def test_a_lock_of_another_container_of_that_name_holds_as_long_as_it_is_touched(tmp_path, quiet_s):
    """There the number is that of another process, or of none."""
    path = tmp_path / "lock.json"
    write_record(path, whose.me() | {"space": 7, "pid": 2**30})
    os.utime(path, (time.time() - quiet_s, time.time() - quiet_s))
    refused = pytest.raises(StoreError, match="or was until less than 120 s ago")
    with refused if quiet_s < locks.DEAD_S else contextlib.nullcontext(), locks.held(path, "run 'r'"):
        assert read_record(path)["pid"] == os.getpid()


@pytest.mark.parametrize("quiet_s", [5.0, locks.DEAD_S + 5])
def test_a_damaged_lock_holds_as_long_as_it_is_touched(tmp_path, quiet_s):
    path = tmp_path / "lock.json"
    path.write_text("{")
    os.utime(path, (time.time() - quiet_s, time.time() - quiet_s))
    refused = pytest.raises(StoreError, match="by a process that cannot be told")
    with refused if quiet_s < locks.DEAD_S else contextlib.nullcontext(), locks.held(path, "run 'r'"):
        assert read_record(path)["pid"] == os.getpid()


def test_a_lock_that_could_not_be_given_back_does_not_keep_its_own_process_out(tmp_path):
    path = tmp_path / "lock.json"
    with locks.held(path, "run 'r'"):
        kept = path.read_bytes()
    path.write_bytes(kept)  # as after a disk that was gone for a moment
    refused = pytest.raises(StoreError, match="is being worked on")
    with locks.held(path, "run 'r'"), refused, locks.held(path, "run 'r'"):
        pass


def test_a_run_whose_lock_was_taken_over_ends_at_its_next_checkpoint(tmp_path):
    path = tmp_path / "p.zarr"
    narrow_painting(path)

    class TakenOver(Silent):
        def advance(self, n: int = 1) -> None:
            write_record(run_folder(path) / "lock.json", {"host": "elsewhere", "pid": 7, "started": 0.0})

    with pytest.raises(StoreError, match="run 'r' was taken over by another process"):
        solve(planned(path), LocalExecutor(1), progress=TakenOver())
    assert read_record(run_folder(path) / "lock.json")["host"] == "elsewhere"


@pytest.mark.parametrize("over", [False, True], ids=["going on", "over"])
@pytest.mark.parametrize(
    ("where", "nth"),
    [("begin", 1), ("save", 1), ("save", 4), ("new_generation", 2), ("keep_receipt", 9),
     ("save_dictionaries", 1), ("require_unchanged", 1)],
)  # fmt: skip
def test_who_was_asleep_removes_and_writes_nothing_of_a_run_that_was_taken_over(
    tmp_path, monkeypatch, where, nth, over
):
    """At any moment, and also when the other is through with it, and has given the lock back."""
    path, calls, real = tmp_path / "p.zarr", [], getattr(states, where)
    narrow_painting(path, "a")
    run, before = planned(path), {}

    def awakes(*args, **kwargs):
        calls.append(1)
        if len(calls) == nth:
            (run.base / "lock.json").unlink()
            if not over:
                write_record(run.base / "lock.json", {"host": "elsewhere", "pid": 7, "started": 0.0})
            for name in ("gen-000002", "gen-000006", "dictionary-000001", "gen-000000"):
                (run.work / name).mkdir(exist_ok=True, parents=True)
                (run.work / name / "anothers").write_text("work")
            before.update(tree_bytes(run.base))
        return real(*args, **kwargs)

    monkeypatch.setattr(states, where, awakes)
    with pytest.raises(StoreError, match="run 'r' was taken over by another process"):
        solve(run, LocalExecutor(1))
    assert tree_bytes(run.base) == before


def test_who_was_asleep_while_its_result_was_put_in_place_leaves_the_run_of_another_alone(
    tmp_path, monkeypatch
):
    path = tmp_path / "p.zarr"
    narrow_painting(path, "a")
    run, real = planned(path), outer.finish

    def finish(*args):
        real(*args)
        write_record(run.base / "lock.json", {"host": "elsewhere", "pid": 7, "started": 0.0})

    monkeypatch.setattr(outer, "finish", finish)
    solve(run, LocalExecutor(1))
    assert (run.base / "checkpoint.json").exists()
    assert read_record(run.base / "lock.json")["host"] == "elsewhere"
    assert (path / "results" / "r").is_dir()


def test_a_lock_is_touched_by_who_holds_it_and_by_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "BEAT_S", 0.01)
    path = tmp_path / "lock.json"
    with locks.held(path, "run 'r'"):
        write_record(path, {"host": "elsewhere", "pid": 7, "started": 0.0})
        os.utime(path, (1e9, 1e9))
        time.sleep(0.2)
        assert path.stat().st_mtime == 1e9


_ASLEEP = """
import os, signal, socket, sys
from pathlib import Path
socket.gethostname = lambda: "elsewhere"
from engine.scenes import planned
from xrfsr_dask.solver import solve, state as states
from xrfsr_dask.tiling.executor import LocalExecutor
real = getattr(states, sys.argv[2])
def asleep(*args, **kwargs):
    setattr(states, sys.argv[2], real)
    os.kill(os.getpid(), signal.SIGSTOP)
    return real(*args, **kwargs)
setattr(states, sys.argv[2], asleep)
solve(planned(Path(sys.argv[1])), LocalExecutor(1))
"""


@pytest.mark.slow
@pytest.mark.parametrize("where", ["begin", "save_dictionaries", "new_generation", "save"])
def test_a_process_that_awakes_does_not_disturb_who_goes_on_with_its_run(tmp_path, where):
    paths = [tmp_path / name for name in ("right.zarr", "p.zarr")]
    for path in paths:
        narrow_painting(path)
    right, path = solved_hash(paths[0], LocalExecutor(1)), paths[1]
    env = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    first = subprocess.Popen(
        [sys.executable, "-c", _ASLEEP, str(path), where], env=env, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: psutil.Process(first.pid).status() == psutil.STATUS_STOPPED, first)
    long_ago = time.time() - locks.DEAD_S - 60
    os.utime(run_folder(path) / "lock.json", (long_ago, long_ago))

    class Awakes(Silent):
        done = 0

        def advance(self, n: int = 1) -> None:
            self.done += n
            if self.done == 45:
                first.send_signal(signal.SIGCONT)
                assert "was taken over by another process" in first.communicate(timeout=60)[1]

    solve(planned(path), LocalExecutor(1), progress=Awakes())
    assert result_hash(path) == right
    assert check_store(path).damage == ()


def change_counts(path):
    counts = open_array(open_group(path / "patches" / "a", mode="r+"), "counts")
    counts[3, 4] = counts[3, 4] + 1


def change_attribute(name, value, where="patches/a"):
    """A change of one attribute to `value`, or to what it makes of the one found."""

    def change(path):
        meta = path / where / "zarr.json"
        found = json.loads(meta.read_text())
        attributes = found["attributes"]
        attributes[name] = value(attributes[name]) if callable(value) else value
        del attributes["checksum"]
        meta.write_text(json.dumps(found))

    return change


def change_values(name, by):
    def change(path):
        array = open_array(open_group(path / "patches" / "a", mode="r+"), name)
        array[:] = array[:] + by

    return change


@pytest.mark.parametrize("method", ["paper", pytest.param("joint", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (change_counts, "patch a changed"),
        (change_attribute("gain", 1.5), "patch a changed"),
        (change_attribute("spot_mm", 5.5), "patch a changed"),
        (change_attribute("footprint", "gaussian"), "patch a changed"),
        (change_attribute("transform", lambda T: [[*T[0][:2], T[0][2] + 0.5], *T[1:]]), "patch a changed"),
        (change_attribute("pitch_mm", lambda pitch: 1.01 * pitch, where="rgb/0"), "photograph changed"),
        (change_values("energy", 0.01), "patch a changed"),
        (change_values("mean_spectrum", 1.0), "patch a changed"),
        (lambda path: add_narrow_patch(path, "b"), "patch b was absent, now there"),
    ],
    ids=["counts", "gain", "spot", "footprint", "moved", "wider", "energy", "mean", "added"],
)
def test_changed_inputs_are_refused_on_resume_by_name(tmp_path, change, words, method):
    path = tmp_path / "p.zarr"
    interrupted(path, patches="a", options=OPTIONS[method])
    change(path)
    before = tree_bytes(path)
    with pytest.raises(ResumeError, match=rf"an unfinished run 'r' had other inputs.*{words}.*--restart"):
        solve(planned(path, OPTIONS[method]), LocalExecutor(1), resume=True)
    assert tree_bytes(path) == before


@pytest.mark.parametrize(
    ("option", "value"),
    [("atoms", 6), ("smoothness", 0.3), ("steps", 5), ("seed", 1), ("prox", "simplex"), ("method", "baseline1"),
     ("iterations", 4), ("tolerance", 1e-3)],
)  # fmt: skip
def test_every_changed_option_is_refused_on_resume_by_name(tmp_path, option, value):
    path = tmp_path / "p.zarr"
    interrupted(path, patches="a")
    other = dataclasses.replace(PAPER, **{option: value})
    with pytest.raises(ResumeError, match=rf"{option} was .*, now {value}"):
        solve(planned(path, other), LocalExecutor(1), resume=True)
    assert checkpoint(path)["iteration"] >= 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "value"),
    [("atoms", 6), ("hidden_atoms", 5), ("seed", 1), ("iterations", 4), ("tolerance", 1e-3)],
)
def test_every_changed_option_of_joint_is_refused_on_resume_by_name(tmp_path, option, value):
    path = tmp_path / "p.zarr"
    interrupted(path, patches="a", options=JOINT)
    other = dataclasses.replace(JOINT, **{option: value})
    with pytest.raises(ResumeError, match=rf"{option} was .*, now {value}"):
        solve(planned(path, other), LocalExecutor(1), resume=True)


def test_inputs_that_change_while_a_run_is_going_on_make_no_result(tmp_path):
    path = tmp_path / "p.zarr"
    narrow_painting(path, "a")

    class Change(Silent):
        done = 0

        def advance(self, n: int = 1) -> None:
            self.done += 1
            if self.done == 45:
                change_counts(path)

    with pytest.raises(ResumeError, match="changed while run 'r' was going on"):
        solve(planned(path), LocalExecutor(1), progress=Change())
    assert not (path / "results" / "r").exists()


def test_a_task_of_a_generation_long_swept_changes_nothing(tmp_path, monkeypatch):
    """Its twin has done the tile meanwhile, as after a worker that was taken for dead."""
    whole, path = tmp_path / "whole.zarr", tmp_path / "p.zarr"
    for place in (whole, path):
        narrow_painting(place)
    solve(planned(whole), LocalExecutor(1))
    late, go, told, born = [], threading.Event(), [], []

    def slow_write(array, region, values):
        if threading.current_thread() in late:
            assert go.wait(60)
            write(array, region, values + 0.125)  # were it to write, it would be seen
        else:
            write(array, region, values)

    def stale(task):
        try:
            task()
        except StoreError as error:
            told.append(str(error))

    monkeypatch.setattr(passes, "write", slow_write)
    run = planned(path)

    class Late(Silent):
        """At a generation a task begins that ends when the one it writes is swept."""

        def advance(self, n: int = 1) -> None:
            stands = checkpoint(path)["generation"] if (run.base / "checkpoint.json").exists() else 0
            if stands > 0 and not late:
                now, steps, tile = checkpoint(path), run.visits()[1], run.tiles()[3]
                born.append(now["generation"] + steps)
                late_task = partial(passes.advance_tile, run, now["generation"], now["dictionary"], steps, tile)
                task = threading.Thread(target=stale, args=(late_task,))
                late.append(task)
                task.start()
                time.sleep(0.3)
            if born and stands > born[0] and not go.is_set():
                go.set()
                late[0].join()

    solve(run, LocalExecutor(1), progress=Late())
    assert told
    assert "is gone" in told[0]
    assert result_hash(path) == result_hash(whole)
    assert not list(work_area(path).iterdir())


class DoneAgain(LocalExecutor):
    """After all tasks of a step it does one of each earlier step again, as a worker that was taken for dead."""

    def __init__(self) -> None:
        super().__init__(1)
        self.earlier, self.late, self.gone = [], 0, 0

    def map(self, fn, tasks, done):
        out = super().map(fn, tasks, done)
        self.again(fn, tasks)
        return out

    def reduce(self, fn, tasks, merge, done):
        out = super().reduce(fn, tasks, merge, done)
        self.again(fn, tasks)
        return out

    def again(self, fn, tasks) -> None:
        for call, task in self.earlier:
            self.late += 1
            try:
                call(task)
            except StoreError:
                self.gone += 1
        if tasks:
            self.earlier.append((fn, tasks[-1]))


@pytest.mark.parametrize("method", ["paper", pytest.param("joint", marks=pytest.mark.slow)])
def test_tasks_that_are_done_again_after_any_later_step_change_nothing(tmp_path, method):
    again, hashes = DoneAgain(), []
    for executor in (again, LocalExecutor(2)):
        path = tmp_path / f"{len(hashes)}.zarr"
        narrow_painting(path)
        solve(planned(path, OPTIONS[method]), executor)
        hashes.append(result_hash(path))
    assert again.late > 100
    assert again.gone > 10
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("tile", [100, 250])
def test_a_late_task_of_a_run_that_went_on_with_other_tiles_changes_nothing(tmp_path, monkeypatch, tile):
    """The driver was killed, its worker was not; large tiles make other numbers of steps at once."""
    whole, path = tmp_path / "whole.zarr", tmp_path / "p.zarr"
    for place in (whole, path):
        narrow_painting(place)
    solve(planned(whole), LocalExecutor(1))
    small, large = planned(path, tile=50), planned(path, tile=tile)
    assert (small.visits() == large.visits()) == (tile == 100)
    with pytest.raises(KeyboardInterrupt):
        solve(small, LocalExecutor(1), progress=InterruptAfter(21))
    now, told = checkpoint(path), []
    assert now["generation"] == 0
    held_back = []
    with monkeypatch.context() as patched:
        patched.setattr(passes, "write", lambda *args: held_back.append(args))
        passes.advance_tile(small, 0, now["dictionary"], small.visits()[0], small.tiles()[3])

    class Late(Silent):
        def advance(self, n: int = 1) -> None:
            try:
                write(*held_back[0])
                told.append("written")
            except StoreError:
                told.append("gone")

    solve(large, LocalExecutor(1), progress=Late(), resume=True)
    assert set(told) == {"written", "gone"}
    assert result_hash(path) == result_hash(whole)


@pytest.mark.slow
def test_a_task_of_a_run_that_was_discarded_cannot_write_into_the_next(tmp_path):
    path = tmp_path / "p.zarr"
    interrupted(path)
    old, generation = planned(path), checkpoint(path)["generation"]
    array = states.open_generation(old, generation)
    other = dataclasses.replace(PAPER, smoothness=0.3)

    class Stale(Silent):
        told = 0

        def advance(self, n: int = 1) -> None:
            with pytest.raises(StoreError, match="is gone"):
                write(array, old.tiles()[0].slices, np.full((50, 50, 10), 7, "f4"))
            self.told += 1

    progress = Stale()
    solve(planned(path, other), LocalExecutor(1), restart=True, progress=progress)
    assert progress.told > 20
    alone = tmp_path / "alone.zarr"
    narrow_painting(alone)
    solve(planned(alone, other), LocalExecutor(1))
    assert result_hash(path) == result_hash(alone)


@pytest.mark.parametrize("changed", [False, True], ids=["same options", "others"])
def test_a_run_killed_just_after_its_result_was_whole_is_found_finished(tmp_path, monkeypatch, capsys, changed):
    path = tmp_path / "p.zarr"
    narrow_painting(path)

    def killed(plan):
        raise KeyboardInterrupt

    monkeypatch.setattr(states, "discard", killed)
    with pytest.raises(KeyboardInterrupt):
        solve(planned(path), LocalExecutor(1))
    monkeypatch.undo()
    assert run_folder(path).exists()
    set_attributes(path / "results", {"names": []})  # as after a kill between the move and the record
    other = ["--smoothness", "0.7"] if changed else []
    assert main([*words(path, "paper", "--resume", *other)[3:], "--quiet"]) == int(changed)
    assert recorded(path, "results") == ["r"]
    assert ("already holds a result 'r'" in capsys.readouterr().err) == changed
    assert not run_folder(path).exists()
    assert main(["check", str(path)]) == 0


def test_a_result_that_another_process_made_meanwhile_is_never_worked_on_again(tmp_path):
    path = tmp_path / "p.zarr"
    narrow_painting(path)
    late = planned(path)
    solve(planned(path), LocalExecutor(2))
    before = tree_bytes(path)
    with pytest.raises(StoreError, match="already holds a result 'r'"):
        solve(late, LocalExecutor(2))
    assert tree_bytes(path) == before


def test_a_run_may_not_be_named_like_what_is_being_put_together(tmp_path):
    path = tmp_path / "p.zarr"
    narrow_painting(path)
    with pytest.raises(OptionError, match=r"\.partial-"):
        planned(path, name="x.partial-1")


@pytest.mark.slow
def test_a_check_beside_a_run_finds_no_damage(tmp_path):
    path = tmp_path / "p.zarr"
    narrow_painting(path)
    options = dataclasses.replace(PAPER, iterations=12)
    run = threading.Thread(target=solve, args=(planned(path, options), LocalExecutor(1)))
    run.start()
    found = []
    while run.is_alive():
        found.append(check_store(path).damage)
    assert len(found) > 10
    assert set(found) == {()}
