"""How methods are compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from xrfsr_dask.options.checks import seed
from xrfsr_dask.options.solving import METHODS
from xrfsr_dask.values import is_one_of, require, shown, whole

IN_MEMORY = ("cubic", "gsomp", "csusr", "nssr", "hysure", "cnmf", "guided", "palette")
"""Methods to compare with: one aligned scan in memory, a module of `methods` each."""

EVALUATED = (*IN_MEMORY, *METHODS)
"""Methods that `xrfsr evaluate` and `compare` can run."""


def evaluated(methods: Any) -> tuple[str, ...]:
    """Names of methods to be compared, one alone or several; "all" stands for all.

    Raises
    ------
    OptionError
        One of them is none, or there are none.
    """
    known = f"choose among: {', '.join(EVALUATED)}, all."
    named = (methods,) if isinstance(methods, str) else methods
    require(isinstance(named, Iterable), f"methods must be names of methods, got {shown(methods)}; {known}")
    names = tuple(named)
    require(bool(names), f"no method was named; {known}")
    for name in names:
        require(is_one_of(name, (*EVALUATED, "all")), f"unknown method {shown(name)}; {known}")
    return names


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """How a real scan is split, binned and compared (the paper's section V-D)."""

    factor: int
    """Spots binned together along each axis."""
    methods: tuple[str, ...] = ("cubic", "paper", "joint")
    """What is compared; ``("all",)`` for all."""
    elements: tuple[str, ...] = ()
    """Chemical symbols whose maps are compared; empty: those the file lists."""
    map_bin: int = 4
    """Spots binned together along each axis before element maps are correlated."""
    seed: int = 0
    """Seed of the split into halves."""

    def __post_init__(self) -> None:
        whole("factor", self.factor, least=1)
        whole("map_bin", self.map_bin, least=1)
        seed(self.seed)
        object.__setattr__(self, "methods", evaluated(self.methods))
