"""The explorer, driven in a real browser as a visitor would: choose, click, lasso, switch, swipe."""

from __future__ import annotations

import base64
import itertools
import os
import queue
import re
import sys
import threading
import time
import types

import numpy as np
import pytest
import tifffile
import xarray as xr
from helpers_pages import MODEL, Visit
from PIL import Image

from xrfsr_dask.cli import main
from xrfsr_dask.commands.browse import browse, page_of
from xrfsr_dask.errors import InputError, MissingPackageError, OptionError
from xrfsr_dask.result import from_factors, line_kev, open_patch, open_result
from xrfsr_dask.store import open_painting
from xrfsr_dask.view.explorer import Explorer
from xrfsr_dask.view.scene import Scene

pytestmark = pytest.mark.slow


def test_choosing_chromium_and_clicking_shows_its_line(visit, store):
    before = visit.shot()
    visit.page.locator("select").first.select_option("Cr")
    visit.settle()
    assert visit.asked()["red"] == "Cr"
    after = visit.shot()
    assert np.abs(after - before).mean() > 1
    bright = np.unravel_index(
        int((after[60:-80, 80:-20, 0] - after[60:-80, 80:-20, 1]).argmax()), after[60:-80, 80:-20, 0].shape
    )
    box = visit.figure()
    visit.page.mouse.click(float(box["x"] + 80 + bright[1]), float(box["y"] + 60 + bright[0]))
    visit.settle()
    x, y = (float(v) for v in re.search(r"x ([\d.]+) mm, y ([\d.]+) mm", visit.text("where")).groups())
    shown, ds = visit.spectrum(), open_result(store, "truth")
    expected = ds.xrf.spectrum(y=y, x=x).values
    peak = np.abs(shown["energy"] - line_kev("Cr")).argmin()
    assert shown["all"][peak] == pytest.approx(expected[peak], rel=0.2)  # the place is told to 0.1 mm
    assert shown["all"][peak] > 5 * shown["all"][peak - 12]
    assert "Cr" in visit.named()
    assert visit.asked()["at"]


def test_only_elements_that_are_there_are_named(browser, address, store):
    """Pb La stands at As Ka everywhere; where there is lead without arsenic, no arsenic is named."""
    ds = open_result(store, "truth")
    arsenic = ds.xrf.element("As").values
    lead = ds.xrf.element("Pb").values
    without = np.argwhere((arsenic < 1e-3 * arsenic.max()) & (lead > np.median(lead)))[50::900][:4]
    with_it = np.argwhere(arsenic > 0.9 * arsenic.max())[:1]
    for row, column in (*without, *with_it):
        opened = Visit(browser, f"{address}?at={ds.y.values[row]:.2f},{ds.x.values[column]:.2f}")
        named = opened.named()
        assert "Pb" in named or [row, column] in with_it.tolist()
        assert ("As" in named) == ([row, column] in with_it.tolist())
        true = {name: float(ds.xrf.element(name)[row, column]) for name in named}
        assert min(true.values()) > 2, true
        opened.page.close()


def turn(visit: Visit, **values: object) -> None:
    """Set widgets as a visitor would."""
    for name, value in values.items():
        visit.page.evaluate(
            f"([name, value]) => {{ const w = ({MODEL})(name); w.value = value; w.value_throttled = value }}",
            [name.replace("_", "-"), value],
        )
    visit.settle()


def lasso(visit: Visit, corners: list[tuple[float, float]]) -> None:
    """Draw a region, in shares of the figure."""
    visit.page.evaluate(
        "() => { for (const t of Bokeh.documents[0].get_model_by_name('map').toolbar.tools)"
        " { if (t.type == 'LassoSelectTool') t.active = true; if (t.type == 'PanTool') t.active = false } }"
    )
    visit.settle()
    visit.page.mouse.move(*visit.at(*corners[0]))
    visit.page.mouse.down()
    for corner in corners[1:]:
        visit.page.mouse.move(*visit.at(*corner), steps=8)
    visit.page.mouse.up()
    visit.page.wait_for_function(f"() => ({MODEL})('where').text.startsWith('Mean')")
    visit.settle()


SQUARE = [(0.3, 0.3), (0.6, 0.3), (0.6, 0.6), (0.3, 0.6), (0.3, 0.31)]


