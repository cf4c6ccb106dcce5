"""The explorer page: photograph and element maps, a click or a lasso for a spectrum; Bokeh, served locally.

Pictures are mixed on the server (`scene`), in the size of the screen and for the part in view, so a painting of
any size pans as fast. What takes long is done beside the page (`lane`), which says so. What is shown stands in
the page's address.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from xrfsr_dask.errors import MissingPackageError, XrfsrError, first_line
from xrfsr_dask.view.address import View, as_query, corners_of, reaches, read

try:
    from bokeh.events import DoubleTap, RangesUpdate, SelectionGeometry, Tap
    from bokeh.layouts import column, row
    from bokeh.models import Button, ColumnDataSource, CustomJS, DataTable, Div, InlineStyleSheet, TableColumn

    from xrfsr_dask.view.controls import Controls
    from xrfsr_dask.view.plots import MapPlot, SpectrumPlot, beside_px
except ImportError as error:
    raise MissingPackageError(
        "the explorer needs Bokeh; install it with: pip install 'xrfsr_dask[view]'."
    ) from error

from xrfsr_dask.view import table, words
from xrfsr_dask.view.lane import Lane
from xrfsr_dask.view.named import Named, named_lines
from xrfsr_dask.view.saved import as_png
from xrfsr_dask.view.scene import MEASURED, Scene

_LOG = logging.getLogger(__name__)

_SIDE_PX = 330  # of the spectrum, at least
_LEAST_MAP = "min(500px, 97vw)"  # where the window has no room for both, the spectrum stands below
_AROUND_MAP_PX = 302  # of the window's height: heading and controls above and below the map, its axis
_DOUBLE = 0.02  # of the window's longer side, between the two clicks of a double click
_MOST_PX = 1200  # along the longer side of a picture that is sent
_NOTES = ("notice", "note")  # what holds for the whole visit, and what the last click met
_TITLES = {"counts": "counts, both layers"}
_WIDTHS = {"element": 66, "line": 46, "counts": 128, "errors": 60, "sure": 66}  # of columns, in proportion
_ASK = "Click a place, or draw a region with the lasso."

# A download is made in the browser from what the server has put into the source.
_DOWNLOAD = """
const kind = source.data.kind[0], bytes = Uint8Array.from(atob(source.data.content[0]), c => c.charCodeAt(0));
const link = document.createElement('a');
link.href = URL.createObjectURL(new Blob([bytes], {type: kind}));
link.download = source.data.name[0];
link.click();
URL.revokeObjectURL(link.href);
"""
_ADDRESS = "window.history.replaceState(null, '', window.location.pathname + '?' + query.text);"
# Nothing flickers for what is done at once.
_BUSY = """
:host { color: #8a4b00; animation: appear 0.2s 0.4s both; }
@keyframes appear { from { opacity: 0 } to { opacity: 1 } }
"""

Shown = tuple[dict[str, np.ndarray], list[Named], str]
"""Spectra by name, the lines named in them, and words on where they are from."""


class Explorer:
    """One visitor's page.

    Parameters
    ----------
    scene : Scene
    title : str
    elements : pandas.DataFrame
        Those that are there, as `presence.elements_table`.
    as_tiff : callable
        A map and its name as the bytes of a file.
    asked : mapping
        The words of the address, as `address.read` takes them.
    later : callable
        Has a function called in the page's own turn, from any thread.
    """

    def __init__(
        self,
        scene: Scene,
        title: str,
        elements: pd.DataFrame,
        as_tiff: Callable[[np.ndarray, str], bytes],
        asked: Mapping[str, Sequence[bytes]],
        later: Callable[[Callable[[], None]], Any],
    ) -> None:
        self.scene, self._as_tiff = scene, as_tiff
        found, others = list(elements.index), scene.elements()
        view, wrong = read(asked, scene.whole, found, others)
        self._at, self._region, self._pitch_mm = view.at, view.region, scene.painting.pitch_mm
        self._spectra: dict[str, np.ndarray] = {}
        self._name = ""  # of a file of these
        self._tap = (np.inf, np.inf)
        self._busy = {"pictures": "", "spectra": "", "files": ""}
        failed = dict.fromkeys(self._busy, self._failed) | {"spectra": self._unanswered}
        self._lanes = {name: Lane(later, partial(self._say_busy, name), failed[name]) for name in self._busy}
        self._controls = Controls(view, found, others, self._changed)
        self._layer = view.layer
        y0, y1, x0, x1 = scene.whole
        ratio = (x1 - x0) / (y1 - y0)
        room = f"calc((100vh - {_AROUND_MAP_PX}px) * {ratio:.4f} + {beside_px(ratio)}px)"
        self._map = MapPlot(scene.whole, view.window, room, self._pitch_mm)
        self._plot = SpectrumPlot(scene.ds.energy.values, _SIDE_PX, "calc(50vh - 60px)")
        why = f"No element maps: {scene.no_lines}" if scene.no_lines else ""
        self._notice, self._note = (Div(text="", name=name, styles={"color": "#a02020"}) for name in _NOTES)
        self._say(f"{wrong} {why}".strip(), self._notice)
        self._say("")
        self.layout = self._laid_out(title, elements, f"max(min(58vw, {room}), min(540px, 56vw), {_LEAST_MAP})")
        events = self._map.figure.on_event
        events(Tap, self._tapped)
        events(SelectionGeometry, self._lassoed)
        events(RangesUpdate, lambda _: self._draw())
        events(DoubleTap, self._tapped_twice)

    def start(self) -> None:
        """Draw what the address asks for."""
        self._draw()
        self._ask_spectrum()

    def _laid_out(self, title: str, elements: pd.DataFrame, left: str) -> Any:
        heading = Div(text=f"<b>{escape(title)}</b>", name="heading")
        self._working = Div(text="", visible=False, name="busy", stylesheets=[InlineStyleSheet(css=_BUSY)])
        self._where = Div(text=_ASK, name="where")
        # only what something on the page refers to is sent to it, the source of downloads too
        self._download = ColumnDataSource({"name": [], "kind": [], "content": []})
        self._download.js_on_change("data", CustomJS(args={"source": self._download}, code=_DOWNLOAD))
        self._query = Div(text="", visible=False, name="query", tags=[self._download])
        self._query.js_on_change("text", CustomJS(args={"query": self._query}, code=_ADDRESS))
        buttons = []
        for label, name, call in (
            ("view as PNG", "png", self._send_png),
            ("map as TIFF", "tiff", self._send_tiff),
            ("spectrum as CSV", "csv", self._send_csv),
        ):
            button = Button(label=label, name=name, sizing_mode="stretch_width", min_width=80)
            button.on_click(call)
            buttons.append(button)
        shown = elements.reset_index().round({"counts": 2, "errors": 1})
        listed = DataTable(
            source=ColumnDataSource(shown.to_dict("list")),
            columns=[
                TableColumn(field=name, title=_TITLES.get(name, name), width=_WIDTHS.get(name, 90))
                for name in shown.columns
            ],
            min_width=_SIDE_PX, height=200, index_position=None, reorderable=False, name="elements",
            sizing_mode="stretch_width", styles={"min-height": "calc(50vh - 130px)"},
        )  # fmt: skip
        maps = column(
            self._controls.bar,
            self._map.figure,
            *self._controls.rows,
            sizing_mode="stretch_width",
            styles={"max-width": left, "flex": "0 0 auto", "width": left},
        )
        side = column(
            self._where,
            self._plot.figure,
            row(*buttons, sizing_mode="stretch_width"),
            listed,
            self._query,
            sizing_mode="stretch_width",
            styles={"flex": "1 1 0", "min-width": f"{_SIDE_PX}px"},
        )
        return column(
            row(heading, self._notice, self._note, self._working, sizing_mode="stretch_width"),
            row(maps, side, sizing_mode="stretch_width", styles={"flex-wrap": "wrap"}),
            css_classes=["explorer"],
            sizing_mode="stretch_width",
        )

    @property
    def _view(self) -> View:
        turned = self._controls
        return View(
            self._map.window, turned.layer, turned.photo, turned.swipe, turned.shades, self._at, self._region
        )

    def _changed(self) -> None:
        self._draw()
        if MEASURED in (self._layer, self._controls.layer) and self._layer != self._controls.layer:
            self._ask_spectrum()
        self._layer = self._controls.layer

    def _draw(self) -> None:
        """Mix the picture of what is in view, and say it in the address."""
        window, asked = self._map.window, self._picture_words
        step = max(window[1] - window[0], window[3] - window[2]) / _MOST_PX
        size = max(1, round((window[1] - window[0]) / step)), max(1, round((window[3] - window[2]) / step))
        work = partial(self.scene.picture, window, size, self._controls.channels, **asked)
        patches = asked["layer"] == MEASURED or asked["swipe_mm"] is not None
        what = "Reading the patches as measured …" if patches else "Mixing the picture …"
        swipe = asked["swipe_mm"]
        self._lanes["pictures"].ask(what, work, lambda image: self._map.paint(image, window, swipe))
        self._query.text = as_query(self._view)

    @property
    def _picture_words(self) -> dict[str, Any]:
        window, share = self._map.window, self._controls.swipe / 100
        parted = share > 0 and self._controls.layer != MEASURED
        return {
            "layer": self._controls.layer,
            "photo": self._controls.photo,
            "swipe_mm": window[2] + share * (window[3] - window[2]) if parted else None,
        }

    def _tapped(self, event: Any) -> None:
        self._tap = event.y, event.x
        self._ask_point(event.y, event.x)

    def _tapped_twice(self, event: Any) -> None:
        """Clear what is marked, where the second click, which comes as this alone, is where the first was."""
        window = self._map.window
        near = _DOUBLE * max(window[1] - window[0], window[3] - window[2])
        if np.hypot(self._tap[0] - event.y, self._tap[1] - event.x) <= near:
            self._clear()
        else:
            self._tapped(event)

    def _ask_point(self, y: float, x: float) -> None:
        y0, y1, x0, x1 = self.scene.whole
        if not (y0 <= y <= y1 and x0 <= x <= x1):
            self._say(f"{words.place((y, x), self._pitch_mm)} lies outside the painting.")
            return
        self._at, self._region = (y, x), ()
        self._ask_spectrum()

    def _lassoed(self, event: Any) -> None:
        if event.final and event.geometry.get("type") == "poly":
            corners = corners_of(*(np.asarray(event.geometry[axis], float) for axis in "yx"))
            if not reaches(corners, self.scene.whole):
                self._say("The region holds nothing of the painting; draw a larger one.")
                return
            self._at, self._region = None, corners
            self._ask_spectrum()

    def _ask_spectrum(self) -> None:
        """Show the spectrum of the place or the region that is marked."""
        self._map.mark(self._at, self._region)
        self._query.text = as_query(self._view)
        if self._at is None and not self._region:
            return
        measured = self._controls.layer == MEASURED
        ask = self._measured if measured else self._resolved
        show = partial(self._show, self._name_of(measured))
        self._lanes["spectra"].ask("Adding up counts …", partial(ask, self._at, self._region), show)

    def _resolved(self, at: tuple[float, float] | None, region: Sequence[tuple[float, float]]) -> Shown:
        if at is not None:
            spectra, spots = self.scene.spectra_at(*at), 1.0
            what = f"Spectrum at {words.place(at, self._pitch_mm)}"
            measured = self.scene.measured_at(*at)
        else:
            spectra, area = self.scene.spectra_within(region)
            spots, what = self.scene.spots_in(area), f"Mean spectrum of a region of {words.area(area)}"
            measured = self.scene.measured_within(region)
        return spectra, self._named(spectra["all"], spots), what + _not_measured(measured)

    def _measured(self, at: tuple[float, float] | None, region: Sequence[tuple[float, float]]) -> Shown:
        try:
            found = self.scene.spots.within(region) if at is None else self.scene.spots.at(*at)
        except XrfsrError as error:
            return {}, [], str(error)
        what = f"As measured at {words.place(at, self._pitch_mm)}" if at else "Mean as measured"
        named = self._named(found.spectrum, found.spots)
        return {MEASURED: found.spectrum}, named, f"{what}: {found.words}"

    def _named(self, spectrum: np.ndarray, spots: float) -> list[Named]:
        return [] if self.scene.axis is None else named_lines(spectrum, self.scene.axis, spots)

    def _name_of(self, measured: bool) -> str:
        """Of a file of the spectrum at the place that is marked now; another may be once there is something."""
        name = MEASURED if measured else str(self.scene.ds.attrs["result"])
        return words.named_by_place(name, self._at, self._region, self._pitch_mm)

    def _show(self, name: str, shown: Shown) -> None:
        spectra, lines, where = shown
        self._spectra, self._name = spectra, name
        self._plot.show(spectra, lines)
        self._where.text = escape(where)
        self._say("")

    def _clear(self) -> None:
        self._at, self._region = None, ()
        self._lanes["spectra"].ask("", lambda: ({}, [], _ASK), partial(self._show, ""))
        self._map.mark()
        self._query.text = as_query(self._view)

    def _send_png(self) -> None:
        work = partial(as_png, self.scene, self._map.window, self._controls.channels, **self._picture_words)
        self._lanes["files"].ask("Drawing the view …", work, partial(self._send, "view.png", "image/png"))

    def _send_tiff(self) -> None:
        channels, layer = self._controls.channels, self._controls.layer
        if not channels:
            self._say("Choose an element first.")
            return
        name = f"{channels[0].element}-{layer}"
        self._lanes["files"].ask(
            "Making the map …",
            lambda: self._as_tiff(self.scene.values(channels[0].element, layer), name),
            partial(self._send, f"{name}.tif", "image/tiff"),
        )

    def _send_csv(self) -> None:
        if not self._spectra:
            self._say("Click a place first.")
            return
        columns = {"energy_kev": self.scene.ds.energy.values} | self._spectra
        rows = [
            dict(zip(columns, map(float, values), strict=True))
            for values in zip(*columns.values(), strict=True)
        ]
        self._send(f"{self._name}.csv", "text/csv", table.as_csv(rows).encode())

    def _send(self, name: str, kind: str, content: bytes) -> None:
        self._download.data = {"name": [name], "kind": [kind], "content": [base64.b64encode(content).decode()]}

    def _say(self, told: str, where: Any = None) -> None:
        where = self._note if where is None else where
        where.text, where.visible = escape(told), bool(told)

    def _say_busy(self, lane: str, what: str) -> None:
        self._busy[lane] = what
        self._working.text = " ".join(filter(None, self._busy.values()))
        self._working.visible = bool(self._working.text)

    def _unanswered(self, error: Exception) -> None:
        """Where a place or region has no spectrum, that of another is not left standing for it, nor saved."""
        self._show("", ({}, [], ""))
        self._failed(error)

    def _failed(self, error: Exception) -> None:
        """What goes wrong for a user's reason is said on the page, and that something did for any other."""
        if isinstance(error, XrfsrError):
            self._say(str(error))
        else:
            self._say(f"This did not work: {first_line(error)}.")
            _LOG.error("the explorer could not do what was asked", exc_info=error)


def _not_measured(share: float) -> str:
    """Words on the part of a place or a region in which the photograph speaks alone."""
    if share <= 0:
        return ". Nothing was measured here: this is what the photograph suggests."
    unmeasured = 100 * (1 - share)
    return f". {unmeasured:.0f} % of it was not measured." if unmeasured >= 0.5 else ""
