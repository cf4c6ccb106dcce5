"""Pictures of a report: maps side by side on one outline, curves, spectra; arrays and mm in, figures out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xrfsr_dask.errors import InputError
from xrfsr_dask.view.figures import blank, colour_bar, same_view, styled
from xrfsr_dask.view.panels import Panel, Spot, colour_limits, draw_panel, draw_spectra, scale_bar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHEET_IN = 11.0  # width, inches


@dataclass(frozen=True, kw_only=True)
class Column:
    """What is drawn into one outline: a map, or the maps of all patches, each in its place."""

    title: str
    panels: Sequence[Panel]
    unit: str = "counts per spot"
    limits: tuple[float, float] | None = None
    """Colours; those of the last panel where not given."""
    outlines: Sequence[tuple[str, np.ndarray, np.ndarray]] = ()
    """Names and corners (y_mm, x_mm) of what is to be outlined."""


def beside(columns: Sequence[Column], view: Panel) -> Figure:
    """Columns side by side, all showing the outline of `view`, each map with its colour bar; a scale bar in the
    first.

    Returns
    -------
    matplotlib.figure.Figure
        Not known to pyplot.
    """
    if not columns:
        raise InputError("a sheet needs at least one column.")
    left, right, bottom, top = view.edges
    width = _SHEET_IN / max(len(columns), 2)
    from matplotlib.patheffects import withStroke

    figure = blank(width * len(columns), width * abs(bottom - top) / abs(right - left) * 0.76 + 0.75)
    with styled():
        axes = figure.subplots(1, len(columns), squeeze=False)[0]
        for ax, column in zip(axes, columns, strict=True):
            limits = column.limits or colour_limits(column.panels[-1].values)
            drawn = [draw_panel(ax, panel, limits) for panel in column.panels]
            for name, y, x in column.outlines:
                ax.plot(np.append(x, x[0]), np.append(y, y[0]), lw=1.6, color="black")
                ax.plot(np.append(x, x[0]), np.append(y, y[0]), lw=0.8, color="white")
                where = {"xytext": (3, -9), "textcoords": "offset points", "color": "white"}
                ax.annotate(
                    name, (x[0], y[0]), path_effects=[withStroke(linewidth=2, foreground="black")], **where
                )
            ax.set_title(column.title)
            same_view(ax, view)
            ax.set_xlabel("x (mm)")
            if column is columns[0]:
                scale_bar(ax, view)
            if not column.panels[-1].is_photograph:
                colour_bar(figure, [ax], drawn[-1], column.unit)
        axes[0].set_ylabel("y (mm)")
    return figure


def curves(series: Mapping[str, np.ndarray], *, xlabel: str, ylabel: str) -> Figure:
    """Lines over the index of their entries, on a logarithmic scale where all are positive."""
    figure = blank(_SHEET_IN * 0.6, 3.0)
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
    """Spectra one below the other, their lines named."""
    figure = blank(_SHEET_IN, 3.1 * len(spots))
    with styled():
        rows: Any = figure.subplots(len(spots), 1, squeeze=False)[:, 0]
        for ax, spot in zip(rows, spots, strict=True):
            draw_spectra(ax, spot)
    return figure