def test_a_lasso_shows_the_mean_spectrum_of_a_region(visit, store):
    lasso(visit, SQUARE)
    area = re.search(r"region of ([\d,]+) mm", visit.text("where"))
    assert area is not None, visit.text("where")
    assert 500 < float(area[1].replace(",", "")) < 140 * 108 / 3
    shown = visit.spectrum()
    np.testing.assert_allclose(shown["visible"] + shown["hidden"], shown["all"], rtol=0.05, atol=0.05)


def test_a_lasso_that_begins_beside_the_map_begins_at_its_edge(browser, address):
    visit = Visit(browser, address)
    lasso(visit, [(0.02, 0.3), (0.5, 0.3), (0.5, 0.6), (0.02, 0.6)])
    corners = np.reshape([float(n) for n in visit.asked()["region"].split(",")], (-1, 2))
    assert corners[:, 1].min() == pytest.approx(0, abs=0.5)
    lasso(visit, SQUARE)
    region = visit.asked()["region"]
    assert min(float(n) for n in region.split(",")[1::2]) > 10
    lasso(visit, [(0.02, 0.3), (0.02, 0.5), (0.03, 0.4)])  # all of it beside the map
    assert visit.text("note") == "The region holds nothing of the painting; draw a larger one."
    assert visit.asked()["region"] == region
    assert visit.said == []
    visit.page.close()


def test_one_comes_as_near_as_a_few_pixels_and_an_address_brings_others_there(browser, address, store):
    visit = Visit(browser, address)
    visit.page.mouse.move(*visit.at(0.5, 0.5))
    for _ in range(40):
        visit.page.mouse.wheel(0, -400)
    visit.settle()
    top, bottom, left, right = (float(n) for n in visit.asked()["view"].split(","))
    pitch = open_painting(store).pitch_mm
    assert 7.9 * pitch < min(bottom - top, right - left) < 8.5 * pitch
    assert visit.said == []
    other = Visit(browser, visit.page.url)
    assert other.text("notice") == ""
    assert other.asked()["view"] == visit.asked()["view"]
    np.testing.assert_allclose(visit.shot(), other.shot(), atol=2)
    for page in (visit.page, other.page):
        page.close()


def test_layers_and_swipe_change_the_picture(visit):
    seen = [visit.shot()]
    for label in ("visible", "hidden", "measured"):
        visit.page.locator(".bk-btn", has_text=label).first.click()
        visit.page.wait_for_function("label => location.search.includes('layer=' + label)", arg=label)
        visit.settle()
        seen.append(visit.shot())
    for one, other in itertools.pairwise(seen):
        assert np.abs(one - other).mean() > 0.5
    visit.page.locator(".bk-btn", has_text="both layers").first.click()
    visit.settle()
    whole = visit.shot()
    visit.page.evaluate(
        "() => { const s = Bokeh.documents[0].get_model_by_name('swipe');"
        " s.value = 50; s.value_throttled = 50 }"
    )
    visit.settle()
    swiped = visit.shot()
    middle = whole.shape[1] // 2
    inside = slice(70, -90)
    assert np.abs(swiped - whole)[inside, 80 : middle - 20].mean() > 1
    assert np.abs(swiped - whole)[inside, middle + 60 : -20].mean() < 0.2


def test_an_address_opens_the_same_view(browser, address):
    one = Visit(browser, f"{address}?red=Pb&green=Cr&layer=hidden&view=20,80,30,110&at=60,70")
    assert "x 70.0 mm, y 60.0 mm" in one.text("where")
    other = Visit(browser, one.page.url)
    assert other.asked() == one.asked()
    np.testing.assert_allclose(one.shot(), other.shot(), atol=2)
    assert one.said == other.said == []


def test_all_that_is_turned_stands_in_the_address(browser, address):
    one = Visit(browser, address)
    for colour, element in enumerate(("none", "Cr", "Pb")):
        one.page.locator("select").nth(colour).select_option(element)
    turn(one, photo=0.7, swipe=40, opacity_green=0.5, contrast_blue=[0.1, 0.8])
    lasso(one, SQUARE)
    assert one.text("where").startswith("Mean spectrum of a region")
    other = Visit(browser, one.page.url)
    within = np.s_[60:-60, 60:-20]  # without the tools, and the frame of what was drawn on last
    assert np.abs(one.shot() - other.shot())[within].mean() < 0.05  # the address has six digits
    np.testing.assert_allclose(one.spectrum()["all"], other.spectrum()["all"])
    turn(other, photo=0.71)
    turn(other, photo=0.7)
    assert other.asked() == one.asked()
    assert one.said == other.said == []
    one.page.close()
    other.page.close()


