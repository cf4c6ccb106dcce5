"""Values that a user gives, checked: whole numbers, numbers and words, of Python's own types or of NumPy's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from xrfsr_dask.errors import OptionError

_LARGEST = 2**63 - 1
_LONGEST = 80  # characters of a value that a message shows


def require(condition: bool, message: str) -> None:
    """Raise `OptionError` with `message` unless `condition` holds."""
    if not condition:
        raise OptionError(message)


def shown(value: Any) -> str:
    """A value as a message shows it: in one line, and of a long one both ends."""
    try:
        text = " ".join(repr(value).split())
    except Exception as error:  # a number of more digits than Python writes, say
        text = f"a value of type {type(value).__name__} that cannot be written ({type(error).__name__})"
    return text if len(text) <= _LONGEST else f"{text[:30]}…{text[-30:]}"


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a finite real number, and none too large for a float; True and False are none."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def is_one_of(value: Any, words: Sequence[str]) -> bool:
    """Whether a value is one of some words."""
    return isinstance(value, str) and value in words


def whole(name: str, value: Any, *, least: int, most: int | None = None, largest: int = _LARGEST) -> int:
    """A value as whole number from `least` to `most`; `largest` is for those that no one needs to be told.

    Raises
    ------
    OptionError
        It is none, or lies outside.
    """
    require(is_whole(value), f"{name} must be a whole number, got {shown(value)}.")
    within = f"lie between {least} and {most}" if most is not None else f"be at least {least}"
    fits = least <= value and (most is None or value <= most)
    require(fits, f"{name} must {within}, got {shown(value)}.")
    require(value <= largest, f"{name} must be at most {largest}, got {shown(value)}.")
    return int(value)


def number(name: str, value: Any, *, least: float, most: float = 1e6, above: bool = False) -> float:
    """A value as float from `least` (with `above`: from just above it) to `most`.

    Raises
    ------
    OptionError
        It is no number, or lies outside.
    """
    fits = is_number(value) and (least < value if above else least <= value) and value <= most
    begins = f"more than {least:g}" if above else f">= {least:g}"
    ends = f"{most:g}".replace("e+0", "e")
    require(fits, f"{name} must be {begins} and at most {ends}, got {shown(value)}.")
    return float(value)
