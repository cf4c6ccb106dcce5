"""What a visitor of the explorer takes home: the view as PNG with its scale and the names of its maps."""

from __future__ import annotations

import io
import itertools
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from xrfsr_dask.view.scene import Channel, Scene, Window

_MOST_PX = 4000  # along the longer side
_BAR = 0.22  # of the width, at most
_LEAST_LETTERS = 6  # px


def as_png(
    scene: Scene,
    window: Window,
    channels: Sequence[Channel],
    *,
    layer: str,
    photo: float,
    swipe_mm: float | None,
) -> bytes:
    """The view as PNG: the painting's own pixels, or fewer, as wide as they are high.

    Millimetres per pixel stand in the file (``pHYs``, and the text ``Description``); a scale bar, the names of
    the maps in their colours and the line of the swipe are drawn.
    """
    from PIL import Image, PngImagePlugin

    y0, y1, x0, x1 = window
    pitch = max(scene.painting.pitch_mm, (y1 - y0) / _MOST_PX, (x1 - x0) / _MOST_PX)
    size = max(1, round((y1 - y0) / pitch)), max(1, round((x1 - x0) / pitch))
    image = scene.picture(window, size, channels, layer=layer, photo=photo, swipe_mm=swipe_mm)
    if swipe_mm is not None and x0 < swipe_mm < x1:
        at, half = round((swipe_mm - x0) / pitch), max(1, round(size[1] / 800))
        image[:, max(at - half, 0) : at + half] = 255
    picture = Image.fromarray(image)
    draw_bar(picture, pitch)
    draw_names(picture, channels, layer)
    text = PngImagePlugin.PngInfo()
    facts = {"mm_per_px": pitch, "window_mm": window, "layer": layer, "photograph": photo, "swipe_mm": swipe_mm}
    shown = [vars(channel) for channel in channels]
    text.add_text("Description", json.dumps(facts | {"channels": shown}))
    out = io.BytesIO()
    picture.save(out, format="PNG", pnginfo=text, dpi=(25.4 / pitch, 25.4 / pitch))
    return out.getvalue()


def draw_bar(picture: Any, pitch_mm: float) -> None:
    """Draw a bar of a round number of mm into the lower left corner of a PIL picture."""
    from PIL import ImageDraw, ImageFont

    wide, high = picture.size
    mm = round_mm(_BAR * wide * pitch_mm)
    length, thick = round(mm / pitch_mm), max(2, round(high / 180))
    margin, font = _margin(wide), ImageFont.load_default(_letters(wide, high))
    words = f"{mm:g} mm"
    draw = ImageDraw.Draw(picture)
    left, top, right, bottom = draw.textbbox((0, 0), words, font=font)
    box_wide = max(length, right - left) + 2 * thick
    box_high = bottom - top + 4 * thick
    corner = margin, high - margin - box_high
    if corner[1] < 0 or corner[0] + box_wide > wide:
        return  # too small a picture to be written on
    draw.rectangle((*corner, corner[0] + box_wide, corner[1] + box_high), fill=(0, 0, 0, 255))
    draw.text((corner[0] + thick - left, corner[1] + thick - top), words, fill="white", font=font)
    below = corner[1] + box_high - 2 * thick
    draw.rectangle((corner[0] + thick, below, corner[0] + thick + length - 1, below + thick - 1), fill="white")


def draw_names(picture: Any, channels: Sequence[Channel], layer: str) -> None:
    """Write the elements of maps in their colours, and the layer, into the upper left corner of a picture;
    below each other, and smaller, where they have no room."""
    from PIL import ImageDraw, ImageFont

    if not channels:
        return
    wide, high = picture.size
    margin = _margin(wide)
    of = {"all": "both layers", "measured": "as measured"}.get(layer, f"{layer} layer")
    words = [(c.element, tuple(round(255 * part) for part in c.colour)) for c in channels] + [(of, (255,) * 3)]
    draw = ImageDraw.Draw(picture)
    for size, one in itertools.product(range(_letters(wide, high), _LEAST_LETTERS - 1, -1), (True, False)):
        font, rows = ImageFont.load_default(size), [words] if one else [[word] for word in words]
        gap, line = draw.textlength("  ", font=font), 1.4 * font.getbbox("Ag")[3]
        widths = [[draw.textlength(text, font=font) + gap for text, _ in row] for row in rows]
        box = margin, margin, margin + gap + max(map(sum, widths)), margin + line * len(rows)
        if box[2] > wide or box[3] > high:
            continue
        draw.rectangle(box, fill=(0, 0, 0, 255))
        for k, (row, steps) in enumerate(zip(rows, widths, strict=True)):
            for (text, colour), x in zip(row, np.cumsum([margin + gap, *steps[:-1]]), strict=True):
                draw.text((x, margin + (k + 0.07) * line), text, fill=colour, font=font)
        return


def _margin(wide: int) -> int:
    """Around what is written on a picture, px."""
    return max(4, round(wide / 50))


def _letters(wide: int, high: int) -> int:
    """Size of letters on a picture, px."""
    return max(10, round(min(high / 32, wide / 8)))


def round_mm(most: float) -> float:
    """The largest of 1, 2, 5, 10, 20 … and their tenths that is not more.

    >>> round_mm(34.0), round_mm(0.07)
    (20.0, 0.05)
    """
    power = 10.0 ** math.floor(math.log10(most))
    return float(np.round(max(step * power for step in (1, 2, 5) if step * power <= most * (1 + 1e-9)), 9))