@pytest.mark.parametrize("words", ["view=abc", "view=nan,1,2,3", "view=3,3,5,5", "at=5", "at=99999,99999",
                                   "red=%FF", "red=Xx", "region=1,2"])  # fmt: skip
def test_words_of_an_address_that_cannot_be_read_are_left_out_and_said(browser, address, words):
    visit = Visit(browser, f"{address}?{words}&green=Cr")
    said = f"Left out of the address, as it cannot be read: {words.split('=')[0]}."
    assert visit.text("notice") == said
    assert visit.shot().std() > 20
    assert visit.said == []
    visit.page.close()


def test_an_element_that_was_not_found_can_be_chosen(visit):
    assert "U" not in visit.page.evaluate(f"() => Array.from(({MODEL})('elements').source.data.element)")
    visit.page.locator("select").nth(1).select_option("U")
    visit.settle()
    assert visit.asked()["green"] == "U"
    assert not visit.text("note")


def test_measured_shows_and_saves_the_counts_of_the_nearest_spot(browser, address, store, tmp_path):
    patch = open_patch(store, open_painting(store).patches[0].name)
    y, x = (float(patch[axis].values[15, 14]) for axis in "yx")
    visit = Visit(browser, f"{address}?layer=measured&red=Cr&at={y:.3f},{x:.3f}")
    assert "spot in row " in visit.text("where")
    with visit.page.expect_download() as download:
        visit.page.locator(".bk-btn", has_text="spectrum as CSV").click()
    download.value.save_as(tmp_path / "s.csv")
    saved = np.genfromtxt(tmp_path / "s.csv", delimiter=",", names=True)
    assert saved.dtype.names == ("energy_kev", "measured")
    name, row, column = re.search(r"patch (\w+), spot in row (\d+), column (\d+)", visit.text("where")).groups()
    np.testing.assert_array_equal(
        saved["measured"], open_patch(store, name).counts[int(row), int(column)].values
    )
    visit.page.locator(".bk-btn", has_text="both layers").first.click()
    visit.settle()
    assert visit.text("where").startswith("Spectrum at")
    visit.page.close()
    visit = Visit(browser, f"{address}?layer=measured&at=1,1")
    assert visit.text("where").startswith("Nothing was measured at x 1.0 mm, y 1.0 mm")
    assert visit.said == []
    visit.page.close()


def test_what_takes_long_is_said_while_the_page_goes_on(store, monkeypatch):
    """In this process, so that the patches can be slow; the page is a document that nobody sees."""
    turns: queue.Queue = queue.Queue()
    ds, go_on = open_result(store, "truth"), threading.Event()
    scene = Scene(ds, open_painting(store))
    asked = {"layer": [b"measured"], "red": [b"Cr"]}
    page = Explorer(scene, "room", ds.xrf.elements(), lambda *_: b"", asked, turns.put)
    slow = scene.spots.drawn
    monkeypatch.setattr(scene.spots, "drawn", lambda *given: go_on.wait(30) and slow(*given))
    began = time.perf_counter()
    page.start()
    assert time.perf_counter() - began < 1
    assert (page._working.visible, page._working.text) == (True, "Reading the patches as measured …")
    go_on.set()
    turns.get(timeout=30)()
    assert not page._working.visible
    assert page._map._picture.data["image"][0].size > 1000


def test_a_place_without_a_spectrum_leaves_none_of_another_to_be_saved(store):
    ds, turns = open_result(store, "truth"), queue.Queue()
    gaps = ds.assign(abundance=ds.abundance.where(ds.y > 50))
    page = Explorer(Scene(gaps, open_painting(store)), "room", ds.xrf.elements(), lambda *_: b"", {}, turns.put)

    def asked(at, region=()):
        page._at, page._region = at, region
        page._ask_spectrum()
        while page._working.visible:
            turns.get(timeout=30)()
        return page._note.text

    assert asked((60.0, 70.0)) == ""
    assert {*page._spectra} == {"all", "visible", "hidden"}
    told = asked((20.0, 70.0))
    assert (told, page._spectra, page._where.text) == ("The abundances of this pixel are no numbers.", {}, "")
    assert asked((60.0, 70.0)) == ""
    told = asked(None, ((10.0, 10.0), (10.0, 40.0), (40.0, 40.0)))
    assert (told, page._spectra) == ("No pixel of the region has abundances that are all numbers.", {})


