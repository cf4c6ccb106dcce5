"""One at a time: a folder held for a moment, a run held for as long as it lasts."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from xrfsr_dask.errors import DamagedStoreError, StoreError
from xrfsr_dask.store.journal import read_record, write_record

BEAT_S = 10.0
"""How often who holds a lock touches it."""

DEAD_S = 120.0
"""Without a touch for so long, who holds a lock on another machine is taken for dead."""

_SAME_S = 5.0  # two accounts of when one process began: the clock may have been set in between


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes that do the same, where the system knows such locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems have none
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def held(path: Path, what: str) -> Iterator[None]:
    """Hold the lock at `path` for this process; its folder must be there.

    Who holds it is written into it and touches it while alive. A lock whose process is gone is taken over.

    Raises
    ------
    StoreError
        A living process holds it; the message begins with `what` and names process, machine and time.
    """
    with alone(path.parent):
        if holder := _living(path):
            raise StoreError(f"{what} is being worked on by {_named(holder)}; wait for it or stop it.")
        write_record(path, _me())
    ended = threading.Event()
    threading.Thread(target=_beat, args=(path, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        if is_mine(path):
            path.unlink(missing_ok=True)


def require_mine(path: Path, what: str) -> None:
    """Refuse to go on where another process has taken the lock over: this one was asleep for too long."""
    if path.exists() and not is_mine(path):
        raise StoreError(
            f"{what} was taken over by another process while this one did not answer; it ends here."
        )


def _me() -> dict[str, Any]:
    process = psutil.Process()
    return {"host": socket.gethostname(), "pid": process.pid, "started": process.create_time()}


def is_mine(path: Path) -> bool:
    """Whether this process holds the lock at `path`."""
    try:
        found = read_record(path)
    except DamagedStoreError:
        return False
    return (found.get("host"), found.get("pid")) == (socket.gethostname(), os.getpid())


def _living(path: Path) -> dict[str, Any] | None:
    """Who holds a lock and is alive, as far as can be told from here."""
    if not path.exists():
        return None
    try:
        holder = read_record(path)
        pid, started = int(holder["pid"]), float(holder["started"])
        if holder["host"] == socket.gethostname():
            return holder if abs(psutil.Process(pid).create_time() - started) < _SAME_S else None
    except psutil.NoSuchProcess:
        return None
    except (DamagedStoreError, KeyError, TypeError, ValueError):
        holder = {}
    return holder if _quiet_s(path) < DEAD_S else None


def _quiet_s(path: Path) -> float:
    """Seconds since a file was touched, by the clock of its file system."""
    now = path.with_name(f"clock-{os.getpid()}")
    now.touch()
    try:
        return now.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return DEAD_S
    finally:
        now.unlink()


def _beat(path: Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT_S):
        with contextlib.suppress(OSError):
            os.utime(path)


def _named(holder: dict[str, Any]) -> str:
    if not holder:
        return (
            f"a process that cannot be told (its lock is damaged, and was touched less than {DEAD_S:.0f} s ago)"
        )
    return f"process {holder['pid']} on {holder['host']}"
