"""A result as its user meets it: one labelled Dataset, the cube lazy, the same from a store and from memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from xrfsr_dask.errors import DamagedStoreError, InputError, StoreError
from xrfsr_dask.result.lowrank import Stored, cube_variable, lazy_stored
from xrfsr_dask.store import open_painting
from xrfsr_dask.store.arrays import holds, open_array, open_group, read, read_finite
from xrfsr_dask.store.contents import ARRAYS
from xrfsr_dask.store.metadata import CHECKSUM
from xrfsr_dask.store.painting import names_of
from xrfsr_dask.store.patches import rises
from xrfsr_dask.store.places import Place
from xrfsr_dask.store.results import LAYERS, TRUTH

_AXES = {
    "y": {"units": "mm", "long_name": "y on the painting"},
    "x": {"units": "mm", "long_name": "x on the painting"},
    "energy": {"units": "keV", "long_name": "photon energy"},
}
_FACTORS = {
    "abundance": {"units": "1", "long_name": "abundance of each endmember"},
    "endmember": {"units": "counts", "long_name": "spectrum of each endmember, counts per measured spot"},
    "coverage": {"units": "1", "long_name": "measured spots covering the pixel"},
}


def open_result(path: str | Path, name: str | None = None) -> xr.Dataset:
    """Open a result of a painting; nothing is computed, and no cluster is started.

    Parameters
    ----------
    path : str or Path
        A painting store.
    name : str, optional
        Name of the result; the newest, the truth of a phantom aside, where not given.

    Returns
    -------
    xarray.Dataset
        ``abundance (y, x, atom)`` and ``coverage (y, x)`` lazy, ``endmember (atom, energy)``, the coordinate
        ``layer (atom)`` of "visible" and "hidden", ``region (y, x)`` where the painting is a phantom, and the
        lazy ``cube (y, x, energy)`` in counts per measured spot; coordinates in mm and keV.

    Raises
    ------
    StoreError
        `path` is no painting, or holds no such result.

    Examples
    --------
    >>> ds = xs.open_result("bedroom.zarr")
    >>> ds.cube.sel(energy=5.41, method="nearest").plot(yincrease=False)
    >>> ds.xrf.spectrum(y=310.2, x=455.0)
    """
    painting = open_painting(path)
    name = _chosen(path, painting.place / "results", name)
    group = open_group(painting.place / "results" / name)
    parts = {part: open_array(group, part) for part in ("abundance", "endmember", "layer", "coverage", *_AXES)}
    _check_shapes(parts, f"{path}: result '{name}'")
    endmember = read_finite(parts["endmember"])
    axes = {axis: read_finite(parts[axis]) for axis in _AXES}
    for axis in (axis for axis, values in axes.items() if not rises(values)):
        raise DamagedStoreError(f"{path}: result '{name}' is damaged: its {axis} does not rise.")
    ds = _assembled(
        abundance=lazy_stored(parts["abundance"]),
        cube=cube_variable(Stored(parts["abundance"]), endmember),
        endmember=endmember,
        layer=_layer_names(read(parts["layer"]), f"{path}: result '{name}'"),
        coverage=lazy_stored(parts["coverage"]),
        axes=axes,
        attrs={"result": name} | _told(group.attrs),
    )
    for extra in ("region", "evidence"):
        if holds(group, extra):
            found = open_array(group, extra, parts["coverage"].shape)
            ds[extra] = ("y", "x"), lazy_stored(found), _told(found.attrs)
    ds.encoding["source"] = painting.path
    return ds


def from_factors(
    abundance: np.ndarray,
    endmember: np.ndarray,
    layer: Sequence[str] | np.ndarray,
    y_mm: np.ndarray,
    x_mm: np.ndarray,
    energy_kev: np.ndarray,
    coverage: np.ndarray | None = None,
    attrs: dict[str, Any] | None = None,
) -> xr.Dataset:
    """The same kind of Dataset as `open_result` gives, from arrays in memory.

    Parameters
    ----------
    abundance : float array of shape (ny, nx, n_atom), dimensionless
    endmember : float array of shape (n_atom, n_channel), counts per measured spot
    layer : sequence of n_atom times "visible" or "hidden" (or 0 and 1)
    y_mm, x_mm : float arrays of shape (ny,), (nx,), mm
        Pixel centres.
    energy_kev : float array of shape (n_channel,), keV
    coverage : float array of shape (ny, nx), optional
        Measured spots covering each pixel; one everywhere where not given.
    attrs : dict, optional

    Raises
    ------
    InputError
        Shapes that do not fit each other, or an unknown layer.
    """
    abundance, endmember = np.asarray(abundance, np.float32), np.asarray(endmember, np.float32)
    axes = {"y": y_mm, "x": x_mm, "energy": energy_kev}
    found = tuple(np.shape(part) for part in (abundance, endmember, layer, y_mm, x_mm, energy_kev))
    if not _shapes_fit(*found):
        raise InputError(
            "abundance (ny, nx, n_atom), endmember (n_atom, n_channel), layer (n_atom,), y_mm (ny,), "
            f"x_mm (nx,) and energy_kev (n_channel,) do not fit each other; their shapes are {found}."
        )
    if coverage is not None and np.shape(coverage) != abundance.shape[:2]:
        raise InputError(f"coverage must have shape {abundance.shape[:2]}, got {np.shape(coverage)}.")
    return _assembled(
        abundance=abundance,
        cube=cube_variable(abundance, endmember),
        endmember=endmember,
        layer=_layer_names(np.asarray(layer), "layer"),
        coverage=np.ones(abundance.shape[:2], np.float32) if coverage is None else coverage,
        axes={axis: np.asarray(values, float) for axis, values in axes.items()},
        attrs=dict(attrs or {}),
    )


def _told(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes without those by which a store vouches for itself."""
    return {name: value for name, value in attributes.items() if name not in (CHECKSUM, ARRAYS)}


