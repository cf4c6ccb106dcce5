"""The explorer, driven in a real browser as a visitor would: choose, click, lasso, switch, swipe."""

from __future__ import annotations

import io
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.parse

import numpy as np
import pytest
import tifffile
from PIL import Image

from xrfsr_dask.cli import main
from xrfsr_dask.commands.browse import browse, page_of
from xrfsr_dask.errors import InputError, MissingPackageError, OptionError
from xrfsr_dask.options import BedroomOptions
from xrfsr_dask.phantom import write_painting
from xrfsr_dask.result import from_factors, line_kev, open_result

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MODEL = "name => Bokeh.documents[0].get_model_by_name(name)"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A small phantom; its truth is the result that is looked at."""
    path = tmp_path_factory.mktemp("explorer") / "room.zarr"
    scene = BedroomOptions(
        shape=(200, 260), width_mm=140.0, n_patches=2, spots=(34, 30), n_channel=1024, counts_per_s=90000.0
    )
    write_painting(path, scene)
    return path


@pytest.fixture(scope="module")
def address(store):
    words = [sys.executable, "-m", "xrfsr_dask", "browse", str(store), "--name", "truth", "--no-show"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        found = re.match(r"(http://127\.0\.0\.1:\d+/)", process.stdout.readline())
        assert found is not None
        yield found[1]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        process.stdout.close()


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs a Chromium in the system's path")
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the [dev] extra")
    with api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class Visit:
    """A page with what its console said."""

    def __init__(self, browser, address: str, width: int = 1280) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900}, accept_downloads=True)
        self.said: list[str] = []
        self.page.on("console", lambda m: self.said.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto(address)
        self.page.wait_for_function(
            "() => window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle"
        )
        self.settle()

    def settle(self) -> None:
        self.page.wait_for_timeout(900)

    def text(self, name: str) -> str:
        return self.page.evaluate(f"({MODEL})('{name}').text")

    def spectrum(self) -> dict[str, np.ndarray]:
        data = self.page.evaluate(
            "() => { const s = Bokeh.documents[0].get_model_by_name('spectrum').renderers[0].data_source;"
            " return Object.fromEntries(Object.entries(s.data).map(([k, v]) => [k, Array.from(v)])) }"
        )
        return {name: np.array(values, float) for name, values in data.items()}

    def named(self) -> list[str]:
        return self.page.evaluate(
            "() => Array.from("
            "Bokeh.documents[0].get_model_by_name('spectrum').renderers[3].data_source.data.name)"
        )

    def figure(self) -> dict[str, float]:
        return self.page.locator(".bk-Figure").first.bounding_box()

    def at(self, across: float, down: float) -> tuple[float, float]:
        """A place of the map on the screen, in shares of the figure."""
        box = self.figure()
        return box["x"] + across * box["width"], box["y"] + down * box["height"]

    def shot(self) -> np.ndarray:
        box = self.figure()
        picture = self.page.screenshot(clip=box)
        return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), float)

    def asked(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(urllib.parse.urlparse(self.page.url).query))


@pytest.fixture
def visit(browser, address):
    opened = Visit(browser, address)
    yield opened
    assert opened.said == []
    opened.page.close()


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


def test_a_lasso_shows_the_mean_spectrum_of_a_region(visit, store):
    visit.page.evaluate(
        "() => { for (const t of Bokeh.documents[0].get_model_by_name('map').toolbar.tools)"
        " { if (t.type == 'LassoSelectTool') t.active = true; if (t.type == 'PanTool') t.active = false } }"
    )
    visit.settle()
    corners = [(0.3, 0.3), (0.6, 0.3), (0.6, 0.6), (0.3, 0.6), (0.3, 0.31)]
    visit.page.mouse.move(*visit.at(*corners[0]))
    visit.page.mouse.down()
    for corner in corners[1:]:
        visit.page.mouse.move(*visit.at(*corner), steps=8)
    visit.page.mouse.up()
    visit.settle()
    area = re.search(r"region of ([\d,]+) mm", visit.text("where"))
    assert area is not None, visit.text("where")
    assert 500 < float(area[1].replace(",", "")) < 140 * 108 / 3
    shown = visit.spectrum()
    np.testing.assert_allclose(shown["visible"] + shown["hidden"], shown["all"], rtol=0.05, atol=0.05)


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


def test_a_result_in_memory_or_a_piece_is_refused(store):
    ds = open_result(store, "truth")
    with pytest.raises(InputError, match="explore needs the whole painting"):
        page_of(ds.isel(y=slice(0, 50)))
    piece = ds.isel(y=slice(0, 5), x=slice(0, 5)).load()
    alone = from_factors(
        piece.abundance.values, piece.endmember.values, piece.layer.values, piece.y.values, piece.x.values,
        piece.energy.values,
    )  # fmt: skip
    with pytest.raises(InputError, match="this result lies in memory; open it from its painting"):
        page_of(alone)
