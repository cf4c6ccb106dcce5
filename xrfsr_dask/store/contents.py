"""Which patches and results a store has been given: names in the attributes of their groups.

A folder that was removed whole leaves no other trace. Stores written before the names were kept get them with
the next patch or result; until then nothing is missed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from xrfsr_dask.errors import DamagedStoreError
from xrfsr_dask.store.locks import alone
from xrfsr_dask.store.metadata import NAME, read_metadata, write_metadata

KINDS = ("patches", "results")
"""Groups whose members are recorded."""

_NAMES = "names"


def recorded(root: Path, kind: str) -> list[str]:
    """Names that were added to a group of `KINDS`; `DamagedStoreError` where its metadata cannot be read."""
    names = read_metadata(root / kind / NAME)["attributes"].get(_NAMES, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DamagedStoreError(f"{root / kind}/zarr.json is damaged: its '{_NAMES}' is no list of names.")
    for name in names:
        if Path(name).name != name or "\0" in name:
            raise DamagedStoreError(f"{root / kind}/zarr.json is damaged: {name!r} is no name in '{_NAMES}'.")
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
    with alone(root / kind):
        found = read_metadata(root / kind / NAME)
        there = [path.name for path in (root / kind).iterdir() if (path / NAME).is_file()]
        names = sorted({*recorded(root, kind), *there, name})
        found["attributes"] |= {_NAMES: names}
        aside.mkdir()
        write_metadata(aside / NAME, found)
        yield
        (aside / NAME).replace(root / kind / NAME)
        aside.rmdir()
