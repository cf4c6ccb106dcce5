"""What `ds.xrf` shows of itself: a few lines as text, a small table beside the photograph in a notebook."""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np
import xarray as xr

from xrfsr_dask.errors import XrfsrError
from xrfsr_dask.result.levels import store_of
from xrfsr_dask.result.source import Source
from xrfsr_dask.store.arrays import open_array, open_group, read
from xrfsr_dask.store.places import as_place

_ASK = "elements(), element('Pb'), spectrum(y=, x=), profile(), roi(), mean_spectrum()"
_ASK_RESULT = f"{_ASK}, visible, hidden, compare(), explore()"
_THUMBNAIL_PX = 240


def facts(ds: xr.Dataset, source: Source) -> dict[str, str]:
    """What it is, how large, which energies and endmembers, and what can be asked; a few words each."""
    (ny, nx), energy = source.shape, source.energy_kev
    measured = "abundance" not in ds
    kind, name = ("patch", "patch") if measured else ("result", "result")
    home = store_of(ds)
    store = "memory" if home is None else as_place(home).name
    out = {
        kind: f"{ds.attrs.get(name, 'without a name')}, of {store}",
        "grid": f"{nx} x {ny} {'spots' if measured else 'px'}{_size(ds, ny, nx)}",
        "energies": f"{len(energy)} channels, {_range(ds)}",
    }
    if not measured:
        layers = [f"{int((ds.layer.values == layer).sum())} {layer}" for layer in ("visible", "hidden")]
        out["endmembers"] = ", ".join(layers)
    return out | {"ask ds.xrf": _ASK if measured else _ASK_RESULT}


def _range(ds: xr.Dataset) -> str:
    first, last = float(ds.energy[0]), float(ds.energy[-1])
    named = ds.energy.attrs.get("units", "keV") == "keV"
    return f"{first:.3f} to {last:.3f} keV" if named else f"{first:g} to {last:g}, their energies not given"


def as_text(found: dict[str, str]) -> str:
    """Facts as lines."""
    return "\n".join(f"{name:<12}{value}" for name, value in found.items())


def as_html(found: dict[str, str], ds: xr.Dataset) -> str:
    """Facts as a table, beside the photograph where the painting is at hand."""
    left = "style='text-align:left'"
    rows = "".join(
        f"<tr><th {left}>{escape(name)}</th><td {left}>{escape(value)}</td></tr>"
        for name, value in found.items()
    )
    home = store_of(ds)
    seen = "" if home is None else _thumbnail(home)
    return f"<div style='display:flex;gap:1em;align-items:center'>{seen}<table>{rows}</table></div>"


def _size(ds: xr.Dataset, ny: int, nx: int) -> str:
    if "step_mm" in ds.attrs:
        return f", a step of {float(ds.attrs['step_mm']):.3g} mm"
    if ds.y.ndim != 1 or min(ny, nx) < 2:
        return ""
    height, width = (abs(float(ds[a][-1] - ds[a][0])) * n / (n - 1) for a, n in (("y", ny), ("x", nx)))
    return f", {width:.1f} x {height:.1f} mm"


def _thumbnail(store: str) -> str:
    """The photograph's smallest level as an image of its own; nothing where it cannot be read."""
    from PIL import Image

    try:
        rgb = open_group(as_place(store) / "rgb")
        image = read(open_array(rgb, f"{max(map(int, rgb.group_keys()))}/image"))
    except (XrfsrError, OSError, ValueError):
        return ""
    picture = Image.fromarray((image / (np.iinfo(image.dtype).max / 255)).astype(np.uint8).squeeze())
    picture.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return f"<img alt='the photograph' src='data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}'>"
