"""A place on an S3 object store, with those verbs of `pathlib.Path` that the store's code speaks.

There are no folders: one is there while an object lies below it. An object appears whole or not at all. Where
the two differ in kind (appending, flock, a rename at once), `places` and `locks` tell them apart.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, NamedTuple, TypeVar

from xrfsr_dask.errors import OptionError
from xrfsr_dask.store.bucket import SCHEME, asking, client
from xrfsr_dask.store.moves import move

T = TypeVar("T")
R = TypeVar("R")

_AT_ONCE = 16  # requests, where there are many of one kind


class Status(NamedTuple):
    """What is known of an object, as far as `os.stat_result` has it too."""

    st_size: int
    """Bytes."""
    st_mtime_ns: int
    """When it was written, ns by the clock of the object store, which may count whole seconds."""
    e_tag: str
    """Changes with the contents."""

    @property
    def st_mtime(self) -> float:
        """The same in s."""
        return self.st_mtime_ns / 1e9


@dataclass(frozen=True, order=True)
class S3Path:
    """``s3://bucket/inside``; small and picklable, holds no credentials and no connection."""

    bucket: str
    inside: PurePosixPath
    """Key of the object; ``.`` is the bucket itself."""

    @classmethod
    def parsed(cls, url: str) -> S3Path:
        """From ``s3://bucket/key``; `OptionError` where it is none."""
        bucket, _, key = url.removeprefix(SCHEME).partition("/")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}", bucket) or ".." in key.split("/"):
            raise OptionError(f"{url} is no place on an object store; give one like s3://bucket/painting.zarr.")
        return cls(bucket, PurePosixPath(key))

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}".rstrip("/")

    def __truediv__(self, name: str) -> S3Path:
        return S3Path(self.bucket, self.inside / name)

    @property
    def root(self) -> S3Path:
        """The bucket itself."""
        return S3Path(self.bucket, PurePosixPath())

    @property
    def key(self) -> str:
        """Key of the object, empty for the bucket itself."""
        return "" if self.inside == PurePosixPath() else str(self.inside)

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.inside.name

    @property
    def parent(self) -> S3Path:
        """One folder up."""
        return S3Path(self.bucket, self.inside.parent)

    @property
    def parents(self) -> tuple[S3Path, ...]:
        """All folders above, the nearest first."""
        return tuple(S3Path(self.bucket, part) for part in self.inside.parents)

    def joinpath(self, *names: str) -> S3Path:
        """A place below."""
        return S3Path(self.bucket, self.inside.joinpath(*names))

    def with_name(self, name: str) -> S3Path:
        """A neighbour."""
        return S3Path(self.bucket, self.inside.with_name(name))

    def relative_to(self, other: S3Path) -> PurePosixPath:
        """The way from `other` to here."""
        return self.inside.relative_to(other.inside)

    # What is there

    def exists(self) -> bool:
        """Whether there is an object, or one below."""
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        """Whether there is an object."""
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """Whether an object lies below; always so for a bucket that answers."""
        with asking(self.bucket) as obs:
            return bool(next(iter(obs.list(self._client, self._prefix)), None)) or not self.key

    def is_symlink(self) -> bool:
        """There are none."""
        return False

    def stat(self) -> Status:
        """Size and age of an object; `FileNotFoundError` where there is none."""
        with asking(self.bucket, self) as obs:
            found = obs.head(self._client, self.key)
        return Status(found["size"], round(1e9 * found["last_modified"].timestamp()), str(found["e_tag"]))

    def contents(self) -> tuple[list[S3Path], list[S3Path]]:
        """Folders and objects right below, each in order."""
        with asking(self.bucket) as obs:
            found = obs.list_with_delimiter(self._client, self._prefix)
        names = found["common_prefixes"], [told["path"] for told in found["objects"]]
        below, files = (sorted(S3Path(self.bucket, PurePosixPath(name)) for name in part) for part in names)
        return below, files

    def files_below(self) -> list[S3Path]:
        """All objects below, however deep, in order."""
        with asking(self.bucket) as obs:
            found = obs.list(self._client, self._prefix).collect()
        return sorted(S3Path(self.bucket, PurePosixPath(told["path"])) for told in found)

    def glob(self, pattern: str) -> Iterator[S3Path]:
        """What is there by a pattern of names with ``*``, parts divided by ``/``."""
        part, _, rest = pattern.partition("/")
        if "*" in part:
            below, files = self.contents()
            found = [place for place in below + files if fnmatch.fnmatchcase(place.name, part)]
        else:
            found = [self / part] if rest or (self / part).exists() else []
        for place in found:
            yield from place.glob(rest) if rest else [place]

    # Reading and writing

    def read_bytes(self) -> bytes:
        """All of an object; `FileNotFoundError` where there is none."""
        with asking(self.bucket, self) as obs:
            return bytes(obs.get(self._client, self.key).bytes())

    def read_text(self) -> str:
        """All of an object as UTF-8."""
        return self.read_bytes().decode()

    def read_end(self, n: int) -> bytes:
        """The last `n` bytes of an object, or all of a shorter one."""
        if not (size := self.stat().st_size):  # an empty object has no last bytes that could be asked for
            return b""
        with asking(self.bucket, self) as obs:
            return bytes(obs.get_range(self._client, self.key, start=max(0, size - n), end=size))

    def write_bytes(self, data: bytes) -> None:
        """Put an object in the place of the one there was, whole or not at all."""
        with asking(self.bucket, self) as obs:
            obs.put(self._client, self.key, data)

    def swap(self, old: bytes | None, new: bytes) -> bool:
        """Put `new` in the place of `old` (None: of nothing) if that is what is there; of many only one can, if
        what they put differs: where an answer is lost and the store is asked again, `new` is found there."""
        mode: Any = "create"
        with asking(self.bucket, self) as obs:
            if old is not None:
                try:
                    found = obs.get(self._client, self.key)
                except FileNotFoundError:
                    return False
                if bytes(found.bytes()) != old:
                    return False
                mode = {"e_tag": found.meta["e_tag"]}
            try:
                obs.put(self._client, self.key, new, mode=mode)
            except (obs.exceptions.AlreadyExistsError, obs.exceptions.PreconditionError):
                return self._holds(new)
        return True

    def _holds(self, data: bytes) -> bool:
        try:
            return self.read_bytes() == data
        except FileNotFoundError:
            return False

    def touch(self) -> None:
        """Put an empty object here."""
        self.write_bytes(b"")

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove an object."""
        if not missing_ok:
            self.stat()
        self._remove([self])

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: a folder comes with what is put into it."""

    def rmdir(self) -> None:
        """Nothing: a folder goes with what was in it."""

    def remove_tree(self, *, but: str = "") -> None:
        """Remove all that lies below, but the object of that name right below."""
        self._remove([file for file in self.files_below() if not but or file != self / but])

    def replace(self, target: S3Path) -> None:
        """Put this object in the place of another."""
        self._copy(target)
        self.unlink(missing_ok=True)

    def rename(self, target: S3Path) -> None:
        """Move a group and all below it, object by object, its own metadata last.

        Raises
        ------
        FileExistsError
            Something lies at `target`, or another process is moving something there.
        """
        move(self, target)

    def copy_each(self, names: Iterable[str], target: S3Path) -> None:
        """Copy objects by their path below here to the same below `target`, many at once."""
        together(lambda name: (self / name)._copy(target / name), names)

    def _copy(self, target: S3Path) -> None:
        with asking(self.bucket, self) as obs:
            obs.copy(self._client, self.key, target.key)

    def _remove(self, places: list[S3Path]) -> None:
        with asking(self.bucket, self) as obs:
            if places:
                obs.delete(self._client, [place.key for place in places])

    @property
    def _prefix(self) -> str | None:
        return f"{self.key}/" if self.key else None

    @property
    def _client(self) -> Any:
        return client(self.bucket)


def together(fn: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """`fn` of every item, in their order, many requests at once."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(fn, items))
