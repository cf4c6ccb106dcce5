"""Which elements are looked at where the user names none."""

from __future__ import annotations

from typing import Any

import xarray as xr

from xrfsr_dask.errors import InputError

MOST_ELEMENTS = 8
"""Elements that are drawn where none are named."""


def elements_of(ds: xr.Dataset, layer: str = "all") -> list[dict[str, Any]]:
    """`ds.xrf.elements()` of both layers or of one, as rows, most counts first.

    There are none where the axis is too coarse to tell lines apart, or the layer has no endmember.
    """
    part = ds if layer == "all" else getattr(ds.xrf, layer)
    if not part.sizes["atom"]:
        return []
    try:
        table = part.xrf.elements().reset_index()
    except InputError:
        return []
    return [
        {str(key): value.item() if hasattr(value, "item") else value for key, value in row.items()}
        for row in table.to_dict("records")
    ]
