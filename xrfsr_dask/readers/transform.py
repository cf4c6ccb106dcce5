"""A patch's place on the painting, read from a file as OpenCV and scikit-image write it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from xrfsr_dask.errors import InputError
from xrfsr_dask.readers.protocol import damaged_is_input_error, readable

_SWAP = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


@damaged_is_input_error("transform")
def read_transform(path: str | Path) -> np.ndarray:
    """Transform of a patch from a .npy, .json or text file.

    Parameters
    ----------
    path : str or Path
        Nine numbers, or the six of an affine transform (2x3), that map a spot (column, row, 1) to
        (x_mm, y_mm, 1) on the painting; spot centres lie at integers. Text is separated by blanks or
        commas; JSON is a list, or an object whose key ``transform`` holds it.

    Returns
    -------
    float64 array of shape (3, 3)
        In this package's order: (row, column, 1) -> (y_mm, x_mm, 1), with a last entry of 1.
    """
    path = readable(path, "transform file")
    if not path.is_file():
        raise InputError(f"transform file {path} is not a file.")
    try:
        values = _values(path)
    except (ValueError, TypeError, KeyError, EOFError, OSError) as error:
        raise InputError(f"transform file {path} cannot be read as numbers ({_reason(error)}).") from error
    if values.shape == (3, 2):
        raise InputError(f"transform file {path} holds a 3x2 matrix; transpose it to 2x3.")
    if values.size not in (6, 9):
        raise InputError(f"transform file {path} holds {values.size} numbers; a 3x3 or 2x3 matrix is needed.")
    if values.size == 6:
        values = np.append(values.ravel(), [0.0, 0.0, 1.0])
    matrix = values.reshape(3, 3)
    if not np.isfinite(matrix).all() or matrix[2, 2] == 0 or abs(np.linalg.det(matrix)) == 0:
        raise InputError(f"transform file {path}: its matrix is not finite and invertible.")
    return _SWAP @ (matrix / matrix[2, 2]) @ _SWAP


def _values(path: Path) -> np.ndarray:
    if path.suffix.lower() == ".npy":
        found = np.asarray(np.load(path, allow_pickle=False))
        if found.dtype.kind not in "uif":
            raise TypeError(f"its values are of type {found.dtype}")
        return found.astype(float)
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix.lower() != ".json":
        text = re.sub(r"#.*", "", text)  # the header that NumPy may write
        lines = [line.split() for line in re.sub("[,;]", " ", text).splitlines()]
        rows = [line for line in lines if line]
        even = len({len(row) for row in rows}) == 1
        return np.array(rows if even else [number for row in rows for number in row], float)
    found = json.loads(text)
    return np.asarray(found["transform"] if isinstance(found, dict) else found, float)


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
