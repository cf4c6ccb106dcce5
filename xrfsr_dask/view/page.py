"""A page of one file: headings, text, tables and pictures as HTML that asks nothing of the network."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 110
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1180px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.7em; margin-bottom: 0.2em; }
h2 { font-size: 1.2em; margin-top: 2em; border-bottom: 1px solid #ccc; padding-bottom: 0.2em; }
p.lead { color: #555; margin-top: 0; }
img { max-width: 100%; height: auto; display: block; margin: 0.6em 0; }
table { border-collapse: collapse; margin: 0.6em 0; font-size: 0.93em; }
th, td { text-align: left; padding: 0.2em 1.1em 0.2em 0; border-bottom: 1px solid #e3e3e3; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
@media print { body { margin: 0; } h2 { break-after: avoid; } img { break-inside: avoid; } }
"""


@dataclass
class Section:
    """A part of the page."""

    heading: str
    text: str = ""
    figures: Sequence[tuple[str, Figure]] = ()
    """(what a picture shows, for those who cannot see it; the picture)"""
    rows: Sequence[Mapping[str, Any]] = field(default_factory=list)
    """A table; the keys of the first row are its headings."""


def as_html(title: str, lead: str, sections: Sequence[Section]) -> str:
    """The whole page; every text is escaped, every picture lies inside."""
    body = "".join(_section(section) for section in sections)
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{_STYLE}</style>\n'
        f'</head>\n<body>\n<h1>{escape(title)}</h1>\n<p class="lead">{escape(lead)}</p>\n'
        f"{body}</body>\n</html>\n"
    )


def _section(section: Section) -> str:
    parts = [f"<h2>{escape(section.heading)}</h2>\n"]
    if section.text:
        parts.append(f"<p>{escape(section.text)}</p>\n")
    if section.rows:
        parts.append(_table(section.rows))
    parts += [f'<img alt="{escape(alt)}" src="{_embedded(figure)}">\n' for alt, figure in section.figures]
    return "".join(parts)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f"<th>{escape(str(key))}</th>" for key in rows[0])
    lines = ["".join(_cell(row.get(key, "")) for key in rows[0]) for row in rows]
    return f"<table><tr>{head}</tr>\n" + "".join(f"<tr>{line}</tr>\n" for line in lines) + "</table>\n"


def _cell(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"<td>{escape(str(value))}</td>"
    shown = f"{value:,d}" if isinstance(value, int) else f"{value:,.4g}"
    return f'<td class="number">{shown}</td>'


def _embedded(figure: Figure) -> str:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=_DPI, facecolor="white")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
