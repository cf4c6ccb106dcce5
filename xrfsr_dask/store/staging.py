"""Put things together aside and move them into place at once: they are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable, Iterator

import zarr

from xrfsr_dask.errors import StoreError
from xrfsr_dask.interrupts import delayed
from xrfsr_dask.store.arrays import new_group
from xrfsr_dask.store.clock import now_s
from xrfsr_dask.store.contents import recording, seal_whole
from xrfsr_dask.store.names import PARTIAL, check_name, is_unfinished
from xrfsr_dask.store.places import P, Place, as_place, files_below, rmtree, stands, youngest_s
from xrfsr_dask.store.whose import is_of_here, is_of_the_dead, signature

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of an `OSError` that mean a full disk, or a user's share of it."""

_FORSAKEN_S = 24 * 3600.0  # without a byte written, what another machine puts together is put together no more
_LINGER_S = 5.0  # how long threads of Zarr or Dask may go on writing after an error


def work_area(store_path: str | Place) -> Place:
    """Where runs keep their state and patches and results are put together, inside the store.

    It lies in the folder of an array. Zarr lists the folders of groups only, so no reader of the store meets
    what comes and goes here, and all of it moves and goes with the store.
    """
    return as_place(store_path) / "rgb" / "0" / "image" / ".work"


def run_folder(store_path: str | Place, name: str) -> Place:
    """Where the run of a result keeps its state; `OptionError` for what is no name: it could lead elsewhere."""
    check_name(name, "result")
    return work_area(store_path) / name


@contextlib.contextmanager
def staged(
    store_path: str | Place, destination: str, *, last: Callable[[], None] | None = None
) -> Iterator[zarr.Group]:
    """A new group that appears at `destination` (``patches/…``, ``results/…``) only when the block ends well.

    `last` may refuse it at the very end, while no other process can put anything beside it.

    It is written in the work area and moved into place by one rename, on an object store object by object with
    its own metadata last, and sealed; after an error, a full disk or Ctrl-C nothing of it is left and the store
    is as it was.
    """
    root = as_place(store_path)
    target = root / destination
    taken = StoreError(f"{store_path} already holds '{destination}'; choose another name.")
    if stands(target):
        raise taken
    kind, _, name = destination.rpartition("/")
    check_name(name, kind.removesuffix("s"))
    area = work_area(root)
    made = not area.exists()
    area.mkdir(exist_ok=True)
    sweep(area)
    try:
        with (
            partial_of(area / f"staging-{kind}-{name}") as partial,
            partial_of(area / f"names-{kind}-{name}") as names,
        ):
            yield new_group(partial)
            for file in files_below(partial):
                if is_unfinished(file.name):  # of a worker that was killed
                    file.unlink()
            seal_whole(partial)
            with recording(root, kind, name, names):
                if stands(target):
                    raise taken
                if last is not None:
                    last()
                rmtree(target)  # what a kill left of a move
                partial.rename(target)
    except BaseException:
        if made:
            with contextlib.suppress(OSError):  # another command may work there by now
                area.rmdir()
        raise


@contextlib.contextmanager
def partial_of(target: P) -> Iterator[P]:
    """Where something is put together before it is renamed; nothing is left there if the block fails.

    Each process has its own place. What a killed process left at its place is removed.
    """
    sweep(target.parent, target.name)
    partial = target.with_name(f"{target.name}{PARTIAL}{signature()}")
    remove_tree(partial)
    try:
        yield partial
    except BaseException:
        remove_tree(partial)
        raise


def sweep(folder: Place, name: str = "*") -> None:
    """Remove what killed processes left of things of that name that they put together in a folder.

    Of a process of another machine or container nobody here can tell whether it lives: what it left goes once
    nothing has been written to it for a day.
    """
    for old in folder.glob(f"{name}{PARTIAL}*"):
        if is_of_the_dead(signed := old.name.rpartition(PARTIAL)[2]) or (
            not is_of_here(signed) and now_s(folder) - youngest_s(old) > _FORSAKEN_S
        ):
            if old.is_dir():
                remove_tree(old)
            else:
                old.unlink(missing_ok=True)


def remove_tree(path: Place) -> None:
    """Remove a folder for good: Zarr's own threads may still be writing into it after an error."""
    deadline = time.monotonic() + _LINGER_S
    with delayed():  # a second Ctrl-C must not leave half of it
        while path.exists() and time.monotonic() < deadline:
            rmtree(path)
            if not path.exists():
                time.sleep(0.1)
