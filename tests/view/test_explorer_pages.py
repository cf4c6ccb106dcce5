"""The explorer's page in windows of all sizes, in a cell of a notebook, and of paintings that are not usual."""

from __future__ import annotations

import functools
import http.server
import socket
import sys
import threading
import types

import numpy as np
import pytest
from bokeh.models import ScaleBar
from helpers_pages import MODEL, Visit, served

from xrfsr_dask.commands.notebook import _SERVING, InCell
from xrfsr_dask.errors import InputError, OptionError
from xrfsr_dask.result import open_result
from xrfsr_dask.store import PatchSpec, add_patch, create_painting, placement
from xrfsr_dask.store.results import new_result
from xrfsr_dask.store.staging import staged
from xrfsr_dask.view.plots import MapPlot

pytestmark = pytest.mark.slow


ENERGY = np.linspace(0.2, 20.0, 256)


def small(path, shape=(300, 100), energy=ENERGY):
    """A painting 100 mm wide with one patch and one result of two endmembers."""
    create_painting(path, np.full((*shape, 3), 90, "u1"), width_mm=100.0)
    rng = np.random.default_rng(0)
    rows = min(20, 100 * shape[0] // shape[1] - 2)
    counts = rng.poisson(5.0, (rows, 20, len(energy))).astype("u2")
    where = placement(at_mm=(1, 1), step_mm=1)
    spec = PatchSpec(shape=counts.shape, dtype="u2", transform=where, energy_kev=energy)
    add_patch(path, "a", spec, [(0, counts)])
    pitch = 100.0 / shape[1]
    with staged(path, "results/r") as group:
        layout = {"shape": shape, "pitch_mm": pitch, "energy_kev": energy, "layer": np.array([0, 1], "u1")}
        whole = new_result(
            group, endmember=5 + rng.random((2, len(energy))), attrs={"method": "joint"}, **layout
        )
        whole[...] = np.full((*shape, 2), 0.5, "f4")
        group["coverage"][...] = np.ones(shape, "f4")
    return path


def box(visit: Visit, name: str) -> dict[str, float]:
    """Where a part of the page lies on the screen."""
    return visit.page.evaluate(
        f"(name) => {{ const id = ({MODEL})(name).id;"
        " const seek = views => { for (const v of views) { if (v.model.id == id) return v;"
        " const inner = seek(v.child_views ?? []); if (inner) return inner; } return null; };"
        " const r = seek(Array.from(Bokeh.index.roots)).el.getBoundingClientRect();"
        " return {x: r.x, y: r.y, width: r.width, height: r.height} }",
        name,
    )


@pytest.mark.parametrize(
    "shape", [(75, 100), (133, 100), (400, 100), (30, 120), (12, 96), (16, 480), (800, 100)]
)
def test_every_painting_fits_every_window(browser, tmp_path, shape):
    with served(small(tmp_path / "p.zarr", shape), "r") as address:
        for size in ((1280, 900), (1366, 768), (1920, 1080), (1024, 768)):
            _fits(Visit(browser, f"{address}?at=2,2", *size), shape, size)


def _fits(visit: Visit, shape, size) -> None:
    wide, high = visit.page.evaluate(
        "() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    )
    assert wide <= size[0]
    assert high <= size[1]
    swipe, spectrum, last = (box(visit, name) for name in ("swipe", "spectrum", "contrast-blue"))
    assert swipe["x"] + swipe["width"] <= spectrum["x"]
    assert last["y"] + last["height"] <= size[1]
    assert spectrum["width"] >= 300
    inner = f"() => {{const map = ({MODEL})('map'); return [map.inner_width, map.inner_height]}}"
    across, down = visit.page.evaluate(inner)
    assert across / down == pytest.approx(shape[1] / shape[0], rel=0.03)
    assert visit.said == []
    visit.page.close()


@pytest.mark.parametrize(("ratio", "side"), [(8, "below"), (30, "below"), (1 / 8, "right"), (4, "center")])
def test_a_scale_bar_that_would_hide_the_map_stands_beside_it(ratio, side):
    whole = (0.0, 10.0, 0.0, 10.0 * ratio)
    figure = MapPlot(whole, whole, "100px", 0.1).figure
    (bar,) = (part for part in getattr(figure, side) if isinstance(part, ScaleBar))
    assert list(bar.dimensional.basis) == ["mm"]


def test_channels_too_wide_for_lines_leave_photograph_click_and_region(browser, tmp_path):
    path = small(tmp_path / "p.zarr", (100, 100), np.linspace(0.2, 25.4, 64))
    with served(path, "r") as address:
        visit = Visit(browser, f"{address}?region=20,20,60,20,60,60")
        assert visit.text("notice").startswith(
            "No element maps: lines cannot be told apart on channels of 400 eV"
        )
        assert visit.text("where").startswith("Mean spectrum of a region of 8")
        visit.page.mouse.click(*visit.at(0.5, 0.5))
        visit.settle()
        assert visit.text("where").startswith("Spectrum at")
        assert visit.named() == []
        shown = visit.spectrum()["all"]
        np.testing.assert_allclose(shown, open_result(path).xrf.mean_spectrum().values, rtol=1e-5)
        assert visit.said == []


@pytest.fixture
def notebook(monkeypatch):
    """What a cell sees of its kernel; pages that were served are ended."""
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: object()))
    yield
    while _SERVING:
        ended, server = threading.Event(), _SERVING.popitem()[1].server

        def end(server=server, ended=ended) -> None:
            server.stop()
            server.io_loop.stop()
            ended.set()

        server.io_loop.add_callback(end)
        assert ended.wait(10)