def _assembled(
    *,
    abundance: Any,
    cube: xr.Variable,
    endmember: np.ndarray,
    layer: np.ndarray,
    coverage: Any,
    axes: dict[str, np.ndarray],
    attrs: dict[str, Any],
) -> xr.Dataset:
    variables = {
        "abundance": (("y", "x", "atom"), abundance, _FACTORS["abundance"]),
        "endmember": (("atom", "energy"), endmember, _FACTORS["endmember"]),
        "coverage": (("y", "x"), coverage, _FACTORS["coverage"]),
        "cube": cube,
    }
    coords: dict[str, Any] = {axis: (axis, values, _AXES[axis]) for axis, values in axes.items()}
    coords["layer"] = ("atom", layer, {"long_name": "layer the endmember belongs to"})
    return xr.Dataset(variables, coords=coords, attrs=attrs)


def _chosen(path: str | Path, folder: Place, name: str | None) -> str:
    """`name` if there is such a result, else the newest that is not the truth."""
    known = names_of(folder)
    listed = ", ".join(known) or "none; make one with `xrfsr solve`"
    if name is not None and name not in known:
        raise StoreError(f"{path} holds no result '{name}'; it holds: {listed}.")
    solved = [found for found in known if found != TRUTH]
    if name is None and not solved:
        raise StoreError(f"{path} holds no solved result yet; it holds: {listed}.")
    return name or max(solved, key=lambda found: (folder / found / "zarr.json").stat().st_mtime_ns)


def _check_shapes(parts: dict[str, zarr.Array], what: str) -> None:
    names = ("abundance", "endmember", "layer", "y", "x", "energy")
    shapes = tuple(parts[name].shape for name in names)
    if not _shapes_fit(*shapes) or parts["coverage"].shape != shapes[0][:2]:
        found = ", ".join(f"{name} {part.shape}" for name, part in parts.items())
        raise DamagedStoreError(f"{what} is damaged: its arrays do not fit each other ({found}).")


def _shapes_fit(*shapes: tuple[int, ...]) -> bool:
    abundance, endmember, layer, y, x, energy = shapes
    if [len(shape) for shape in shapes] != [3, 2, 1, 1, 1, 1]:
        return False
    return abundance == (*y, *x, *layer) and endmember == (*layer, *energy)


def _layer_names(layer: np.ndarray, what: str) -> np.ndarray:
    if layer.dtype.kind in "ui" and layer.size and layer.min() >= 0 and layer.max() < len(LAYERS):
        return np.array(LAYERS)[layer]
    if layer.dtype.kind == "U" and set(layer.tolist()) <= set(LAYERS):
        return layer
    raise InputError(f"{what}: layers are {' or '.join(LAYERS)}, found {sorted(set(layer.tolist()))}.")
