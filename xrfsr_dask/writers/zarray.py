"""Cubes as Zarr: labelled for xarray (Zarr v3, checksums), or as HyperSpy's .zspy (Zarr v2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr

from xrfsr_dask.store.arrays import new_array, open_array, open_group, write_coordinate
from xrfsr_dask.writers.protocol import Format, Part, moved

CHUNK_PX = 25
"""A chunk is so many pixels square, all channels deep; pieces must be whole chunks."""

_EXPERIMENT = "Experiments/cube"


def create_zarr(path: Path, part: Part) -> None:
    """A group that xarray opens as a Dataset with ``cube (y, x, energy)``."""
    group = zarr.create_group(str(path), zarr_format=3, attributes={"title": part.title})
    new_array(
        group,
        "cube",
        shape=part.shape,
        dtype="f4",
        chunks=(CHUNK_PX, CHUNK_PX, part.shape[2]),
        dims=("y", "x", "energy"),
        attrs={"units": "counts", "long_name": "counts per measured spot"},
    )
    axes = {"y": (part.y_mm, "mm"), "x": (part.x_mm, "mm"), "energy": (part.energy_kev, "keV")}
    for name, (values, unit) in axes.items():
        write_coordinate(group, name, np.asarray(values, float), units=unit)


def write_zarr(path: Path, part: Part, place: tuple[slice, slice], values: np.ndarray) -> None:
    """A rectangle of spectra, whole chunks."""
    open_array(open_group(path, mode="r+"), "cube")[place] = values


def create_zspy(path: Path, part: Part) -> None:
    """The groups of HyperSpy's format 3.3."""
    root = zarr.create_group(
        str(path), zarr_format=2, attributes={"file_format": "ZSpy", "file_format_version": "3.3"}
    )
    experiment = root.create_group(_EXPERIMENT)
    experiment.create_array(
        "data",
        shape=part.shape,
        dtype="f4",
        chunks=(min(CHUNK_PX, part.shape[0]), min(CHUNK_PX, part.shape[1]), part.shape[2]),
        chunk_key_encoding={"name": "v2", "separator": "/"},
    )
    steps = (("y", part.y_mm, part.step_mm), ("x", part.x_mm, part.step_mm))
    named = [(name, float(axis[0]), step, "mm") for name, axis, step in steps]
    named.append(("Energy", float(part.energy_kev[0]), part.kev_per_channel, "keV"))
    for i, (name, first, step, unit) in enumerate(named):
        axis = {"_type": "UniformDataAxis", "name": name, "units": unit, "navigate": i < 2, "is_binned": i == 2}
        experiment.create_group(
            f"axis-{i}", attributes=axis | {"scale": step, "offset": first, "size": part.shape[i]}
        )
    metadata: dict[str, Any] = {"General": {"title": part.title}, "Signal": {"signal_type": ""}}
    for name in ("metadata", "original_metadata", "attributes", "learning_results"):
        group = experiment.create_group(name)
        for inner, attributes in (metadata if name == "metadata" else {}).items():
            group.create_group(inner, attributes=attributes)


def write_zspy(path: Path, part: Part, place: tuple[slice, slice], values: np.ndarray) -> None:
    """A rectangle of spectra, whole chunks."""
    root: Any = zarr.open_group(str(path), mode="r+", use_consolidated=False)
    root[f"{_EXPERIMENT}/data"][place] = values


ZARR = Format((".zarr",), "Zarr v3 for xarray", create_zarr, write_zarr, moved)
ZSPY = Format((".zspy",), "HyperSpy's .zspy", create_zspy, write_zspy, moved)
