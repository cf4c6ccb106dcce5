"""Which patches and results a store has been given, and which arrays these have: names in the attributes of
their groups.

A folder that was removed whole leaves no other trace. Stores written before the names were kept get those of
patches and results with the next of them; until then nothing is missed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xrfsr_dask.errors import DamagedStoreError
from xrfsr_dask.store.locks import alone
from xrfsr_dask.store.metadata import NAME, read_metadata, seal, set_attributes, write_metadata
from xrfsr_dask.store.places import Place, folders, moves_at_once

KINDS = ("patches", "results")
"""Groups whose members are recorded."""

ARRAYS = "arrays"
"""Attribute of a group with the arrays that were written below it, by their path inside it."""

_NAMES = "names"
_LONGEST = 64  # letters of a name
_LONGEST_PART, _LONGEST_PATH = 255, 1000  # letters of a path inside a store, and of a folder or file in it


def seal_whole(folder: Place) -> None:
    """Seal a group and all below it; it tells from now on which arrays it has."""
    sealed = seal(folder)
    arrays = [str(at.relative_to(folder)) for at, found in sealed.items() if found["node_type"] == "array"]
    set_attributes(folder, {ARRAYS: sorted(arrays)})


def listed_arrays(place: Place, attributes: Mapping[str, Any]) -> list[str]:
    """Arrays that a group of such attributes was written with; none in stores of earlier versions.

    Raises
    ------
    DamagedStoreError
        What is listed are no arrays.
    """
    listed = attributes.get(ARRAYS, [])
    if isinstance(listed, list) and all(is_inside(name) for name in listed):
        return listed
    raise DamagedStoreError(f"{place}/{NAME} is damaged: its '{ARRAYS}' is no list of arrays.")


def is_inside(name: Any) -> bool:
    """Whether a value is a path of names as this package gives them, which leads nowhere but into the folder it
    is told of."""
    return isinstance(name, str) and len(name) <= _LONGEST_PATH and all(map(_is_part, name.split("/")))


def _is_part(name: str) -> bool:
    return name.isascii() and name.isprintable() and name not in ("", ".", "..") and len(name) <= _LONGEST_PART


def recorded(root: Place, kind: str) -> list[str]:
    """Names that were added to a group of `KINDS`; `DamagedStoreError` where its metadata cannot be read."""
    names = read_metadata(root / kind / NAME)["attributes"].get(_NAMES, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DamagedStoreError(f"{root / kind}/zarr.json is damaged: its '{_NAMES}' is no list of names.")
    for name in names:
        if Path(name).name != name or "\0" in name or len(name) > _LONGEST:
            raise DamagedStoreError(
                f"{root / kind}/zarr.json is damaged: {name[:80]!r} is no name in '{_NAMES}'."
            )
    return names


def lost(root: Place, kind: str) -> list[str]:
    """Names that were added to a group and have no folder there any more."""
    return [name for name in recorded(root, kind) if not (root / kind / name).is_dir()]


def half_moved(root: Place, kind: str) -> list[str]:
    """Names of what was being moved into a group when its mover was killed; nobody was told that it is there.

    Only where folders do not move at once; the next that is put there under the name takes its place.
    """
    if moves_at_once(root):
        return []
    there = [folder.name for folder in folders(root / kind) if not (folder / NAME).is_file()]
    return [name for name in there if name not in recorded(root, kind)]


@contextlib.contextmanager
def recording(root: Place, kind: str, name: str, aside: Place) -> Iterator[None]:
    """Record a name in its group once the block has put it there; one process at a time.

    The new metadata are written to the new folder `aside` before the block, so that a disk found full leaves
    all as it was, and put into place at once after it.
    """
    with alone(aside.parent):
        found = read_metadata(root / kind / NAME)
        found["attributes"] |= {_NAMES: sorted({*recorded(root, kind), *_there(root, kind), name})}
        aside.mkdir()
        write_metadata(aside / NAME, found)
        yield
        (aside / NAME).replace(root / kind / NAME)
        aside.rmdir()


def record_all(root: Place, kind: str, area: Place) -> None:
    """Record whatever stands in a group: one may not be that was put there by who was killed just then.

    `area` is the folder that `recording` has its new folders in.
    """
    with alone(area):
        found, known = read_metadata(root / kind / NAME), recorded(root, kind)
        if set(there := _there(root, kind)) - set(known):
            found["attributes"] |= {_NAMES: sorted({*known, *there})}
            write_metadata(root / kind / NAME, found)


def _there(root: Place, kind: str) -> list[str]:
    return [folder.name for folder in folders(root / kind) if (folder / NAME).is_file()]
