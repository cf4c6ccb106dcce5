"""From a patch in the store to its sampling operator on the HR grid: the one place where mm become px."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from xrfsr_dask.kernels.sampling import (
    FWHM_PER_SIGMA,
    Beam,
    Bounds,
    Footprints,
    downsample,
    downsample_adjoint,
    touching,
)
from xrfsr_dask.store import Painting, Patch
from xrfsr_dask.store.patches import apply_transform, spot_areas


def beam_of(patch: Patch, shape: tuple[int, int], pitch_mm: float) -> Beam:
    """The sampling operator of `patch` on an HR grid of `shape` (ny, nx) px of `pitch_mm`.

    Without a spot size the beam is as wide as one step of the scan.
    """
    to_px = np.diag([1.0 / pitch_mm, 1.0 / pitch_mm, 1.0]) @ patch.transform
    spot_mm = patch.step_mm if patch.spot_mm is None else patch.spot_mm
    size = spot_mm / pitch_mm if patch.footprint == "gaussian" else spot_mm / patch.step_mm
    return Beam(to_px, patch.shape[:2], shape, patch.footprint, size)


def square_side_mm(patch: Patch) -> float:
    """Side of the square whose standard deviation is that of a spot of `patch`, mm."""
    spot_mm = patch.step_mm if patch.spot_mm is None else patch.spot_mm
    return spot_mm * math.sqrt(12.0) / FWHM_PER_SIGMA if patch.footprint == "gaussian" else spot_mm


@dataclass(frozen=True)
class SpotWindow:
    """Some spots of a patch with the smallest rectangle of HR pixels that holds all they see."""

    footprints: Footprints
    bounds: tuple[int, int, int, int]
    """(y0, y1, x0, x1) in HR px."""

    @property
    def slices(self) -> tuple[slice, slice]:
        """To index a (y, x, …) array of the whole painting."""
        y0, y1, x0, x1 = self.bounds
        return slice(y0, y1), slice(x0, x1)

    def downsample(self, A: np.ndarray) -> np.ndarray:
        """S A of these spots; A is float32 (ny, nx, n) of `bounds`, the result (n_spot, n)."""
        return downsample(A, self.footprints, corner=(self.bounds[0], self.bounds[2]))


def spot_window(
    painting: Painting, patch: Patch, rows: slice = slice(None), columns: slice = slice(None)
) -> SpotWindow:
    """The spots in `rows` and `columns` of a patch, in row-major order."""
    beam = beam_of(patch, painting.shape, painting.pitch_mm)
    index = np.arange(beam.spots[0] * beam.spots[1]).reshape(beam.spots)[rows, columns].ravel()
    footprints = beam.footprints(index)
    low = footprints.origin.min(axis=0)
    high = footprints.origin.max(axis=0) + footprints.weight.shape[1:]
    return SpotWindow(footprints, (int(low[0]), int(high[0]), int(low[1]), int(high[1])))


def centres_mm(area: Bounds, pitch_mm: float) -> np.ndarray:
    """Centres (y, x) of the pixels of an area (y0, y1, x0, x1), float64 (n, 2), mm, row by row."""
    y, x = np.mgrid[area[0] : area[1], area[2] : area[3]] + 0.5
    return np.stack([y.ravel(), x.ravel()], axis=1) * pitch_mm


def in_spots(patch: Patch, points_mm: np.ndarray) -> np.ndarray:
    """Places (n, 2) of (y, x) in mm as (row, column) of a patch, float64 (n, 2); spot centres are integers."""
    return apply_transform(np.linalg.inv(patch.transform), points_mm)


def within(patch: Patch, points_mm: np.ndarray) -> np.ndarray:
    """Which places (n, 2) of (y, x) in mm lie in the raster of a patch; bool (n,)."""
    spots = in_spots(patch, points_mm)
    return np.asarray(((spots >= -0.5) & (spots <= np.array(patch.shape[:2]) - 0.5)).all(axis=1))


def coverage(patches: Iterable[Patch], area: Bounds, shape: tuple[int, int], pitch_mm: float) -> np.ndarray:
    """How many measured spots cover each pixel of an area (y0, y1, x0, x1), float32; 0 where none does.

    `shape` (ny, nx) is the whole HR grid, in px of `pitch_mm`.
    """
    y0, y1, x0, x1 = area
    out = np.zeros((y1 - y0, x1 - x0), np.float32)
    for patch in patches:
        beam = beam_of(patch, shape, pitch_mm)
        windows = beam.windows()
        index = touching(windows, area)
        if len(index):
            spots = np.stack(np.divmod(index, patch.shape[1]), axis=1)
            area_px = (spot_areas(patch.transform, spots) / pitch_mm**2).astype(np.float32)[:, None]
            seen = downsample_adjoint(area_px, beam.footprints(index, windows), out.shape, corner=(y0, x0))
            out += seen[..., 0]
    return out
