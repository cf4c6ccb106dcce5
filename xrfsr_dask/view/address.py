"""The view of the explorer as the words of its address: all that is shown, and nothing that cannot be read."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

import numpy as np
from skimage.measure import approximate_polygon

from xrfsr_dask.view.scene import LAYERS, Window

COLOURS = ("red", "green", "blue")
"""Names of the channels, in the order of the page."""
NONE = "none"
"""In the place of an element: nothing is shown in that colour."""

WIDEST = 50.0
"""Sides of a window at most, in those of the painting."""

_CORNERS = 60  # of a region, at most: an address is to be sent in a letter
_DIGITS = 6
_DIGITS_CLOSE = 9  # of a window, which may be small and far from the corner
_WORDS = {"view", "layer", "photo", "swipe", "at", "region", *COLOURS} | {
    f"{colour}_{what}" for colour in COLOURS for what in ("opacity", "contrast")
}


@dataclass(frozen=True)
class Shade:
    """What one colour shows."""

    element: str = NONE
    opacity: float = 0.9
    contrast: tuple[float, float] = (0.0, 1.0)
    """Shares of the map's full brightness that are black and the full colour; at most `MOST_CONTRAST`."""


MOST_CONTRAST = 1.5
"""Share of a map's full brightness to which the contrast reaches."""


@dataclass(frozen=True)
class View:
    """All that a page shows."""

    window: Window
    layer: str = "all"
    photo: float = 0.35
    """Brightness of the photograph."""
    swipe: float = 0.0
    """Percentage of the window, from its left, that shows the patches as measured."""
    shades: tuple[Shade, ...] = (Shade(),) * len(COLOURS)
    """One a colour."""
    at: tuple[float, float] | None = None
    """The place (y, x), mm, whose spectrum is shown."""
    region: tuple[tuple[float, float], ...] = field(default=())
    """Corners (y, x), mm, of the region whose mean spectrum is shown."""


def as_query(view: View) -> str:
    """The words of an address; what is as it is without being asked for is left out.

    >>> as_query(View((0.0, 50.0, 0.0, 80.0), "hidden", at=(12.0, 30.5)))
    'view=0,50,0,80&layer=hidden&red=none&at=12,30.5'
    """
    plain = View(view.window)
    words = {"view": _numbers(view.window, _DIGITS_CLOSE), "layer": view.layer}
    for name, value in (("photo", view.photo), ("swipe", view.swipe)):
        if value != getattr(plain, name):
            words[name] = _numbers([value])
    for colour, shade in zip(COLOURS, view.shades, strict=True):
        if shade.element != NONE:
            words[colour] = shade.element
        if shade.opacity != Shade.opacity:
            words[f"{colour}_opacity"] = _numbers([shade.opacity])
        if shade.contrast != Shade.contrast:
            words[f"{colour}_contrast"] = _numbers(shade.contrast)
    if not any(colour in words for colour in COLOURS):
        words[COLOURS[0]] = NONE  # else the first element would be chosen
    if view.at is not None:
        words["at"] = _numbers(view.at)
    if view.region:
        words["region"] = _numbers(np.ravel(view.region))
    return urlencode(words, safe=",")


def read(
    asked: Mapping[str, Sequence[bytes]], whole: Window, found: Sequence[str], others: Collection[str]
) -> tuple[View, str]:
    """The view that an address asks for, and words on what of it is left out; empty where nothing is.

    Parameters
    ----------
    asked : mapping of words to their values, as a request brings them
        The last value of each counts.
    whole : Window
        The painting.
    found : sequence of str
        Elements that are there; the first is shown where no colour is asked for.
    others : collection of str
        Further elements that can be shown.
    """
    words: dict[str, str] = {}
    wrong = []
    for name, values in asked.items():
        try:
            words[name] = values[-1].decode()
        except UnicodeDecodeError:
            wrong.append(name)
    wrong += [name for name in words if name not in _WORDS and not name.startswith("bokeh")]
    reader = _Reader(words, whole, {NONE, *found, *others})
    view = reader.view()
    if found and not any(colour in asked for colour in COLOURS):
        view = View(**vars(view) | {"shades": (Shade(found[0]), *view.shades[1:])})
    wrong += reader.wrong
    told = [f"Left out of the address, as it cannot be read: {', '.join(wrong)}."] if wrong else []
    if view.at is not None and "region" in words:
        told.append("Left out of the address, as a place is asked for too: region.")
    return view, " ".join(told)


