"""Signals that come while something must not be left half done: late, never lost."""

import ctypes
import functools
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from engine.scenes import narrow_painting, planned

from xrfsr_dask import cluster, interrupts
from xrfsr_dask.interrupts import delayed
from xrfsr_dask.solver import state as states
from xrfsr_dask.solver.standing import State
from xrfsr_dask.tiling.executor import ClientExecutor, LocalExecutor


@pytest.fixture(autouse=True)
def both_raise():
    def stop(*_):
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_end_of_the_block(number):
    done = []

    @delayed()
    @delayed()
    def work():
        os.kill(os.getpid(), number)
        done.append(1)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == [1]
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)


def test_an_error_of_the_block_is_told_with_the_signal():
    @delayed()
    def fail():
        os.kill(os.getpid(), signal.SIGINT)
        raise OSError

    with pytest.raises(KeyboardInterrupt) as caught:
        fail()
    assert isinstance(caught.value.__context__, OSError)


def test_what_ignores_signals_goes_on_ignoring_them():
    """As a shell has what it runs in the background do; processes that are started meanwhile inherit it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with delayed():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        os.kill(os.getpid(), signal.SIGINT)


def test_other_threads_than_the_first_leave_signals_alone():
    before, found = signal.getsignal(signal.SIGINT), []

    def ask() -> None:
        with delayed():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert found == [before]


@pytest.fixture
def as_the_command_line_does(monkeypatch):
    monkeypatch.setattr(interrupts, "heard", [])
    before = sys.unraisablehook
    interrupts.hear()
    interrupts.raise_dropped(told=False)
    yield
    sys.unraisablehook = before
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):  # one that is still to come would interrupt another test
            thread.cancel()


def dropped_by_python() -> None:
    """An interrupt in what C calls back, as LLVM does while a kernel is compiled."""

    @ctypes.CFUNCTYPE(None)
    def called_back() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)

    called_back()


@pytest.mark.usefixtures("as_the_command_line_does")
def test_an_interrupt_that_python_drops_is_raised_again_a_moment_later():
    dropped_by_python()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        time.sleep(20)
    assert time.monotonic() - began < 2


@pytest.mark.usefixtures("as_the_command_line_does")
@pytest.mark.parametrize("threads", [1, 2])
def test_tasks_end_after_an_interrupt_that_came_to_nothing(monkeypatch, threads):
    monkeypatch.setattr(interrupts, "_AGAIN_S", 100.0)
    done = []

    def note(i, _) -> None:
        done.append(i)
        if len(done) == 1:
            dropped_by_python()

    with pytest.raises(KeyboardInterrupt):
        LocalExecutor(threads).map(abs, range(1000), note)
    assert len(done) < 10


@pytest.mark.usefixtures("as_the_command_line_does")
def test_waiting_for_a_cluster_ends_after_an_interrupt_that_came_to_nothing(monkeypatch):
    """A task that takes long, on a cluster that others have started."""
    monkeypatch.setattr(interrupts, "_AGAIN_S", 100.0)
    from distributed import Client

    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        began = time.monotonic()
        executor, real = ClientExecutor(client), client.submit

        def submit(*args, **kwargs):
            dropped_by_python()
            return real(*args, **kwargs)

        monkeypatch.setattr(client, "submit", submit)
        with pytest.raises(KeyboardInterrupt):
            executor.map(time.sleep, [4.0], lambda *_: None)
        assert time.monotonic() - began < 3


@pytest.mark.usefixtures("as_the_command_line_does")
def test_a_stage_that_ends_after_an_interrupt_that_came_to_nothing_is_saved_and_the_last(tmp_path):
    narrow_painting(tmp_path / "p.zarr", "a")
    with states.locked(plan := planned(tmp_path / "p.zarr")):
        states.begin(plan, plan.fingerprint())
        interrupts.heard.append(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            states.save(plan, State())
        assert states.has_started(plan.base)


@pytest.mark.usefixtures("as_the_command_line_does")
def test_a_cluster_that_does_not_start_holds_up_an_interrupt_for_seconds_only():
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        cluster._begun(functools.partial(time.sleep, 60))
    assert time.monotonic() - began < 4


_LONG_TASKS = r"""
import sys, time
from xrfsr_dask import interrupts
interrupts.hear()
from xrfsr_dask.tiling.executor import LocalExecutor

def task(seconds):
    sys.stderr.write("under way\n")
    time.sleep(seconds)

def command():
    try:
        LocalExecutor(2).map(task, [60.0, 60.0, 60.0], lambda *_: None)
    except KeyboardInterrupt:
        return interrupts.tell(lambda: print("told", flush=True) or 1)

sys.exit(interrupts.leave(command()))
"""


def test_tasks_under_way_in_threads_do_not_hold_up_the_end():
    deaf = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    command, pipe = [sys.executable, "-c", _LONG_TASKS], subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, **deaf) as process:
        try:
            assert process.stderr is not None
            assert [process.stderr.readline() for _ in range(2)] == ["under way\n"] * 2
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=50)
            assert time.monotonic() - began < 5
        finally:
            process.kill()
    assert (said, process.returncode) == ("told\n", 1)


def test_a_second_interrupt_while_the_first_is_told_changes_nothing():
    said = []

    def say() -> int:
        said.append("once")
        if len(said) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        said.append("whole")
        return 1

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    try:
        interrupts.hear()
        assert interrupts.tell(say) == 1
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)
        interrupts.heard.clear()
    assert said == ["once", "whole"]
