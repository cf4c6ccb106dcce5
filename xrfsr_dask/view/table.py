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
    "chi_square": "chi-square",
}
"""Heading of each known column; another column is headed by its own name."""

_DECIMALS = {"psnr_db": 2, "sam_deg": 2, "chi_square": 2}
_DIGITS = 4  # of the smallest entry, in a column that has no fixed number of decimals
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
    """Plain text: words to the left, numbers to the right with their points in line."""
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
    writer.writerows({key: _exact(value) for key, value in row.items()} for row in rows)
    return out.getvalue()


def _exact(value: Any) -> Any:
    """A number with the digits that give it back, whatever its type; nothing for a gap."""
    if not _is_number(value) or isinstance(value, Integral):
        return value
    return None if math.isnan(value) else float(value)


def as_json(found: Any, indent: int | None = 1) -> str:
    """JSON that any parser reads: what is not finite becomes null, NumPy numbers become plain ones."""
    return json.dumps(plain(found), indent=indent, allow_nan=False)


def _aligned(rows: Sequence[Row], rule: Callable[[int, bool], str]) -> list[list[str]]:
    """Heading, rule and rows as cells padded to the width of their columns."""
    columns = []
    for key in _columns(rows):
        values = [row.get(key) for row in rows]
        number = any(_is_number(value) for value in values)
        decimals = _DECIMALS.get(key, _enough_decimals(values)) if number else 0
        cells = [HEADINGS.get(key, key), *(_shown(value, decimals) for value in values)]
        width = max(len(cell) for cell in cells)
        cells = [cell.rjust(width) if number else cell.ljust(width) for cell in cells]
        columns.append([cells[0], rule(width, number), *cells[1:]])
    return [list(line) for line in zip(*columns, strict=True)]


def _columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _is_number(value: Any) -> bool:
    return hasattr(value, "__float__") and not isinstance(value, str | bool)


def _enough_decimals(values: Sequence[Any]) -> int:
    """Decimals that show `_DIGITS` of the smallest number that is not 0; at most 6."""
    sizes = [abs(float(v)) for v in values if _is_number(v) and v and math.isfinite(v)]
    return min(6, max(0, _DIGITS - 1 - math.floor(math.log10(min(sizes))))) if sizes else 0


def _shown(value: Any, decimals: int) -> str:
    if value is None or (_is_number(value) and math.isnan(value)):
        return _GAP
    if not _is_number(value):
        return str(value)
    return f"{value:,d}" if isinstance(value, Integral) else f"{value:.{decimals}f}"


def plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
