"""A measured patch as its user meets it, and as source of the same answers as a result."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import dask.array as da
import numpy as np
import xarray as xr

from xrfsr_dask.errors import InputError, OptionError
from xrfsr_dask.lines.axis import Axis
from xrfsr_dask.lines.fitting import LineFit, fit_lines
from xrfsr_dask.lines.peaks import ELEMENTS
from xrfsr_dask.lines.recognition import axis_for, usual_axis
from xrfsr_dask.result.lowrank import lazy_stored, loaded
from xrfsr_dask.result.masks import box_of, checked_mask
from xrfsr_dask.result.source import Layer
from xrfsr_dask.result.spotwise import net_counts, products, shown, without_gaps
from xrfsr_dask.store import open_painting
from xrfsr_dask.store.patches import CHUNK_SPOTS, apply_transform, square_sizes, square_sums
from xrfsr_dask.tiling.blas import one_thread

_MOST_SQUARES = 2000  # in which elements are sought that only a part of the patch has


def open_patch(path: str | Path, name: str) -> xr.Dataset:
    """Open one measured patch of a painting; nothing is computed.

    Parameters
    ----------
    path : str or Path
        A painting store.
    name : str
        Name of a patch, as `xrfsr info` lists them.

    Returns
    -------
    xarray.Dataset
        ``counts (spot_y, spot_x, energy)`` lazy, as measured; coordinates ``energy`` in keV and ``y``, ``x``
        (spot_y, spot_x), the centre of each spot on the painting in mm. The accessor ``.xrf`` answers as for a
        result, layers aside.

    Examples
    --------
    >>> patch = xs.open_patch("bedroom.zarr", "p03")
    >>> patch.xrf.element("Cr").plot(x="x", y="y", yincrease=False)
    """
    painting = open_painting(path)
    patch = painting.patch(name)
    rows, columns = np.mgrid[: patch.shape[0], : patch.shape[1]]
    y, x = apply_transform(patch.transform, np.stack([rows.ravel(), columns.ravel()], 1)).T
    mm = {"units": "mm"}
    ds = xr.Dataset(
        {
            "counts": (
                ("spot_y", "spot_x", "energy"),
                lazy_stored(patch.counts()),
                {"units": "counts", "long_name": "counts per spot"},
            )
        },
        coords={
            "energy": ("energy", patch.energy_kev(), {"units": "keV", "long_name": "photon energy"}),
            "y": (("spot_y", "spot_x"), y.reshape(rows.shape), mm | {"long_name": "y on the painting"}),
            "x": (("spot_y", "spot_x"), x.reshape(rows.shape), mm | {"long_name": "x on the painting"}),
        },
        attrs={"patch": name, "gain": patch.gain, "step_mm": patch.step_mm},
    )
    ds.encoding["source"] = painting.path
    return ds


class Measured:
    """Answers of a Dataset with ``counts (spot_y, spot_x, energy)`` and its spots' places ``y``, ``x``.

    Parameters
    ----------
    ds : xarray.Dataset
    squares : float array (n_y, n_x, n_channel), optional
        Means of its counts over squares of `SQUARE_SPOTS` spots, where these are at hand; else the counts are
        read for them.
    """

    dims = ("spot_y", "spot_x")

    def __init__(self, ds: xr.Dataset, squares: np.ndarray | None = None) -> None:
        lost = {*ds.counts.dims} ^ {*self.dims, "energy"}
        if lost or 0 in ds.counts.shape or "y" not in ds or "x" not in ds:
            axes = ", ".join(map(str, ds.counts.dims))
            raise InputError(
                f"the counts have the axes ({axes}) and sizes {ds.counts.shape}; asked are some (spot_y, "
                "spot_x, energy), with the coordinates y and x. Keep their names, and select one row of spots "
                "as patch.isel(spot_y=[5])."
            )
        self.ds = self._ds = ds.transpose(*self.dims, "energy", ...)
        self._squares = squares
        self._found: tuple[np.ndarray, np.ndarray] | None = None
        self._taken: dict[str, LineFit] = {}
        self._fits: list[tuple[Axis, np.ndarray, np.ndarray]] = []

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) spots."""
        ny, nx = self._ds.counts.shape[:2]
        return int(ny), int(nx)

    @property
    def energy_kev(self) -> np.ndarray:
        """float64 (n_channel,)."""
        return np.asarray(self._ds.energy.values, float)

    def nearest(self, y_mm: np.ndarray, x_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the nearest spots; a place more than a step away from all is refused."""
        y, x = self._ds.y.values, self._ds.x.values
        step = float(self._ds.attrs.get("step_mm", np.inf))
        out = []
        for a, b in zip(y_mm, x_mm, strict=True):
            square = (y - a) ** 2 + (x - b) ** 2
            if square.min() > step**2:
                raise InputError(
                    f"y = {a:g}, x = {b:g} mm lies outside the patch, which spans "
                    f"y {y.min():.2f} to {y.max():.2f} and x {x.min():.2f} to {x.max():.2f} mm."
                )
            out.append(np.unravel_index(int(square.argmin()), y.shape))
        rows, columns = np.array(out).T
        return rows, columns

    def spectra(self, rows: np.ndarray, columns: np.ndarray, layer: Layer) -> np.ndarray:
        """Spectra of spots (n, n_channel)."""
        _whole(layer)
        data = self._counts()
        return np.stack([loaded(data[int(r), int(c)]) for r, c in zip(rows, columns, strict=True)]).astype(
            float
        )

    def mean(self, mask: np.ndarray | None, layer: Layer) -> np.ndarray:
        """Mean spectrum (n_channel,) of the spots that were measured."""
        _whole(layer)
        mask = np.ones(self.shape, bool) if mask is None else checked_mask(mask, self.shape)
        box = box_of(mask)
        data = self._counts()[box].rechunk({2: -1})
        inside = da.from_array(mask[box], chunks=data.chunks[:2])[..., None]
        of_chunks = data.map_blocks(
            _sum_and_spots,
            inside,
            chunks=((1,) * data.numblocks[0], (1,) * data.numblocks[1], (data.shape[2] + 1,)),
            dtype=float,
        )
        *total, spots = of_chunks.sum(axis=(0, 1)).compute()
        if not spots:
            raise InputError("no spot there was measured: all hold values that are not finite.")
        return np.array(total) / spots

    def coverage_at(self, rows: np.ndarray, columns: np.ndarray) -> None:
        """No question: every spot was measured, by itself."""

    def mean_coverage(self, mask: np.ndarray) -> None:
        """No question."""

    def channels(self, weights: np.ndarray, layer: Layer) -> xr.DataArray:
        """Map of the spectra times weights, lazy."""
        _whole(layer)
        return self._mapped(_dotted, weights.astype(np.float32))

    def line(self, element: str, line: str, layer: Layer) -> xr.DataArray:
        """Map of a line's net counts, lazy: all elements the patch shows fitted together in every spot."""
        _whole(layer)
        axis, P, G = self._spot_fit(element)
        return self._mapped(net_counts, P, G, axis.share_of(element, line).astype(np.float32))

    def mean_counts(self, element: str, line: str) -> float:
        """Net counts of a line in the mean of its squares."""
        _, exposure = self._blocks()
        return float(exposure @ self._apart(element).counts_of(element, line) / exposure.sum())

    @one_thread()  # of several, small systems wait for one another
    def fit(self, named: Iterable[str]) -> LineFit:
        """Means of squares of spots taken apart."""
        means, exposure = self._blocks()
        axis = usual_axis(exposure @ means / exposure.sum(), self.energy_kev, named, float(exposure.sum()))
        return fit_lines(means, axis, exposure)

    @one_thread()
    def spot_fit(self, elements: Iterable[str]) -> tuple[Axis, np.ndarray, np.ndarray]:
        """Shells of some elements, and `products` that take single spots apart by them."""
        means, exposure = self._blocks()
        share = exposure / exposure.sum()
        axis = axis_for(share @ means, self.energy_kev, elements, float(exposure.sum()))
        return axis, *products(axis, means, share)

    def _apart(self, element: str) -> LineFit:
        """`fit`, an element that is asked for included."""
        for named in ((), (element,)):  # the tube's own is fitted where it is named
            if element not in self._taken and (named or element in ELEMENTS):
                found = self.fit(named)
                self._taken = {s.element: found for s in found.axis.shells} | self._taken
        return self._taken[element]

    def _counts(self) -> da.Array:
        data = self._ds.counts.transpose(*self.dims, "energy").data
        return data if isinstance(data, da.Array) else da.from_array(data)

    def _spot_fit(self, element: str) -> tuple[Axis, np.ndarray, np.ndarray]:
        """The shells that squares of spots show, one asked for included, with `products` of them."""
        if not any(s.element == element for axis, _, _ in self._fits for s in axis.shells):
            self._fits.append(self.spot_fit(dict.fromkeys((*shown(self._apart(element)), element))))
        return next(fit for fit in self._fits if any(s.element == element for s in fit[0].shells))

    def _blocks(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean spectra (n, n_channel) of squares of spots, and how many spots each has (n,)."""
        if self._found is None:
            data, rows = self._counts(), range(0, self.shape[0], CHUNK_SPOTS)
            if self._squares is None:
                each = [without_gaps(data[y : y + CHUNK_SPOTS].compute()) for y in rows]
                sums = np.concatenate([square_sums(counts) for counts, _ in each])
                spots = np.concatenate([square_sums(there[..., None]) for _, there in each])[..., 0]
            else:
                spots = square_sizes(*self.shape).astype(float)
                sums = self._squares * spots[..., None]
            self._found = _joined(sums, spots)
        return self._found

    def _mapped(self, function: object, *arrays: np.ndarray) -> xr.DataArray:
        data = self._counts().rechunk({2: -1})
        made = da.map_blocks(
            function, data, *arrays, dtype=np.float32, drop_axis=2, meta=np.empty((0, 0), "f4")
        )
        coords = {name: self._ds[name] for name in ("y", "x") if name in self._ds.coords}
        return xr.DataArray(made, dims=self.dims, coords=coords)


def _sum_and_spots(counts: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Of spots under a mask that were measured: sums of counts, and how many, (1, 1, n_channel + 1)."""
    counts, there = without_gaps(counts)
    there &= inside[..., 0]
    total = np.einsum("yxc,yx->c", counts, there.astype(float), dtype=float)
    return np.append(total, there.sum())[None, None]


def _joined(sums: np.ndarray, spots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means (n, n_channel) and spots (n,) of at most `_MOST_SQUARES` squares, neighbours put together."""
    k = math.ceil(math.sqrt(spots.size / _MOST_SQUARES))
    rows, columns = (range(0, n, k) for n in spots.shape)
    parts = [(slice(y, y + k), slice(x, x + k)) for y in rows for x in columns]
    parts = [part for part in parts if spots[part].any()]
    if not parts:
        raise InputError("no spot of this patch was measured: all hold values that are not finite.")
    exposure = np.array([spots[part].sum() for part in parts])
    return np.array([sums[part].sum(axis=(0, 1)) for part in parts]) / exposure[:, None], exposure


def _whole(layer: Layer) -> None:
    if layer != "all":
        raise OptionError(f"a measured patch has no layers; layer='{layer}' is asked of a result.")


def _dotted(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.asarray(counts.astype(np.float32) @ weights)
