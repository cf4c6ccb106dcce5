"""Cubes in NumPy's .npy files, memory-mapped; pickled objects are never loaded."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from xrfsr_dask.errors import InputError
from xrfsr_dask.readers.protocol import Scan


def open_npy(path: Path) -> Scan:
    """Open a (y, x, channel) array; such a file says nothing about energy or step."""
    cube = _mapped(path)
    if cube.ndim != 3:
        raise InputError(f"{path} holds an array of shape {cube.shape}; (y, x, channel) is needed.")
    ny, nx, n_channel = cube.shape
    return Scan(
        source=str(path), shape=(ny, nx, n_channel), dtype=cube.dtype, read_rows=partial(_read_rows, path)
    )


def _read_rows(path: Path, first: int, stop: int) -> np.ndarray:
    """Rows first to stop; mapped anew each time, so that pages once read do not pile up in the process."""
    return np.ascontiguousarray(_mapped(path)[first:stop])


def _mapped(path: Path) -> np.ndarray:
    try:
        cube: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path} of {path.stat().st_size} bytes cannot be read as .npy ({reason}); "
            "it is truncated, not of this format, or holds no plain numbers."
        ) from error
    if not isinstance(cube, np.ndarray):
        raise InputError(f"{path} is an archive of several arrays; save the one cube as .npy.")
    return cube
