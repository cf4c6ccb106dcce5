"""`xrfsr browse`: the explorer page of a result, served on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import sys
import threading
import webbrowser
from concurrent.futures import Future
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import xarray as xr

from xrfsr_dask.errors import InputError, MissingPackageError, OptionError
from xrfsr_dask.result import open_result
from xrfsr_dask.result.beside import as_painted
from xrfsr_dask.result.levels import store_of, token_of
from xrfsr_dask.store import open_painting
from xrfsr_dask.view.scene import Scene
from xrfsr_dask.writers.images import write_tiff

_NEEDS_BOKEH = "the explorer needs Bokeh; install it with: pip install 'xrfsr_dask[view]'."
_HUB_URL = "https://hub.example.org/user/me/proxy/{port}/"
_ON_A_HUB = (
    " On a JupyterHub this machine is not the browser's: with jupyter-server-proxy installed there, call "
    f"<code>ds.xrf.explore(url=&quot;{_HUB_URL}&quot;)</code> with your own address."
)
_CELL_PX = 760
_NO_ELEMENTS = pd.DataFrame(
    {"line": [], "counts": [], "errors": [], "sure": [], "overlaps": []}, index=pd.Index([], name="element")
)
_SERVING: dict[tuple[Any, ...], Any] = {}  # of this kernel's notebooks
_HIGHEST_PORT = 65535
_ENDS_S = 10.0  # that a page may take to end, at most
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def browse(
    path: str | Path,
    *,
    name: str | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    everyone: bool = False,
    show: bool = True,
) -> Any:
    """A server of the explorer page, not yet serving: call its ``run_until_shutdown``.

    Parameters
    ----------
    path : str or Path
        A painting store with a result.
    name : str, optional
        The result; the newest where not given.
    host, port : str, int
        Where to listen; any free port for 0.
    everyone : bool
        Allow a host that is not loopback: whoever reaches it sees the painting.
    show : bool
        Open the page in the browser.

    Returns
    -------
    bokeh.server.server.Server
    """
    if host not in _LOOPBACK and not everyone:
        raise OptionError(
            f"--host {host} lets others on the network look; add --everyone if that is meant, or leave it out."
        )
    if not 0 <= port <= _HIGHEST_PORT:
        raise OptionError(f"--port is a number from 0 to {_HIGHEST_PORT}, got {port}.")
    page = page_of(open_result(path, name))
    server = _server(page, host, port, _origins(host, port))
    server.start()
    if show:
        server.io_loop.add_callback(webbrowser.open, address_of(server))
    return server


def address_of(server: Any) -> str:
    """Where the page is."""
    return f"http://{server.address}:{server.port}/"


def page_of(ds: xr.Dataset) -> Any:
    """What makes the page for each visitor: a function of a Bokeh document. Elements are looked for once."""
    from xrfsr_dask.view.explorer import Explorer

    source = store_of(ds)
    if source is None:
        raise InputError(
            "this result lies in memory; open it from its painting with open_result to explore it."
        )
    painting = open_painting(source)
    if "coverage" not in ds:
        raise InputError("this result has lost its coverage; open it with open_result to explore it.")
    ds = as_painted(ds, painting, "explore")
    if not ds.sizes["atom"] or not ds.sizes["energy"]:
        raise InputError("explore needs something to show: this has no endmember, or no channel, left.")
    scene, pitch = Scene(ds, painting), painting.pitch_mm
    elements = _NO_ELEMENTS if scene.no_lines else ds.xrf.elements()
    title = f"{Path(source).stem}: result {ds.attrs['result']}"

    def page(document: Any) -> None:
        context = document.session_context
        asked = context.request.arguments if context is not None and context.request is not None else {}
        later = document.add_next_tick_callback
        explorer = Explorer(scene, title, elements, lambda map_, what: _tiff(map_, pitch, what), asked, later)
        document.add_root(explorer.layout)
        document.title = title
        later(explorer.start)

    return page


def explore(ds: xr.Dataset, *, port: int = 0, url: str | None = None) -> InCell:
    """The explorer in a notebook (`XrfAccessor.explore`): served by the kernel, framed below the cell.

    Parameters
    ----------
    ds : xarray.Dataset
    port : int
        Of 127.0.0.1 on the kernel's machine; any free one for 0. A page that this kernel serves there ends.
    url : str, optional
        Where the browser reaches that port, with ``{port}`` in its place, if not at 127.0.0.1.
    """
    python = sys.modules.get("IPython")
    if python is None or python.get_ipython() is None:
        raise MissingPackageError(
            "ds.xrf.explore() draws below a cell of a notebook, and there is no Jupyter here; run "
            f"`xrfsr browse {ds.encoding.get('source', 'P.zarr')}` in a terminal."
        )
    key = ds.encoding.get("source"), token_of(ds), port, url
    if key not in _SERVING:
        page = page_of(ds)
        for other in [known for known in _SERVING if port and known[2] == port]:
            _end(_SERVING.pop(other))  # the one port that is forwarded, say
        _SERVING[key] = _in_background(page, port, url)
    server = _SERVING[key]
    return InCell(url.replace("{port}", str(server.port)) if url else address_of(server))


@dataclass(frozen=True)
class InCell:
    """The explorer's page as what a cell of a notebook shows."""

    address: str
    """Where the page is."""

    def _repr_html_(self) -> str:
        """A frame, and a link for a window of its own."""
        where = escape(self.address, quote=True)
        hub = "" if "JUPYTERHUB_SERVICE_PREFIX" not in os.environ or "/proxy/" in where else _ON_A_HUB
        return (
            f'<div><iframe src="{where}" width="100%" height="{_CELL_PX}" style="border:1px solid #ccc">'
            f'</iframe><div><a href="{where}" target="_blank" rel="noopener">open the explorer in a window of '
            f"its own</a>; it is served by this notebook's kernel, as long as that runs.{hub}</div></div>"
        )


