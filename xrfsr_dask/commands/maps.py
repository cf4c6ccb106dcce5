"""`xrfsr maps`: element maps of a result as files: TIFF, PNG, a picture with its scale, pyramids, a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xrfsr_dask.commands.elements import MOST_ELEMENTS, elements_of, named_line, names_of
from xrfsr_dask.commands.output import here, output_folder, report_in
from xrfsr_dask.commands.pictures import map_panel, preview_step
from xrfsr_dask.errors import InputError
from xrfsr_dask.options import MapOptions
from xrfsr_dask.progress import Progress, Silent
from xrfsr_dask.result import open_result
from xrfsr_dask.view import figures
from xrfsr_dask.view.panels import greek
from xrfsr_dask.view.sheets import Column, beside
from xrfsr_dask.writers.images import write_png, write_recipe, write_table, write_tiff
from xrfsr_dask.writers.pyramid import write_pyramid

PYRAMID, TABLE, RECIPE = ".ome.zarr", ".csv", ".recipe.csv"
"""What the files of all maps together end in, after ``maps`` or ``maps-hidden``."""


def maps(
    path: str | Path, out: str | Path, options: MapOptions, *, progress: Progress | None = None
) -> dict[str, Any]:
    """Write the maps of some lines into a folder and say which files these are.

    Each is net counts per measured spot, all lines fitted together, NaN where nothing was measured:
    ``Cr-Ka.tif`` (float32, mm in its tags), ``Cr-Ka.png`` (16 bit), ``Cr-Ka-picture.png`` (colours, mm); on
    demand ``maps.ome.zarr`` with all of them as channels of a pyramid, and for XRF Explorer ``maps.csv`` and
    the registration ``maps.recipe.csv``. Names of files of one layer say so: ``Cr-Ka-hidden.tif``,
    ``maps-hidden.csv``. They appear together when all are there.

    Parameters
    ----------
    path : str or Path
        A painting store with a result.
    out : str or Path
        Folder, made where it is missing; files of the same names are replaced.
    options : MapOptions
    progress : Progress, optional
    """
    bar, folder = progress or Silent(), here(out)
    ds = open_result(path, options.name)
    found = () if options.elements else elements_of(ds, options.layer)[:MOST_ELEMENTS]
    asked = options.elements or tuple(row["element"] for row in found)
    if not asked:
        where = f"{path}" if options.layer == "all" else f"the {options.layer} layer of {path}"
        raise InputError(f"no element was found in {where}; name some by --elements, such as Cr,Pb,As.")
    lines = list(dict.fromkeys(named_line(ds, one) for one in asked))
    with output_folder(folder), report_in(folder) as made:
        names = [f"{element} {line}" for element, line in lines]
        together, shape = f"maps{_ending(options)}", (ds.sizes["y"], ds.sizes["x"])
        bar.expect(len(lines) * (1 + options.pyramid) + options.table)
        written = []
        for (element, line), name in zip(lines, names, strict=True):
            bar.note(name)
            values = _map(ds, element, line, options)
            written += _files(made, values, name, ds, options)
            bar.advance()
        if options.pyramid:
            target = made / f"{together}{PYRAMID}"
            each = _each(ds, lines, options, bar)
            title = f"{Path(path).stem}, {ds.attrs['result']}, {options.layer}"
            pitch = float(ds.attrs["pitch_mm"])
            write_pyramid(target, names, each, shape=shape, pitch_mm=pitch, title=title)
            written.append(target)
        if options.table:
            table, recipe = made / f"{together}{TABLE}", made / f"{together}{RECIPE}"
            named = zip(names_of(lines), lines, strict=True)
            write_table(table, {column: _map(ds, *line, options).values for column, line in named})
            write_recipe(recipe, shape, target="photograph", moving=table.name)
            written += [table, recipe]
            bar.advance()
    files = [str(folder / file.name) for file in written]
    return {"result": ds.attrs["result"], "layer": options.layer, "files": files}


def _map(ds: xr.Dataset, element: str, line: str, options: MapOptions) -> xr.DataArray:
    layer: Any = options.layer
    return ds.xrf.element(element, line, layer=layer).where(ds.coverage > 0).compute()


def _each(
    ds: xr.Dataset, lines: list[tuple[str, str]], options: MapOptions, bar: Progress
) -> Iterator[np.ndarray]:
    for element, line in lines:
        yield _map(ds, element, line, options).values
        bar.advance()


def _ending(options: MapOptions) -> str:
    """What names of files end in for a layer."""
    return "" if options.layer == "all" else f"-{options.layer}"


def _files(folder: Path, values: xr.DataArray, name: str, ds: xr.Dataset, options: MapOptions) -> list[Path]:
    stem = name.replace(" ", "-") + _ending(options)
    pitch = float(ds.attrs["pitch_mm"])
    about = {
        "line": name,
        "layer": options.layer,
        "unit": "net counts per measured spot",
        "pixel_mm": pitch,
        "result": ds.attrs["result"],
        "method": ds.attrs.get("method", ""),
    }
    tiff, png, picture = (folder / f"{stem}{end}" for end in (".tif", ".png", "-picture.png"))
    write_tiff(tiff, values.values, pitch_mm=pitch, description=about)
    write_png(png, values.values, pitch_mm=pitch, description=about)
    panel = map_panel(values, "", preview_step((ds.sizes["y"], ds.sizes["x"])))
    layer = "both layers" if options.layer == "all" else f"{options.layer} layer"
    figures.save(beside([Column(title=f"{greek(name)}, {layer}", panels=[panel])], panel), picture)
    return [tiff, png, picture]
