"""`xrfsr report`: one page that holds everything and asks nothing of the network."""

from __future__ import annotations

import base64
import errno
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from helpers import small_painting
from PIL import Image

from xrfsr_dask.cli import main
from xrfsr_dask.commands.maps import maps
from xrfsr_dask.commands.report import report
from xrfsr_dask.commands.solve import solve_painting
from xrfsr_dask.errors import InputError, OptionError
from xrfsr_dask.options import BedroomOptions, MapOptions, RunOptions, SolveOptions
from xrfsr_dask.phantom import write_painting
from xrfsr_dask.result import open_result
from xrfsr_dask.store import create_painting
from xrfsr_dask.store.results import new_result
from xrfsr_dask.store.staging import staged
from xrfsr_dask.view.page import Section, as_html


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    """A small phantom whose channels are narrow enough to tell lines apart, solved."""
    path = tmp_path_factory.mktemp("report") / "room.zarr"
    scene = BedroomOptions(
        shape=(100, 130),
        width_mm=70.0,
        n_patches=2,
        spots=(17, 15),
        n_channel=512,
        dwell_s=1.0,
        counts_per_s=9000.0,
    )
    write_painting(path, scene)
    options = SolveOptions(method="paper", atoms=12, iterations=2, steps=2)
    solve_painting(path, options=options, resources=RunOptions(workers=1))
    return path


@pytest.fixture
def without_patches(tmp_path):
    """A photograph and a result, and nothing of what that was made of."""
    energy = np.linspace(0.2, 20.0, 512)
    path = tmp_path / "p.zarr"
    create_painting(path, np.full((30, 40, 3), 90, "u1"), width_mm=40.0)
    with staged(path, "results/r") as group:
        layout = {"shape": (30, 40), "pitch_mm": 1.0, "energy_kev": energy, "layer": np.array([0, 1], "u1")}
        peaks = 5 + 400 * np.exp(-(((energy - np.array([[6.4], [8.05]])) / 0.07) ** 2))
        new_result(group, endmember=peaks, attrs={"method": "joint"}, **layout)[...] = np.full((30, 40, 2), 0.5)
        group["coverage"][...] = np.ones((30, 40), "f4")
    return path


def test_a_result_without_patches_has_a_page_too(without_patches, tmp_path):
    report(without_patches, out=tmp_path / "page.html")
    text, page = (tmp_path / "page.html").read_text(), Page()
    page.feed(text)
    assert {"Element maps", "Mean spectra", "Made of"} <= set(page.headings)
    assert "super-resolved, hidden" in text
    assert "the instrument measured" not in text


class Page(HTMLParser):
    """Headings, sources of pictures, and every address."""

    def __init__(self) -> None:
        super().__init__()
        self.headings, self.pictures, self.addresses, self.open = [], [], [], ""

    def handle_starttag(self, tag, attrs):
        self.open = tag
        given = dict(attrs)
        if tag == "img":
            self.pictures.append(given["src"])
        self.addresses += [value for key, value in given.items() if key in ("src", "href")]

    def handle_data(self, data):
        if self.open == "h2" and data.strip():
            self.headings.append(data.strip())


def test_the_page_holds_all_parts_and_no_address(painted, tmp_path, capsys):
    out = tmp_path / "new" / "page.html"
    assert main(["report", str(painted), "--out", str(out), "--elements", "Pb,zn"]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    page = Page()
    page.feed(out.read_text())
    parts = [
        "The painting",
        "Element maps",
        "Elements",
        "Elements of the hidden layer",
        "Mean spectra",
        "Convergence",
        "How far to trust it",
        "Made of",
    ]
    assert page.headings == parts
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert len(page.pictures) == 1 + 2 + 3
    for picture in page.pictures:
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))).convert("L"))
        assert min(pixels.shape) > 200
        assert pixels.std() > 10
    text = re.sub(r"<[^>]*>", " ", out.read_text())
    assert re.search(r"p01\s+\d", text)
    assert "option iterations" in text


def test_the_page_lies_beside_its_store_unless_told_otherwise(painted):
    found = report(painted, elements=("Fe",))
    assert found == {
        "report": str(painted.with_name("room-paper.html")), "result": "paper", "elements": ["Fe"],
    }  # fmt: skip


def test_other_lines_than_the_usual_ones_are_drawn_when_named(painted, tmp_path):
    made = report(painted, out=tmp_path / "page.html", elements=("Pb-Ma", "Pb"))
    assert made["elements"] == ["Pb Ma", "Pb La"]
    text = (tmp_path / "page.html").read_text()
    assert ("Pb Ma: measured" in text, "Pb La: measured" in text) == (True, True)


def test_a_page_is_html(painted, tmp_path):
    with pytest.raises(OptionError, match=r"give --out a name that ends in \.html"):
        report(painted, out=tmp_path / "page.zarr")


def test_the_elements_with_most_counts_are_drawn_where_none_are_named_those_of_the_hidden_layer_too(
    painted, tmp_path, monkeypatch
):
    for command in ("maps", "report"):
        monkeypatch.setattr(f"xrfsr_dask.commands.{command}.MOST_ELEMENTS", 2)

    def mapped(layer):
        files = maps(painted, tmp_path / layer, MapOptions(layer=layer))["files"]
        return [Path(file).name.split("-")[0] for file in files[::3]]

    ds = open_result(painted)
    table = ds.xrf.hidden.xrf.elements()
    own, both = table.share >= 0.04, ds.xrf.elements().counts.reindex(table.index)
    np.testing.assert_allclose(table.share, (table.counts / both).clip(upper=1.0), atol=0.02)
    assert mapped("all") == ds.xrf.elements().index[:2].tolist()
    last = table[~own].sort_values("share", ascending=False, kind="stable")
    assert mapped("hidden") == [*table.index[own], *last.index][:2]
    assert not own.all()
    drawn = report(painted, out=tmp_path / "page.html")["elements"]
    assert drawn == list(dict.fromkeys(mapped("all") + mapped("hidden")))


def test_an_element_that_cannot_be_drawn_is_refused_before_anything_is_written(painted, tmp_path):
    with pytest.raises(InputError, match="'Xx' is no chemical element"):
        report(painted, out=tmp_path / "page.html", elements=("Xx",))
    with pytest.raises(InputError, match="C Ka"):
        report(painted, out=tmp_path / "page.html", elements=("C",))
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_stands_is_not_lost_to_a_full_disk(painted, tmp_path, monkeypatch):
    page = tmp_path / "page.html"
    page.write_text("an older page")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        report(painted, out=page, elements=("Fe",))
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("page.html", "an older page")]


def test_text_of_a_page_cannot_become_markup():
    page = as_html(
        "<b>", "a & b", [Section("h", "<script>x</script>", rows=[{"k": "<i>", "n": 1234, "x": 0.5}])]
    )
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert '<td class="number">1,234</td><td class="number">0.5</td>' in page


def test_channels_too_wide_for_lines_leave_a_page_without_maps(tmp_path):
    path = tmp_path / "p.zarr"
    small_painting(path, "a", n_channel=20)
    solve_painting(
        path, options=SolveOptions(method="paper", atoms=4, iterations=1), resources=RunOptions(workers=1)
    )
    found = report(path, out=tmp_path / "page.html")
    assert "from 1 measured patch." in (tmp_path / "page.html").read_text()
    assert found["elements"] == []
    assert "too wide to tell lines apart" in (tmp_path / "page.html").read_text()
