"""What the accessor asks: a result answers from its factors, a measured patch from its counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol

import numpy as np
import xarray as xr

from xrfsr_dask.errors import InputError
from xrfsr_dask.lines.fitting import LineFit

Layer = Literal["all", "visible", "hidden"]
_SLACK = 1e-6  # of half a pixel: the painting's own edge is on it, however its mm were rounded


class Source(Protocol):
    """Spectra and maps of something that lies on a grid of pixels or spots."""

    dims: tuple[str, str]
    """Names of the grid's axes."""

    ds: xr.Dataset
    """What it answers for, its axes in their usual order."""

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)"""

    @property
    def energy_kev(self) -> np.ndarray:
        """float64 (n_channel,)"""

    def nearest(self, y_mm: np.ndarray, x_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns (n,) of the places nearest to points (n,) in mm; `InputError` outside."""

    def spectra(self, rows: np.ndarray, columns: np.ndarray, layer: Layer) -> np.ndarray:
        """Spectra at places, float64 (n, n_channel), counts per measured spot."""

    def mean(self, mask: np.ndarray | None, layer: Layer) -> np.ndarray:
        """Mean spectrum of all, or under a mask (ny, nx), float64 (n_channel,)."""

    def coverage_at(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray | None:
        """Measured spots over places (n,), where that is a question and its answer known."""

    def mean_coverage(self, mask: np.ndarray) -> float | None:
        """The same of the places of a mask (ny, nx), in the mean."""

    def channels(self, weights: np.ndarray, layer: Layer) -> xr.DataArray:
        """Map (ny, nx) of the spectra times `weights` (n_channel,), lazy."""

    def line(self, element: str, line: str, layer: Layer) -> xr.DataArray:
        """Map (ny, nx) of a line's net counts, all lines fitted together, lazy."""

    def mean_counts(self, element: str, line: str) -> float:
        """Mean of the map of a line's net counts, as spectra of many counts tell it."""

    def fit(self, named: Iterable[str]) -> LineFit:
        """Spectra of many counts that hold every element there is, taken apart, their exposure known.

        Looked for are the usual elements, those named, and the rare ones that show.
        """


def index_of(centres: np.ndarray, values: np.ndarray, name: str, pitch: float = 0.0) -> np.ndarray:
    """Index of the pixel along one axis that holds each place, mm; `InputError` for one outside.

    A pixel is `pitch` wide, or as wide as the two nearest are apart where that is more, or all that is known.
    """
    apart = float(np.diff(np.sort(centres)).min()) if len(centres) > 1 else 0.0
    half = 0.5 * max(apart, pitch) or np.inf
    low, high = centres.min() - half, centres.max() + half
    slack = _SLACK * half if np.isfinite(half) else 0.0
    for value in values[~((values >= low - slack) & (values <= high + slack))][:1]:
        raise InputError(
            f"{name} = {value:.8g} mm lies outside the painting, which spans {name} "
            f"{round(low, 2) + 0.0:.2f} to {high:.2f} mm."
        )
    found = np.asarray([np.abs(centres - value).argmin() for value in values], int)
    for value in values[np.abs(centres[found] - values) > half + slack][:1]:
        raise InputError(f"{name} = {value:.8g} mm lies between the pixels that were selected.")
    return found
