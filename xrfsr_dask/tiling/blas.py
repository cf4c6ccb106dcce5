"""One thread per matrix product: tasks run side by side, and bits must not depend on the number of cores."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from threadpoolctl import LibController, ThreadpoolController

_lock = threading.Lock()
_inside = 0
_before: list[tuple[LibController, int]] = []


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """BLAS works with one thread in the block, whatever this process was told.

    Tasks may be in such blocks side by side: the first one in sets the limit, which is the whole process's, and
    the last one out takes it back.
    """
    global _inside
    with _lock:
        if not _inside:
            libraries = ThreadpoolController().select(user_api="blas").lib_controllers
            _before[:] = [(library, library.get_num_threads()) for library in libraries]
            _set(1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _set(None)


def _set(threads: int | None) -> None:
    """Give every library so many threads; None: as before."""
    for library, before in _before:
        # Of the threads of a process only one may change the limit of OpenBLAS, until it is told otherwise.
        if clear := getattr(library, "clear_controlling_thread", None):
            clear(force=True)
        library.set_num_threads(threads or before)
        if clear:
            clear(force=True)
