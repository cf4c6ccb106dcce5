"""Choices a user makes, one frozen dataclass per stage; checked once, saved with every result.

Never data, paths of stores, or a Dask client.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from xrfsr_dask.options.adding import AddOptions
from xrfsr_dask.options.judging import EVALUATED, IN_MEMORY, EvaluateOptions, evaluated
from xrfsr_dask.options.looking import LAYER_WORDS, ExportOptions, MapOptions
from xrfsr_dask.options.phantoms import BedroomOptions, ChartOptions
from xrfsr_dask.options.solving import METHODS, RunOptions, SolveOptions

__all__ = [
    "EVALUATED",
    "IN_MEMORY",
    "LAYER_WORDS",
    "METHODS",
    "AddOptions",
    "BedroomOptions",
    "ChartOptions",
    "EvaluateOptions",
    "ExportOptions",
    "MapOptions",
    "RunOptions",
    "SolveOptions",
    "as_attributes",
    "evaluated",
]


def as_attributes(options: Any) -> dict[str, Any]:
    """The fields of an options dataclass as a JSON-able dictionary, to be saved with a result."""
    return dataclasses.asdict(options)
