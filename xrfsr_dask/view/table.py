"""Tables of figures as text, Markdown, CSV and JSON; numbers aligned, infinities and gaps said."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Any

Row = Mapping[str, Any]

HEADINGS = {
    "region": "region",
    "method": "method",
    "pixels": "pixels",
    "rmse": "RMSE (counts)",
    "psnr_db": "PSNR (dB)",
    "sam_deg": "SAM (deg)",
}
"""Heading of each known column; another column is headed by its own name."""

_FORMATS = {"pixels": "{:,d}", "rmse": "{:.4g}", "psnr_db": "{:.2f}", "sam_deg": "{:.2f}"}
_GAP = "–"


def metric_rows(tables: Mapping[str, Sequence[Row]]) -> list[dict[str, Any]]:
    """Tables of several methods (`metrics.Sums.table`) as one, the methods of a region beside each other.

    >>> metric_rows({"cubic": [{"region": "whole", "rmse": 2.0}], "paper": [{"region": "whole", "rmse": 1.0}]})
    [{'region': 'whole', 'method': 'cubic', 'rmse': 2.0}, {'region': 'whole', 'method': 'paper', 'rmse': 1.0}]
    """
    regions = dict.fromkeys(row["region"] for table in tables.values() for row in table)
    return [
        {"region": region, "method": method} | {key: value for key, value in row.items() if key != "region"}
        for region in regions
        for method, table in tables.items()
        for row in table
        if row["region"] == region
    ]


def as_text(rows: Sequence[Row]) -> str:
    """Plain text: words to the left, numbers to the right with their decimal points in line."""
    return "\n".join("  ".join(line).rstrip() for line in _aligned(rows, rule=lambda width, _: "-" * width))


def as_markdown(rows: Sequence[Row]) -> str:
    """A Markdown table, aligned in its source too."""

    def rule(width: int, number: bool) -> str:
        return "-" * (width - 1) + ":" if number else "-" * width

    return "\n".join(f"| {' | '.join(line)} |" for line in _aligned(rows, rule=rule))


def as_csv(rows: Sequence[Row]) -> str:
    """CSV with the keys as header and full precision; a gap is an empty field."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=_columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def as_json(found: Any, indent: int | None = 1) -> str:
    """JSON that any parser reads: what is not finite becomes null, NumPy numbers become plain ones."""
    return json.dumps(_plain(found), indent=indent, allow_nan=False)


def _aligned(rows: Sequence[Row], rule: Callable[[int, bool], str]) -> list[list[str]]:
    """Heading, rule and rows as cells padded to the width of their columns."""
    columns = []
    for key in _columns(rows):
        values = [row.get(key) for row in rows]
        number = any(_is_number(value) for value in values)
        cells = [HEADINGS.get(key, key), *_same_decimals([_shown(key, value) for value in values], number)]
        width = max(len(cell) for cell in cells)
        cells = [cell.rjust(width) if number else cell.ljust(width) for cell in cells]
        columns.append([cells[0], rule(width, number), *cells[1:]])
    return [list(line) for line in zip(*columns, strict=True)]


def _columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _is_number(value: Any) -> bool:
    return hasattr(value, "__float__") and not isinstance(value, str | bool)


def _shown(key: str, value: Any) -> str:
    if value is None or (_is_number(value) and math.isnan(value)):
        return _GAP
    if not _is_number(value):
        return str(value)
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return _FORMATS.get(key, "{:,d}" if isinstance(value, Integral) else "{:.3f}").format(value)


def _same_decimals(cells: list[str], number: bool) -> list[str]:
    """Fill with blanks behind the decimals, so that right-aligned numbers keep their points in line."""
    if not number:
        return cells
    tails = [len(cell) - cell.index(".") if "." in cell else 0 for cell in cells]
    longest = max(tails, default=0)
    return [cell + " " * (longest - tail) for cell, tail in zip(cells, tails, strict=True)]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
