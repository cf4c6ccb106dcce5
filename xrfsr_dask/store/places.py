"""Where a store lies: a folder of this machine, or a place on an S3 object store.

Both have the verbs of `pathlib.Path`, and the code of the store uses them alike. What a file system and an
object store do in different ways stands here, and in `locks`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any, Protocol, Self, TypeVar, cast

from xrfsr_dask.errors import DamagedStoreError, OptionError
from xrfsr_dask.store import local
from xrfsr_dask.store.bucket import SCHEME, Prefix
from xrfsr_dask.store.moves import is_forsaken
from xrfsr_dask.store.objects import S3Path, together
from xrfsr_dask.store.whose import signature
from xrfsr_dask.values import require, shown


class Place(Protocol):
    """What `Path` and `S3Path` have in common."""

    @property
    def name(self) -> str: ...
    @property
    def parent(self) -> Self: ...
    @property
    def parents(self) -> Sequence[Self]: ...
    def __truediv__(self, name: str, /) -> Self: ...
    def __lt__(self, other: Self, /) -> bool: ...
    def joinpath(self, *names: str) -> Self: ...
    def with_name(self, name: str, /) -> Self: ...
    def relative_to(self, other: Self, /) -> PurePath: ...
    def exists(self) -> bool: ...
    def is_file(self) -> bool: ...
    def is_dir(self) -> bool: ...
    def is_symlink(self) -> bool: ...
    def stat(self) -> Any: ...
    def glob(self, pattern: str, /) -> Iterator[Self]: ...
    def read_bytes(self) -> bytes: ...
    def read_text(self) -> str: ...
    def touch(self) -> None: ...
    def unlink(self, missing_ok: bool = False) -> None: ...
    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None: ...
    def rmdir(self) -> None: ...
    def replace(self, target: Self, /) -> Any: ...
    def rename(self, target: Self, /) -> Any: ...


_MOST_BYTES = 2**26  # of metadata, or of the records of a run

P = TypeVar("P", bound=Place)


def as_place(path: str | Place) -> Place:
    """A path or ``s3://bucket/key`` as a place; `OptionError` for other URLs."""
    if isinstance(path, S3Path):
        return path
    named: object = path
    require(
        isinstance(named, str | os.PathLike),
        f"a painting is named by its path, such as 'painting.zarr', got {shown(named)}.",
    )
    text = str(path)
    if text.startswith(SCHEME):
        return S3Path.parsed(text)
    if is_url(text):
        raise OptionError(
            f"{text} is of no kind that is known here; give a path, or s3://bucket/painting.zarr."
        )
    return path if isinstance(path, Path) else Path(text)


def is_url(path: object) -> bool:
    """Whether a path names something that no folder of this machine holds."""
    return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", str(path)))


def node(path: str | Place, *, read_only: bool = False) -> Any:
    """A place as Zarr takes it."""
    found = as_place(path)
    if isinstance(found, S3Path):
        return Prefix(found.bucket, found.key, read_only=read_only)
    return local.Folder(_local(found), read_only=read_only)


# What is there


def stands(group: Place) -> bool:
    """Whether a group was put there; on an object store its metadata come last."""
    return group.exists() if isinstance(group, Path) else (group / "zarr.json").is_file()


def is_left_of_a_move(place: Place) -> bool:
    """Whether nothing lies at a place but what a dead process left that was moving something there."""
    return isinstance(place, S3Path) and is_forsaken(place)


def moves_at_once(folder: Place) -> bool:
    """Whether a folder that is renamed is nowhere or all there, even after a kill."""
    return isinstance(folder, Path)


def leads_inside(place: Place, root: Place) -> bool:
    """Whether what is read at a place of a store lies in it, wherever links on the way lead."""
    return not isinstance(place, Path) or local.leads_inside(place, _local(root))


def really(place: Place) -> str:
    """Where a place is, links followed."""
    return os.path.realpath(place) if isinstance(place, Path) else str(place)


def youngest_s(folder: Place) -> float:
    """When a file, or anything in a folder, was last written, in seconds since 1970; 0 where it is gone."""
    times = [0.0]
    for place in (folder, *files_below(folder)):
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile; a folder of an object store is none
            times.append(place.stat().st_mtime)
    return max(times)


