"""Which elements are looked at where the user names none."""

from __future__ import annotations

from typing import Any

import xarray as xr

from xrfsr_dask.errors import InputError

MOST_ELEMENTS = 8
"""Elements that are drawn where none are named."""


def elements_of(ds: xr.Dataset) -> list[dict[str, Any]]:
    """`ds.xrf.elements()` as rows, most counts first; none where the axis is too coarse to tell lines apart."""
    try:
        table = ds.xrf.elements().reset_index()
    except InputError:
        return []
    return [
        {str(key): value.item() if hasattr(value, "item") else value for key, value in row.items()}
        for row in table.to_dict("records")
    ]
