"""Whether a patch can be one of its photograph: its place, its step, its beam and its gain."""

from __future__ import annotations

import math

import numpy as np

from xrfsr_dask.errors import InputError, OptionError
from xrfsr_dask.store.patches import apply_transform, step_of

_LEAST_STEP_PX = 0.5  # where spots are finer than pixels there is nothing to super-resolve
_MOST_DEPTH = 2.0  # of one corner to another's in the perspective of a homography; a painting lies flat
_ON_ITS_SIDE = "is the matrix on its side? x and y in mm belong into its last column."
_LEAST_GAIN, _MOST_GAIN = 1e-3, 1e3


def check_place(
    what: str,
    shape: tuple[int, int, int],
    transform: np.ndarray,
    *,
    spot_mm: float | None,
    gain: float,
    photo: tuple[int, int],
    pitch_mm: float,
) -> None:
    """Refuse what no scan of this photograph has.

    Parameters
    ----------
    what : str
        Begins the message.
    shape : (ny, nx, n_channel)
    transform : float array of shape (3, 3)
        (row, column, 1) -> (y_mm, x_mm, 1).
    spot_mm : float, optional
    gain : float
    photo : (ny, nx)
        Shape of the photograph, px.
    pitch_mm : float

    Raises
    ------
    InputError
        Spots outside the photograph, or of a size or perspective that cannot be.
    OptionError
        A beam of no size, or far from a step; a gain far from 1.
    """
    known = transform.shape == (3, 3) and np.isfinite(transform).all()
    step_mm = step_of(transform, shape) if known else 0.0
    if not 0 < step_mm < math.inf:
        raise InputError(f"{what}: its transform is not an invertible 3x3 matrix.")
    if spot_mm is not None and not 1e-3 <= spot_mm / step_mm <= 100:
        raise OptionError(
            f"{what}: the spot size must be more than 0 mm, 0.001 to 100 steps of {step_mm:.4g} mm, "
            f"got {spot_mm}."
        )
    if not _LEAST_GAIN <= gain <= _MOST_GAIN:
        raise OptionError(
            f"{what}: the gain must be more than 0, {_LEAST_GAIN:g} to {_MOST_GAIN:g}, got {gain}."
        )
    ny, nx = shape[:2]
    corners = np.array([(0, 0), (0, nx - 1), (ny - 1, 0), (ny - 1, nx - 1)], float)
    size_mm = np.array(photo) * pitch_mm
    outer = np.array([(-0.5, -0.5, 1), (-0.5, nx - 0.5, 1), (ny - 0.5, -0.5, 1), (ny - 0.5, nx - 0.5, 1)])
    depth = outer @ transform[2]
    if depth.min() * depth.max() <= 0:
        raise InputError(
            f"{what} reaches outside the photograph: its transform has its horizon in the patch; {_ON_ITS_SIDE}"
        )
    if (ratio := np.abs(depth).max() / np.abs(depth).min()) > _MOST_DEPTH:
        raise InputError(
            f"{what}: its transform makes spots at one corner {ratio**3:.3g} times as large as at another, "
            f"which no view of a painting does; {_ON_ITS_SIDE}"
        )
    for (row, column), (y, x) in zip(corners, apply_transform(transform, corners), strict=True):
        if not (0 <= y <= size_mm[0] and 0 <= x <= size_mm[1]):
            raise InputError(
                f"{what} reaches outside the photograph: spot (row {row:.0f}, column {column:.0f}) lies at "
                f"x {x:.2f}, y {y:.2f} mm, the photograph is {size_mm[1]:.2f} x {size_mm[0]:.2f} mm; "
                "check --at, --step-mm, --rotation and the photograph's width."
            )
    _check_step(what, apply_transform(transform, outer[:, :2]), shape, photo, pitch_mm)


def _check_step(
    what: str, outline: np.ndarray, shape: tuple[int, int, int], photo: tuple[int, int], pitch_mm: float
) -> None:
    """Refuse spots that lie too close or too far apart to be spots of this photograph."""
    top_left, top_right, low_left, low_right = outline
    ny, nx = shape[:2]
    along_x = np.linalg.norm([top_right - top_left, low_right - low_left], axis=1) / nx
    along_y = np.linalg.norm([low_left - top_left, low_right - top_right], axis=1) / ny
    (a, b), (c, d) = low_right - top_left, low_left - top_right
    longest = max(*along_x, *along_y)
    across = abs(a * d - b * c) / 2 / (ny * nx) / longest if longest else 0.0  # between rows, or columns
    for step_mm in (min(*along_x, *along_y, across), longest):
        if not _LEAST_STEP_PX * pitch_mm <= step_mm <= max(photo) * pitch_mm:
            raise InputError(
                f"{what}: its neighbouring spots lie {step_mm:.4g} mm apart, {step_mm / pitch_mm:.4g} px of "
                f"the photograph; {_LEAST_STEP_PX:g} to {max(photo)} px can be. Check --step-mm "
                "(or the transform) and the photograph's width, or take a photograph of more pixels."
            )
