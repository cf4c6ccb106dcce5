"""Signals that come while something must not be left half done: late, never lost."""

import os
import signal
import threading

import pytest

from xrfsr_dask.interrupts import delayed


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
