"""Whole figures of a painting: arrays and millimetres in, a matplotlib figure out; no store is touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xrfsr_dask.errors import InputError, MissingPackageError
from xrfsr_dask.view.panels import (
    Panel,
    Spot,
    aspect,
    colour_limits,
    displayed,
    draw_panel,
    draw_spectra,
    greek,
    turned_corners,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

__all__ = ["Panel", "Spot", "comparison", "displayed", "greek", "overview", "save", "turned_corners"]

_PANEL_IN = 3.7  # width of a map, inches
_SPECTRA_IN = 3.0  # height of the spectra, inches
_RC: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "savefig.facecolor": "white",
}


def overview(
    *,
    photograph: Panel,
    patch: Panel,
    resolved: Panel,
    truth: Panel,
    hidden: Panel,
    hidden_truth: Panel,
    spots: Sequence[Spot],
    title: str = "",
) -> Figure:
    """One picture of a super-resolved painting beside its known truth.

    Columns: photograph over one patch as measured; super-resolved map over the truth; hidden layer over the
    hidden truth. Each pair has one colour scale, set by the truth, and the patch shares that of the maps beside
    it. The `spots` are marked on the photograph and their spectra drawn below.

    Returns
    -------
    matplotlib.figure.Figure
        Not known to pyplot; write it with `save`.
    """
    map_height = 2 * (_PANEL_IN * aspect(photograph) + 0.35) + 0.4
    figure = blank(3 * _PANEL_IN + 2.3, map_height + _SPECTRA_IN + (0.4 if title else 0.0))
    with styled():
        parts: Any = figure.subfigures(2, 1, height_ratios=[map_height, _SPECTRA_IN])
        top, bottom = parts
        axes = top.subplots(2, 3)
        columns = [(photograph, patch), (resolved, truth), (hidden, hidden_truth)]
        scale, hidden_scale = colour_limits(truth.values), colour_limits(hidden_truth.values)
        for pair, column, limits in zip(columns, axes.T, (scale, scale, hidden_scale), strict=True):
            drawn = [draw_panel(ax, panel, limits) for ax, panel in zip(column, pair, strict=True)]
            if not pair[0].is_photograph:
                colour_bar(top, list(column), drawn[1])
        same_view(axes[1, 0], photograph)
        _axis_names(axes)
        _mark(axes[0, 0], spots)
        for i, ax in enumerate(np.ravel(bottom.subplots(1, len(spots), squeeze=False)) if spots else ()):
            draw_spectra(ax, spots[i], letter=_letter(i))
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=13)
    return figure


def comparison(
    panels: Sequence[Panel], *, title: str = "", columns: int = 4, scale_by: int = -1, unit: str = "mm"
) -> Figure:
    """The same map by several methods side by side, as the paper's Fig. 10; the last panel is the reference.

    All maps share one colour scale. Photographs keep their colours.

    Parameters
    ----------
    panels : sequence of Panel
        LR input, photograph, each method, reference; lettered (a), (b), … in this order.
    title : str
    columns : int
        Panels in a row at most.
    scale_by : int
        Which panel sets the scale; the reference, unless it is so noisy that nothing else would be seen.
    unit : str
        What lengths are named; panels give them in it.
    """
    if not panels:
        raise InputError("a comparison needs at least one panel.")
    n_row = -(-len(panels) // columns)
    n_column = -(-len(panels) // n_row)  # so that rows are as full as each other
    width = _PANEL_IN * 0.85
    size = (n_column * width + 0.9, n_row * (width * aspect(panels[-1]) + 0.45) + 0.5)
    figure = blank(*size)
    with styled():
        axes = figure.subplots(n_row, n_column, squeeze=False)
        scale, drawn = colour_limits(panels[scale_by].values), None
        for i, ax in enumerate(axes.flat):
            if i >= len(panels):
                ax.set_axis_off()
                continue
            image = draw_panel(ax, panels[i], scale, letter=_letter(i))
            drawn = drawn if panels[i].is_photograph else image
            same_view(ax, panels[-1])
            ax.tick_params(labelleft=i % n_column == 0, labelbottom=i + n_column >= len(panels))
            ax.set_xlabel(f"x ({unit})" if i + n_column >= len(panels) else "")
            ax.set_ylabel(f"y ({unit})" if i % n_column == 0 else "")
        if drawn is not None:
            colour_bar(figure, list(axes.flat), drawn)
        if title:
            figure.suptitle(title, x=0.01, ha="left")
    return figure


def save(figure: Figure, path: str | Path, dpi: int = 150) -> Path:
    """Write a figure as PNG (or what the suffix says) and return where."""
    # the layout does not know how far bars and names beside maps of equal scales reach
    figure.savefig(path, dpi=dpi, bbox_inches="tight", pad_inches=0.08)
    return Path(path)


def blank(width: float, height: float) -> Figure:
    """An empty figure, inches, not known to pyplot; `MissingPackageError` without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError(
            "pictures need matplotlib; install it with: pip install 'xrfsr_dask[view]'."
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def styled() -> Any:
    """The look of all our figures, as a context."""
    from matplotlib import rc_context

    return rc_context(_RC)


def colour_bar(figure: FigureBase, axes: list[Any], drawn: Any, unit: str = "counts per spot") -> None:
    """The scale of a map beside its axes, as high as one map is."""
    if len(axes) == 1:
        place: dict[str, Any] = {"cax": axes[0].inset_axes((1.03, 0.0, 0.04, 1.0))}
    else:
        place = {"ax": axes, "shrink": 0.85, "aspect": 28, "pad": 0.02}
    bar = figure.colorbar(drawn, extend="max", **place)
    bar.set_label(unit, fontsize=8)
    thin(bar)


def thin(bar: Any) -> None:
    """Give a colour bar small words and a thin frame."""
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_linewidth(0.4)


def _axis_names(axes: np.ndarray) -> None:
    """mm at the left and lower edges of a grid of axes only."""
    for ax in axes[:, 0]:
        ax.set_ylabel("y (mm)")
    for ax in axes[-1]:
        ax.set_xlabel("x (mm)")
    for ax in axes[:-1].flat:
        ax.tick_params(labelbottom=False)
    for ax in axes[:, 1:].flat:
        ax.tick_params(labelleft=False)


def same_view(ax: Axes, panel: Panel) -> None:
    """Show all of the painting, however little of it a patch covers."""
    left, right, bottom, top = panel.edges
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)


def _mark(ax: Axes, spots: Sequence[Spot]) -> None:
    for i, spot in enumerate(spots):
        ax.plot(spot.x_mm, spot.y_mm, "o", ms=7, mfc="none", mec="black", mew=2.6)
        ax.plot(spot.x_mm, spot.y_mm, "o", ms=7, mfc="none", mec="white", mew=1.2)
        ax.annotate(
            _letter(i),
            (spot.x_mm, spot.y_mm),
            xytext=(7, 5),
            textcoords="offset points",
            fontweight="bold",
            bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8},
        )


def _letter(i: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[i % 26]
