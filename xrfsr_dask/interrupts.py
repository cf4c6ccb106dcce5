"""SIGINT (Ctrl-C) and SIGTERM: both end a command alike, and neither disturbs what must be put away."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

heard: list[int] = []
"""Signals that came since `hear`; an import that is interrupted may make another error of it."""


def hear() -> None:
    """From now on both signals raise `KeyboardInterrupt` in the main thread."""
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as for what a shell runs in the background
                signal.signal(number, _raise)


def ignore() -> None:
    """From now on neither is heard: the work is done, and only the interpreter's own end is left."""
    exec("")  # else an interrupt that passed through an `exec`, as imports have, kills the process at its end
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """Neither signal is heard in the block; for what is short and must not be left half done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [signal.signal(number, signal.SIG_IGN) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _raise(number: int, _: FrameType | None) -> None:
    heard.append(number)
    raise KeyboardInterrupt
