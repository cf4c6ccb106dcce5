"""``ds.xrf``: questions to a result, answered on its factors and never by multiplying the cube out."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from xrfsr_dask.errors import InputError, OptionError
from xrfsr_dask.lines.peaks import fitted_line
from xrfsr_dask.lines.tables import Background, atomic_number, line_weights, roi_weights, siegbahn, usual_line
from xrfsr_dask.result.beside import compared, is_part, patches_of
from xrfsr_dask.result.factors import Factors
from xrfsr_dask.result.lowrank import cube_variable
from xrfsr_dask.result.masks import laid
from xrfsr_dask.result.measured import Measured
from xrfsr_dask.result.presence import elements_table
from xrfsr_dask.result.shown import as_html, as_text, facts
from xrfsr_dask.result.source import Layer, Source
from xrfsr_dask.values import is_number, shown

_MOST_POINTS = 100_000  # of a profile
_COUNTS = {"units": "counts", "long_name": "counts per measured spot"}


@xr.register_dataset_accessor("xrf")
class XrfAccessor:
    """Spectra, maps and layers of a super-resolved painting, or of a patch, in counts per measured spot.

    A result (`open_result`, `fuse`) answers on its factors, a patch (`open_patch`) on its counts. Spectra come
    back computed. Maps are lazy where the Dataset is, ``.load()`` or drawing computes them. y grows downwards,
    so draw maps with ``.plot(yincrease=False)``, or they stand on their head.

    Examples
    --------
    >>> ds.xrf.elements()
    >>> ds.xrf.element("As", layer="hidden").plot(yincrease=False)
    """

    def __init__(self, ds: xr.Dataset) -> None:
        self._source: Source = Measured(ds) if "counts" in ds and "abundance" not in ds else Factors(ds)
        self._ds = self._source.ds

    def __repr__(self) -> str:
        return as_text(facts(self._ds, self._source))

    def _repr_html_(self) -> str:
        return as_html(facts(self._ds, self._source), self._ds)

    @property
    def visible(self) -> xr.Dataset:
        """The part that the photograph shows, as a result of its own.

        Examples
        --------
        >>> ds.xrf.visible.cube.sel(energy=5.41, method="nearest").plot(yincrease=False)
        """
        return self._layer("visible")

    @property
    def hidden(self) -> xr.Dataset:
        """The part that the photograph does not show, as a result of its own.

        Examples
        --------
        >>> set(ds.xrf.hidden.layer.values.tolist())
        {'hidden'}
        """
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
            A place on the painting; the nearest pixel (spot of a patch) answers.
        points : sequence of (y, x), mm
            Several places: the answer is (point, energy).
        mask : bool array of shape (ny, nx)
            A region: the answer is the mean over its pixels. A DataArray is laid in place by its coordinates.
        layer : {"all", "visible", "hidden"}

        Returns
        -------
        xarray.DataArray of shape (energy,) or (point, energy), counts per measured spot, computed
            Of a result with the coordinate ``coverage``: measured spots over the pixel, or over those of the
            region in the mean. Where that is 0, nothing was measured, and the spectrum is a guess by colour.

        Raises
        ------
        InputError
            A place outside the painting; a mask of another shape or other coordinates, or an empty one.

        Examples
        --------
        >>> ds.xrf.spectrum(y=310.2, x=455.0, layer="hidden").plot()
        >>> ds.xrf.spectrum(points=[(310.2, 455.0), (120.0, 80.0)]).dims
        ('point', 'energy')
        >>> ds.xrf.spectrum(mask=ds.coverage > 1).sum().item() > 0
        True
        """
        asked = [(y is not None or x is not None), points is not None, mask is not None]
        if sum(asked) != 1 or (y is None) != (x is None):
            raise OptionError("ask for a spectrum with y= and x=, with points=, or with mask=; one of them.")
        if mask is not None:
            mask = laid(mask, self._ds, self._source.dims)
            out, covered = self._labelled(self._source.mean(mask, layer)), self._source.mean_coverage(mask)
            return out if covered is None else out.assign_coords(coverage=covered)
        if y is not None and x is not None:
            return self._at([(y, x)], layer).isel(point=0)
        return self._at(_in_mm(points), layer)

    def profile(
        self,
        start: tuple[float, float],
        stop: tuple[float, float],
        *,
        step_mm: float | None = None,
        layer: Layer = "all",
    ) -> xr.DataArray:
        """Spectra along a straight line.

        Parameters
        ----------
        start, stop : (y, x), mm
            Its ends, both included.
        step_mm : float, optional
            Distance of neighbouring points; that of pixels (spots of a patch) where not given.
        layer : {"all", "visible", "hidden"}

        Returns
        -------
        xarray.DataArray of shape (distance, energy), counts per measured spot, computed; ``distance`` in mm

        Examples
        --------
        >>> ds.xrf.profile((120, 40), (120, 380)).sel(energy=5.41, method="nearest").plot()
        """
        ends = _in_mm([start, stop])
        self._source.nearest(*ends.T)  # an end that lies outside is named as it was given
        length = float(np.linalg.norm(ends[1] - ends[0]))
        step = self._pitch_mm() if step_mm is None else step_mm
        if not (is_number(step) and step > 0):
            raise OptionError(f"the step of a profile must be more than 0 mm, got {shown(step)}.")
        if length / step > _MOST_POINTS:
            raise OptionError(
                f"a profile of {length:g} mm in steps of {step:g} mm has {length / step:.3g} points, more than "
                f"{_MOST_POINTS:,}; give a larger step_mm."
            )
        along = np.linspace(0.0, 1.0, max(2, round(length / step) + 1))
        out = self._at(ends[0] + along[:, None] * (ends[1] - ends[0]), layer)
        mm = {"units": "mm", "long_name": "distance along the line"}
        return out.rename(point="distance").assign_coords(distance=("distance", along * length, mm))

    def mean_spectrum(self, layer: Layer = "all") -> xr.DataArray:
        """Mean spectrum over all pixels, (energy,), counts per measured spot, computed.

        Examples
        --------
        >>> ds.xrf.mean_spectrum("visible").plot()
        """
        return self._labelled(self._source.mean(None, layer))

    def roi(self, lo_kev: float, hi_kev: float, layer: Layer = "all") -> xr.DataArray:
        """Map (y, x) of all counts between two energies, keV; whole channels by their centres.

        Examples
        --------
        >>> ds.xrf.roi(15.0, 19.5, layer="hidden").plot(yincrease=False)  # scatter: wood of the stretcher
        """
        weights = roi_weights(self._energy, lo_kev, hi_kev)
        return self._map(self._source.channels(weights, layer), f"{lo_kev:g} to {hi_kev:g} keV", layer)

    def element(
        self, element: str, line: str | None = None, layer: Layer = "all", background: Background = "snip"
    ) -> xr.DataArray:
        """Map (y, x) of the net counts of an element's line.

        Parameters
        ----------
        element : str
            Chemical symbol, ``"Cr"``.
        line : str, optional
            Siegbahn name, ``"Ka"``, ``"La"``, …; where not given, the first of Ka, La, Ma below 20 keV that
            lies on the axis.
        layer : {"all", "visible", "hidden"}
        background : {"snip", "linear", None}
            "snip": the lines of all elements are fitted together, non-negatively, over a SNIP background, so
            that Pb La is not counted as As Ka (`fitting`). "linear": the counts of the line's own window, less
            the line through both its sides; overlaps are not told apart, negative counts are kept. None: all
            counts of that window.

        Examples
        --------
        >>> ds.xrf.element("Pb", layer="hidden").plot(yincrease=False)
        """
        if background == "snip":
            element, line = fitted_line(self._energy, element, line)
            values = self._source.line(element, line, layer)
        else:
            line = usual_line(self._energy, element) if line is None else line
            values = self._source.channels(line_weights(self._energy, element, line, background), layer)
        return self._map(values, f"{element.strip().capitalize()} {siegbahn(line)}", layer)

    def per_atom(self, element: str, line: str | None = None, layer: Layer = "all") -> np.ndarray:
        """Net counts of an element's line in each endmember; abundances times these are its map.

        Parameters
        ----------
        element, line, layer
            As for `element`.

        Returns
        -------
        float64 array of shape (n_atom,), counts per measured spot; 0 for endmembers of other layers

        Raises
        ------
        OptionError
            A measured patch has no endmembers.

        Examples
        --------
        >>> whole = ds.abundance.values @ ds.xrf.per_atom("Pb")
        """
        if not isinstance(self._source, Factors):
            raise OptionError("a measured patch has no endmembers; ask a result.")
        return self._source.per_atom(*fitted_line(self._energy, element, line), layer)

    def elements(self, among: Sequence[str] | str | None = None) -> pd.DataFrame:
        """The elements that are present, most counts first, and how sure that is.

        Counts are those of this Dataset. Whether an element is there is asked of the patches as measured, where
        the result comes from a store. Of a layer or a piece the answer also asks its own spectra: these are the
        method's, and an element that is certain in the hidden layer is certain in what was fitted, no more.

        Parameters
        ----------
        among : sequence of str, or one
            Chemical symbols to list; where not given, those paintings are made of and the rarer ones that show.

        Returns
        -------
        pandas.DataFrame
            As `presence.elements_table` says: line, counts, errors, sure, overlaps. Of a layer or a piece of a
            stored result also ``share``: how much of the whole's counts lies in it. A hundredth or two of an
            element stray into the other layer.

        Examples
        --------
        >>> ds.xrf.elements().query("sure == 'certain'").index.tolist()
        ['Fe', 'Zn', 'Pb', ...]
        """
        names = None if among is None else _symbols(among)
        if not isinstance(self._source, Factors):
            return elements_table(self._source, [self._source], names)
        evidence: list[Source] = [*patches_of(self._ds)] or [self._source]
        part = is_part(self._ds)
        table = elements_table(self._source, evidence, names, part=part)
        if part:
            table["share"] = [self._source.share_of(str(name), row.line) for name, row in table.iterrows()]
        return table

    def explore(self, *, port: int = 0, url: str | None = None) -> Any:
        """Look at the result in a notebook: photograph and maps, click or lasso for a spectrum.

        The page is served by the kernel, on 127.0.0.1 of its machine, and framed below the cell; nothing is
        asked of the network. Where the browser is on another machine, forward that port to it (VS Code does
        so by itself, ``ssh -L 5006:127.0.0.1:5006`` with ``port=5006`` elsewhere), or say how it is reached.

        Parameters
        ----------
        port : int
            Of 127.0.0.1; any free one for 0. One that was asked for before shows this result from now on to
            whoever loads it; a page that is open stays as it is.
        url : str, optional
            Where the browser reaches that port, ``{port}`` in its place: on a JupyterHub with
            jupyter-server-proxy ``"https://hub.example.org/user/me/proxy/{port}/"``. Pages of that host may
            then talk to the explorer too.

        Examples
        --------
        >>> ds.xrf.explore()                                                # doctest: +SKIP
        """
        # a result knows no page: the door to it is looked up by name
        return importlib.import_module("xrfsr_dask.commands.notebook").explore(self._ds, port=port, url=url)

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

        Examples
        --------
        >>> ds.xrf.compare("p03").residual.sum("energy").plot(yincrease=False)
        """
        if not isinstance(self._source, Factors):
            raise OptionError(
                "compare is asked of a result; a measured patch is what results are compared with."
            )
        return compared(self._ds, patch)

    @property
    def _energy(self) -> np.ndarray:
        return self._source.energy_kev

    def _layer(self, layer: Layer) -> xr.Dataset:
        if not isinstance(self._source, Factors):
            raise OptionError("a measured patch has no layers; ask a result.")
        # The cube of a layer takes all abundances and no counts from the others: another selection between
        # store and cube would keep Dask from reading just what is asked.
        cube = cube_variable(self._ds.abundance.data, self._source.endmember(layer))
        at = np.flatnonzero(self._ds.layer.values == layer)
        out = self._ds.drop_vars("cube", errors="ignore").isel(atom=at).assign(cube=cube)
        out.encoding = dict(self._ds.encoding)
        return out.assign_attrs(layer=layer)

    def _at(self, points: Sequence[tuple[float, float]] | np.ndarray, layer: Layer) -> xr.DataArray:
        """Spectra (point, energy) of the pixels nearest to places, with their own places as coordinates."""
        rows, columns = self._source.nearest(*_in_mm(points).T)
        out = self._labelled(self._source.spectra(rows, columns, layer), "point")
        at = dict(zip(self._source.dims, (xr.DataArray(i, dims="point") for i in (rows, columns)), strict=True))
        places = {name: self._ds[name].isel(at, missing_dims="ignore") for name in ("y", "x")}
        covered = self._source.coverage_at(rows, columns)
        measured = {} if covered is None else {"coverage": ("point", covered)}
        return out.assign_coords(places | measured)

    def _labelled(self, spectra: np.ndarray, *dims: str) -> xr.DataArray:
        coords = {"energy": self._ds.energy}
        return xr.DataArray(spectra, dims=(*dims, "energy"), coords=coords, name="spectrum", attrs=_COUNTS)

    def _map(self, values: xr.DataArray, what: str, layer: str) -> xr.DataArray:
        name = what if layer == "all" else f"{what}, {layer} layer"
        return values.rename("map").assign_attrs(units="counts", long_name=f"{name}, counts per measured spot")

    def _pitch_mm(self) -> float:
        if "step_mm" in self._ds.attrs:
            return float(self._ds.attrs["step_mm"])
        y = self._ds.y.values
        return float(abs(y[-1] - y[0])) / (len(y) - 1) if y.ndim == 1 and len(y) > 1 else 1.0


def _symbols(among: Any) -> list[str]:
    """Chemical symbols as they are written; `InputError` where one is none."""
    asked = [among] if isinstance(among, str) else among
    if not isinstance(asked, Iterable):
        raise InputError(f"elements are named by their symbols, such as ['Pb', 'As'], got {shown(among)}.")
    names = list(asked)
    for name in names:
        atomic_number(name)
    return [name.strip().capitalize() for name in names]


def _in_mm(places: Any) -> np.ndarray:
    """Places, (y, x) in mm, float64 (n, 2)."""
    try:
        out = np.asarray(places, float)
        if not out.size:
            raise InputError("points is empty; give at least one (y, x) in mm.")
        if out.ndim == 2 and out.shape[1] == 2 and np.isfinite(out).all():
            return out
    except (TypeError, ValueError):
        pass
    raise InputError(f"a place is a pair of numbers (y, x) in mm, got {shown(places)}.")
