"""One at a time: a folder held for a moment, a run held for as long as it lasts."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import psutil

from xrfsr_dask.errors import DamagedStoreError, StoreError
from xrfsr_dask.store.clock import now_s
from xrfsr_dask.store.journal import as_line, read_record
from xrfsr_dask.store.places import Place, S3Path, file_bytes, replace_text, touch_again
from xrfsr_dask.store.whose import began, is_alive, is_here, me

BEAT_S = 10.0
"""How often who holds a lock touches it."""

DEAD_S = 120.0
"""Without a touch for so long, who holds a lock on another machine is taken for dead."""

_ours: set[str] = set()  # locks that this process holds; one that it could not give back is not among them
_one_thread = threading.Lock()  # at a time takes locks

_TURN = "turn.json"  # held in a folder of an object store, which knows no flock
_ASK_AGAIN_S = 0.2


@contextlib.contextmanager
def alone(folder: Place) -> Iterator[None]:
    """Hold a folder against other processes that do the same, where the system knows such locks."""
    if isinstance(folder, S3Path):
        while _taken(folder / _TURN) is not None:
            time.sleep(_ASK_AGAIN_S)
        with _kept(folder / _TURN):
            yield
        return
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(str(folder), os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems have none
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def held(path: Place, what: str) -> Iterator[None]:
    """Hold the lock at `path` for this process; its folder must be there.

    Who holds it is written into it and touches it while alive. A lock whose process is gone is taken over.

    Raises
    ------
    StoreError
        A living process holds it; the message begins with `what` and names process, machine and time.
    """
    if (holder := _taken(path)) is not None:
        raise _busy(what, holder)
    with _kept(path):
        yield


def require_free(path: Place, what: str) -> None:
    """Refuse, as `held` does, while a living process holds the lock at `path`; it is not taken."""
    if (holder := _living(path)) is not None:
        raise _busy(what, holder, ", and a store has one run at a time")


def _taken(path: Place) -> dict[str, Any] | None:
    """Take a lock; who holds it, where a living process does."""
    with _one_thread:
        while True:
            found = _bytes_at(path)
            if found is not None and (holder := _living(path)) is not None:
                return holder
            if _swapped(path, found, as_line(me())):
                _ours.add(str(path))
                return None


def _swapped(path: Place, old: bytes | None, new: str) -> bool:
    """Put `new` in the place of `old` (None: of nothing) if that is what is there; of many only one can."""
    if isinstance(path, S3Path):
        return path.swap(old, new.encode())
    with alone(path.parent):
        if _bytes_at(path) != old:
            return False
        replace_text(path, new)
        return True


def _bytes_at(path: Place) -> bytes | None:
    try:
        return file_bytes(path)
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def _kept(path: Place) -> Iterator[None]:
    """Touch a lock in the block, and give it back after it."""
    ended = threading.Event()
    threading.Thread(target=_beat, args=(path, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        _ours.discard(str(path))
        if is_mine(path):
            path.unlink(missing_ok=True)


def require_mine(path: Place, what: str) -> None:
    """Refuse to go on where another process has taken the lock over, and may be through with it: this one was
    asleep for too long."""
    if (str(path) in _ours or path.exists()) and not is_mine(path):
        raise StoreError(
            f"{what} was taken over by another process while this one did not answer; it ends here."
        )


def is_mine(path: Place) -> bool:
    """Whether this process holds the lock at `path`."""
    try:
        found = read_record(path)
    except DamagedStoreError:
        return False
    return all(found.get(name) == value for name, value in me().items())


def _living(path: Place) -> dict[str, Any] | None:
    """Who holds a lock and is alive, as far as can be told from here."""
    if not path.exists():
        return None
    try:
        holder = read_record(path)
        pid, started = int(holder["pid"]), float(holder["started"])
        if is_here(holder):
            alive = is_alive(pid) and began(pid) == started
            return holder if alive and (pid != os.getpid() or str(path) in _ours) else None
    except psutil.NoSuchProcess:
        return None
    except (DamagedStoreError, KeyError, TypeError, ValueError):
        holder = {}
    return holder if _quiet_s(path) < DEAD_S else None


def _quiet_s(path: Place) -> float:
    """Seconds since a file was touched, by the clock of who stores it."""
    try:
        return float(now_s(path.parent) - path.stat().st_mtime)
    except FileNotFoundError:
        return DEAD_S


def _beat(path: Place, ended: threading.Event) -> None:
    while not ended.wait(BEAT_S):
        with contextlib.suppress(OSError, StoreError):
            if is_mine(path):
                touch_again(path)


def _busy(what: str, holder: dict[str, Any], why: str = "") -> StoreError:
    return StoreError(f"{what} is being worked on by {_named(holder)}{why}; wait for it or stop it.")


def _named(holder: dict[str, Any]) -> str:
    if not holder:
        return (
            f"a process that cannot be told (its lock is damaged, and was touched less than {DEAD_S:.0f} s ago)"
        )
    where = f"process {holder['pid']} on {holder['host']}"
    return where if is_here(holder) else f"{where}, or was until less than {DEAD_S:.0f} s ago"