def test_a_spectrum_is_saved_under_the_place_that_it_is_of(store):
    """Also while that of another place is on its way."""
    ds, turns = open_result(store, "truth"), queue.Queue()
    page = Explorer(Scene(ds, open_painting(store)), "room", ds.xrf.elements(), lambda *_: b"", {}, turns.put)

    def answered():
        while page._working.visible:
            turns.get(timeout=30)()

    def saved():
        page._send_csv()
        name, content = (page._download.data[part][0] for part in ("name", "content"))
        return name, np.loadtxt(base64.b64decode(content).decode().splitlines()[1:], delimiter=",")[:, 1]

    def spectrum_at(y, x):
        return ds.xrf.spectrum(y=y, x=x).values

    page._ask_point(70.0, 60.0)
    answered()
    page._ask_point(30.0, 20.0)
    name, found = saved()
    assert name == "truth-x60.0-y70.0mm.csv"
    np.testing.assert_allclose(found, spectrum_at(70.0, 60.0), rtol=1e-3, atol=1e-3)
    answered()
    name, found = saved()
    assert name == "truth-x20.0-y30.0mm.csv"
    np.testing.assert_allclose(found, spectrum_at(30.0, 20.0), rtol=1e-3, atol=1e-3)
    page._lassoed(
        types.SimpleNamespace(final=True, geometry={"type": "poly", "y": [10, 10, 40], "x": [9, 40, 9]})
    )
    assert saved()[0] == "truth-x20.0-y30.0mm.csv"
    answered()
    assert saved()[0] == "truth-region-x9.0-40.0-y10.0-40.0mm.csv"
    page._controls.layers.active = 3
    answered()
    assert saved()[0] == "measured-region-x9.0-40.0-y10.0-40.0mm.csv"
    page._ask_point(70.0, 60.0)
    answered()
    assert saved()[0] == "measured-x60.0-y70.0mm.csv"


def test_a_double_click_leaves_nothing_of_a_place(browser, address):
    visit = Visit(browser, f"{address}?at=60,70")
    assert visit.page.title() == "room: result truth"
    assert "room: result truth" in visit.text("heading")
    assert np.isfinite(visit.spectrum()["all"]).all()
    visit.page.mouse.dblclick(*visit.at(0.5, 0.5))
    visit.settle()
    assert "at" not in visit.asked()
    assert visit.text("where").startswith("Click a place")
    assert not np.isfinite(visit.spectrum()["all"]).any()
    assert visit.named() == []
    assert visit.said == []
    visit.page.close()


