"""A result as source of answers: everything is asked of the endmembers, and the abundances mix it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from xrfsr_dask.errors import InputError, OptionError
from xrfsr_dask.lines.fitting import LineFit, fit_lines
from xrfsr_dask.lines.peaks import ELEMENTS
from xrfsr_dask.lines.recognition import usual_axis
from xrfsr_dask.result.levels import store_of, stored_group
from xrfsr_dask.result.lowrank import loaded
from xrfsr_dask.result.masks import box_of, checked_mask
from xrfsr_dask.result.mixtures import Mixtures, mixtures_of, own_mixtures, rows_among
from xrfsr_dask.result.photons import Photons, found_photons, spots_of, stored_photons
from xrfsr_dask.result.source import Layer, index_of
from xrfsr_dask.store import open_painting
from xrfsr_dask.store.arrays import holds, open_array, read_finite
from xrfsr_dask.store.results import LAYERS, MEAN
from xrfsr_dask.tiling.blas import one_thread

_BLOCK_PX = 50  # points in the same square of this side are read together


def _in_order(ds: xr.Dataset) -> xr.Dataset:
    """A result with its axes in their usual order; `InputError` where one was renamed or selected away."""
    if {"y", "x"} & {*ds.endmember.dims}:
        raise InputError(
            "the endmembers were spread over the pixels, as by ds.where(...) or xr.concat(...), of the whole "
            "Dataset; use ds.assign(abundance=ds.abundance.where(...)), or xr.concat(..., data_vars='minimal')."
        )
    lost = {*ds.abundance.dims} ^ {"y", "x", "atom"} or {*ds.endmember.dims} ^ {"atom", "energy"}
    if lost:
        raise InputError(
            f"the abundances have the axes ({', '.join(map(str, ds.abundance.dims))}) and the endmembers "
            f"({', '.join(map(str, ds.endmember.dims))}) instead of (y, x, atom) and (atom, energy); keep "
            "their names, and select one row as ds.isel(y=[5])."
        )
    if 0 in (ds.sizes["y"], ds.sizes["x"], ds.sizes["energy"]):
        raise InputError(f"nothing is selected: the result has the sizes {dict(ds.sizes)}.")
    if ds.layer.dims != ("atom",) or ("coverage" in ds and {*ds.coverage.dims} != {"y", "x"}):
        raise InputError("layer must be (atom,) and coverage (y, x), one value for each endmember and pixel.")
    return ds.transpose("y", "x", "atom", "energy", ...)


def _mean_of(abundance: xr.DataArray, under: xr.DataArray | None = None) -> np.ndarray:
    """Mean abundances (n_atom,), float64, of the pixels, those under a mask (y, x), that hold numbers.

    Raises
    ------
    InputError
        None does.
    """
    if under is None:
        mean = abundance.mean(("y", "x"), dtype=np.float64, skipna=False).compute()
    else:
        mean = xr.dot(abundance, under / under.sum(), dim=("y", "x")).compute()
    if not np.isfinite(mean).all():  # seldom, and twice the work
        whole = (abs(abundance) < np.inf).all("atom")
        under = whole if under is None else under & whole
        sums = xr.Dataset(
            {"of": abundance.where(under).sum(("y", "x"), dtype=np.float64), "n": under.sum()}
        ).compute()
        if not sums.n:
            raise InputError(
                "no pixel's abundances are all numbers, so there is no mean; look where they were made NaN, or "
                "fill them with 0."
            )
        mean = sums.of / sums.n
    return np.asarray(mean.values)


def _pitch_mm(ds: xr.Dataset) -> float:
    """0 where it is not known. It is text where a result went through NetCDF."""
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        return float(ds.attrs.get("pitch_mm", 0.0))
    return 0.0


class Factors:
    """Answers of a Dataset with ``abundance``, ``endmember`` and ``layer``."""

    dims = ("y", "x")

    def __init__(self, ds: xr.Dataset) -> None:
        missing = [name for name in ("abundance", "endmember", "layer") if name not in ds]
        if missing:
            raise InputError(
                f"this Dataset is no result: it lacks {', '.join(missing)}; open one with open_result."
            )
        self.ds = self._ds = _in_order(ds)
        self._photons: dict[str, Photons] = {}
        self._means: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) px."""
        ny, nx = self._ds.abundance.shape[:2]
        return int(ny), int(nx)

    @property
    def energy_kev(self) -> np.ndarray:
        """float64 (n_channel,)."""
        return np.asarray(self._ds.energy.values, float)

    def nearest(self, y_mm: np.ndarray, x_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the pixels that hold places in mm."""
        for axis in {"y", "x"} - {*self._ds.coords}:
            raise InputError(f"this result has lost its coordinate {axis}, in mm; select by ds.isel instead.")
        y, x, pitch = self._ds.y.values, self._ds.x.values, _pitch_mm(self._ds)
        return index_of(y, y_mm, "y", pitch), index_of(x, x_mm, "x", pitch)

    def spectra(self, rows: np.ndarray, columns: np.ndarray, layer: Layer) -> np.ndarray:
        """Spectra of pixels (n, n_channel); each square of the painting that holds some is read once."""
        return self._read(self._ds.abundance.data, rows, columns).astype(float) @ self.endmember(layer)

    def coverage_at(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray | None:
        """Measured spots over pixels, float32 (n,); None where that is not known."""
        return self._read(self._ds.coverage.data, rows, columns) if "coverage" in self._ds else None

    def mean_coverage(self, mask: np.ndarray) -> float | None:
        """Measured spots over the pixels of a mask, in the mean; None where that is not known."""
        if "coverage" not in self._ds:
            return None
        box = box_of(mask)
        return float(loaded(self._ds.coverage.data[box])[mask[box]].mean())

    def mean(self, mask: np.ndarray | None, layer: Layer) -> np.ndarray:
        """Mean spectrum (n_channel,); under a mask only the rectangle around it is read."""
        if mask is None:
            return self._mean_abundance() @ self.endmember(layer)
        box = box_of(checked_mask(mask, self.shape))
        under = xr.DataArray(mask[box], dims=("y", "x"))
        return _mean_of(self._ds.abundance.isel(y=box[0], x=box[1]), under) @ self.endmember(layer)

    def channels(self, weights: np.ndarray, layer: Layer) -> xr.DataArray:
        """Map of the spectra times weights, lazy."""
        return self._mixed(self.endmember(layer) @ weights)

    def line(self, element: str, line: str, layer: Layer) -> xr.DataArray:
        """Map of a line's net counts, lazy: those of each endmember, found once, in each pixel's mixture."""
        return self._mixed(self.per_atom(element, line, layer))

    def per_atom(self, element: str, line: str, layer: Layer) -> np.ndarray:
        """A line's net counts in each endmember, all lines fitted together, float64 (n_atom,)."""
        counts, rows = self._apart(element).counts_of(element, line), self._rows
        return np.asarray(counts[rows] * self._in(layer))

    def mean_counts(self, element: str, line: str) -> float:
        """Net counts of a line in the mean of its map."""
        return float(self._mean_abundance() @ self.per_atom(element, line, "all"))

    def share_of(self, element: str, line: str) -> float:
        """Share of a line's counts in the whole result that lies in this layer or piece."""
        whole = self._mixtures
        both = float(whole.share @ whole.abundance @ self._apart(element).counts_of(element, line))
        mine = float(self._own.share @ self._own.abundance @ self.per_atom(element, line, "all"))
        return min(mine / both, 1.0) if both > 0 else 0.0

    @one_thread()  # of several, small systems wait for one another
    def fit(self, named: Iterable[str]) -> LineFit:
        """Mean spectra of squares of the painting taken apart."""
        own, spots = self._own, self._n_spots()
        axis = usual_axis(own.share @ own.spectra, self.energy_kev, named, spots)
        return fit_lines(own.spectra, axis, own.share * spots)

    def _mean_abundance(self) -> np.ndarray:
        """Mean abundances (n_atom,), float64: those in the store, where a result is as it was solved."""
        if self._means is None:
            self._means = self._stored_means()
        if self._means is None:
            self._means = _mean_of(self._ds.abundance)
        return self._means

    def _stored_means(self) -> np.ndarray | None:
        group = stored_group(self._ds)
        if group is None or not holds(group, MEAN):
            return None
        return read_finite(open_array(group, MEAN, self._ds.layer.shape))

    def endmember(self, layer: Layer) -> np.ndarray:
        """Spectra (n_atom, n_channel) in float64; those of other layers are zero."""
        return self._ds.endmember.values.astype(np.float64) * self._in(layer)[:, None]

    def _read(self, data: Any, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Values of an array (ny, nx, ...) at pixels, float32 (n, ...)."""
        out = np.empty((len(rows), *data.shape[2:]), np.float32)
        block = (rows // _BLOCK_PX) * (1 + self.shape[1] // _BLOCK_PX) + columns // _BLOCK_PX
        for number in np.unique(block):
            at = np.flatnonzero(block == number)
            y, x = (slice(int(i[at].min()), int(i[at].max()) + 1) for i in (rows, columns))
            out[at] = loaded(data[y, x])[rows[at] - y.start, columns[at] - x.start]
        return out

    def _in(self, layer: Layer) -> np.ndarray:
        """1 for the atoms of a layer, 0 for others, (n_atom,)."""
        if layer not in ("all", *LAYERS):
            raise OptionError(f"unknown layer '{layer}'; choose one of: all, {', '.join(LAYERS)}.")
        names = self._ds.layer.values
        return np.ones(len(names)) if layer == "all" else (names == layer).astype(float)

    def _mixed(self, per_atom: np.ndarray) -> xr.DataArray:
        weights = xr.DataArray(per_atom.astype(np.float32), dims="atom")
        return xr.dot(self._ds.abundance, weights, dim="atom")

    @cached_property
    def _mixtures(self) -> Mixtures:
        return mixtures_of(self._ds)

    @cached_property
    def _own(self) -> Mixtures:
        return own_mixtures(self._ds, self._mixtures)

    def _apart(self, element: str) -> Photons:
        """Photons of the whole's endmembers, an element's among them."""
        if not self._photons and (stored := stored_photons(self._ds)):
            self._know(stored)
        for named in ((), (element,)):  # the tube's own is fitted where it is named
            if element not in self._photons and (named or element in ELEMENTS):
                self._know(found_photons(self._mixtures, self.energy_kev, self._n_spots(of_all=True), named))
        return self._photons[element]

    def _know(self, found: Photons) -> None:
        self._photons = dict.fromkeys((shell.element for shell in found.shells), found) | self._photons

    @cached_property
    def _rows(self) -> list[int]:
        """Where the endmembers are among those of the whole, which photons are of."""
        whole = next(iter(self._photons.values())).endmember
        return rows_among(self._ds.endmember.values, whole)

    def _n_spots(self, *, of_all: bool = False) -> float:
        """Measured spots that the result speaks for, or all that its mixtures do; pixels where its store is not
        known, or holds no patch."""
        source = store_of(self._ds)
        if source is None:
            return float(np.prod(self.shape))
        painting = open_painting(source)
        spots = spots_of(painting)
        return spots if of_all else spots * float(np.prod(self.shape) / np.prod(painting.shape))
