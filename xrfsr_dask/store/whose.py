"""Who is at work here: a process by its machine, its PID namespace and its number."""

from __future__ import annotations

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
    return {"host": socket.gethostname(), "space": space}


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
    found = here()
    return f"{re.sub('[^A-Za-z0-9]', '_', found['host'])}-{found['space']}"
