"""The explorer page: photograph and element maps, a click or a lasso for a spectrum; Bokeh, served locally.

Pictures are mixed on the server (`scene`), in the size of the screen and for the part in view, so a painting of
any size pans as fast. What is shown stands in the page's address.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd

from xrfsr_dask.errors import MissingPackageError, XrfsrError
from xrfsr_dask.view.named import named_lines, tops
from xrfsr_dask.view.scene import MEASURED, Channel, Scene

try:
    from bokeh.events import DoubleTap, RangesUpdate, SelectionGeometry, Tap
    from bokeh.layouts import column, row
    from bokeh.models import (
        Button,
        ColumnDataSource,
        CustomJS,
        DataTable,
        Div,
        LabelSet,
        LassoSelectTool,
        PanTool,
        RadioButtonGroup,
        Range1d,
        RangeSlider,
        ResetTool,
        SaveTool,
        ScaleBar,
        Select,
        Slider,
        Span,
        TableColumn,
        WheelZoomTool,
    )  # fmt: skip
    from bokeh.plotting import figure
except ImportError as error:
    raise MissingPackageError(
        "the explorer needs Bokeh; install it with: pip install 'xrfsr_dask[view]'."
    ) from error

LAYERS = ("all", "visible", "hidden", MEASURED)
"""What can be shown, in the order of the buttons."""

_COLOURS = (("red", (1.0, 0.25, 0.2)), ("green", (0.25, 1.0, 0.35)), ("blue", (0.25, 0.5, 1.0)))
_NONE = "none"
_MAP_PX, _SIDE_PX = 690, 380  # widths on a screen of unknown size, and at least
_AROUND_MAP_PX = 290  # of the screen's height: what stands above and below the map
_MOST_PX = 1200  # along the longer side of a picture that is sent
_SPECTRA = {"all": "#333333", "visible": "#2a7f62", "hidden": "#c8443a"}

# A download is made in the browser from what the server has put into the source.
_DOWNLOAD = """
const kind = source.data.kind[0], bytes = Uint8Array.from(atob(source.data.content[0]), c => c.charCodeAt(0));
const link = document.createElement('a');
link.href = URL.createObjectURL(new Blob([bytes], {type: kind}));
link.download = source.data.name[0];
link.click();
URL.revokeObjectURL(link.href);
"""
# The map is as wide as the page gives it room for, and as high as keeps its millimetres square.
_SQUARE = "map.height = map.outer_height - map.inner_height + Math.round(map.inner_width / ratio);"
_ADDRESS = "window.history.replaceState(null, '', window.location.pathname + '?' + query.text);"


class Explorer:
    """One visitor's page."""

    def __init__(
        self,
        scene: Scene,
        elements: pd.DataFrame,
        as_tiff: Callable[[np.ndarray, str], bytes],
        asked: dict[str, str] | None = None,
    ) -> None:
        self.scene, self._as_tiff = scene, as_tiff
        self._elements = elements
        self._known = list(elements.index)
        self._ready = False
        self._shown: dict[str, np.ndarray] = {}
        asked = asked or {}
        self._build_map(asked)
        self._build_controls(asked)
        self._build_side()
        y0, y1, x0, x1 = self.scene.whole
        room = f"calc((100vh - {_AROUND_MAP_PX}px) * {(x1 - x0) / (y1 - y0):.4f} + 60px)"
        left = column(
            self._bar,
            self._map,
            *self._rows,
            sizing_mode="stretch_width",
            styles={"max-width": f"max({_MAP_PX}px, min(66vw, {room}))", "flex": "1 1 auto"},
        )
        self.layout = row(left, self._side, css_classes=["explorer"], sizing_mode="stretch_width")
        self._ready = True
        self._draw()
        if "at" in asked:
            y, x = (float(part) for part in asked["at"].split(","))
            self._show_point(y, x)

    def _build_map(self, asked: dict[str, str]) -> None:
        y0, y1, x0, x1 = self.scene.whole
        view = [float(part) for part in asked["view"].split(",")] if "view" in asked else [y0, y1, x0, x1]
        self._x: Any = Range1d(start=view[2], end=view[3])
        self._y: Any = Range1d(start=view[1], end=view[0])  # y runs downward
        ratio = (x1 - x0) / (y1 - y0)
        pan, wheel, lasso = PanTool(), WheelZoomTool(), LassoSelectTool(continuous=False)
        self._map = figure(
            width=_MAP_PX + 60,
            height=round(_MAP_PX / ratio) + 50,
            sizing_mode="stretch_width",
            x_range=self._x,
            y_range=self._y,
            tools=[pan, wheel, lasso, ResetTool(), SaveTool(filename="explorer")],
            active_scroll=wheel,
            active_drag=pan,
            toolbar_location="above",
            name="map",
        )
        self._map.js_on_change("inner_width", CustomJS(args={"map": self._map, "ratio": ratio}, code=_SQUARE))
        self._map.grid.visible = False
        self._map.xaxis.axis_label, self._map.yaxis.axis_label = "x (mm)", "y (mm)"
        self._map.background_fill_color = "#dddddd"
        self._picture = ColumnDataSource({"image": [], "x": [], "y": [], "dw": [], "dh": []})
        self._map.image_rgba(image="image", x="x", y="y", dw="dw", dh="dh", source=self._picture)
        self._spot = ColumnDataSource({"x": [], "y": []})
        self._map.scatter(
            "x", "y", source=self._spot, size=11, fill_alpha=0, line_color="black", line_width=3.5
        )
        self._map.scatter(
            "x", "y", source=self._spot, size=11, fill_alpha=0, line_color="white", line_width=1.6
        )
        self._region = ColumnDataSource({"x": [], "y": []})
        self._map.patch("x", "y", source=self._region, fill_alpha=0.08, line_color="white", line_dash="dashed")
        self._map.add_layout(ScaleBar(range=self._x, unit="mm", location="bottom_left"))
        self._cut = Span(dimension="height", line_color="white", line_width=2, visible=False)
        self._map.add_layout(self._cut)
        self._map.on_event(Tap, lambda event: self._guarded(self._show_point, event.y, event.x))
        self._map.on_event(SelectionGeometry, lambda event: self._guarded(self._lassoed, event))
        self._map.on_event(RangesUpdate, lambda _: self._draw())
        self._map.on_event(DoubleTap, lambda _: self._clear())

    def _build_controls(self, asked: dict[str, str]) -> None:
        options = [_NONE, *self._known]
        first = {"red": self._known[0]} if self._known and not any(k in asked for k, _ in _COLOURS) else {}
        self._select, self._opacity, self._contrast, self._rows = {}, {}, {}, []
        for name, _ in _COLOURS:
            found = asked.get(name, first.get(name, _NONE))
            value = found if found in options else _NONE
            label = Div(text=name, width=38, styles={"padding-top": "8px"})
            select = Select(value=value, options=options, width=80, name=f"element-{name}")
            opacity = Slider(title="opacity", start=0, end=1, step=0.05, value=0.9, width=190)
            contrast = RangeSlider(title="contrast", start=0, end=1.5, step=0.01, value=(0.0, 1.0), width=260)
            self._select[name], self._opacity[name], self._contrast[name] = select, opacity, contrast
            select.on_change("value", self._changed)
            for slider in (opacity, contrast):
                slider.on_change("value_throttled", self._changed)
            self._rows.append(row(label, select, opacity, contrast))
        layer = asked.get("layer", "all")
        active = LAYERS.index(layer) if layer in LAYERS else 0
        labels = ["both layers", "visible", "hidden", "measured"]
        self._layer = RadioButtonGroup(labels=labels, active=active, name="layer")
        self._photo = Slider(title="photograph", start=0, end=1, step=0.05, value=0.35, width=150, name="photo")
        self._swipe = Slider(
            title="swipe: measured | super-resolved (%)", start=0, end=100, value=0, width=250, name="swipe"
        )
        self._layer.on_change("active", self._changed)
        self._photo.on_change("value_throttled", self._changed)
        self._swipe.on_change("value_throttled", self._changed)
        self._bar = row(self._layer, self._photo, self._swipe)

    def _build_side(self) -> None:
        energy = self.scene.ds.energy.values
        self._counts: Any = Range1d(start=1e-2, end=1e3)
        self._plot = figure(
            min_width=_SIDE_PX,
            height=360,
            sizing_mode="stretch_width",
            x_range=Range1d(start=max(0.0, float(energy[0])), end=float(min(energy[-1], 25.0))),
            y_range=self._counts,
            y_axis_type="log",
            tools="pan,xwheel_zoom,box_zoom,reset,save",
            name="spectrum",
        )
        self._plot.xaxis.axis_label, self._plot.yaxis.axis_label = "energy (keV)", "counts per spot and channel"
        none = {name: np.full(len(energy), np.nan) for name in _SPECTRA}
        self._spectra = ColumnDataSource({"energy": energy} | none)
        words = {"all": "both layers", "visible": "visible", "hidden": "hidden"}
        for name, colour in _SPECTRA.items():
            self._plot.line("energy", name, source=self._spectra, color=colour, legend_label=words[name])
        self._plot.legend.click_policy = "hide"
        self._plot.legend.label_text_font_size = "11px"
        self._lines = ColumnDataSource({"x": [], "top": [], "name": []})
        self._plot.segment(
            "x", 1e-6, "x", "top", source=self._lines, line_color="#999999", line_dash="dotted", line_width=1
        )
        self._plot.add_layout(
            LabelSet(
                x="x", y="top", text="name", source=self._lines, text_font_size="11px", text_align="center"
            )
        )
        shown = self._elements.reset_index().round({"counts": 2, "errors": 1})
        self._table = DataTable(
            source=ColumnDataSource(shown),
            columns=[TableColumn(field=name, title=name) for name in shown.columns],
            min_width=_SIDE_PX, height=280, index_position=None,
            reorderable=False, name="elements", sizing_mode="stretch_width",
        )  # fmt: skip
        self._where = Div(text="Click a place, or draw a region with the lasso.", name="where")
        self._download = ColumnDataSource({"name": [], "kind": [], "content": []})
        self._download.js_on_change("data", CustomJS(args={"source": self._download}, code=_DOWNLOAD))
        # only what something on the page refers to is sent to it, the source of downloads too
        self._query = Div(text="", visible=False, name="query", tags=[self._download])
        self._query.js_on_change("text", CustomJS(args={"query": self._query}, code=_ADDRESS))
        tiff = Button(label="map as TIFF", name="tiff", width=120)
        csv = Button(label="spectrum as CSV", name="csv", width=140)
        png = Button(label="view as PNG", name="png", width=120)
        tiff.on_click(lambda: self._guarded(self._send_tiff))
        csv.on_click(lambda: self._guarded(self._send_csv))
        png.on_click(lambda: self._guarded(self._send_png))
        self._side = column(
            self._where,
            self._plot,
            row(png, tiff, csv),
            self._table,
            self._query,
            sizing_mode="stretch_width",
            styles={"flex": "1 1 0"},
        )

    def _channels(self) -> list[Channel]:
        out = []
        for name, colour in _COLOURS:
            if self._select[name].value != _NONE:
                low, high = self._contrast[name].value
                out.append(Channel(self._select[name].value, colour, self._opacity[name].value, low, high))
        return out

    def _window(self) -> tuple[float, float, float, float]:
        x, y = self._x, self._y
        y0, y1 = sorted((float(y.start), float(y.end)))
        x0, x1 = sorted((float(x.start), float(x.end)))
        return y0, y1, x0, x1

    def _changed(self, attr: str, old: Any, new: Any) -> None:
        self._draw()

    def _draw(self) -> None:
        """Mix the picture of what is in view, and say it in the address."""
        if not self._ready:
            return
        self._guarded(self._mix)

    def _mix(self) -> None:
        y0, y1, x0, x1 = window = self._window()
        step = max(y1 - y0, x1 - x0) / _MOST_PX
        size = max(1, round((y1 - y0) / step)), max(1, round((x1 - x0) / step))
        share = self._swipe.value / 100
        swipe = x0 + share * (x1 - x0) if share > 0 else None
        self._cut.location, self._cut.visible = swipe or 0.0, swipe is not None
        image = self.scene.picture(
            window, size, self._channels(), layer=self._layer_name, photo=self._photo.value, swipe_mm=swipe
        )
        packed = np.ascontiguousarray(image).view(np.uint32)[..., 0]
        self._picture.data = {"image": [packed], "x": [x0], "y": [y0], "dw": [x1 - x0], "dh": [y1 - y0]}
        self._say_address()

    @property
    def _layer_name(self) -> str:
        return LAYERS[self._layer.active or 0]

    def _say_address(self) -> None:
        words = {name: self._select[name].value for name, _ in _COLOURS if self._select[name].value != _NONE}
        words |= {"layer": self._layer_name, "view": ",".join(f"{v:.2f}" for v in self._window())}
        if self._spot.data["x"]:
            words["at"] = f"{self._spot.data['y'][0]:.2f},{self._spot.data['x'][0]:.2f}"
        self._query.text = urlencode(words, safe=",")

    def _show_point(self, y: float, x: float) -> None:
        spectra = {name: self.scene.ds.xrf.spectrum(y=y, x=x, layer=name).values for name in _SPECTRA}
        self._spot.data = {"x": [x], "y": [y]}
        self._region.data = {"x": [], "y": []}
        self._show(spectra, f"Spectrum at x {x:.1f} mm, y {y:.1f} mm")
        self._say_address()

    def _lassoed(self, event: Any) -> None:
        if not event.final or event.geometry.get("type") != "poly":
            return
        x, y = (np.asarray(event.geometry[axis], float) for axis in "xy")
        mask = self.scene.mask(y, x)
        spectra = {name: self.scene.ds.xrf.spectrum(mask=mask, layer=name).values for name in _SPECTRA}
        self._spot.data = {"x": [], "y": []}
        self._region.data = {"x": x, "y": y}
        area = float(mask.sum()) * self.scene.painting.pitch_mm**2
        self._show(spectra, f"Mean spectrum of a region of {area:,.0f} mm²", self.scene.spots_in(area))

    def _show(self, spectra: dict[str, np.ndarray], words: str, spots: float = 1.0) -> None:
        energy, self._shown = self.scene.ds.energy.values, spectra
        peak = max(float(spectra["all"].max()), 1e-6)
        floor = 3e-4 * peak
        # a logarithmic axis has no zero
        self._spectra.data = {"energy": energy} | {n: np.maximum(v, floor / 10) for n, v in spectra.items()}
        self._counts.start, self._counts.end = floor, 6.0 * peak
        lines = named_lines(spectra["all"], self.scene.axis, spots) if self.scene.axis is not None else []
        self._lines.data = {
            "x": [line.kev for line in lines],
            "top": tops(lines, peak),
            "name": [line.element for line in lines],
        }
        self._where.text = words

    def _clear(self) -> None:
        self._spot.data = {"x": [], "y": []}
        self._region.data = {"x": [], "y": []}
        self._say_address()

    def _send_png(self) -> None:
        from PIL import Image

        y0, y1, x0, x1 = window = self._window()
        size = tuple(max(1, round(side / self.scene.painting.pitch_mm)) for side in (y1 - y0, x1 - x0))
        image = self.scene.picture(
            window, (min(size[0], 4000), min(size[1], 4000)), self._channels(), layer=self._layer_name,
            photo=self._photo.value,
        )  # fmt: skip
        out = io.BytesIO()
        Image.fromarray(image).save(out, format="PNG")
        self._send("view.png", "image/png", out.getvalue())

    def _send_tiff(self) -> None:
        channel = next(iter(self._channels()), None)
        if channel is None:
            self._where.text = "Choose an element first."
            return
        values = self.scene.values(channel.element, self._layer_name)
        name = f"{channel.element}-{self._layer_name}"
        self._send(f"{name}.tif", "image/tiff", self._as_tiff(values, name))

    def _send_csv(self) -> None:
        from xrfsr_dask.view import table

        if not self._shown:
            self._where.text = "Click a place first."
            return
        rows = [
            {"energy_kev": float(e)} | {name: float(values[i]) for name, values in self._shown.items()}
            for i, e in enumerate(self.scene.ds.energy.values)
        ]
        self._send("spectrum.csv", "text/csv", table.as_csv(rows).encode())

    def _send(self, name: str, kind: str, content: bytes) -> None:
        self._download.data = {"name": [name], "kind": [kind], "content": [base64.b64encode(content).decode()]}

    def _guarded(self, call: Any, *args: Any) -> None:
        """What goes wrong for a user's reason is said on the page."""
        try:
            call(*args)
        except XrfsrError as error:
            self._where.text = str(error)
