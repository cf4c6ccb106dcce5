"""Outlines of patches on a picture, and their names: inside it where they lie, or beside one that is tall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xrfsr_dask.view.panels import Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Outline = tuple[str, np.ndarray, np.ndarray]
"""A name, and corners (y_mm, x_mm)."""

_NAMES, _NAME_LETTERS = 55, 14  # that have room below each other, and of one, beside a tall map
_IN_PT = (3.0, 2.0)  # from a corner to the name in it, across and down


def draw_outlines(ax: Axes, outlines: Sequence[Outline]) -> None:
    """The edges, white on black."""
    for _, y, x in outlines:
        for width, colour in ((1.6, "black"), (0.8, "white")):
            ax.plot(np.append(x, x[0]), np.append(y, y[0]), lw=width, color=colour)


def names_beside(ax: Axes, outlines: Sequence[Outline], view: Panel) -> None:
    """Names right of a map too narrow for them, each beside its first corner or just below the one before it;
    cut short where there is no room."""
    _, right, bottom, top = view.edges
    line, free = abs(bottom - top) / _NAMES, -np.inf
    for name, y, _ in sorted(outlines, key=lambda outline: float(outline[1][0])):
        free = max(float(y[0]), free)
        short = name if len(name) <= _NAME_LETTERS else f"{name[: _NAME_LETTERS - 1]}…"
        ax.annotate(short, (right, free), xytext=(3, -9), textcoords="offset points")
        free += line


def names_within(ax: Axes, outlines: Sequence[Outline]) -> None:
    """Each name in the upper left of its outline, or where there is room below or above, and inside the map;
    cut short where it is longer than that. All else of the figure must have been drawn."""
    from matplotlib.patheffects import withStroke

    figure: Any = ax.figure
    figure.draw_without_rendering()
    scale = figure.dpi / 72
    edge = ax.get_window_extent()
    look: Any = {
        "color": "white",
        "va": "top",
        "transform": ax.transAxes,
        "path_effects": [withStroke(linewidth=2, foreground="black")],
    }
    taken = [bar.get_window_extent() for bar in ax.artists]
    for name, y, x in sorted(outlines, key=lambda outline: float((outline[1] + outline[2]).min())):
        corners = ax.transData.transform(np.column_stack([x, y]))
        at = corners[np.argmax(corners[:, 1] - corners[:, 0])] + (_IN_PT[0] * scale, -_IN_PT[1] * scale)
        word = ax.text(*_share_of(ax, at), name, **look)
        word.set_in_layout(False)
        while word.get_window_extent().width > edge.width and len(name) > 2:
            name = name[:-1]
            word.set_text(f"{name}…")
        box = word.get_window_extent()
        left = min(max(box.x0, edge.x0), max(edge.x1 - box.width, edge.x0))
        lowest = edge.y0 + box.height
        wanted = min(max(box.y1, lowest), edge.y1)
        below, above = [other.y0 - scale for other in taken], [other.y1 + scale + box.height for other in taken]
        places = sorted([wanted, *below, *above], key=lambda y1: (y1 > wanted, abs(y1 - wanted)))
        free = [y1 for y1 in places if lowest <= y1 <= edge.y1 and not _covers(taken, box, left, y1)]
        top = free[0] if free else wanted
        word.set_position(_share_of(ax, (left, top)))
        taken.append(box.translated(left - box.x0, top - box.y1))


def _covers(taken: Sequence[Any], box: Any, left: float, top: float) -> bool:
    """Whether a name of the size of a box would cover another, its upper left corner at a place."""
    return any(
        left < other.x1 and other.x0 < left + box.width and top - box.height < other.y1 and other.y0 < top
        for other in taken
    )


def _share_of(ax: Axes, at: Any) -> tuple[float, float]:
    """A place (x, y) of the screen as shares of the axes, which hold at any resolution."""
    across, up = ax.transAxes.inverted().transform(at)
    return float(across), float(up)
