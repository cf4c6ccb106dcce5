"""``ds.xrf``: questions to a result, answered on its factors and never by multiplying the cube out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import xarray as xr

from xrfsr_dask.beams import spot_window
from xrfsr_dask.errors import InputError, OptionError
from xrfsr_dask.result.lines import Background, line_weights, roi_weights
from xrfsr_dask.result.lowrank import cube_variable, lazy_cube, lazy_stored, loaded
from xrfsr_dask.store import Painting, Patch, open_painting
from xrfsr_dask.store.patches import CHUNK_SPOTS
from xrfsr_dask.store.results import LAYERS

Layer = Literal["all", "visible", "hidden"]

_COUNTS = {"units": "counts", "long_name": "counts per measured spot"}


@xr.register_dataset_accessor("xrf")
class XrfAccessor:
    """Spectra, maps and layers of a super-resolved painting, in counts per measured spot.

    Spectra come back computed. Maps are lazy where the Dataset is, ``.load()`` or drawing computes them.
    y grows downwards, so draw maps with ``.plot(yincrease=False)``, or they stand on their head.
    """

    def __init__(self, ds: xr.Dataset) -> None:
        missing = [name for name in ("abundance", "endmember", "layer") if name not in ds]
        if missing:
            raise InputError(
                f"this Dataset is no result: it lacks {', '.join(missing)}; open one with open_result."
            )
        self._ds = ds

    @property
    def visible(self) -> xr.Dataset:
        """The part that the photograph shows, as a result of its own."""
        return self._layer("visible")

    @property
    def hidden(self) -> xr.Dataset:
        """The part that the photograph does not show, as a result of its own."""
        return self._layer("hidden")

    def spectrum(
        self,
        *,
        y: float | None = None,
        x: float | None = None,
        points: Sequence[tuple[float, float]] | None = None,
        mask: np.ndarray | xr.DataArray | None = None,
        layer: Layer = "all",
    ) -> xr.DataArray:
        """Spectrum of a pixel, of several pixels, or the mean spectrum of a region.

        Parameters
        ----------
        y, x : float, mm
            A place on the painting; the nearest pixel answers.
        points : sequence of (y, x), mm
            Several places: the answer is (point, energy).
        mask : bool array of shape (ny, nx)
            A region: the answer is the mean over its pixels.
        layer : {"all", "visible", "hidden"}

        Returns
        -------
        xarray.DataArray of shape (energy,) or (point, energy), counts per measured spot, computed

        Raises
        ------
        InputError
            A place outside the painting; a mask of another shape, or an empty one.
        """
        asked = [(y is not None or x is not None), points is not None, mask is not None]
        if sum(asked) != 1 or (y is None) != (x is None):
            raise OptionError("ask for a spectrum with y= and x=, with points=, or with mask=; one of them.")
        if mask is not None:
            return self._spectrum(_mean_under(self._ds, np.asarray(mask)), layer)
        if y is not None and x is not None:
            return self._spectrum(_pixel(self._ds, y, x), layer)
        pixels = [_pixel(self._ds, *point).compute() for point in points or ()]
        if not pixels:
            raise InputError("points is empty; give at least one (y, x) in mm.")
        return self._spectrum(xr.concat(pixels, dim="point"), layer)

    def mean_spectrum(self, layer: Layer = "all") -> xr.DataArray:
        """Mean spectrum over all pixels, (energy,), counts per measured spot, computed."""
        mean = self._ds.abundance.mean(("y", "x"), dtype=np.float64, skipna=False)
        return self._spectrum(mean, layer)

    def roi(self, lo_kev: float, hi_kev: float, layer: Layer = "all") -> xr.DataArray:
        """Map (y, x) of all counts between two energies, keV; whole channels by their centres."""
        weights = roi_weights(self._energy, lo_kev, hi_kev)
        return self._map(weights, layer, f"{lo_kev:g} to {hi_kev:g} keV")

    def element(
        self, element: str, line: str = "Ka", layer: Layer = "all", background: Background = "linear"
    ) -> xr.DataArray:
        """Map (y, x) of the net counts of an element's line.

        Parameters
        ----------
        element : str
            Chemical symbol, ``"Cr"``.
        line : str
            Siegbahn name, ``"Ka"``, ``"La"``, ….
        layer : {"all", "visible", "hidden"}
        background : {"linear", None}
            Subtract the line through both sides of the window (`lines.line_weights`), or nothing.

        Examples
        --------
        >>> ds.xrf.element("Pb", line="La", layer="hidden").plot(yincrease=False)      # doctest: +SKIP
        """
        weights = line_weights(self._energy, element, line, background)
        return self._map(weights, layer, f"{element} {line}")

    def compare(self, patch: str) -> xr.Dataset:
        """Look at the result as a patch's beam would, and subtract that from what was measured.

        Parameters
        ----------
        patch : str
            Name of a patch in the store the result was opened from.

        Returns
        -------
        xarray.Dataset
            ``counts``, ``model`` and ``residual`` = counts - model, each (spot_y, spot_x, energy) and lazy,
            counts as measured by that patch (its gain included). Only the abundances under the patch are read.
        """
        painting = self._painting()
        found = painting.patch(patch)
        counts = lazy_stored(found.counts())
        seen = found.gain * self._seen_by(painting, found)
        model = lazy_cube(seen, self._ds.endmember.values, tuple(int(n) for n in counts.chunksize))
        dims = ("spot_y", "spot_x", "energy")
        named = {"counts": counts, "model": model, "residual": counts.astype(np.float32) - model}
        return xr.Dataset(
            {name: (dims, data, {"units": "counts"}) for name, data in named.items()},
            coords={"energy": self._ds.energy},
            attrs={"patch": patch},
        )

    @property
    def _energy(self) -> np.ndarray:
        return np.asarray(self._ds.energy.values)

    def _layer(self, layer: str) -> xr.Dataset:
        # The cube of a layer takes all abundances and no counts from the others: another selection between
        # store and cube would keep Dask from reading just what is asked.
        cube = cube_variable(self._ds.abundance.data, self._endmember(layer).values)
        at = np.flatnonzero(self._ds.layer.values == layer)
        out = self._ds.drop_vars("cube", errors="ignore").isel(atom=at).assign(cube=cube)
        out.encoding = dict(self._ds.encoding)
        return out.assign_attrs(layer=layer)

    def _endmember(self, layer: str) -> xr.DataArray:
        """Spectra (atom, energy) in float64; those of other layers are zero."""
        if layer not in ("all", *LAYERS):
            raise OptionError(f"unknown layer '{layer}'; choose one of: all, {', '.join(LAYERS)}.")
        endmember = self._ds.endmember.astype(np.float64)
        return endmember if layer == "all" else endmember.where(self._ds.layer == layer, 0.0)

    def _spectrum(self, abundance: xr.DataArray, layer: str) -> xr.DataArray:
        out = xr.dot(abundance.compute(), self._endmember(layer), dim="atom")
        return out.drop_vars("layer", errors="ignore").rename("spectrum").assign_attrs(_COUNTS)

    def _map(self, weights: np.ndarray, layer: str, what: str) -> xr.DataArray:
        per_atom = (self._endmember(layer).values @ weights).astype(np.float32)
        out = xr.dot(self._ds.abundance, xr.DataArray(per_atom, dims="atom"), dim="atom")
        name = what if layer == "all" else f"{what}, {layer} layer"
        return out.rename("map").assign_attrs(units="counts", long_name=f"{name}, counts per measured spot")

    def _painting(self) -> Painting:
        source = self._ds.encoding.get("source")
        if source is None:
            raise InputError(
                "this result lies in memory; open it from its painting with open_result to compare."
            )
        painting = open_painting(source)
        if self._ds.abundance.shape[:2] != painting.shape:
            raise InputError(
                f"compare needs the whole painting of {painting.shape} px, this is a piece of "
                f"{self._ds.abundance.shape[:2]} px; compare first, then select."
            )
        return painting

    def _seen_by(self, painting: Painting, patch: Patch) -> np.ndarray:
        """S A of all spots, float32 (ny, nx, n_atom), some rows of spots at a time."""
        rows = range(0, patch.shape[0], CHUNK_SPOTS)
        parts = []
        for row in rows:
            window = spot_window(painting, patch, slice(row, row + CHUNK_SPOTS))
            seen = window.downsample(loaded(self._ds.abundance.data[window.slices]))
            parts.append(seen.reshape(-1, patch.shape[1], seen.shape[1]))
        return np.concatenate(parts)


def _pixel(ds: xr.Dataset, y: float, x: float) -> xr.DataArray:
    """Abundance (atom) of the pixel that holds a place."""
    at = {name: _index(ds[name].values, value, name) for name, value in (("y", y), ("x", x))}
    return ds.abundance.isel(at)


def _index(centres: np.ndarray, value: float, name: str) -> int:
    half = 0.5 * abs(centres[1] - centres[0]) if len(centres) > 1 else np.inf
    low, high = centres.min() - half, centres.max() + half
    if not low <= value <= high:
        raise InputError(
            f"{name} = {value:g} mm lies outside the painting, which spans {name} {low:.2f} to {high:.2f} mm."
        )
    return int(np.abs(centres - value).argmin())


def _mean_under(ds: xr.Dataset, mask: np.ndarray) -> xr.DataArray:
    """Mean abundance (atom) under a mask; only the rectangle around it is read."""
    wanted = ds.abundance.shape[:2]
    if mask.shape != wanted or mask.dtype != bool:
        raise InputError(
            f"the mask must be boolean of shape (y, x) = {wanted}, got {mask.dtype} of shape {mask.shape}."
        )
    if not mask.any():
        raise InputError("the mask is empty: no pixel of it is set.")
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    weight = xr.DataArray(mask[box] / mask.sum(), dims=("y", "x"))
    return xr.dot(ds.abundance.isel(y=box[0], x=box[1]), weight, dim=("y", "x"))
