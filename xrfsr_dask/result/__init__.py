"""A result as its user meets it: `open_result`, `from_factors` and the accessor ``ds.xrf``."""

from xrfsr_dask.lines.tables import atomic_number, best_line, line_kev, line_weights, roi_weights
from xrfsr_dask.result.accessor import XrfAccessor
from xrfsr_dask.result.dataset import TRUTH, from_factors, open_result
from xrfsr_dask.result.measured import open_patch

__all__ = [
    "TRUTH",
    "XrfAccessor",
    "atomic_number",
    "best_line",
    "from_factors",
    "line_kev",
    "line_weights",
    "open_patch",
    "open_result",
    "roi_weights",
]
