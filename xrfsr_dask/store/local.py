"""Folders of this machine as Zarr reads and writes them: nothing is read or written through a link that leads
out of the store, and nothing is opened that is no file.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from zarr.core.buffer import default_buffer_prototype
from zarr.storage import LocalStore

from xrfsr_dask.errors import DamagedStoreError

_METADATA = "zarr.json"
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Folder(LocalStore):
    """What lies in a folder; the keys that Zarr asks for are paths below it.

    Its methods raise `DamagedStoreError` for what is no file, and for a link that leads out of the store, or
    any link where something is to be written.
    """

    async def _open(self, *, mode: Any = None) -> None:
        """Nothing is made: a folder comes with what is put into it, and one that was removed stays away."""
        self._is_open = True

    def _ensure_open_sync(self) -> None:
        self._is_open = True

    def get_sync(self, key: str, *, prototype: Any = None, byte_range: Any = None) -> Any:
        """A value or part of it; None where there is none."""
        try:
            file = opened(self.root, key)
        except (FileNotFoundError, NotADirectoryError):
            return None
        with file:
            found = _part(file, byte_range)
        return (prototype or default_buffer_prototype()).buffer.from_bytes(found)

    def read_into(self, key: str, room: memoryview) -> int | None:
        """Put a value into `room`; how many bytes it has, None where there is none."""
        try:
            file = opened(self.root, key, buffering=0)
        except (FileNotFoundError, NotADirectoryError):
            return None
        with file:
            size, at = os.fstat(file.fileno()).st_size, 0
            while size == len(room) and at < size:
                if not (n := file.readinto(room[at:])):
                    return at  # it was cut off just now
                at += n
            return size

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """The same, in a thread."""
        return await asyncio.to_thread(self.get_sync, key, prototype=prototype, byte_range=byte_range)

    async def get_partial_values(self, prototype: Any, key_ranges: Iterable[Any]) -> Any:
        """Parts of values."""
        return await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges))

    def set_sync(self, key: str, value: Any) -> None:
        """Put a value in the place of the one there was."""
        refuse_links(self.root, key)
        super().set_sync(key, value)

    async def _set(self, key: str, value: Any, exclusive: bool = False) -> None:
        refuse_links(self.root, key)
        await super()._set(key, value, exclusive=exclusive)

    def delete_sync(self, key: str) -> None:
        """Remove a value."""
        refuse_links(self.root, key)
        super().delete_sync(key)

    async def delete(self, key: str) -> None:
        """Remove a value."""
        refuse_links(self.root, key)
        await super().delete(key)

    async def delete_dir(self, prefix: str) -> None:
        """Remove all below a prefix."""
        refuse_links(self.root, prefix)
        await super().delete_dir(prefix)


def opened(folder: Path, inside: str, *, buffering: int = -1) -> Any:
    """A file at a path inside a folder, to be read.

    Raises
    ------
    DamagedStoreError
        It is no file, or a link on the way from the folder leads out of the store or to itself.
    FileNotFoundError, NotADirectoryError
        There is nothing.
    """
    path, link = _walked(folder, inside)
    try:
        kind = stat.S_IFMT((os.stat if link else os.lstat)(path).st_mode)
        if kind != stat.S_IFREG:
            raise DamagedStoreError(
                f"{path} is damaged: {_KINDS.get(kind, 'something')} lies there, not a file."
            )
        if link and not leads_inside(path, folder):
            raise DamagedStoreError(f"{link} is a link that leads out of the store; put the file itself there.")
        return open(path, "rb", buffering, opener=_at_once)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise DamagedStoreError(f"{link} is a link that leads to itself; put the file itself there.") from error


def refuse_links(folder: Path, inside: str) -> None:
    """`DamagedStoreError` where a path inside a folder leads through a link: what is written would lie
    elsewhere."""
    if link := _walked(folder, inside)[1]:
        raise DamagedStoreError(f"{link} is a link; nothing is written through it. Put the file itself there.")


def leads_inside(path: str | Path, folder: str | Path) -> bool:
    """Whether a path ends in the store that a folder of it belongs to, wherever links on the way lead."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(_store_of(Path(folder))))


def is_loop(path: Path) -> bool:
    """Whether links lead from here to themselves."""
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def _walked(folder: Path, inside: str) -> tuple[str, str]:
    """The path of what lies inside a folder, and the first link on the way there, or nothing."""
    path, link = str(folder), ""
    for name in inside.split("/"):
        path = f"{path}{os.sep}{name}"
        if not link and os.path.islink(path):  # noqa: PTH114 - a `Path` takes longer to make than this look
            link = path
    return path, link


def _store_of(folder: Path) -> Path:
    """The outermost group that a folder lies in, or itself."""
    around = (folder, *folder.absolute().parents)
    return next((one for one in reversed(around) if (one / _METADATA).is_file()), folder)


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for who would write into a pipe, should one be there by now."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _part(file: BinaryIO, wanted: Any) -> bytes:
    """All of a file or, as Zarr asks, from ``start`` to ``end``, from an ``offset``, or the last ``suffix``."""
    if wanted is None:
        return file.read()
    if (last := getattr(wanted, "suffix", None)) is not None:
        file.seek(max(0, file.seek(0, os.SEEK_END) - last))
        return file.read()
    if (offset := getattr(wanted, "offset", None)) is not None:
        file.seek(offset)
        return file.read()
    file.seek(wanted.start)
    return file.read(wanted.end - wanted.start)
