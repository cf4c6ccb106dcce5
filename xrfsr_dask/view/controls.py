"""What a visitor of the explorer turns: elements, colours, layers, photograph and swipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bokeh.layouts import row
from bokeh.models import Div, RadioButtonGroup, RangeSlider, Select, Slider

from xrfsr_dask.view.address import COLOURS, MOST_CONTRAST, NONE, Shade, View
from xrfsr_dask.view.scene import LAYERS, Channel

_LIGHT = {"red": (1.0, 0.25, 0.2), "green": (0.25, 1.0, 0.35), "blue": (0.25, 0.5, 1.0)}
_LABELS = ["both layers", "visible", "hidden", "measured"]


class Controls:
    """Widgets, set as a view asks; `changed` is called where a visitor changes one.

    Parameters
    ----------
    view : View
    found, others : sequence of str
        Elements that are there, and those that can be asked for besides.
    changed : callable
    """

    def __init__(
        self, view: View, found: Sequence[str], others: Sequence[str], changed: Callable[[], None]
    ) -> None:
        options = {"": [NONE]}
        options |= {"found here": list(found)} if found else {}
        options |= {"others": [name for name in others if name not in found]} if others else {}
        self.rows = []
        self._shades = []
        for name, shade in zip(COLOURS, view.shades, strict=True):
            label = Div(text=name, width=36, styles={"padding-top": "8px"})
            select = Select(value=shade.element, options=options, width=74, name=f"element-{name}")
            opacity = _slider("opacity", shade.opacity, 1.0, f"opacity-{name}")
            contrast = RangeSlider(
                title="contrast", start=0, end=MOST_CONTRAST, step=0.01, value=shade.contrast,
                name=f"contrast-{name}", sizing_mode="stretch_width", min_width=130,
            )  # fmt: skip
            self._shades.append((select, opacity, contrast))
            self.rows.append(row(label, select, opacity, contrast, sizing_mode="stretch_width"))
        self.layers = RadioButtonGroup(labels=_LABELS, active=LAYERS.index(view.layer), name="layer", width=320)
        self._photo = _slider("photograph", view.photo, 1.0, "photo")
        self._swipe = _slider("measured (%)", view.swipe, 100.0, "swipe")
        self.bar = row(self.layers, self._photo, self._swipe, sizing_mode="stretch_width")
        for widget in (
            self.layers,
            self._photo,
            self._swipe,
            *(one for three in self._shades for one in three),
        ):
            turned = "value_throttled" if isinstance(widget, Slider | RangeSlider) else "value"
            turned = "active" if widget is self.layers else turned
            widget.on_change(turned, lambda attr, old, new: changed())

    @property
    def layer(self) -> str:
        """Which is chosen, one of `scene.LAYERS`."""
        return LAYERS[self.layers.active or 0]

    @property
    def photo(self) -> float:
        """Brightness of the photograph, 0 to 1."""
        return float(self._photo.value)

    @property
    def swipe(self) -> float:
        """Percentage of the window that shows the patches as measured."""
        return float(self._swipe.value)

    @property
    def shades(self) -> tuple[Shade, ...]:
        """What each colour shows."""
        return tuple(
            Shade(str(select.value), float(opacity.value), (float(contrast.value[0]), float(contrast.value[1])))
            for select, opacity, contrast in self._shades
        )

    @property
    def channels(self) -> list[Channel]:
        """The colours that show an element."""
        return [
            Channel(shade.element, _LIGHT[colour], shade.opacity, *shade.contrast)
            for colour, shade in zip(COLOURS, self.shades, strict=True)
            if shade.element != NONE
        ]


def _slider(title: str, value: float, end: float, name: str) -> Any:
    return Slider(
        title=title, start=0, end=end, step=end / 20 if end == 1 else 1, value=value, name=name,
        sizing_mode="stretch_width", min_width=90,
    )  # fmt: skip
