"""Sheets of very wide or very tall paintings, laid out in inches: bars and words stand beside the maps.

Wide maps stand one below the other, tall ones close beside each other; what is neither is laid out by `sheets`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xrfsr_dask.view.figures import blank, thin
from xrfsr_dask.view.panels import LONG, Panel, aspect, round_length

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHEET_IN = 11.0
"""Width of a sheet, inches."""

_HIGH_IN = 9.5  # height of a tall map
_LEFT_IN, _RIGHT_IN, _ABOVE_IN, _BELOW_IN = 0.75, 0.35, 0.35, 0.85  # beside each map: its axes, title and bars
_BESIDE_IN, _TITLE_IN = 1.1, 2.0  # right of a tall map, for its colour bar; for its title
_NAME_IN = 0.36  # from a map down to where the name of its axis stands
_POWER_IN = 0.2  # above an upright colour bar, for the power of ten of its numbers
_BAR_IN = (2.6, 0.11)  # length and thickness of a colour bar


def is_wide(view: Panel) -> bool:
    """Whether a strip lies; one that is none does not."""
    return aspect(view) * LONG <= 1


def is_tall(view: Panel) -> bool:
    """Whether a strip stands; one that is none does not."""
    return aspect(view) >= LONG


def strips(n: int, view: Panel) -> tuple[Figure, list[Axes]]:
    """A figure not known to pyplot, and axes of the shape of `view` for n maps."""
    if is_wide(view):
        wide = SHEET_IN - _LEFT_IN - _RIGHT_IN
        high = wide * aspect(view)
        cell = SHEET_IN, _ABOVE_IN + high + _BELOW_IN
        size = cell[0], n * cell[1]
        corners = [(_LEFT_IN, (n - 1 - i) * cell[1] + _BELOW_IN) for i in range(n)]
    else:
        wide, high = _HIGH_IN / aspect(view), _HIGH_IN
        cell = _LEFT_IN + max(wide + _BESIDE_IN, _TITLE_IN), _ABOVE_IN + high + _BELOW_IN
        size = n * cell[0], cell[1]
        corners = [(i * cell[0] + _LEFT_IN, _BELOW_IN) for i in range(n)]
    figure = blank(*size)
    figure.set_layout_engine("none")
    shares = [(x / size[0], y / size[1], wide / size[0], high / size[1]) for x, y in corners]
    return figure, [figure.add_axes(share) for share in shares]


def bar_below(ax: Axes, view: Panel) -> None:
    """A bar of a round length in mm under the left end of the map's axis."""
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    left, right, bottom, top = view.edges
    at = _inches(ax)
    length = round_length(max(0.25 * abs(right - left), 0.1 * abs(bottom - top)))
    thick = _BAR_IN[1] / 4 * abs(right - left) / at.width
    below = _NAME_IN if is_wide(view) else _NAME_IN + 0.16  # the name of a tall map's axis stands above it
    corner = np.array([at.x0, at.y0 - below]) / _size(ax)
    place: Any = {"bbox_to_anchor": corner, "bbox_transform": ax.figure.transSubfigure}
    look: Any = {"frameon": False, "pad": 0, "borderpad": 0, "sep": 3, "size_vertical": thick}
    ax.add_artist(AnchoredSizeBar(ax.transData, length, f"{length:g} mm", "upper left", **place, **look))


def colours_beside(ax: Axes, drawn: Any, unit: str, view: Panel) -> None:
    """The scale of a map: under the right end of a wide one's axis, right of the top of a tall one."""
    at, (long, thick) = _inches(ax), _BAR_IN
    wide = is_wide(view)
    place = (at.x1 - long, at.y0 - _NAME_IN - thick) if wide else (at.x1 + thick, at.y1 - long - _POWER_IN)
    size = (long, thick) if wide else (thick, long)
    figure: Any = ax.figure
    cax = figure.add_axes([*place, *size] / np.tile(_size(ax), 2))
    bar = figure.colorbar(drawn, cax=cax, extend="max", orientation="horizontal" if wide else "vertical")
    if wide:
        name: Any = {"textcoords": "offset points", "ha": "right", "va": "center", "fontsize": 8}
        cax.annotate(unit, (0, 0.5), xycoords="axes fraction", xytext=(-8, 0), **name)
    else:
        bar.set_label(unit, fontsize=8)
        cax.yaxis.get_offset_text().set_horizontalalignment("left")  # else it would reach into the map
    thin(bar)


def _inches(ax: Axes) -> Any:
    """Where axes stand on their figure, as a box in inches."""
    from matplotlib.transforms import Bbox

    return Bbox(ax.get_position().get_points() * _size(ax))


def _size(ax: Axes) -> np.ndarray:
    """(width, height) of the figure, inches."""
    figure: Any = ax.figure
    return np.asarray(figure.get_size_inches())
