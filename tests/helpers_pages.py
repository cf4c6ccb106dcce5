"""A page of the explorer in a real browser, and the server of it."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MODEL = "name => Bokeh.documents[0].get_model_by_name(name)"


@contextlib.contextmanager
def served(store: Path, name: str) -> Iterator[str]:
    """`xrfsr browse` of a result: the address of its page."""
    words = [sys.executable, "-m", "xrfsr_dask", "browse", str(store), "--name", name, "--no-show"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        found = re.match(r"(http://127\.0\.0\.1:\d+/)", process.stdout.readline())
        assert found is not None
        yield found[1]
    finally:
        process.send_signal(signal.SIGTERM)  # SIGINT is ignored by what a shell runs in the background
        try:
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


class Visit:
    """A page with what its console said."""

    def __init__(self, browser, address: str, width: int = 1280, height: int = 900) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": height}, accept_downloads=True)
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
        self.page.wait_for_function(f"() => !({MODEL})('busy').visible")
        self.page.wait_for_timeout(300)

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
            "() => Array.from(Bokeh.documents[0].get_model_by_name('lines').data_source.data.name)"
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
