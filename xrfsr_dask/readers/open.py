"""Which reader takes which file."""

from __future__ import annotations

from pathlib import Path

from xrfsr_dask.errors import InputError
from xrfsr_dask.readers.hdf5 import open_hdf5
from xrfsr_dask.readers.hyperspy import open_hyperspy
from xrfsr_dask.readers.lispix import open_lispix
from xrfsr_dask.readers.npy import open_npy
from xrfsr_dask.readers.protocol import Scan, damaged_is_input_error, readable
from xrfsr_dask.readers.rosetta import PLUGINS, open_rosetta

_LISPIX = (".rpl", ".raw")
_HDF5 = (".h5", ".hdf5", ".hdf", ".nxs", ".nx5")
_HYPERSPY = (".hspy", ".zspy")
_NPY = (".npy",)


@damaged_is_input_error("scan")
def open_scan(path: str | Path, *, inside: str | None = None) -> Scan:
    """Open an instrument file by its suffix; counts are read when asked for.

    Parameters
    ----------
    path : str or Path
        Lispix .rpl, HDF5 or NeXus, .hspy, .zspy, .npy, or what rosettasciio reads (.bcf and others).
    inside : str, optional
        Which cube of a file with several: a path in HDF5, optionally with the names of its axes
        (``"entry/data[energy,y,x]"``), or a title in .bcf, .hspy and the like.

    Raises
    ------
    InputError
        The file is missing, of an unknown kind, damaged, or holds no single cube of numbers.
    MissingPackageError
        The optional package for this kind of file is not installed.
    """
    path = readable(path, "scan")
    suffix = path.suffix.lower()
    own = (*_LISPIX, *_HDF5, *_HYPERSPY, *_NPY)
    if suffix == ".spx":
        raise InputError(f"{path} holds one spectrum, not a scan; give it as --calibration of one.")
    if suffix not in (*own, *PLUGINS):
        raise InputError(
            f"{path}: files with the suffix '{suffix}' cannot be read; known are {', '.join(own)} and, "
            f"with `pip install 'xrfsr_dask[bruker]'`, {', '.join(PLUGINS)}."
        )
    if not (path.is_file() or path.is_dir()):
        raise InputError(f"scan {path} is a pipe or a device; a file is needed.")
    if path.is_dir() and suffix != ".zspy":
        raise InputError(f"scan {path} is a folder; a file is needed.")
    if suffix in _HDF5:
        return open_hdf5(path, inside)
    if suffix in _HYPERSPY:
        return open_hyperspy(path, inside)
    if suffix in PLUGINS:
        return open_rosetta(path, inside)
    if inside is not None:
        raise InputError(f"{path} holds one cube; --inside '{inside}' is for HDF5 and for files with several.")
    return open_lispix(path) if suffix in _LISPIX else open_npy(path)
