"""kill -9 of driver, workers and scheduler, and Ctrl-C: the same hash, soon, and little done twice."""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest
from engine.scenes import (
    ENVIRONMENT,
    OPTIONS,
    InterruptAfter,
    checkpoint,
    figures,
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

from xrfsr_dask.cluster import executor_for
from xrfsr_dask.commands.solve import solve_painting
from xrfsr_dask.errors import ResumeError
from xrfsr_dask.options import RunOptions
from xrfsr_dask.progress import Silent
from xrfsr_dask.solver import solve
from xrfsr_dask.solver import state as states
from xrfsr_dask.store.check import check_store
from xrfsr_dask.store.journal import read_lines, write_record
from xrfsr_dask.store.places import files_below
from xrfsr_dask.tiling.executor import LocalExecutor

METHODS = ["paper", "joint"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Hash of a run that nobody disturbs, and the seconds its process takes."""
    found = {}

    def of(method: str) -> tuple[str, float]:
        if method not in found:
            path = tmp_path_factory.mktemp(method) / "p.zarr"
            narrow_painting(path)
            figures(words(path, method, "--name", "warm"))
            began = time.monotonic()
            figures(words(path, method))
            found[method] = result_hash(path), time.monotonic() - began
        return found[method]

    return of


class Recording(LocalExecutor):
    """Keeps what is mapped: (function, generation it writes) -> tiles."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.tiles: dict[int, list] = {}

    def map(self, fn, tasks, done):
        name = getattr(fn, "func", fn).__name__
        if name in ("advance_tile", "unmix_tile"):
            generation = fn.args[1] + (fn.args[3] if name == "advance_tile" else 0)  # what it writes
            self.tiles.setdefault(generation, []).extend(tuple(task) for task in tasks)
        return super().map(fn, tasks, done)


def finished_tiles(path) -> tuple[int, set]:
    """Of the visit in progress: its generation, and the tiles whose receipts are there."""
    found = sorted(run_folder(path).glob("*/gen-*"))
    if not found:
        return -1, set()
    lines, _ = read_lines(found[-1] / "receipts.jsonl")
    return int(found[-1].name[4:]), {tuple(line["tile"]) for line in lines[1:]}


def go_on(path, method) -> set:
    """Resume in this process; finished tiles that were done again."""
    stands = checkpoint(path)["generation"] if (run_folder(path) / "checkpoint.json").exists() else -1
    generation, done = finished_tiles(path)
    recording = Recording(2)
    solve(planned(path, OPTIONS[method]), recording)
    return done & set(recording.tiles.get(generation, ())) if generation > stands >= 0 else set()


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_driver_killed_at_a_random_moment_is_resumed_to_the_same_bits(undisturbed, tmp_path, method, seed):
    right, seconds = undisturbed(method)
    path = tmp_path / "p.zarr"
    narrow_painting(path)
    run = started(words(path, method))
    time.sleep(seconds * random.Random(seed).uniform(0.35, 0.95))
    run.kill()
    run.communicate()
    if (path / "results" / "r").exists():  # the kill came after the last rename
        assert result_hash(path) == right
        return
    assert check_store(path).damage == ()
    assert go_on(path, method) == set()
    assert result_hash(path) == right
    assert not run_folder(path).exists()


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_driver_killed_within_a_visit_does_no_finished_tile_again(undisturbed, tmp_path, method):
    right, _ = undisturbed(method)
    path = tmp_path / "p.zarr"
    narrow_painting(path)
    run = started(words(path, method, "--workers", 1))
    wait_for(lambda: finished_tiles(path)[0] >= 1 and 3 <= len(finished_tiles(path)[1]) <= 10, run)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    _, done = finished_tiles(path)
    assert len(done) >= 3
    assert go_on(path, method) == set()
    assert result_hash(path) == right


class KillWorkers(Silent):
    """kill -9 of one worker process after each of some shares of all tasks."""

    def __init__(self, shares) -> None:
        self.shares, self.done, self.total, self.killed = list(shares), 0, 1, []

    def expect(self, total: int) -> None:
        self.total = total

    def advance(self, n: int = 1) -> None:
        self.done += n
        while self.shares and self.done >= self.shares[0] * self.total:
            self.shares.pop(0)
            workers = [
                child
                for nanny in psutil.Process().children()
                for child in [nanny, *nanny.children()]
                if "spawn_main" in " ".join(child.cmdline()) and child.pid not in self.killed
            ]
            victim = max(workers, key=lambda process: process.cpu_times().user)
            victim.kill()
            self.killed.append(victim.pid)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("method", "iterations"), [("paper", 40), ("joint", 400)])
def test_workers_killed_once_and_three_times_cost_little_and_leave_no_trace(tmp_path, method, iterations):
    import dataclasses

    options = dataclasses.replace(OPTIONS[method], iterations=iterations)
    hashes, seconds = [], []
    for shares in ((), (0.5,), (0.3, 0.5, 0.7)):
        path = tmp_path / f"{len(shares)}.zarr"
        narrow_painting(path)
        progress = KillWorkers(shares)
        with executor_for(RunOptions(processes=True, workers=2)) as executor:
            began = time.monotonic()
            solve(planned(path, options), executor, progress=progress)
            seconds.append(time.monotonic() - began)
        assert len(progress.killed) == len(shares)
        hashes.append(result_hash(path))
    print("seconds undisturbed, one killed, three killed:", [round(s, 1) for s in seconds])
    assert len(set(hashes)) == 1
    assert max(seconds) <= 1.5 * seconds[0]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_worker_killed_within_the_stages_of_joint_leaves_no_trace(undisturbed, tmp_path):
    path = tmp_path / "p.zarr"
    narrow_painting(path)
    progress = KillWorkers((0.2, 0.6, 0.85))
    with executor_for(RunOptions(processes=True, workers=2)) as executor:
        solve(planned(path, OPTIONS["joint"]), executor, progress=progress)
    assert len(progress.killed) == 3
    assert result_hash(path) == undisturbed("joint")[0]


@pytest.fixture
def scheduler():
    """A scheduler of its own with two workers; its address and its process."""
    module = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    server = subprocess.Popen(
        [*module, "--host", "127.0.0.1", "--port", "0", "--no-dashboard"],
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    address = next(m[1] for line in server.stderr if (m := re.search(r"(tcp://127\.0\.0\.1:\d+)", line)))
    drain = threading.Thread(target=server.stderr.read, daemon=True)
    drain.start()
    module = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nworkers", "2"]
    workers = subprocess.Popen(
        [*module, "--nthreads", "1", "--no-dashboard", "--death-timeout", "20"],
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    yield address, server
    for process in (workers, server):
        for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else ():
            child.kill()
        process.kill()
        process.wait()
    drain.join()
    server.stderr.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("method", METHODS)
def test_a_killed_scheduler_is_told_within_a_minute_with_what_to_do(undisturbed, tmp_path, scheduler, method):
    right, _ = undisturbed(method)
    address, server = scheduler
    wait_for_workers(address)
    path = tmp_path / "p.zarr"
    narrow_painting(path)
    run = started(words(path, method, "--scheduler", address))
    wait_for(lambda: has_passes(path), run)
    server.kill()
    err, seconds = ending(run, "the lost scheduler")
    assert seconds < 60
    assert err.startswith("xrfsr: the cluster was lost")
    assert "--resume" in err
    figures(words(path, method, "--resume"))
    assert result_hash(path) == right


def ending(run, after: str) -> tuple[str, float]:
    """The one sentence a run ends with, exit status 1, and the seconds that took."""
    began = time.monotonic()
    _, err = run.communicate(timeout=90)
    seconds = time.monotonic() - began
    print(f"seconds from {after} to the end:", round(seconds, 2))
    assert run.returncode == 1
    assert len(err.splitlines()) == 1
    return err, seconds


def wait_for_workers(address) -> None:
    from distributed import Client

    with Client(address, timeout=20, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("where", [(), ("--processes", "--workers", 2)], ids=["threads", "processes"])
@pytest.mark.parametrize("times", [1, 20], ids=["once", "held down"])
def test_ctrl_c_ends_soon_leaves_no_process_and_says_how_to_go_on(undisturbed, tmp_path, method, where, times):
    right, _ = undisturbed(method)
    path = tmp_path / "p a.zarr"
    narrow_painting(path)
    run = started(
        words(path, method, *where),
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    wait_for(lambda: has_passes(path), run)
    family = psutil.Process(run.pid).children(recursive=True)
    for _ in range(times):
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does
        time.sleep(0.02)
    err, seconds = ending(run, "Ctrl-C")
    assert seconds < 5
    _, alive = psutil.wait_procs(family, timeout=3)
    assert alive == []
    command = err.split("Go on with: ")[1].strip()
    assert "--resume" in command
    done = subprocess.run(
        command.replace("xrfsr", f"{sys.executable} -m xrfsr_dask", 1), shell=True, env=ENVIRONMENT, check=False
    )
    assert done.returncode == 0
    assert result_hash(path) == right


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_workers_are_starting_is_heard_and_leaves_none(tmp_path, number):
    path = tmp_path / "p.zarr"
    narrow_painting(path)
    run = started(
        words(path, "paper", "--processes", "--workers", 2),
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    family = []

    def starting() -> bool:
        family[:] = psutil.Process(run.pid).children(recursive=True)
        return any("spawn_main" in " ".join(child.cmdline()) for child in family)

    wait_for(starting, run)
    os.killpg(run.pid, number) if number == signal.SIGINT else run.terminate()
    err, seconds = ending(run, "the signal")
    assert err.startswith("xrfsr: interrupted")
    assert seconds < 5
    assert psutil.wait_procs(family, timeout=3)[1] == []
    assert not run_folder(path).exists()


def test_an_interrupt_in_this_process_leaves_a_run_that_checks_out(tmp_path):
    path = tmp_path / "p.zarr"
    narrow_painting(path)
    with pytest.raises(KeyboardInterrupt):
        solve(planned(path), LocalExecutor(2), progress=InterruptAfter(50))
    assert check_store(path).damage == ()
    assert go_on(path, "paper") == set()


@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_loses_every_checkpoint_once_has_the_same_bits(tmp_path, monkeypatch, method):
    """Killed at the last moment of each stage: what the stage wrote is there, and it is done again."""
    right = solved_hash(narrow_painting(tmp_path / "right.zarr").place, LocalExecutor(2), OPTIONS[method])
    path, save, lost = narrow_painting(tmp_path / "p.zarr").place, states.save, []

    def losing(plan, state):
        if state not in lost:
            lost.append(state)
            raise KeyboardInterrupt
        return save(plan, state)

    monkeypatch.setattr(states, "save", losing)
    while not (path / "results" / "r").exists():
        with contextlib.suppress(KeyboardInterrupt):
            solve(planned(path, OPTIONS[method]), LocalExecutor(2))
    assert len(lost) > 6
    assert result_hash(path) == right


@pytest.mark.parametrize("method", METHODS)
def test_a_kill_while_state_is_put_away_is_no_damage_and_costs_nothing(tmp_path, monkeypatch, method):
    """As the store is when half of what is removed is gone: of old generations, and of a run that is over."""
    path, left = narrow_painting(tmp_path / "p.zarr").place, []

    def leaving(folder, *args, **kwargs):
        files = files_below(folder)
        for file in files[: len(files) // 2]:
            file.unlink()
        if files:
            left.append(tmp_path / f"{len(left)}.zarr")
            shutil.copytree(path, left[-1])
        rmtree(folder, *args, **kwargs)

    rmtree = shutil.rmtree
    with monkeypatch.context() as patch:
        patch.setattr("xrfsr_dask.store.places.shutil.rmtree", leaving)
        right = solved_hash(path, LocalExecutor(2), OPTIONS[method])
    assert len(left) > 5
    assert [check_store(one).damage for one in left] == [()] * len(left)
    over = [one for one in left if (one / "results" / "r").exists()]
    assert over
    for one in over:
        done = solve_painting(one, name="r", options=OPTIONS[method], resources=RunOptions(), resume=True)
        assert done["result"] == "r"
    begun = [one for one in left if one not in over and (run_folder(one) / "checkpoint.json").exists()]
    solve(planned(begun[-1], OPTIONS[method]), LocalExecutor(2), resume=True)
    for one in (*over, begun[-1]):
        assert result_hash(one) == right
        assert not run_folder(one).exists()


@pytest.mark.parametrize("gone", ["checkpoint.json", "work", "run.json"])
def test_what_is_left_of_a_run_that_is_over_is_no_damage(tmp_path, gone):
    """As a kill leaves it between the steps in which the state of a finished run is removed."""
    path = narrow_painting(tmp_path / "p.zarr").place
    with pytest.raises(KeyboardInterrupt):
        solve(planned(path), LocalExecutor(2), progress=InterruptAfter(50))
    base = run_folder(path)
    steps = ("checkpoint.json", "work", "run.json")
    write_record(base / "run.json", {"over": True})
    for name in steps[: steps.index(gone) + 1]:
        for found in base.glob(name if name.endswith("json") else "*/"):
            shutil.rmtree(found) if found.is_dir() else found.unlink()
    assert check_store(path).damage == ()
    with pytest.raises(ResumeError, match="no unfinished run 'r'"):
        solve(planned(path), LocalExecutor(1), resume=True)
    assert not base.exists()
