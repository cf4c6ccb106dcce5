"""The view as a picture file: its shape, scale and swipe."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from xrfsr_dask.store import create_painting
from xrfsr_dask.view import saved
from xrfsr_dask.view.saved import as_png, round_mm
from xrfsr_dask.view.scene import Channel


class Drawn:
    """Stands for a scene: remembers what it was asked, and is grey."""

    def __init__(self, painting) -> None:
        self.painting = painting

    def picture(self, window, size, channels, **words):
        self.asked = window, size, words
        return np.full((*size, 4), (90, 90, 90, 255), np.uint8)


@pytest.fixture
def scene(tmp_path):
    photo = np.broadcast_to(np.uint8(0), (12, 90, 3))
    return Drawn(create_painting(tmp_path / "p.zarr", photo, width_mm=45.0))


def opened(scene, window, **words):
    given = {"layer": "all", "photo": 0.4, "swipe_mm": None} | words
    return Image.open(io.BytesIO(as_png(scene, window, [Channel("Cr", (1.0, 0.0, 0.0))], **given)))


def test_a_large_view_keeps_its_shape(scene, monkeypatch):
    monkeypatch.setattr(saved, "_MOST_PX", 60)
    picture = opened(scene, (0.0, 6.0, 0.0, 45.0))
    assert picture.size == (60, 8)
    assert json.loads(picture.info["Description"])["mm_per_px"] == pytest.approx(45.0 / 60)


def test_millimetres_stand_in_the_file(scene):
    picture = opened(scene, (0.0, 6.0, 0.0, 45.0), layer="hidden")
    assert picture.size == (90, 12)
    assert picture.info["dpi"] == pytest.approx((25.4 / 0.5, 25.4 / 0.5), rel=1e-3)
    facts = json.loads(picture.info["Description"])
    assert (facts["mm_per_px"], facts["layer"], facts["channels"][0]["element"]) == (0.5, "hidden", "Cr")


def test_the_swipe_is_drawn_and_so_is_its_line(scene):
    picture = np.asarray(opened(scene, (0.0, 6.0, 0.0, 45.0), swipe_mm=15.0))
    assert scene.asked[2]["swipe_mm"] == 15.0
    assert (picture[:, 29:31, :3] == 255).all()
    assert (picture[:, 32:] == 90).sum() > 100


def test_words_on_a_tall_view_leave_it_to_be_seen(scene):
    picture = np.asarray(opened(scene, (0.0, 480.0, 0.0, 60.0)).convert("L"))
    assert picture.shape == (960, 120)
    assert (picture == 255).any()
    assert ((picture[-120:] != 90).any(axis=0)).sum() < 60


def test_a_bar_of_round_length_is_drawn(scene):
    picture = np.asarray(opened(scene, (0.0, 200.0, 0.0, 300.0)).convert("L"))
    rows, columns = np.nonzero(picture[-120:, :250] == 255)
    longest = max(int((columns[rows == row]).size) for row in np.unique(rows))
    assert longest == round(round_mm(0.22 * 300.0) / 0.5)


@pytest.mark.parametrize(
    ("wide", "high"), [(40, 120), (60, 480), (80, 640), (400, 1200), (1200, 400), (400, 400)]
)
@pytest.mark.parametrize("elements", [["Cr"], ["Cr", "Pb"], ["Cr", "Pb", "Hg"]])
def test_every_map_of_a_narrow_picture_is_named_in_its_colour(wide, high, elements):
    colours = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    picture = Image.new("RGBA", (wide, high), (90, 90, 90, 255))
    channels = [Channel(element, colour) for element, colour in zip(elements, colours, strict=False)]
    saved.draw_names(picture, channels, "hidden")
    drawn = np.asarray(picture)[..., :3].astype(int)
    seen = [
        int(((drawn * colour).sum(-1) - (drawn * (1 - np.array(colour))).sum(-1) > 60).sum())
        for colour in colours
    ]
    assert all(n > 3 for n in seen[: len(elements)]), seen
    assert (drawn.min(-1) > 120).sum() > 10  # the layer
