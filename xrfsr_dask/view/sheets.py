"""Pictures of a report: maps side by side on one outline, curves, spectra; arrays and mm in, figures out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xrfsr_dask.errors import InputError
from xrfsr_dask.view.figures import blank, colour_bar, same_view, styled
from xrfsr_dask.view.outlines import Outline, draw_outlines, names_beside, names_within
from xrfsr_dask.view.panels import (
    Panel,
    Spot,
    aspect,
    colour_limits,
    draw_panel,
    draw_spectra,
    energy_limits,
    scale_bar,
)
from xrfsr_dask.view.strips import SHEET_IN, bar_below, colours_beside, is_tall, is_wide, strips

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Column:
    """What is drawn into one outline: a map, or the maps of all patches, each in its place."""

    title: str
    panels: Sequence[Panel]
    unit: str = "counts per spot"
    limits: tuple[float, float] | None = None
    """Colours; those of the last panel where not given."""
    outlines: Sequence[Outline] = ()
    """Names and corners (y_mm, x_mm) of what is to be outlined."""


def beside(columns: Sequence[Column], view: Panel) -> Figure:
    """Columns side by side, or one below the other where `view` is very wide; all show its outline, each map
    with its colour bar; a scale bar in the first.

    Returns
    -------
    matplotlib.figure.Figure
        Not known to pyplot.
    """
    if not columns:
        raise InputError("a sheet needs at least one column.")
    strip, lies = is_wide(view) or is_tall(view), is_wide(view)
    with styled():
        figure, axes = strips(len(columns), view) if strip else _side_by_side(len(columns), view)
        for ax, column in zip(axes, columns, strict=True):
            drawn = _draw(ax, column, view)
            if not column.panels[-1].is_photograph:
                if strip:
                    colours_beside(ax, drawn, column.unit, view)
                else:
                    colour_bar(figure, [ax], drawn, column.unit)
            if lies or ax is axes[0]:
                ax.set_ylabel("y (mm)")
        (bar_below if strip else scale_bar)(axes[0], view)
        for ax, column in zip(axes, columns, strict=True):
            if column.outlines and is_tall(view):
                names_beside(ax, column.outlines, view)
            elif column.outlines:
                names_within(ax, column.outlines)
    return figure


def _side_by_side(n: int, view: Panel) -> tuple[Figure, list[Axes]]:
    width = SHEET_IN / max(n, 2)
    figure = blank(width * n, width * aspect(view) * 0.76 + 0.75)
    return figure, list(figure.subplots(1, n, squeeze=False)[0])


def _draw(ax: Axes, column: Column, view: Panel) -> Any:
    """A column's maps, outlines and words; returns what a colour bar needs."""
    limits = column.limits or colour_limits(column.panels[-1].values)
    drawn = [draw_panel(ax, panel, limits) for panel in column.panels]
    draw_outlines(ax, column.outlines)
    ax.set_title(column.title)
    same_view(ax, view)
    ax.set_xlabel("x (mm)")
    return drawn[-1]


def curves(series: Mapping[str, np.ndarray], *, xlabel: str, ylabel: str) -> Figure:
    """Lines over the index of their entries, on a logarithmic scale where all are positive."""
    figure = blank(SHEET_IN * 0.6, 3.0)
    with styled():
        ax = figure.subplots()
        for name, values in series.items():
            ax.plot(np.arange(1, len(values) + 1), values, marker="o", ms=3, lw=1, label=name)
        if all((np.asarray(values) > 0).all() for values in series.values()):
            ax.set_yscale("log")
        ax.set_xlabel(xlabel)
        ax.set_ylabel(ylabel)
        ax.legend(frameon=False, fontsize=8)
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def spectra(spots: Sequence[Spot]) -> Figure:
    """Spectra one below the other, at the same energies, their lines named."""
    limits = energy_limits(spots)
    figure = blank(SHEET_IN, 3.1 * len(spots))
    with styled():
        rows: Any = figure.subplots(len(spots), 1, squeeze=False)[:, 0]
        for ax, spot in zip(rows, spots, strict=True):
            draw_spectra(ax, spot, energies=limits)
    return figure