def has_room(folder: Place) -> bool:
    """Whether something can be put into a folder, as far as that shows: it is there, or its bucket answers."""
    return (folder.root if isinstance(folder, S3Path) else folder).is_dir()


def contents(folder: P) -> tuple[list[P], list[P]]:
    """Folders and files right below, each in order; none where the folder is gone, maybe only just."""
    if isinstance(folder, S3Path):
        return cast("tuple[list[P], list[P]]", folder.contents())
    found: tuple[list[Path], list[Path]] = ([], [])
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(_local(folder).iterdir()):
            found[not path.is_dir()].append(path)
    return cast("tuple[list[P], list[P]]", found)


def folders(folder: P) -> list[P]:
    """Folders right below, in order."""
    return contents(folder)[0]


def files_below(folder: P) -> list[P]:
    """Files below, however deep, in order; another process may be removing some."""
    if isinstance(folder, S3Path):
        return cast("list[P]", folder.files_below())
    found = (Path(inside, name) for inside, _, names in os.walk(_local(folder)) for name in names)
    return cast("list[P]", sorted(path for path in found if path.is_file()))


def size_of(file: Place) -> int | None:
    """Bytes of a file, None where there is none."""
    with contextlib.suppress(FileNotFoundError):
        if isinstance(file, S3Path) or file.is_file():
            return int(file.stat().st_size)
    return None


def file_bytes(file: Place) -> bytes:
    """All bytes of a file of metadata or records; `DamagedStoreError` for what is none, as a pipe that would be
    read for ever, or is longer than any."""
    if isinstance(file, S3Path):
        return file.read_bytes()
    with local.opened(_local(file).parent, file.name) as found:
        if (n_byte := os.fstat(found.fileno()).st_size) > _MOST_BYTES:
            raise DamagedStoreError(f"{file} is damaged: its {n_byte} bytes are more than {_MOST_BYTES}.")
        return bytes(found.read())


def ends(files: Sequence[Place], n: int) -> list[bytes]:
    """The last `n` bytes of every file, or all of a shorter one."""
    if files and isinstance(files[0], S3Path):
        return together(lambda file: cast(S3Path, file).read_end(n), files)
    return [_end(_local(file), n) for file in files]


def _end(path: Path, n: int) -> bytes:
    with path.open("rb") as file:
        file.seek(-min(n, path.stat().st_size), 2)
        return file.read()


def stamp(file: Place) -> Any:
    """Another one once a file has been written anew."""
    return file.stat() if isinstance(file, S3Path) else file.stat().st_mtime_ns


# Writing


def replace_text(file: Place, text: str) -> None:
    """Put a file in the place of the one there was, whole or not at all: temp, fsync, rename; or one PUT."""
    if isinstance(file, S3Path):
        file.write_bytes(text.encode())
        return
    path = _local(file)
    partial = path.with_suffix(f".partial-{signature()}")
    try:
        with partial.open("w", encoding="utf-8") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def append_text(file: Place, text: str) -> None:
    """Add to the end of a file; an object is written anew. One process at a time."""
    if isinstance(file, S3Path):
        file.write_bytes((file.read_bytes() if file.is_file() else b"") + text.encode())
        return
    with _local(file).open("a", encoding="utf-8") as opened:
        opened.write(text)


def truncate(file: Place, size: int) -> None:
    """Keep the first `size` bytes of a file."""
    if isinstance(file, S3Path):
        file.write_bytes(file.read_bytes()[:size])
        return
    os.truncate(_local(file), size)


def touch_again(file: Place) -> None:
    """Make a file young that is there; nothing where it is gone."""
    if isinstance(file, S3Path):
        found = file.read_bytes()
        file.swap(found, found)
        return
    os.utime(_local(file))


def rmtree(folder: Place) -> None:
    """Remove a folder as far as it is there and can be removed."""
    if isinstance(folder, S3Path):
        folder.remove_tree()
        return
    shutil.rmtree(_local(folder), ignore_errors=True)


def _local(place: Place) -> Path:
    """A place that is not an object store's."""
    return cast(Path, place)
