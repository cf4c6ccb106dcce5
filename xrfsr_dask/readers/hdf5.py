"""Cubes in HDF5 and NeXus files, by their path inside the file, read some rows and columns at a time.

Which axis is which: names written after the path, ``entry/data[energy,y,x]``, come first; then NeXus
(`axes`, `interpretation`) and HDF5's dimension labels; then a one-dimensional dataset called "energy"
beside the cube whose length fits one axis only. A cube without any of these is (y, x, energy), unless
its first axis is the longest and at least 128 long: that may as well be the spectrum, so the user is asked.
"""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xrfsr_dask.errors import InputError, first_line
from xrfsr_dask.readers.protocol import Scan, axis_of, falling, kev_per_unit, step_in_mm, turned

if TYPE_CHECKING:
    import h5py

_SCALINGS = ("scaling_factor", "scale_factor", "add_offset", "_FillValue")
_MAYBE_SPECTRUM = 128  # channels

Axes = tuple[int, int, int]


def open_hdf5(path: Path, inside: str | None = None) -> Scan:
    """Open the cube at `inside`, or the only numeric three-dimensional dataset of the file."""
    import h5py

    where, named = _split(inside)
    try:
        with h5py.File(path, "r") as file:
            return _scan(path, _cube(path, file, where), named)
    except OSError as error:
        raise InputError(f"{path} cannot be read as HDF5 ({first_line(error)}).") from error


def _scan(path: Path, cube: h5py.Dataset, named: list[str] | None) -> Scan:
    names = named or _names(cube)
    axes = _axes(path, cube, names)
    found = _coordinate(cube, axes[2], names[axes[2]] or "energy")
    energy, why = (None, "") if found is None else _kev(*found, names[axes[2]])
    if energy is None and (other := _coordinate(cube, axes[2], "energy")) is not None:
        energy, why = _kev(*other, "energy")
    along = [(name, _step(cube, axis, names[axis])) for name, axis in zip("yx", axes, strict=False)]
    steps = [(name, *step) for name, step in along if step is not None]
    ny, nx, n_channel = (cube.shape[axis] for axis in axes)
    return Scan(
        source=f"{path}:{cube.name}",
        shape=(ny, nx, n_channel),
        dtype=cube.dtype,
        read=partial(_read, path, cube.name, axes),
        energy_kev=energy,
        calibration=why if energy is None else f"energy axis beside {cube.name}",
        step_mm=step_in_mm([(step, unit) for _, step, unit in steps]),
        notes=(
            *_missing(path, cube),
            *_scaled(path, cube),
            *_guessed(path, names, axes),
            *falling(path.name, [(name, step) for name, step, _ in steps]),
        ),
    )


