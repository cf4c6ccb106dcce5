"""SIGINT (Ctrl-C) and SIGTERM: both end a command alike, and wait for what must not be left half done."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

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