def _in_background(page: Any, port: int, url: str | None) -> Any:
    """A server of a page on 127.0.0.1, in a thread of its own: it answers while cells run."""
    started: Future[Any] = Future()

    def serve() -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        with contextlib.closing(loop):
            try:
                server = _server(page, "127.0.0.1", port, _origins_of(url))
            except BaseException as error:
                started.set_exception(error)
                return
            server.start()
            started.set_result(server)
            server.io_loop.start()

    threading.Thread(target=serve, name="explorer", daemon=True).start()
    return started.result()


def _end(server: Any) -> bool:
    """Stop a server in its own thread, and wait until its port is free; whether it is."""
    ended = threading.Event()

    def end() -> None:
        server.stop()
        server.io_loop.stop()
        ended.set()

    server.io_loop.add_callback(end)
    return ended.wait(_ENDS_S)


def _server(page: Any, host: str, port: int, origins: list[str] | None) -> Any:
    try:
        from bokeh.server.server import Server
    except ImportError as error:
        raise MissingPackageError(_NEEDS_BOKEH) from error
    try:
        return Server({"/": page}, address=host, port=port, allow_websocket_origin=origins)
    except OSError as error:
        raise InputError(
            f"port {port} of {host} cannot be used ({error.strerror}); choose another port."
        ) from error


def _origins_of(url: str | None) -> list[str] | None:
    """The host of a page that frames the explorer by way of a proxy."""
    if url is None:
        return None
    host = urlsplit(url.replace("{port}", "0")).netloc
    if not host:
        raise OptionError(f"url is a whole address, such as {_HUB_URL}; got {url!r}.")
    return [host]


def _tiff(values: np.ndarray, pitch_mm: float, what: str) -> bytes:
    out = io.BytesIO()
    write_tiff(out, values, pitch_mm=pitch_mm, description={"map": what, "pixel_mm": pitch_mm})
    return out.getvalue()


def _origins(host: str, port: int) -> list[str] | None:
    """Pages that may talk to the server: its own; None lets Bokeh take those of its port."""
    return None if host in _LOOPBACK else [f"{host}:{port}" if port else "*"]
