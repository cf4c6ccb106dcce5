"""HyperSpy's own files, .hspy (HDF5) and .zspy (Zarr, a folder or a zip), read some rows and columns at a time.

Both hold groups ``Experiments/<title>`` of one array ``data`` and a group ``axis-N`` for each dimension,
whose attributes describe it. Read without rosettasciio, whose .zspy reader needs Zarr before 3.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from xrfsr_dask.errors import InputError, first_line
from xrfsr_dask.readers.protocol import Scan
from xrfsr_dask.readers.signals import Region, Signal, scan_of

_ROOT = "Experiments"
_ELEMENTS = ("metadata/Sample/_list_elements", "metadata/Sample/_tuple_elements")
# numcodecs raises SystemError for a Blosc header of negative size, archives raise errors of their own
_DAMAGE = (
    OSError, KeyError, ValueError, TypeError, RuntimeError, SystemError, zipfile.BadZipFile, zlib.error
)  # fmt: skip


def open_hyperspy(path: Path, inside: str | None = None) -> Scan:
    """Open the map of spectra in a file; `inside` is its title where the file holds several."""
    try:
        with _opened(path) as root:
            signals = [_signal(path, title, root[f"{_ROOT}/{title}"]) for title in sorted(root[_ROOT])]
    except _DAMAGE as error:
        raise InputError(f"{path} cannot be read as {path.suffix} ({first_line(error)}).") from error
    return scan_of(path, signals, inside)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The root group; h5py and zarr give it the same face."""
    if path.suffix.lower() == ".hspy":
        import h5py

        with h5py.File(path, "r") as file:
            yield file
        return
    import zarr

    if path.is_dir():
        yield zarr.open_group(str(path), mode="r", use_consolidated=False)
        return
    if not zipfile.is_zipfile(path):
        raise ValueError("it is neither a folder nor a zip archive")
    with zarr.storage.ZipStore(path, mode="r") as store:
        yield zarr.open_group(store, mode="r", use_consolidated=False)


def _signal(path: Path, title: str, group: Any) -> Signal:
    data = group["data"]
    return Signal(
        title=title,
        shape=tuple(data.shape),
        dtype=np.dtype(data.dtype),
        axes=[_axis(group[f"axis-{i}"]) for i in range(len(data.shape))],
        read=partial(_read, path, f"{_ROOT}/{title}/data"),
        elements=_elements(group),
        notes=_missing(title, data),
    )


def _missing(title: str, data: Any) -> tuple[str, ...]:
    """Blocks of an array of Zarr that are not there: zeros that nobody wrote, or that were lost."""
    written = getattr(data, "nchunks_initialized", None)  # of zarr; h5py has none
    if written is None or written == data.nchunks:
        return ()
    return (
        f"{data.nchunks - written} of {data.nchunks} blocks of '{title}' are not there; they count as zeros",
    )


def _axis(group: Any) -> dict[str, Any]:
    """Attributes of an axis, and its values where they are listed."""
    return dict(group.attrs) | ({"axis": np.asarray(group["axis"][:])} if "axis" in group else {})


def _elements(group: Any) -> tuple[str, ...]:
    """Chemical symbols; none where they are kept in a way this version of Zarr does not read."""
    for name in _ELEMENTS:
        try:
            listed = group[name][:]
        except _DAMAGE:
            continue
        return tuple(one.decode() if isinstance(one, bytes) else str(one) for one in listed)
    return ()


def _read(path: Path, name: str, region: Region) -> np.ndarray:
    try:
        with _opened(path) as root:
            return np.asarray(root[name][region])
    except _DAMAGE as error:
        raise InputError(
            f"{path}/{name} cannot be read ({first_line(error)}); copy or export it again."
        ) from error