def _missing(path: Path, cube: h5py.Dataset) -> tuple[str, ...]:
    """What HDF5 gives as zeros because it is not there: a note where the scan was cut short.

    Raises
    ------
    InputError
        A file that a virtual dataset refers to is not there.
    """
    if not cube.size:
        return ()  # refused by its shape
    if cube.is_virtual:
        for source in cube.virtual_sources():
            alone = source.file_name == "." or "%" in source.file_name  # this file, or one name for many
            if not alone and not (path.parent / source.file_name).is_file():
                raise InputError(f"{path}:{cube.name} takes counts from {source.file_name}, which is missing.")
        return ()
    whole = math.prod(-(-n // side) for n, side in zip(cube.shape, cube.chunks or cube.shape, strict=True))
    written = cube.id.get_num_chunks() if cube.chunks else int(cube.id.get_storage_size() > 0)
    if written == whole:
        return ()
    return (f"{whole - written} of {whole} blocks of {cube.name} were never written; they count as zeros",)


def _guessed(path: Path, names: list[str], axes: Axes) -> tuple[str, ...]:
    """A note where the file names the axes of the map, but not so that they are known to be y and x."""
    pair = [names[axis] for axis in axes[:2]]
    if any(axis_of(name) for name in pair) or not all(re.search("[a-z]", n) for n in pair):
        return ()
    return (
        f"{path.name}: its axes '{pair[0]}' and '{pair[1]}' were taken for y and x in this order; if the map "
        "comes out turned over its diagonal, say --inside 'PATH[x,y,energy]'.",
    )


def _scaled(path: Path, cube: h5py.Dataset) -> tuple[str, ...]:
    """Attributes by which values were to be changed; counts are taken as they are."""
    found = [name for name in _SCALINGS if name in cube.attrs]
    return tuple(f"{path.name}:{cube.name} says a {name}, which was not applied." for name in found)


def _read(path: Path, name: str, axes: Axes, rows: slice, columns: slice) -> np.ndarray:
    import h5py

    region = [slice(None)] * 3
    region[axes[0]], region[axes[1]] = rows, columns
    try:
        with h5py.File(path, "r") as file:
            return np.ascontiguousarray(file[name][tuple(region)].transpose(axes))
    except OSError as error:
        at = f"rows {rows.start} to {rows.stop}"
        raise InputError(
            f"{path}:{name}, {at}, cannot be read ({first_line(error)}); copy or export it again."
        ) from error


def _split(inside: str | None) -> tuple[str | None, list[str] | None]:
    """The path and, where given in brackets after it, the names of the three axes."""
    match = re.fullmatch(r"(.*)\[(.*)\]", inside or "")
    if match is None:
        return inside, None
    names = [name.strip().lower() for name in match[2].split(",")]
    if sorted(names) != ["energy", "x", "y"]:
        raise InputError(
            f"--inside '{inside}': the axes must be y, x and energy in some order, as in [energy,y,x]."
        )
    return match[1] or None, names


def _cube(path: Path, file: h5py.File, where: str | None) -> h5py.Dataset:
    cubes: list[h5py.Dataset] = []
    file.visititems(lambda _, node: cubes.append(node) if _is_cube(node) else None)
    found = [file[where]] if where is not None and where in file else []
    chosen = cubes if where is None else [node for node in found if _is_cube(node)]
    if len(chosen) == 1:
        return chosen[0]
    listed = ", ".join(f"{cube.name} {cube.shape}" for cube in cubes) or "none"
    asked = "holds no single cube" if where is None else f"holds no cube at '{where}'"
    raise InputError(
        f"{path} {asked}; its three-dimensional datasets are: {listed}. Choose one by --inside PATH."
    )


def _is_cube(node: h5py.Dataset | h5py.Group) -> bool:
    return getattr(node, "ndim", 0) == 3 and getattr(node, "dtype", np.dtype("O")).kind in "uif"


def _names(cube: h5py.Dataset) -> list[str]:
    """Names of the axes in lower case, empty where unknown."""
    listed = cube.parent.attrs.get("axes", cube.attrs.get("axes", ()))
    if isinstance(listed, (str, bytes)):
        listed = re.split("[:,]", _text(listed).strip("[]"))
    names = [_text(name).strip(" \"'").lower() for name in np.atleast_1d(listed)]
    if len(names) == 3 and any(axis_of(name) for name in names):
        return names
    labels = names if len(names) == 3 else [dimension.label.lower() for dimension in cube.dims]
    interpretation = _text(cube.attrs.get("interpretation", ""))
    if not any(axis_of(label) for label in labels) and interpretation in ("spectrum", "image"):
        labels[2 if interpretation == "spectrum" else 0] = "energy"
    return labels


def _axes(path: Path, cube: h5py.Dataset, names: list[str]) -> Axes:
    """Indices of y, x and energy."""
    said = [axis_of(name) for name in names]
    for word in ("energy", "y", "x", "z"):
        if said.count(word) > 1:
            raise InputError(
                f"{path}:{cube.name} calls its axes {', '.join(names)}, so that more than one would be {word}; "
                f"say which is which by --inside '{cube.name}[y,x,energy]' or in another order."
            )
    energy = _energy_axis(path, cube, names)
    first, second = (axis for axis in range(3) if axis != energy)
    if turned(said[first], said[second]):
        first, second = second, first
    return first, second, energy


def _energy_axis(path: Path, cube: h5py.Dataset, names: list[str]) -> int:
    said = [axis_of(name) for name in names]
    units = [
        (_coordinate(cube, axis, names[axis]) or (None, ""))[1] if names[axis] else "" for axis in range(3)
    ]
    by_name = [axis for axis in range(3) if said[axis] == "energy"]
    by_unit = [axis for axis in range(3) if units[axis] and kev_per_unit(units[axis]) is not None]
    by_rest = [axis for axis in range(3) if not said[axis]] if {"y", "x"} <= set(said) else []
    by_length, by_edges = (
        [axis for axis in range(3) if not said[axis] and _beside(cube, axis, "energy", more) is not None]
        for more in (0, 1)
    )
    for those in (by_name, by_unit, by_rest, by_length, by_edges):
        if len(those) == 1:
            return those[0]
    if cube.shape[0] == max(cube.shape) >= _MAYBE_SPECTRUM and cube.shape[0] > cube.shape[2]:
        raise InputError(
            f"{path}:{cube.name} of shape {cube.shape} does not say which axis is the energy, and its first is "
            f"the longest; say --inside '{cube.name}[energy,y,x]' or --inside '{cube.name}[y,x,energy]'."
        )
    return 2


def _coordinate(cube: h5py.Dataset, axis: int, name: str) -> tuple[np.ndarray, str] | None:
    """Values and unit of an axis: its HDF5 dimension scale, else the dataset `name` beside the cube.

    Where there is one value more than the axis has places, as NeXus has it of histograms, they are the edges.
    """
    if (found := _beside(cube, axis, name)) is not None:
        return found
    if (edges := _beside(cube, axis, name, 1)) is None:
        return None
    return (edges[0][1:] + edges[0][:-1]) / 2, edges[1]


def _beside(cube: h5py.Dataset, axis: int, name: str, more: int = 0) -> tuple[np.ndarray, str] | None:
    """What lies beside a cube for one of its axes, with as many values, or `more`; and its unit."""
    scales = list(cube.dims[axis].values())
    beside = [cube.parent.get(key) for key in cube.parent if key.lower() == name.lower()]  # None: a broken link
    for node in (*scales, *beside):
        if getattr(node, "shape", None) == (cube.shape[axis] + more,) and node.dtype.kind in "uif":
            return np.asarray(node[:], float), _text(node.attrs.get("units", node.attrs.get("unit", "")))
    return None


def _kev(values: np.ndarray, unit: str, name: str) -> tuple[np.ndarray | None, str]:
    """Energies in keV, or None and why they are none."""
    counts = re.search("channel|bin|mca", name) or np.array_equal(values, np.arange(len(values)) + values[0])
    if not unit and counts:
        return None, "what lies beside the cube counts the channels"
    step = float(np.median(np.diff(values))) if len(values) > 1 else 0.0
    kev = kev_per_unit(unit, step=step, last=float(values[-1]))
    return (None, f"its unit '{unit}' is none of energy") if kev is None else (values * kev, "")


def _step(cube: h5py.Dataset, axis: int, name: str) -> tuple[float, str] | None:
    coordinate = _coordinate(cube, axis, name) if name else None
    if coordinate is None or len(coordinate[0]) < 2:
        return None
    return float(np.median(np.diff(coordinate[0]))), coordinate[1]


def _text(value: object) -> str:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
