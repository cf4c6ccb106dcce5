"""What options of several stages are checked by."""

from __future__ import annotations

from typing import Any

from xrfsr_dask.values import whole

_LARGEST_SEED = 2**128 - 1  # as NumPy draws them


def seed(value: Any) -> int:
    """A seed as a whole number; `OptionError` where it is none."""
    return whole("seed", value, least=0, largest=_LARGEST_SEED)