class _Reader:
    """Words read one by one; those that cannot be are listed in `wrong`."""

    def __init__(self, words: Mapping[str, str], whole: Window, elements: Collection[str]) -> None:
        self._words, self._whole, self._elements = words, whole, elements
        self.wrong: list[str] = []

    def view(self) -> View:
        at = self._list("at", 2, self._within)
        return View(
            window=self._window(),
            layer=self._choice("layer", View.layer, LAYERS),
            photo=self._number("photo", View.photo, 1.0),
            swipe=self._number("swipe", View.swipe, 100.0),
            shades=tuple(self._shade(colour) for colour in COLOURS),
            at=(at[0], at[1]) if at else None,
            region=() if at else self._region(),
        )

    def _shade(self, colour: str) -> Shade:
        contrast = self._list(f"{colour}_contrast", 2, lambda low, high: 0 <= low < high <= MOST_CONTRAST)
        return Shade(
            self._choice(colour, NONE, self._elements),
            self._number(f"{colour}_opacity", Shade.opacity, 1.0),
            Shade.contrast if contrast is None else (contrast[0], contrast[1]),
        )

    def _window(self) -> Window:
        found = self._list("view", 4, self._shows)
        return self._whole if found is None else (found[0], found[1], found[2], found[3])

    def _region(self) -> tuple[tuple[float, float], ...]:
        n = self._words.get("region", "").count(",") + 1
        corners = self._list("region", n, lambda *_: 6 <= n <= 4 * _CORNERS and n % 2 == 0)
        found = tuple(zip(corners[::2], corners[1::2], strict=True)) if corners else ()
        if found and not reaches(found, self._whole):
            self.wrong.append("region")
            return ()
        return found

    def _within(self, y: float, x: float) -> bool:
        y0, y1, x0, x1 = self._whole
        return y0 <= y <= y1 and x0 <= x <= x1

    def _shows(self, top: float, bottom: float, left: float, right: float) -> bool:
        """Whether a window has a size that can be drawn, and holds some of the painting."""
        y0, y1, x0, x1 = self._whole
        most = WIDEST * (1 + 1e-6)  # as an address rounds
        drawn = 0 < bottom - top <= most * (y1 - y0) and 0 < right - left <= most * (x1 - x0)
        return drawn and top < y1 and bottom > y0 and left < x1 and right > x0

    def _choice(self, name: str, usual: str, among: Collection[str]) -> str:
        found = self._words.get(name, usual)
        if found in among:
            return found
        self.wrong.append(name)
        return usual

    def _number(self, name: str, usual: float, most: float) -> float:
        found = self._list(name, 1, lambda value: 0 <= value <= most)
        return usual if found is None else found[0]

    def _list(self, name: str, n: int, right: Callable[..., bool]) -> list[float] | None:
        """n finite numbers between commas that are right; None where there are none."""
        if name not in self._words:
            return None
        with contextlib.suppress(ValueError):
            values = [float(part) for part in self._words[name].split(",")]
            if len(values) == n and all(map(math.isfinite, values)) and right(*values):
                return values
        self.wrong.append(name)
        return None


def reaches(corners: Sequence[tuple[float, float]], whole: Window) -> bool:
    """Whether a region of corners (y, x) may hold some of the painting."""
    (top, left), (bottom, right) = (tuple(map(end, zip(*corners, strict=True))) for end in (min, max))
    y0, y1, x0, x1 = whole
    return y0 < bottom > top < y1 and x0 < right > left < x1


def corners_of(y_mm: np.ndarray, x_mm: np.ndarray) -> tuple[tuple[float, float], ...]:
    """A polygon with few corners, as near to one drawn by hand as an address has room for."""
    drawn = np.column_stack([y_mm, x_mm]).astype(float)
    size = float(np.ptp(drawn, axis=0).max())
    kept, tolerance = drawn, size / 2000
    while len(kept) > _CORNERS or kept is drawn:
        kept = approximate_polygon(np.concatenate([drawn, drawn[:1]]), tolerance)[:-1]
        tolerance *= 1.5
    kept = kept if len(kept) >= 3 else drawn[:_CORNERS]
    return tuple((float(f"{y:.{_DIGITS}g}"), float(f"{x:.{_DIGITS}g}")) for y, x in kept)


def _numbers(values: Sequence[float] | np.ndarray, digits: int = _DIGITS) -> str:
    return ",".join(f"{value:.{digits}g}" for value in values)
