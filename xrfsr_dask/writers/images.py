"""Maps as pictures: float32 TIFF with its scale, 16-bit PNG, and the table that XRF Explorer imports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

_GREYS = 65535


def write_tiff(
    path: Path | IO[bytes], values: np.ndarray, *, pitch_mm: float, description: Mapping[str, Any]
) -> None:
    """A map (ny, nx) as float32, NaN where nothing was measured; pixels per cm in the tags.

    The description, as JSON, stands in ``ImageDescription``.
    """
    import tifffile

    tifffile.imwrite(
        path,
        np.asarray(values, np.float32),
        resolution=(10.0 / pitch_mm, 10.0 / pitch_mm),
        resolutionunit="CENTIMETER",
        description=json.dumps(dict(description)),
        metadata=None,
        compression="zlib",
    )


def write_png(path: Path, values: np.ndarray, *, pitch_mm: float, description: Mapping[str, Any]) -> float:
    """A map (ny, nx) as 16-bit grey from 0 to its highest value; returns the counts of one grey level.

    What was not measured, and what is negative, is black. The description, with ``counts_per_grey_level`` added
    to it, stands in the text ``Description``.
    """
    from PIL import Image, PngImagePlugin

    known = np.nan_to_num(np.asarray(values, float), nan=0.0)
    level = max(float(known.max(initial=0.0)), 1e-30) / _GREYS
    grey = np.rint(np.clip(known, 0.0, None) / level).astype(np.uint16)
    text = PngImagePlugin.PngInfo()
    text.add_text("Description", json.dumps(dict(description) | {"counts_per_grey_level": level}))
    dpi = 25.4 / pitch_mm
    Image.fromarray(grey).save(path, pnginfo=text, dpi=(dpi, dpi))
    return level


def write_table(path: Path, maps: Mapping[str, np.ndarray]) -> None:
    """Maps (ny, nx) as the text that XRF Explorer imports as an elemental cube: ``row;column;Cr;Pb``, a line a
    pixel, 0 where nothing was measured."""
    ny, nx = next(iter(maps.values())).shape
    with path.open("w", encoding="utf-8") as file:
        file.write(";".join(["row", "column", *maps]) + "\n")
        for row in range(ny):
            columns = [np.full(nx, row), np.arange(nx)]
            columns += [np.nan_to_num(values[row]) for values in maps.values()]
            np.savetxt(file, np.column_stack(columns), fmt=["%d", "%d", *["%.6g"] * len(maps)], delimiter=";")


def write_recipe(path: Path, shape: tuple[int, int], *, target: str, moving: str) -> None:
    """The registration that XRF Explorer asks for beside a table, as Butterfly Registrator writes it.

    Maps lie pixel on pixel on the photograph, so that its four corners (x, y) are those of the maps.
    """
    ny, nx = shape
    corners = [f"{x}|{y}|{x}|{y}" for x, y in ((0, 0), (nx, 0), (0, ny), (nx, ny))]
    about = "Assumes moving image(s) resized and padded to match target image dimensions"
    lines = ["Butterfly Registrator", "1.0", "control points", about, "target", target, "moving", moving]
    path.write_text("\n".join([*lines, "x|y|x|y", *corners]) + "\n", encoding="utf-8", newline="\r\n")
