"""Maps as an OME-Zarr image (version 0.5): channels, y, x in levels of half the size, read by xarray too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from xrfsr_dask.kernels.halving import halved
from xrfsr_dask.store.arrays import new_array, pixel_centres_mm, write_coordinate

VERSION = "0.5"
"""Of the OME-Zarr specification."""

_CHUNK = 512  # px
_SMALLEST = 128  # px; the pyramid ends once a level fits this
_COLOURS = ("FF3B30", "34C759", "0A84FF", "FFD60A", "BF5AF2", "64D2FF", "FF9F0A", "FFFFFF")


def write_pyramid(
    path: Path,
    names: Sequence[str],
    maps: Iterable[np.ndarray],
    *,
    shape: tuple[int, int],
    pitch_mm: float,
    title: str,
) -> None:
    """Write maps, one after the other, each in all levels.

    Parameters
    ----------
    path : Path
        A folder that is not there yet.
    names : sequence of str
        Of the channels.
    maps : iterable of float arrays of shape `shape`
        NaN where nothing was measured; one is held at a time.
    shape : (ny, nx)
    pitch_mm : float
        Side of a pixel of the finest level.
    title : str
    """
    root = zarr.create_group(str(path), zarr_format=3)
    sizes = [shape]
    while max(sizes[-1]) > _SMALLEST:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    levels = [_level(root, i, len(names), size, pitch_mm * 2**i) for i, size in enumerate(sizes)]
    tops = []
    for channel, values in enumerate(maps):
        small = np.asarray(values, np.float32)
        tops.append(float(np.nanpercentile(small, 99.7)) if np.isfinite(small).any() else 0.0)
        for level in levels:
            level[channel] = small
            small = halved(small)
    root.attrs["ome"] = _metadata(names, tops, len(sizes), pitch_mm, title)


def _level(root: zarr.Group, number: int, n: int, shape: tuple[int, int], pitch_mm: float) -> zarr.Array:
    group = root.create_group(str(number))
    for axis, size in zip("yx", shape, strict=True):
        write_coordinate(group, axis, pixel_centres_mm(size, pitch_mm), units="mm")
    return new_array(
        group,
        "image",
        shape=(n, *shape),
        dtype="f4",
        chunks=(1, _CHUNK, _CHUNK),
        dims=("c", "y", "x"),
        attrs={"units": "counts", "long_name": "net counts per measured spot"},
    )


def _metadata(
    names: Sequence[str], tops: Sequence[float], n_level: int, pitch_mm: float, title: str
) -> dict[str, Any]:
    datasets = []
    for i in range(n_level):
        pitch = pitch_mm * 2**i
        steps = [
            {"type": "scale", "scale": [1.0, pitch, pitch]},
            {"type": "translation", "translation": [0.0, pitch / 2, pitch / 2]},
        ]
        datasets.append({"path": f"{i}/image", "coordinateTransformations": steps})
    space = [{"name": axis, "type": "space", "unit": "millimeter"} for axis in "yx"]
    multiscale = {
        "name": title,
        "axes": [{"name": "c", "type": "channel"}, *space],
        "datasets": datasets,
        "type": "mean of 2 x 2 px",
    }
    channels = [
        {
            "label": name,
            "color": _COLOURS[i % len(_COLOURS)],
            "active": i < 3,
            "window": {"min": 0.0, "max": top, "start": 0.0, "end": top},
        }
        for i, (name, top) in enumerate(zip(names, tops, strict=True))
    ]
    return {"version": VERSION, "multiscales": [multiscale], "omero": {"channels": channels}}
