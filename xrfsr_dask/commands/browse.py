"""`xrfsr browse`: the explorer page of a result, served on this machine."""

from __future__ import annotations

import importlib.util
import io
import webbrowser
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xrfsr_dask.errors import InputError, MissingPackageError, OptionError
from xrfsr_dask.result import open_result
from xrfsr_dask.store import open_painting
from xrfsr_dask.view.scene import Scene
from xrfsr_dask.writers.images import write_tiff

_NEEDS_BOKEH = "the explorer needs Bokeh; install it with: pip install 'xrfsr_dask[view]'."
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
    page = page_of(open_result(path, name))
    try:
        from bokeh.server.server import Server
    except ImportError as error:
        raise MissingPackageError(_NEEDS_BOKEH) from error
    try:
        server = Server({"/": page}, address=host, port=port, allow_websocket_origin=_origins(host, port))
    except OSError as error:
        raise InputError(
            f"port {port} of {host} cannot be used ({error.strerror}); choose another with --port."
        ) from error
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

    source = ds.encoding.get("source")
    if source is None:
        raise InputError(
            "this result lies in memory; open it from its painting with open_result to explore it."
        )
    scene = Scene(ds, open_painting(source))
    if ds.abundance.shape[:2] != scene.painting.shape:
        raise InputError("explore needs the whole painting, this is a piece of it; explore first, then select.")
    elements = ds.xrf.elements()
    pitch = scene.painting.pitch_mm

    def page(document: Any) -> None:
        context = document.session_context
        given = context.request.arguments if context is not None and context.request is not None else {}
        asked = {key: values[-1].decode() for key, values in given.items()}
        explorer = Explorer(scene, elements, lambda values, what: _tiff(values, pitch, what), asked)
        document.add_root(explorer.layout)
        document.title = f"{Path(source).stem}: {ds.attrs['result']}"

    return page


def explore(ds: xr.Dataset) -> Any:
    """The explorer in a notebook: shows it below the cell (`XrfAccessor.explore`)."""
    try:
        from bokeh.io import output_notebook, show
    except ImportError as error:
        raise MissingPackageError(_NEEDS_BOKEH) from error
    if importlib.util.find_spec("IPython") is None:
        raise MissingPackageError(
            "ds.xrf.explore() draws below a cell of a notebook, and there is no Jupyter here; run "
            f"`xrfsr browse {ds.encoding.get('source', 'P.zarr')}` in a terminal."
        )
    output_notebook(hide_banner=True)
    return show(page_of(ds))


def _tiff(values: np.ndarray, pitch_mm: float, what: str) -> bytes:
    out = io.BytesIO()
    write_tiff(out, values, pitch_mm=pitch_mm, description={"map": what, "pixel_mm": pitch_mm})
    return out.getvalue()


def _origins(host: str, port: int) -> list[str] | None:
    """Pages that may talk to the server: its own; None lets Bokeh take those of its port."""
    return None if host in _LOOPBACK else [f"{host}:{port}" if port else "*"]
