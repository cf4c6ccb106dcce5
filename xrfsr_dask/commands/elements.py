"""Which elements are looked at where the user names none."""

from __future__ import annotations

from typing import Any

import pandas as pd
import xarray as xr

from xrfsr_dask.errors import InputError
from xrfsr_dask.lines.peaks import fitted_line

OWN = 0.04
"""Share of an element's counts that a layer must have, to be listed as its own: a hundredth or two stray."""
MOST_ELEMENTS = 8
"""Elements that are drawn where none are named."""


def elements_of(ds: xr.Dataset, layer: str = "all") -> list[dict[str, Any]]:
    """`ds.xrf.elements()` of both layers or of one, as rows, most counts first.

    Of one with the ``share`` of both layers' counts that lies in it; those of which it has less than `OWN` come
    last, by that share.

    There are none where the axis is too coarse to tell lines apart, or the layer has no endmember.
    """
    part = ds if layer == "all" else getattr(ds.xrf, layer)
    if not part.sizes["atom"]:
        return []
    try:
        table = part.xrf.elements()
    except InputError:
        return []
    if layer != "all":
        own = table.share >= OWN
        table = pd.concat([table[own], table[~own].sort_values("share", ascending=False, kind="stable")])
    table = table.reset_index()
    return [
        {str(key): value.item() if hasattr(value, "item") else value for key, value in row.items()}
        for row in table.to_dict("records")
    ]


def named_line(ds: xr.Dataset, asked: str) -> tuple[str, str]:
    """Element and line of ``"Pb"``, its usual line, or ``"Pb-Ma"``; `InputError` where there is none such."""
    element, _, line = asked.strip().replace(" ", "-").partition("-")
    return fitted_line(ds.energy.values, element, line or None)


def names_of(lines: list[tuple[str, str]]) -> list[str]:
    """Names of elements and lines: elements, with the line where two lines of one are there."""
    elements = [element for element, _ in lines]
    return [f"{e} {line}" if elements.count(e) > 1 else e for e, line in lines]
