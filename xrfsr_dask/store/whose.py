"""Who is at work here: a process by its machine since it was started, its PID namespace and its number."""

from __future__ import annotations

import functools
import os
import re
import socket
import threading
from pathlib import Path
from typing import Any

import psutil


def here() -> dict[str, Any]:
    """What a process must share with this one for its number to mean the same."""
    try:
        space = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:  # a system without them
        space = 0
    return {"host": socket.gethostname(), "space": space, "boot": _boot()}


def me() -> dict[str, Any]:
    """This process, as another can tell whether it still lives."""
    return here() | {"pid": os.getpid(), "started": began(os.getpid())}


def began(pid: int) -> float:
    """When a process of this namespace began, the same number whenever it is asked for.

    Clock ticks since the machine was started where Linux tells them: what is reckoned from the wall clock moves
    when that is set. `psutil.NoSuchProcess` where it is gone.
    """
    try:
        told = Path(f"/proc/{pid}/stat").read_text()
        return float(told.rpartition(")")[2].split()[19])  # field 22; the name before it may hold anything
    except (OSError, IndexError, ValueError):
        return float(psutil.Process(pid).create_time())


def is_here(told: dict[str, Any]) -> bool:
    """Whether a record speaks of a process whose number means the same here."""
    return all(told.get(name) == value for name, value in here().items())


def signature() -> str:
    """What tells this thread from all others that may write at the same place, fit for the name of a file."""
    return f"{_place()}-{os.getpid()}-{threading.get_ident()}"


def is_of_here(signed: str) -> bool:
    """Whether a `signature` is that of a process of this machine and namespace."""
    return signed.startswith(f"{_place()}-")


def is_of_the_dead(signed: str) -> bool:
    """Whether a `signature` is that of a process of this machine and namespace that is gone."""
    pid = signed.removeprefix(f"{_place()}-").partition("-")[0]
    return is_of_here(signed) and pid.isdigit() and not is_alive(int(pid))


def is_alive(pid: int) -> bool:
    """Whether a process of this namespace is there, and more than a number that nobody has asked for yet."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _place() -> str:
    """Machine and namespace. What was signed before the machine was started anew is that of another: nobody can
    tell it from one of the same name."""
    found = here()
    return (
        f"{re.sub('[^A-Za-z0-9]', '_', found['host'])}-{found['space']}-{found['boot'].replace('-', '')[:12]}"
    )


@functools.cache
def _boot() -> str:
    """Another one for every machine, whatever its name, and every start of it; empty where none is told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
