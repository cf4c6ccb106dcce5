"""`xrfsr browse`: the explorer page of a result, served on this machine."""

from __future__ import annotations

import errno
import io
import ipaddress
import socket
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from xrfsr_dask.errors import InputError, MissingPackageError, OptionError
from xrfsr_dask.result import open_result
from xrfsr_dask.result.beside import as_painted
from xrfsr_dask.result.levels import store_of
from xrfsr_dask.store import open_painting
from xrfsr_dask.view.scene import Scene
from xrfsr_dask.writers.images import write_tiff

NEEDS_BOKEH = "the explorer needs Bokeh; install it with: pip install 'xrfsr_dask[view]'."
_NO_ELEMENTS = pd.DataFrame(
    {"line": [], "counts": [], "errors": [], "sure": [], "overlaps": []}, index=pd.Index([], name="element")
)
_HIGHEST_PORT = 65535
_TAKEN = (errno.EADDRINUSE, errno.EACCES)


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
    host = host.strip("[]")
    if not _is_loopback(host) and not everyone:
        raise OptionError(
            f"--host {host} lets others on the network look; add --everyone if that is meant, or leave it out."
        )
    port = checked_port("--port", port)
    page = page_of(open_result(path, name))
    server = server_of(page, host, port, _origins(host, port))
    server.start()
    if show:
        server.io_loop.add_callback(webbrowser.open, address_of(server))
    return server


def address_of(server: Any) -> str:
    """Where the page is, seen from this machine."""
    host = server.address
    if _is_everywhere(host):
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{server.port}/"


def page_of(ds: xr.Dataset) -> Any:
    """What makes the page for each visitor: a function of a Bokeh document. Elements are looked for once."""
    from xrfsr_dask.view.explorer import Explorer

    source = store_of(ds)
    if source is None:
        raise InputError(
            "this result lies in memory; open it from its painting with open_result to explore it."
        )
    painting = open_painting(source)
    if "abundance" not in ds:
        raise InputError("the explorer shows a result, and its patches beside it; open one with open_result.")
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


def server_of(page: Callable[[Any], None], host: str, port: int, origins: list[str] | None) -> Any:
    """A Bokeh server of a page, not yet started; `InputError` where it cannot listen there."""
    try:
        from bokeh.server.server import Server
    except ImportError as error:
        raise MissingPackageError(NEEDS_BOKEH) from error
    try:
        _try_out(host, port)
        return Server({"/": page}, address=host, port=port, allow_websocket_origin=origins)
    except OSError as error:
        raise InputError(
            f"port {port} of {host} cannot be used ({error.strerror or error}); choose another port."
        ) from error


def _try_out(host: str, port: int) -> None:
    """`OSError` where a port is taken: Tornado would leave a socket open that it cannot bind."""
    try:
        places = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:  # Tornado tells
        return
    for family, kind, protocol, _, address in places:
        try:
            with socket.socket(family, kind, protocol) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Tornado does
                tried.bind(address)
        except OSError as error:
            if error.errno in _TAKEN:  # others Tornado passes over: a machine without IPv6, say
                raise


def checked_port(name: str, port: int) -> int:
    """A port, or `OptionError` for what is none, under the name that it was asked for by."""
    if isinstance(port, bool) or not isinstance(port, int | np.integer) or not 0 <= port <= _HIGHEST_PORT:
        raise OptionError(f"{name} is a number from 0 to {_HIGHEST_PORT}, got {port!r}.")
    return int(port)


def _tiff(values: np.ndarray, pitch_mm: float, what: str) -> bytes:
    out = io.BytesIO()
    write_tiff(out, values, pitch_mm=pitch_mm, description={"map": what, "pixel_mm": pitch_mm})
    return out.getvalue()


def _origins(host: str, port: int) -> list[str] | None:
    """Pages that may talk to the server: its own; None lets Bokeh take those of its port.

    All may, where there is no telling by which name others reach it: Bokeh knows no addresses of IPv6.
    """
    if _is_loopback(host):
        return None
    named = port and ":" not in host and not _is_everywhere(host)
    return [f"{_ip(host) or host.lower()}:{port}"] if named else ["*"]  # as browsers write it


def _is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    address = _ip(host)
    return host.lower().rstrip(".") == "localhost" if address is None else address.is_loopback


def _is_everywhere(host: str) -> bool:
    """Whether it stands for all addresses of this machine."""
    address = _ip(host)
    return not host if address is None else address.is_unspecified


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address in numbers, however short it is written; None for names."""
    try:
        found = socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)[0][4][0]
    except (OSError, UnicodeError):
        return None
    address = ipaddress.ip_address(str(found).partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address