def test_where_nothing_was_measured_the_page_says_so(store):
    ds = open_result(store, "truth")
    page = Explorer(
        Scene(ds, open_painting(store)), "room", ds.xrf.elements(), lambda *_: b"", {}, lambda _: None
    )
    unmeasured = np.argwhere(page.scene.ds.coverage.values == 0)
    row, column = unmeasured[len(unmeasured) // 2]
    pitch = page.scene.painting.pitch_mm
    *_, words = page._resolved(((row + 0.5) * pitch, (column + 0.5) * pitch), ())
    assert words.endswith("Nothing was measured here: this is what the photograph suggests.")
    y0, y1, x0, x1 = page.scene.whole
    *_, words = page._resolved(None, [(y0, x0), (y0, x1), (y1, x1), (y1, x0)])
    share = 100 * float((page.scene.ds.coverage.values == 0).mean())
    assert words.endswith(f"{share:.0f} % of it was not measured.")


def test_two_quick_clicks_on_two_places_are_no_double_click(browser, address):
    visit = Visit(browser, address)
    visit.page.mouse.click(*visit.at(0.6, 0.7))
    visit.settle()
    alone = visit.text("where")
    visit.page.mouse.click(*visit.at(0.3, 0.3))
    visit.settle()
    visit.page.wait_for_timeout(600)
    visit.page.mouse.click(*visit.at(0.3, 0.3))
    visit.page.wait_for_timeout(60)
    visit.page.mouse.click(*visit.at(0.6, 0.7))
    visit.settle()
    assert visit.text("where") == alone
    assert visit.said == []
    visit.page.close()


@pytest.mark.parametrize(("button", "name"), [("map as TIFF", "Fe-all.tif"), ("view as PNG", "view.png")])
def test_what_is_shown_can_be_saved(visit, store, button, name, tmp_path):
    visit.page.locator("select").first.select_option("Fe")
    visit.settle()
    with visit.page.expect_download() as download:
        visit.page.locator(".bk-btn", has_text=button).click()
    assert download.value.suggested_filename == name
    download.value.save_as(tmp_path / name)
    if name.endswith("png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (260, 200)
        return
    ds = open_result(store, "truth")
    expected = ds.xrf.element("Fe").where(ds.coverage > 0)
    np.testing.assert_allclose(tifffile.imread(tmp_path / name), expected, rtol=1e-5)


def test_the_spectrum_itself_is_saved_as_text_and_not_what_its_axis_can_show(browser, address, store, tmp_path):
    visit = Visit(browser, f"{address}?at=60,70")
    with visit.page.expect_download() as download:
        visit.page.locator(".bk-btn", has_text="spectrum as CSV").click()
    assert download.value.suggested_filename == "truth-x70.0-y60.0mm.csv"
    download.value.save_as(tmp_path / "s.csv")
    table = np.genfromtxt(tmp_path / "s.csv", delimiter=",", names=True)
    assert table.dtype.names == ("energy_kev", "all", "visible", "hidden")
    ds = open_result(store, "truth")
    for layer in ("all", "visible", "hidden"):
        expected = ds.xrf.spectrum(y=60.0, x=70.0, layer=layer).values
        np.testing.assert_allclose(table[layer], expected, rtol=1e-12)
        assert expected.min() < 1e-5 * expected.max() or layer != "all"


@pytest.mark.parametrize("width", [1280, 1920])
def test_all_of_the_page_fits_the_window_and_fills_it(browser, address, width, tmp_path):
    opened = Visit(browser, address, width)
    opened.settle()
    page = "() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    wide, high = opened.page.evaluate(page)
    assert wide <= width
    assert high <= 900
    inner = f"() => {{const map = ({MODEL})('map'); return [map.inner_width, map.inner_height]}}"
    across, down = opened.page.evaluate(inner)
    assert across >= 0.4 * width
    assert across / down == pytest.approx(260 / 200, rel=0.01)  # a millimetre is as long either way
    headers = opened.page.locator(".slick-column-name").evaluate_all(
        "all => all.map(one => [one, one.parentElement].map(part => part.getBoundingClientRect().right))"
    )
    assert len(headers) == 6
    assert all(end <= edge for end, edge in headers)
    if os.environ.get("XRFSR_SHOTS"):
        opened.page.mouse.click(*opened.at(0.5, 0.5))
        opened.settle()
        opened.page.screenshot(path=f"{os.environ['XRFSR_SHOTS']}/explorer-{width}.png")
    assert opened.said == []


def test_others_on_the_network_are_let_in_only_when_told(store):
    with pytest.raises(OptionError, match=r"--host 0\.0\.0\.0 lets others on the network look; add --everyone"):
        browse(store, host="0.0.0.0", show=False)
    assert main(["browse", str(store), "--name", "none", "--no-show"]) == 1


def test_outside_a_notebook_the_command_is_named(store, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", None)
    with pytest.raises(MissingPackageError, match=r"run `xrfsr browse .*room\.zarr` in a terminal"):
        open_result(store, "truth").xrf.explore()


def test_a_turned_result_is_shown_as_it_hangs(store, monkeypatch):
    ds, seen = open_result(store, "truth"), []
    monkeypatch.setattr(
        "xrfsr_dask.commands.browse.Scene", lambda ds, painting: seen.append(ds) or Scene(ds, painting)
    )
    page_of(ds.isel(y=slice(None, None, -1)).transpose("x", "y", ...))
    xr.testing.assert_equal(seen[0].abundance.isel(y=slice(0, 5)), ds.abundance.isel(y=slice(0, 5)))


def test_a_result_in_memory_or_a_piece_is_refused(store):
    ds = open_result(store, "truth")
    for lost, told in (
        (ds.assign_coords(y=ds.y + 40), "the y of this result are not those of its painting"),
        (ds.drop_vars("coverage"), "this result has lost its coverage"),
        (ds.isel(atom=slice(0, 0)), "explore needs something to show"),
    ):
        with pytest.raises(InputError, match=told):
            page_of(lost)
    with pytest.raises(InputError, match="explore needs the whole painting"):
        page_of(ds.isel(y=slice(0, 50)))
    piece = ds.isel(y=slice(0, 5), x=slice(0, 5)).load()
    alone = from_factors(
        piece.abundance.values, piece.endmember.values, piece.layer.values, piece.y.values, piece.x.values,
        piece.energy.values,
    )  # fmt: skip
    with pytest.raises(InputError, match="this result lies in memory; open it from its painting"):
        page_of(alone)
