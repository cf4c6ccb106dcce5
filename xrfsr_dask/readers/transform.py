"""A patch's place on the painting, read from a file as OpenCV and scikit-image write it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from xrfsr_dask.errors import InputError, first_line
from xrfsr_dask.readers.protocol import damaged_is_input_error, readable

_SWAP = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


@damaged_is_input_error("transform")
def read_transform(path: str | Path) -> np.ndarray:
    """Transform of a patch from a .npy, .json or text file.

    Parameters
    ----------
    path : str or Path
        A 3x3 matrix, or the 2x3 of an affine transform, that maps a spot (column, row, 1) to (x_mm, y_mm, 1)
        on the painting; spot centres lie at integers. Nine numbers in one row are taken row by row. Text is
        separated by blanks or commas; JSON is a list, or an object whose key ``transform`` holds it.

    Returns
    -------
    float64 array of shape (3, 3)
        In this package's order: (row, column, 1) -> (y_mm, x_mm, 1), with a last entry of 1.

    Raises
    ------
    InputError
        The file is missing or unreadable, holds no such matrix, or one that seems to lie on its side.
    """
    path = readable(path, "transform file")
    if not path.is_file():
        raise InputError(f"transform file {path} is not a file.")
    try:
        values = _values(path)
    except (ValueError, TypeError, KeyError, EOFError, OSError) as error:
        raise InputError(f"transform file {path} cannot be read as numbers ({first_line(error)}).") from error
    matrix = _matrix(path, values)
    if not np.isfinite(matrix).all() or matrix[2, 2] == 0 or abs(np.linalg.det(matrix)) == 0:
        raise InputError(f"transform file {path}: its matrix is not finite and invertible.")
    if not matrix[:2, 2].any() and matrix[2, :2].any():
        raise InputError(
            f"transform file {path}: its matrix seems to lie on its side, for its last column is 0, 0 and its "
            f"last row holds {matrix[2, 0]:g}, {matrix[2, 1]:g}; transpose it, so that x and y in mm end its "
            "first two rows."
        )
    return _SWAP @ (matrix / matrix[2, 2]) @ _SWAP


def _matrix(path: Path, values: np.ndarray) -> np.ndarray:
    """The 3x3 matrix that `values` are, or become by a third row."""
    if values.shape == (2, 3):
        return np.vstack([values, [0.0, 0.0, 1.0]])
    one_row = values.ndim <= 2 and values.size == max(values.shape, default=1)
    if values.shape == (3, 3) or (one_row and values.size == 9):
        return values.reshape(3, 3)
    if one_row:
        found = f"{values.size} numbers in one row or column"
    else:
        found = f"a {'x'.join(map(str, values.shape))} matrix"
    advice = "; transpose it to 2x3" if values.shape == (3, 2) else ", in rows of three"
    raise InputError(f"transform file {path} holds {found}; a 3x3 or 2x3 matrix is needed{advice}.")


def _values(path: Path) -> np.ndarray:
    if path.suffix.lower() == ".npy":
        found = np.asarray(np.load(path, allow_pickle=False))
        if found.dtype.kind not in "uif":
            raise TypeError(f"its values are of type {found.dtype}")
        return found.astype(float)
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix.lower() != ".json":
        text = re.sub(r"#.*", "", text)  # the header that NumPy may write
        return np.array(_rows(text) or [], float)
    found = json.loads(text)
    if isinstance(found, dict) and "transform" not in found:
        raise TypeError("it holds an object without the key 'transform'")
    return np.asarray(found["transform"] if isinstance(found, dict) else found, float)


def _rows(text: str) -> list[list[str]]:
    """Words of each line; where all is one line, semicolons end rows, as MATLAB has them."""
    lines = [line for line in text.splitlines() if line.strip(" \t,;")]
    if len(lines) == 1 and re.search(r"[^;\s][\s,]+[^;\s]", lines[0]):
        lines = [part for part in lines[0].split(";") if part.strip(" \t,")]
    rows = [re.sub("[,;]", " ", line).split() for line in lines]
    if len({len(row) for row in rows}) > 1:
        raise ValueError(f"its rows are of {', '.join(str(len(row)) for row in rows)} words")
    return rows
