"""A small painting, its page, and a browser to see it in; each made once."""

from __future__ import annotations

import pytest
from helpers_pages import CHROMIUM, Visit, served

from xrfsr_dask.options import BedroomOptions
from xrfsr_dask.phantom import write_painting


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """A small phantom; its truth is the result that is looked at."""
    path = tmp_path_factory.mktemp("explorer") / "room.zarr"
    scene = BedroomOptions(
        shape=(200, 260), width_mm=140.0, n_patches=2, spots=(34, 30), n_channel=1024, counts_per_s=90000.0
    )
    write_painting(path, scene)
    return path


@pytest.fixture(scope="session")
def address(store):
    with served(store, "truth") as where:
        yield where


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs a Chromium in the system's path")
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the [dev] extra")
    with api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def visit(browser, address):
    opened = Visit(browser, address)
    yield opened
    assert opened.said == []
    opened.page.close()
