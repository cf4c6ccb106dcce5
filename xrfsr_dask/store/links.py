"""Links in a store: what lies at their end would be read as the store's own, written to, or removed."""

from __future__ import annotations

import contextlib
import json
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from xrfsr_dask.errors import DamagedStoreError, StoreError
from xrfsr_dask.store.local import is_loop, leads_inside
from xrfsr_dask.store.places import Place, file_bytes
from xrfsr_dask.store.staging import work_area

_METADATA, _CHUNKS = "zarr.json", "c"
_MOST = 50_000  # files and folders of runs that are looked at whenever a store is opened, which takes a moment


def refuse_links(root: Place) -> None:
    """Refuse a store with links out of it, or with any link where runs are put away.

    Not looked at are the chunks of arrays, which are many: each is when it is read, and all of them by a check.
    Those of runs are, if they are not too many; those of one run are all looked at before it goes on.

    Raises
    ------
    StoreError
        A link leads out of the store, or lies where none may.
    DamagedStoreError
        A link leads to itself.
    """
    if not isinstance(root, Path):
        return
    for link in _links(root, but=work_area(root)):
        if is_loop(link):
            raise DamagedStoreError(f"{link} is a link that leads to itself; put what it stands for there.")
        if not leads_inside(link, root):
            raise _leads_out(link)
    refuse_any_link(work_area(root), most=_MOST)


def refuse_any_link(folder: Place, *, most: int | None = None) -> None:
    """`StoreError` where there is a link at a folder or in it, at any depth; of at most so many files."""
    if isinstance(folder, Path):
        for link in (folder,) if folder.is_symlink() else _links(folder, chunks=True, most=most):
            raise _leads_out(link)


def _leads_out(link: Path) -> StoreError:
    return StoreError(f"{link} is a link that leads out of the store; put the folder itself there.")


def _links(
    folder: Path, *, chunks: bool = False, most: int | None = None, but: Place | None = None
) -> Iterator[Path]:
    """Links in a folder and below, but in one folder; directory entries tell them without a further look."""
    waiting, looked = deque([str(folder)]), 0  # what lies high up first
    while waiting and (most is None or looked < most):
        at = waiting.popleft()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(at) as entries:
            for entry in entries:
                looked += 1
                if entry.is_symlink():
                    yield Path(entry.path)
                elif entry.is_dir(follow_symlinks=False) and entry.path != str(but):
                    waiting += [entry.path] * (chunks or entry.name != _CHUNKS or not _is_array(Path(at)))


def _is_array(folder: Path) -> bool:
    """Whether the metadata of a folder say that it is an array: only then chunks lie in its ``c``."""
    try:
        return bool(json.loads(file_bytes(folder / _METADATA))["node_type"] == "array")
    except (StoreError, OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
