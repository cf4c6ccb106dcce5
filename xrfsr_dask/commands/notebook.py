"""The explorer below a cell of a notebook (`XrfAccessor.explore`), served by the kernel."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import urlsplit

import xarray as xr

from xrfsr_dask.commands.browse import NEEDS_BOKEH, address_of, checked_port, page_of, server_of
from xrfsr_dask.errors import MissingPackageError, OptionError
from xrfsr_dask.result.levels import token_of

_HUB_URL = "https://hub.example.org/user/me/proxy/{port}/"
_ON_A_HUB = (
    " On a JupyterHub this machine is not the browser's: with jupyter-server-proxy installed there, call "
    f"<code>ds.xrf.explore(url=&quot;{_HUB_URL}&quot;)</code> with your own address."
)
_CELL_PX = 760


def explore(ds: xr.Dataset, *, port: int = 0, url: str | None = None) -> InCell:
    """The explorer in a notebook (`XrfAccessor.explore`): served by the kernel, framed below the cell.

    Parameters
    ----------
    ds : xarray.Dataset
    port : int
        Of 127.0.0.1 on the kernel's machine; any free one for 0. One that was asked for before shows this
        Dataset from now on to whoever loads it; a page that is open stays as it is.
    url : str, optional
        Where the browser reaches that port, with ``{port}`` in its place, if not at 127.0.0.1.
    """
    python = sys.modules.get("IPython")
    if python is None or python.get_ipython() is None:
        raise MissingPackageError(
            "ds.xrf.explore() draws below a cell of a notebook, and there is no Jupyter here; run "
            f"`xrfsr browse {ds.encoding.get('source', 'P.zarr')}` in a terminal."
        )
    port = checked_port("port", port)
    origins = _origins_of(url)
    what = ds.encoding.get("source"), token_of(ds)
    with _one_at_a_time:
        served = _SERVING.get(port or what)
        if served is None:
            served = _SERVING[port or what] = _Served(what, page_of(ds), port)
        elif served.what != what:
            served.what, served.page = what, page_of(ds)
        # Bokeh knows no other way once a server runs
        served.server._tornado.websocket_origins.update(origins)
    return InCell(url.replace("{port}", str(served.server.port)) if url else address_of(served.server))


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


class _Served:
    """A server of this kernel on 127.0.0.1, in a thread of its own: it answers while cells run.

    None takes its place: browsers keep their connections, and would wait for the one that is gone.
    """

    def __init__(self, what: Any, page: Callable[[Any], None], port: int) -> None:
        self.what, self.page = what, page
        self.server = self._started(port)

    def _show(self, document: Any) -> None:
        self.page(document)

    def _started(self, port: int) -> Any:
        started: Future[Any] = Future()

        def serve() -> None:
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            with contextlib.closing(loop):
                try:
                    server = server_of(self._show, "127.0.0.1", port, None)
                except BaseException as error:
                    started.set_exception(error)
                    return
                server.start()
                started.set_result(server)
                server.io_loop.start()

        threading.Thread(target=serve, name="explorer", daemon=True).start()
        return started.result()


_one_at_a_time = threading.Lock()
_SERVING: dict[Any, _Served] = {}
"""Of this kernel's notebooks: by port where it was chosen, else by what is shown."""


def _origins_of(url: str | None) -> list[str]:
    """The host of a page that frames the explorer by way of a proxy, as browsers and Bokeh write it."""
    if url is None:
        return []
    try:
        from bokeh.server.util import create_hosts_allowlist

        parts = urlsplit(url.replace("{port}", "0"))
        own = parts.port in (None, {"http": 80, "https": 443}.get(parts.scheme))
        host = str(parts.hostname or "")  # in small letters
        if host:
            return list(create_hosts_allowlist([host if own else f"{host}:{parts.port}"], None))
    except ImportError as error:
        raise MissingPackageError(NEEDS_BOKEH) from error
    except (ValueError, AttributeError):  # no port, no text, or an address of IPv6, which Bokeh does not know
        pass
    raise OptionError(f"url is a whole address, such as {_HUB_URL}; got {url!r}.")