def test_a_cell_shows_what_it_was_asked_of_and_no_page_of_before(store, notebook):
    ds = open_result(store, "truth")
    others = (
        ds.isel(energy=slice(5, 60)),
        ds.assign(endmember=2 * ds.endmember),
        ds.isel(y=slice(None, None, -1)),
    )
    addresses = {one.xrf.explore().address for one in (ds, open_result(store, "truth"), *others)}
    assert len(addresses) == 4
    with pytest.raises(InputError, match="the y of this result are not those of its painting"):
        ds.assign_coords(y=ds.y + 40).xrf.explore()


def test_a_port_of_ones_own_shows_what_was_asked_last(browser, store, notebook):
    """Also in a browser that keeps its connections; what is refused meanwhile ends no page."""
    ds = open_result(store, "truth")
    port = int(ds.xrf.explore().address.rsplit(":", 1)[1].strip("/"))
    with pytest.raises(InputError, match=f"port {port} of 127.0.0.1 cannot be used .*; choose another port"):
        ds.xrf.explore(port=port)  # it is another page's, which was given any free one
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    visit = None
    for n, view in ((ds.sizes["energy"], ds), (55, ds.isel(energy=slice(5, 60)))):
        address = view.xrf.explore(port=np.int64(port)).address
        assert address == f"http://127.0.0.1:{port}/"
        for url in (
            "nonsense",
            "https://hub.example.org:abc/{port}/",
            "https://[::1]:8888/{port}/",
            "https://[bad",
            5,
        ):
            with pytest.raises(OptionError, match="url is a whole address"):
                ds.isel(energy=slice(3, 9)).xrf.explore(port=port, url=url)
        with pytest.raises(InputError, match="are not those of its painting"):
            ds.assign_coords(y=ds.y + 40).xrf.explore(port=port)
        if visit is None:
            visit = Visit(browser, address)
        else:  # the page that is open goes on, and shows the other once it is loaded again
            visit.page.mouse.click(*visit.at(0.5, 0.5))
            visit.settle()
            assert len(visit.spectrum()["all"]) == ds.sizes["energy"]
            visit.page.goto(address)
            visit.page.wait_for_function("() => window.Bokeh && Bokeh.documents.length")
        visit.settle()
        visit.page.mouse.click(*visit.at(0.5, 0.5))
        visit.settle()
        assert len(visit.spectrum()["all"]) == n
    assert visit.said == []
    visit.page.close()
    assert len(_SERVING) == 2


@pytest.mark.parametrize("port", [70000, -1, 1.5, "5006", None, True])
def test_what_is_no_port_is_said_before_any_page_is_made(store, notebook, port):
    with pytest.raises(OptionError, match=r"port is a number from 0 to 65535, got"):
        open_result(store, "truth").xrf.explore(port=port)


def test_in_a_cell_offline_the_page_is_whole_and_the_notebook_left_alone(browser, store, tmp_path, notebook):
    ds = open_result(store, "truth")
    cell = ds.xrf.explore()
    assert ds.xrf.explore() == cell  # the cell run again asks the same server
    page = "<!doctype html><div style='width: 900px; margin: 40px'>{}</div>"
    (tmp_path / "lab.html").write_text(page.format(cell._repr_html_()))
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    lab = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=lab.serve_forever, daemon=True).start()
    try:
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.route(
            "**/*", lambda route: route.continue_() if "//127.0.0.1:" in route.request.url else route.abort()
        )
        said = []
        tab.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
        where = f"http://127.0.0.1:{lab.server_port}/lab.html"
        tab.goto(where)
        frame = tab.frames[1]
        frame.wait_for_function("() => window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle")
        tab.wait_for_timeout(2000)
        width = frame.evaluate(f"() => ({MODEL})('spectrum').outer_width")
        assert width > 300
        assert frame.evaluate("() => document.documentElement.scrollWidth") <= 900
        place = frame.locator(".bk-Figure").first.bounding_box()
        tab.mouse.click(place["x"] + 0.5 * place["width"], place["y"] + 0.5 * place["height"])
        frame.wait_for_function(f"() => ({MODEL})('where').text.startsWith('Spectrum at')")
        frame.wait_for_function("() => location.search.includes('at=')")
        assert tab.url == where
        assert said == []
        tab.close()
    finally:
        lab.shutdown()
        lab.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/favicon.ico":
            self.send_response(204)
            self.end_headers()
        else:
            super().do_GET()


def test_behind_a_proxy_the_page_is_asked_there(store, notebook, monkeypatch):
    ds = open_result(store, "truth")
    cell = ds.xrf.explore(url="https://hub.example.org/user/me/proxy/{port}/")
    assert cell.address.startswith("https://hub.example.org/user/me/proxy/")
    assert "{port}" not in cell.address
    ds.xrf.explore(url="https://HUB3.example.org:443/{port}/")
    (served,) = _SERVING.values()
    assert {"hub.example.org:80", "hub3.example.org:80"} <= served.server._tornado.websocket_origins
    with pytest.raises(OptionError, match="url is a whole address"):
        ds.xrf.explore(url="/user/me/proxy/{port}/")
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/me/")
    assert "jupyter-server-proxy" in InCell("http://127.0.0.1:5006/")._repr_html_()
    assert "jupyter-server-proxy" not in cell._repr_html_()
