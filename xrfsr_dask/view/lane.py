"""Work beside a page: it is done in a thread, and shown when the page has a moment."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

_POOL = ThreadPoolExecutor(4, thread_name_prefix="explorer")  # of all pages of this process


class Lane:
    """One piece of work at a time; of those that wait meanwhile only the last is done.

    Parameters
    ----------
    later : callable
        Has a function called in the page's own turn, from any thread.
    busy : callable
        Told what is being done, and an empty text when nothing is.
    failed : callable
        Given the error of a piece of work.
    """

    def __init__(
        self,
        later: Callable[[Callable[[], None]], Any],
        busy: Callable[[str], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._later, self._busy, self._failed = later, busy, failed
        self._waiting: tuple[str, Callable[[], Any], Callable[[Any], None]] | None = None
        self._runs = False

    def ask(self, what: str, work: Callable[[], Any], show: Callable[[Any], None]) -> None:
        """Do `work`, then `show` what it gives; what was asked before and has not begun is dropped."""
        self._waiting = what, work, show
        if not self._runs:
            self._begin()

    def _begin(self) -> None:
        if self._waiting is None:
            self._busy("")
            return
        (what, work, show), self._waiting, self._runs = self._waiting, None, True
        self._busy(what)
        _POOL.submit(self._do, work, show)

    def _do(self, work: Callable[[], Any], show: Callable[[Any], None]) -> None:
        try:
            then = partial(show, work())
        except Exception as error:  # whatever it is, the page is to go on
            then = partial(self._failed, error)
        self._later(partial(self._done, then))

    def _done(self, then: Callable[[], None]) -> None:
        self._runs = False
        try:
            then()
        except Exception as error:
            self._failed(error)
        self._begin()
