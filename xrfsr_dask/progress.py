"""One progress bar for all long work, fed by finished tasks, the same on every scheduler."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self


class Progress(Protocol):
    """What long work reports to."""

    def expect(self, total: int) -> None:
        """`total` units of work lie ahead."""

    def advance(self, n: int = 1) -> None:
        """`n` units are done."""

    def note(self, text: str) -> None:
        """Show a few words beside the bar."""


class Silent:
    """Reports nothing."""

    def expect(self, total: int) -> None:
        """Ignore."""

    def advance(self, n: int = 1) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Ignore."""


def ticking(progress: Progress) -> Callable[[int, Any], None]:
    """What an executor calls after each task so that `progress` advances by one."""
    return lambda *_: progress.advance()


class Bar:
    """A bar on stderr with the time left; use as a context manager."""

    def __init__(self, label: str, unit: str = "task") -> None:
        from tqdm import tqdm

        self._bar = tqdm(desc=label, unit=f" {unit}", dynamic_ncols=True, smoothing=0.05)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def expect(self, total: int) -> None:
        """`total` units of work lie ahead."""
        self._bar.total = total
        self._bar.refresh()

    def advance(self, n: int = 1) -> None:
        """`n` units are done."""
        self._bar.update(n)

    def note(self, text: str) -> None:
        """Show a few words beside the bar."""
        self._bar.set_postfix_str(text)
