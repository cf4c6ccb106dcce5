"""The view in an address: read as it was written, and what cannot be read is left out and said."""

from __future__ import annotations

import subprocess
import sys
import urllib.parse

import numpy as np
import pytest

from xrfsr_dask.view.address import NONE, Shade, View, as_query, corners_of, read

WHOLE = (0.0, 200.0, 0.0, 300.0)
FOUND, OTHERS = ["Fe", "Cr", "Pb"], ["U"]


def words(query: str) -> dict[str, list[bytes]]:
    parsed = urllib.parse.parse_qs(query, keep_blank_values=True, encoding="latin-1")
    return {name: [value.encode("latin-1") for value in values] for name, values in parsed.items()}


def opened(query: str) -> tuple[View, str]:
    return read(words(query), WHOLE, FOUND, OTHERS)


FULL = View(
    window=(10.0, 60.0, 20.0, 95.5),
    layer="hidden",
    photo=0.7,
    swipe=35.0,
    shades=(Shade("Cr", 0.5, (0.1, 0.8)), Shade(), Shade("U", 0.9, (0.0, 1.3))),
)


@pytest.mark.parametrize(
    "more",
    [{}, {"at": (33.25, 44.5)}, {"region": ((10.0, 20.0), (40.0, 25.5), (30.0, 60.0))},
     {"shades": (Shade(), Shade(), Shade())}, {"shades": (Shade("Pb"), Shade(), Shade())}],
)  # fmt: skip
def test_a_view_comes_back_whole(more):
    view = View(**vars(FULL) | more)
    assert opened(as_query(view)) == (view, "")


def test_without_words_all_is_shown_with_the_first_element():
    assert opened("") == (View(WHOLE, shades=(Shade("Fe"), Shade(), Shade())), "")
    assert read({}, WHOLE, [], [])[0].shades[0].element == NONE


@pytest.mark.parametrize(
    "query",
    ["view=abc", "view=nan,1,2,3", "view=10,10,0,5", "view=50,10,0,5", "view=1,2,3", "view=900,950,0,5",
     "view=0,1e9,0,5", "view=0,inf,0,5", "view=", "at=5", "at=99999,99999", "at=nan,3", "at=-1,5", "layer=none",
     "photo=2", "photo=x", "swipe=-5", "swipe=1e400", "red=%FF", "red=Xx", "red=fe", "red_opacity=7",
     "red_contrast=1,0", "red_contrast=0.1", "region=1,2,3,4", "region=1,2,3,4,5",
     "region=900,900,900,950,950,900", "region=a", "elment=Fe"],
)  # fmt: skip
def test_what_cannot_be_read_is_left_out_and_named(query):
    view, said = opened(f"{query}&green=Cr")
    assert said == f"Left out of the address, as it cannot be read: {query.split('=')[0]}."
    assert view == View(WHOLE, shades=(Shade(), Shade("Cr"), Shade()))


def test_of_a_place_and_a_region_the_place_is_shown_and_that_is_said():
    view, said = opened("at=5,6&region=10,20,40,25,30,60&layer=none")
    assert (view.at, view.region) == ((5.0, 6.0), ())
    assert said == (
        "Left out of the address, as it cannot be read: layer. "
        "Left out of the address, as a place is asked for too: region."
    )
    assert opened("at=999,6&region=10,20,40,25,30,60")[0].region


def test_a_region_drawn_by_hand_becomes_a_few_corners_in_its_place():
    turn = np.linspace(0, 2 * np.pi, 2000, endpoint=False)
    y, x = 100 + 50 * np.sin(turn), 150 + 50 * np.cos(turn)
    corners = np.array(corners_of(y, x))
    assert 20 < len(corners) <= 60
    np.testing.assert_allclose(np.hypot(corners[:, 0] - 100, corners[:, 1] - 150), 50, atol=0.01)
    assert len(corners_of(np.array([1.0, 1.0, 3.0]), np.array([1.0, 2.0, 2.0]))) == 3
    assert len(as_query(View(WHOLE, region=tuple(map(tuple, corners))))) < 1200


def test_the_first_region_imports_nothing():
    """In the page's own turn, where nothing could yet say that it is busy."""
    code = (
        "import sys, numpy as np; from xrfsr_dask.view.address import corners_of; before = set(sys.modules);"
        "turn = np.linspace(0, 6, 99); corners_of(np.sin(turn), np.cos(turn)); print(set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_widest_and_the_closest_window_can_be_read_wherever_they_lie():
    rng, whole = np.random.default_rng(0), (0.0, 1.6, 0.0, 2.2)
    for side in (np.array([1.6, 2.2]) * 50, np.array([1.6, 2.2]) / 20):
        for corner in rng.random((300, 2)) * -side / 2:
            window = tuple(np.ravel(np.column_stack([corner, corner + side])).tolist())
            view, told = read(words(as_query(View(window))), whole, ["Fe"], [])
            assert told == ""
            np.testing.assert_allclose(view.window, window, rtol=1e-8)
