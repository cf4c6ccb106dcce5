"""The two drawings of the explorer's page: the map of the painting, and spectra with named lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.models import (
    ColumnDataSource,
    CustomJS,
    ImperialLength,
    LabelSet,
    LassoSelectTool,
    PanTool,
    Range1d,
    ResetTool,
    SaveTool,
    ScaleBar,
    Span,
    WheelZoomTool,
)
from bokeh.plotting import figure

from xrfsr_dask.view.address import WIDEST
from xrfsr_dask.view.named import Named, tops
from xrfsr_dask.view.panels import LONG
from xrfsr_dask.view.scene import MEASURED, Window

_SPECTRA = {
    "all": ("both layers", "#333333"),
    "visible": ("visible", "#2a7f62"),
    "hidden": ("hidden", "#c8443a"),
    MEASURED: ("as measured", "#3a5fc8"),
}
_HIGHEST_KEV = 25.0  # of what is shown first
_FLOOR = 3e-4  # of a peak: the lowest that is drawn
_AXIS_PX, _BAR_PX, _TOOLS_PX = 60, 72, 30  # of the map's width: its axis; beside a tall one bar and tools
# The map is as wide as the page gives it room for, and as high as keeps its millimetres square.
_SQUARE = "map.height = map.outer_height - map.inner_height + Math.round(map.inner_width / ratio);"
# A lasso begun outside the frame begins at its edge; Bokeh would fail at every move, and lose the next one too.
_LASSO = """
const view = lasso.default_view.prototype, begin = view._pan_start;
if (!view.begins_anywhere) {
    view.begins_anywhere = true;
    view._pan_start = function (event) {
        const [sx, sy] = this.plot_view.frame.bbox.clip(event.sx, event.sy);
        begin.call(this, {...event, sx, sy});
    };
}
"""
_CLOSEST_PX = 8  # of the painting, along its shorter side: what is in view at least
_BARS_MM = [float(f"{step}e{power}") for power in range(-4, 5) for step in (1, 2, 5)]  # lengths of scale bars


def beside_px(ratio: float) -> int:
    """What a map of a painting `ratio` times as wide as high has beside it, px: axis, perhaps bar and tools."""
    return _AXIS_PX if ratio > 1 / LONG else _AXIS_PX + _BAR_PX + _TOOLS_PX


class MapPlot:
    """The painting, a place or a region marked on it, and the line of the swipe."""

    def __init__(self, whole: Window, window: Window, room: str, pitch_mm: float) -> None:
        y0, y1, x0, x1 = whole
        ratio = (x1 - x0) / (y1 - y0)
        least = min(_CLOSEST_PX * pitch_mm / min(y1 - y0, x1 - x0), 1.0)  # a share: both sides end together
        high, wide = ({"min_interval": least * n, "max_interval": WIDEST * n} for n in (y1 - y0, x1 - x0))
        self.x: Any = Range1d(start=window[2], end=window[3], **wide)
        self.y: Any = Range1d(start=window[1], end=window[0], **high)  # y runs downward
        self._whole = whole
        above = ratio > 1 / LONG  # a tall map has no room for all tools above it
        pan, wheel, lasso = PanTool(), WheelZoomTool(), LassoSelectTool(continuous=False)
        self.figure = figure(
            width=600,
            height=round(540 / ratio) + (75 if ratio < LONG else 150),
            sizing_mode="stretch_width",
            styles={"max-width": room},
            x_range=self.x,
            y_range=self.y,
            tools=[pan, wheel, lasso, ResetTool(), SaveTool(filename="explorer")],
            active_scroll=wheel,
            active_drag=pan,
            toolbar_location="above" if above else "right",
            name="map",
        )
        square = CustomJS(args={"map": self.figure, "ratio": ratio}, code=_SQUARE)
        for side in ("inner_width", "inner_height"):  # a bar beside the map takes its room last
            self.figure.js_on_change(side, square)
        self.figure.js_on_change("inner_width", CustomJS(args={"lasso": lasso}, code=_LASSO))
        self.figure.grid.visible = False
        self.figure.xaxis.axis_label, self.figure.yaxis.axis_label = "x (mm)", "y (mm)"
        self.figure.background_fill_color = "#dddddd"
        self._picture = ColumnDataSource({"image": [], "x": [], "y": [], "dw": [], "dh": []})
        self.figure.image_rgba(image="image", x="x", y="y", dw="dw", dh="dh", source=self._picture)
        self._spot = ColumnDataSource({"x": [], "y": []})
        for colour, width in (("black", 3.5), ("white", 1.6)):
            self.figure.scatter(
                "x", "y", source=self._spot, size=11, fill_alpha=0, line_color=colour, line_width=width
            )
        self._region = ColumnDataSource({"x": [], "y": []})
        self.figure.patch(
            "x", "y", source=self._region, fill_alpha=0.08, line_color="white", line_dash="dashed"
        )
        self._add_bar(ratio)
        self._cut = Span(dimension="height", line_color="white", line_width=2, visible=False)
        self.figure.add_layout(self._cut)

    def _add_bar(self, ratio: float) -> None:
        """A scale bar on the map, or below or beside one that is so wide or tall that it would hide it."""
        tall = ratio <= 1 / LONG
        along: Any = {"range": self.y, "orientation": "vertical"} if tall else {"range": self.x}
        in_mm = ImperialLength(basis={"mm": (1.0, "mm", "millimetre")}, ticks=_BARS_MM)  # as the axes are
        bar = ScaleBar(**along, unit="mm", dimensional=in_mm, location="bottom_left")
        if not tall and ratio < LONG:
            self.figure.add_layout(bar)
            return
        self.figure.add_layout(bar, "right" if tall else "below")
        bar.padding, bar.border_line_color = 2, None
        if tall:
            self.figure.min_border_left, self.figure.min_border_right = _AXIS_PX, _BAR_PX
        short = self.figure.xaxis if tall else self.figure.yaxis
        short.ticker.desired_num_ticks, short.ticker.num_minor_ticks = 2, 0

    @property
    def window(self) -> Window:
        """What is in view; all of the painting where the page's ranges are none."""
        y0, y1 = sorted((float(self.y.start), float(self.y.end)))
        x0, x1 = sorted((float(self.x.start), float(self.x.end)))
        return (y0, y1, x0, x1) if np.isfinite([y0, y1, x0, x1]).all() and y0 < y1 and x0 < x1 else self._whole

    def paint(self, image: np.ndarray, window: Window, swipe_mm: float | None) -> None:
        """Show a picture, uint8 RGBA (ny, nx, 4), in its place."""
        y0, y1, x0, x1 = window
        self._cut.location, self._cut.visible = swipe_mm or 0.0, swipe_mm is not None
        packed = np.ascontiguousarray(image).view(np.uint32)[..., 0]
        self._picture.data = {"image": [packed], "x": [x0], "y": [y0], "dw": [x1 - x0], "dh": [y1 - y0]}

    def mark(self, at: tuple[float, float] | None = None, region: Sequence[tuple[float, float]] = ()) -> None:
        """Mark a place or a region, (y, x) in mm, and nothing else."""
        self._spot.data = {"y": [at[0]], "x": [at[1]]} if at else {"y": [], "x": []}
        self._region.data = {"y": [y for y, _ in region], "x": [x for _, x in region]}


