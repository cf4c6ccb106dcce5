"""SIGINT (Ctrl-C) and SIGTERM: both end a command alike, and wait for what must not be left half done."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_AGAIN_S = 0.2  # until an interrupt that Python had to drop is raised again, elsewhere

heard: list[int] = []
"""Signals that came since `hear`; an import that is interrupted may make another error of it."""


def hear() -> None:
    """From now on both signals raise `KeyboardInterrupt` in the main thread."""
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as for what a shell runs in the background
                signal.signal(number, _raise)


def raise_dropped(*, told: bool) -> None:
    """From now on an interrupt that Python can only report, as it comes in a finaliser or in what C calls back,
    is raised again a moment later; other errors of that kind are told, or not."""
    others = sys.unraisablehook if told else lambda _: None

    def hook(dropped: Any) -> None:
        if issubclass(dropped.exc_type, KeyboardInterrupt):
            again = threading.Timer(_AGAIN_S, _interrupt_main)
            again.daemon = True
            again.start()
        else:
            others(dropped)

    sys.unraisablehook = hook


def raise_heard() -> None:
    """Raise an interrupt again that was heard and came to nothing; asked between tasks and between stages."""
    if heard and threading.current_thread() is threading.main_thread():
        raise KeyboardInterrupt


def ignore() -> None:
    """From now on neither is heard: the work is done, and only the interpreter's own end is left."""
    exec("")  # else an interrupt that passed through an `exec`, as imports have, kills the process at its end
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def tell(say: Callable[[], int]) -> int:
    """What is said of an interrupt, and the status it returns; others that come meanwhile change nothing."""
    while True:
        try:
            if signal.getsignal(signal.SIGINT) is _raise:
                ignore()
            return say()
        except KeyboardInterrupt:
            continue


def leave(status: int) -> int:
    """The status to end with. After an interrupt, tasks under way in threads are given up, as by a kill: they
    may have minutes to go, and the interpreter waits for them at its end."""
    main = threading.main_thread()
    if heard and any(not t.daemon for t in threading.enumerate() if t is not main):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(status)
    return status


@contextlib.contextmanager
def delayed() -> Iterator[None]:
    """Neither signal disturbs the block, which must not be left half done; it is heard at the end of it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[signal.Signals, Any] = {}
    came: list[int] = []
    try:
        for number in _SIGNALS:
            if (handler := signal.getsignal(number)) is not signal.SIG_IGN:
                before[number] = signal.SIG_DFL if handler is None else handler
                signal.signal(number, lambda heard, _: came.append(heard))
        yield
    finally:
        for kept, handler in before.items():
            signal.signal(kept, handler)
        if came:
            signal.raise_signal(came[0])


def _raise(number: int, _: FrameType | None) -> None:
    heard.append(number)
    raise KeyboardInterrupt


def _interrupt_main() -> None:
    if hasattr(signal, "pthread_kill") and (main := threading.main_thread().ident):
        signal.pthread_kill(main, signal.SIGINT)  # it may be waiting
    else:
        _thread.interrupt_main()
