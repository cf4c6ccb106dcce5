"""Cubes in NumPy's .npy files, memory-mapped; pickled objects are never loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from xrfsr_dask.errors import InputError, first_line
from xrfsr_dask.readers.numbers import Numbers
from xrfsr_dask.readers.protocol import Scan


def open_npy(path: Path) -> Scan:
    """Open a (y, x, channel) array; such a file says nothing about energy or step."""
    cube = _mapped(path)
    if cube.ndim != 3:
        raise InputError(f"{path} holds an array of shape {cube.shape}; (y, x, channel) is needed.")
    ny, nx, n_channel = cube.shape
    # NumPy's other order is all axes turned round
    order = ((ny, nx, n_channel), (0, 1, 2)) if cube.flags.c_contiguous else ((n_channel, nx, ny), (2, 1, 0))
    return Scan(
        source=str(path),
        shape=(ny, nx, n_channel),
        dtype=cube.dtype,
        read=Numbers(path, cube.dtype, cube.offset, *order).read,
    )


def _mapped(path: Path) -> np.memmap[Any, Any]:
    try:
        cube = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(
            f"{path} of {path.stat().st_size} bytes cannot be read as .npy ({first_line(error)}); "
            "it is truncated, not of this format, or holds no plain numbers."
        ) from error
    if not isinstance(cube, np.memmap):
        raise InputError(f"{path} is an archive of several arrays; save the one cube as .npy.")
    found, told = path.stat().st_size, cube.offset + cube.nbytes
    if found != told:
        sizes = " x ".join(map(str, cube.shape))
        raise InputError(
            f"{path} has {found} bytes, but its header describes {told} bytes ({sizes} values of "
            f"{cube.dtype.itemsize} bytes); the file is damaged, save it again."
        )
    return cube
