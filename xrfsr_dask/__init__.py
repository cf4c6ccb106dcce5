"""Super-resolve X-ray fluorescence scans of whole paintings, out of core, on Dask.

>>> import xrfsr_dask as xs
>>> ds = xs.fuse(counts, rgb, factor=5)
>>> ds = xs.open_result("bedroom.zarr")
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing `typing` takes longer than all else here, and signals are not heard yet
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "fuse": "xrfsr_dask.api",
    "compare": "xrfsr_dask.api",
    "super_resolve": "xrfsr_dask.api",
    "open_result": "xrfsr_dask.result",
    "open_patch": "xrfsr_dask.result",
    "open_painting": "xrfsr_dask.store",
    "create_painting": "xrfsr_dask.store",
    "XrfsrError": "xrfsr_dask.errors",
}

__all__ = [
    "fuse",
    "compare",
    "super_resolve",
    "open_result",
    "open_patch",
    "open_painting",
    "create_painting",
    "XrfsrError",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that importing the package stays cheap."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'xrfsr_dask' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
