"""Moves on an object store, which go object by object: one mover at a time, and a dead one is no bar."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from xrfsr_dask.interrupts import delayed
from xrfsr_dask.store.clock import now_s
from xrfsr_dask.store.whose import is_of_here, is_of_the_dead, signature

if TYPE_CHECKING:
    from xrfsr_dask.store.objects import S3Path

_LAST = "zarr.json"  # of a group that is moved: whoever finds it finds all
_MOVING = ".moving"  # an object that only one mover can create, with its signature
_QUIET_S = 120.0  # without an object put there, who moves something on another machine is taken for dead


def move(source: S3Path, target: S3Path) -> None:
    """Move a group and all below it, object by object, its own metadata last.

    Raises
    ------
    FileExistsError
        Something lies at `target`, or another process is moving something there.
    """
    if not _claimed(target):
        raise FileExistsError(errno.EEXIST, "something is there already", str(target))
    try:
        files = [str(file.relative_to(source)) for file in source.files_below()]
        source.copy_each([name for name in files if name != _LAST], target)
        source.copy_each([_LAST], target)
    except BaseException:
        with delayed():
            target.remove_tree()
        raise
    (target / _MOVING).unlink(missing_ok=True)
    source.remove_tree()


def is_forsaken(target: S3Path) -> bool:
    """Whether what lies at a place is what a dead mover left there before it was through."""
    mark = _mark(target)
    return mark is not None and not (target / _LAST).is_file() and _is_of_the_dead(target, mark)


def _claimed(target: S3Path) -> bool:
    """Whether this thread alone may move something to a place; what a dead mover left there is removed."""
    mine = signature().encode()
    if not target.is_dir():
        return (target / _MOVING).swap(None, mine)
    if not is_forsaken(target) or not (target / _MOVING).swap(_mark(target), mine):
        return False
    target.remove_tree(but=_MOVING)
    return True


def _mark(target: S3Path) -> bytes | None:
    try:
        return (target / _MOVING).read_bytes()
    except FileNotFoundError:
        return None


def _is_of_the_dead(target: S3Path, mark: bytes) -> bool:
    signed = mark.decode(errors="replace")
    if is_of_here(signed):
        return is_of_the_dead(signed)
    youngest = max(file.stat().st_mtime for file in target.files_below())
    return now_s(target.parent) - youngest > _QUIET_S