class SpectrumPlot:
    """Spectra on a logarithmic axis, the lines of their elements named."""

    def __init__(self, energy: np.ndarray, least_px: int, height: str) -> None:
        self._energy = energy
        self._counts: Any = Range1d(start=1e-2, end=1e3)
        self.figure = figure(
            min_width=least_px,
            height=280,
            sizing_mode="stretch_width",
            styles={"min-height": height},
            x_range=Range1d(start=max(0.0, float(energy[0])), end=float(min(energy[-1], _HIGHEST_KEV))),
            y_range=self._counts,
            y_axis_type="log",
            tools="pan,xwheel_zoom,box_zoom,reset,save",
            name="spectrum",
        )
        self.figure.xaxis.axis_label, self.figure.yaxis.axis_label = "energy (keV)", "counts per spot, channel"
        self._source = ColumnDataSource({"energy": energy} | self._drawn({}, 0.0))
        for name, (words, colour) in _SPECTRA.items():
            self.figure.line("energy", name, source=self._source, color=colour, legend_label=words)
        for item, name in zip(self.figure.legend[0].items, _SPECTRA, strict=True):
            item.visible = name != MEASURED
        self.figure.legend.click_policy = "hide"
        self.figure.legend.label_text_font_size = "11px"
        self._lines = ColumnDataSource({"x": [], "top": [], "name": []})
        self.figure.segment(
            "x", 1e-9, "x", "top", source=self._lines, line_color="#999999", line_dash="dotted", name="lines"
        )
        names = LabelSet(
            x="x", y="top", text="name", source=self._lines, text_font_size="11px", text_align="center"
        )
        self.figure.add_layout(names)

    def show(self, spectra: dict[str, np.ndarray], lines: Sequence[Named]) -> None:
        """Draw some spectra (n_channel,) by name, and no other; none at all where there are none."""
        peak = max((float(values.max()) for values in spectra.values()), default=0.0)
        peak = max(peak, 1e-6)
        floor = _FLOOR * peak
        self._source.data = {"energy": self._energy} | self._drawn(spectra, floor / 10)
        for item, name in zip(self.figure.legend[0].items, _SPECTRA, strict=True):
            item.visible = name in spectra if spectra else name != MEASURED
        self._counts.start, self._counts.end = floor, 6.0 * peak
        self._lines.data = {
            "x": [line.kev for line in lines],
            "top": tops(list(lines), peak),
            "name": [line.element for line in lines],
        }

    def _drawn(self, spectra: dict[str, np.ndarray], floor: float) -> dict[str, np.ndarray]:
        """What a logarithmic axis, which has no zero, can show of spectra."""
        none = np.full(len(self._energy), np.nan)
        return {name: np.maximum(spectra[name], floor) if name in spectra else none for name in _SPECTRA}
