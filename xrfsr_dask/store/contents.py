"""Which patches and results a store has been given: names in the attributes of their groups.

A folder that was removed whole leaves no other trace. Stores written before the names were kept get them with
the next patch or result; until then nothing is missed.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xrfsr_dask.errors import DamagedStoreError

KINDS = ("patches", "results")
"""Groups whose members are recorded."""

_NAMES = "names"


def recorded(root: Path, kind: str) -> list[str]:
    """Names that were added to a group of `KINDS`; `DamagedStoreError` where its metadata cannot be read."""
    names = _metadata(root, kind).get("attributes", {}).get(_NAMES, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DamagedStoreError(f"{root / kind}/zarr.json is damaged: its '{_NAMES}' is no list of names.")
    return names


def lost(root: Path, kind: str) -> list[str]:
    """Names that were added to a group and have no folder there any more."""
    return [name for name in recorded(root, kind) if not (root / kind / name).is_dir()]


@contextlib.contextmanager
def recording(root: Path, kind: str, name: str, aside: Path) -> Iterator[None]:
    """Record a name in its group once the block has put it there; one process at a time.

    The new metadata are written to the new folder `aside` before the block, so that a disk found full leaves
    all as it was, and moved into place by one rename after it.
    """
    with _alone(root / kind):
        found = _metadata(root, kind)
        there = [path.name for path in (root / kind).iterdir() if (path / "zarr.json").is_file()]
        names = sorted({*recorded(root, kind), *there, name})
        found["attributes"] = found.get("attributes", {}) | {_NAMES: names}
        aside.mkdir()
        with (aside / "zarr.json").open("w") as file:
            json.dump(found, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        yield
        (aside / "zarr.json").replace(root / kind / "zarr.json")
        aside.rmdir()


def _metadata(root: Path, kind: str) -> dict[str, Any]:
    path = root / kind / "zarr.json"
    try:
        found = json.loads(path.read_bytes())
        return dict(found) | {"attributes": dict(found.get("attributes", {}))}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DamagedStoreError(f"{path} is damaged: not readable ({type(error).__name__}).") from error


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
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
