"""What an explorer shows, as pixels: any window of a painting at the size of the screen, layers mixed.

Maps are made of the result's levels and the photograph is read from its own, so a window costs what it has on
the screen, whatever the size of the painting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from xrfsr_dask.errors import InputError
from xrfsr_dask.lines.axis import Axis
from xrfsr_dask.lines.peaks import shells_on
from xrfsr_dask.lines.recognition import usual_axis
from xrfsr_dask.result.levels import Levels
from xrfsr_dask.store import Painting
from xrfsr_dask.store.arrays import open_array, open_group, read
from xrfsr_dask.view.regions import Region, mean_abundance
from xrfsr_dask.view.spots import Spots
from xrfsr_dask.view.tiles import Tiles

Window = tuple[float, float, float, float]
"""(y0, y1, x0, x1) in mm."""

MEASURED = "measured"
"""Beside the layers: the patches as the instrument saw them."""
LAYERS = ("all", "visible", "hidden", MEASURED)
"""What can be shown, in the order of the page."""
SPECTRA = LAYERS[:3]
"""The layers that have a spectrum at every place."""

_SMALLEST = 256  # px of the coarsest map
_FINE_ENOUGH = 1.2  # px of the screen, that a pixel of a map may be wide
_LIGHTEST, _HEAVIEST = 11, 92  # atomic numbers of the elements that can be asked for
_TUBE_KV = 50.0
_REGION_PX = 800  # along the longer side of a region, in which it is asked what was measured
_TOP_PERCENTILE = 99.7  # of a map: full brightness


@dataclass(frozen=True)
class Channel:
    """One element map laid over the photograph."""

    element: str
    colour: tuple[float, float, float]
    opacity: float = 1.0
    low: float = 0.0
    """Share of the map's full brightness that is black."""
    high: float = 1.0
    """Share that is the full colour."""


class Scene:
    """A result with its photograph and patches, asked for windows."""

    def __init__(self, ds: xr.Dataset, painting: Painting) -> None:
        self.ds, self.painting = ds, painting
        self._levels = Levels(ds)
        self._maps = Tiles(ds, self._levels)
        self._tops: dict[tuple[str, str], float] = {}
        self.spots = Spots(painting, ds.energy.values)
        self.axis: Axis | None = None
        """What lines look like in its spectra; None where `no_lines` says why there are none."""
        self.no_lines = ""
        try:
            spots = float(sum(np.prod(patch.shape[:2]) for patch in painting.patches))
            self.axis = usual_axis(ds.xrf.mean_spectrum().values, ds.energy.values, spots=max(spots, 1.0))
        except InputError as error:
            self.no_lines = str(error)

    @property
    def whole(self) -> Window:
        """All of the painting."""
        (ny, nx), pitch = self.painting.shape, self.painting.pitch_mm
        return 0.0, ny * pitch, 0.0, nx * pitch

    def picture(
        self,
        window: Window,
        size: tuple[int, int],
        channels: Sequence[Channel],
        *,
        layer: str = "all",
        photo: float = 1.0,
        swipe_mm: float | None = None,
    ) -> np.ndarray:
        """A window as uint8 RGBA (ny, nx, 4), the first row at its top.

        Parameters
        ----------
        window : Window
            Places outside the painting are transparent.
        size : (ny, nx)
            Pixels of the screen.
        channels : sequence of Channel
            Added to each other and to the photograph as light is ("screen").
        layer : {"all", "visible", "hidden", "measured"}
        photo : float in [0, 1]
            How bright the photograph is.
        swipe_mm : float, optional
            Left of this x the patches as measured are shown.
        """
        y, x = (self._centres(window, size, axis) for axis in (0, 1))
        out = photo * self._photograph(y, x)
        elements = list(dict.fromkeys(channel.element for channel in channels))
        values = self._values(elements, layer, y, x)
        if swipe_mm is not None and (left := x < swipe_mm).any():
            for element, measured in self.spots.drawn(elements, y, x[left]).items():
                values[element][:, left] = measured
        for channel in channels:
            value = values[channel.element]
            top = max(self.top(channel.element, layer), 1e-30)
            light = np.clip((value / top - channel.low) / max(channel.high - channel.low, 1e-6), 0, 1)
            light = np.nan_to_num(light)[..., None] * (channel.opacity * np.array(channel.colour, np.float32))
            out = 1.0 - (1.0 - out) * (1.0 - light)
        rgba = np.empty((*out.shape[:2], 4), np.uint8)
        rgba[..., :3] = np.rint(255 * np.clip(out, 0, 1))
        inside = self._inside(y, 0)[:, None] & self._inside(x, 1)
        rgba[..., 3] = np.where(inside, 255, 0)
        return rgba

    def top(self, element: str, layer: str) -> float:
        """Counts that are shown at full brightness; measured maps share those of both layers."""
        key = element, "all" if layer == MEASURED else layer
        if key not in self._tops:
            factor = 1
            while max(self._maps.shape(factor)) > _SMALLEST:
                factor *= 2
            coarse = self._part(key[0], key[1], factor)
            known = coarse[np.isfinite(coarse)]
            self._tops[key] = float(np.percentile(known, _TOP_PERCENTILE)) if known.size else 0.0
        return self._tops[key]

    def values(self, element: str, layer: str) -> np.ndarray:
        """The finest map of an element (ny, nx), NaN where nothing was measured."""
        if layer != MEASURED:
            return self._maps.whole(element, layer)
        size = self.painting.shape
        y, x = (self._centres(self.whole, size, axis) for axis in (0, 1))
        return self.spots.drawn([element], y, x)[element]

    def spots_in(self, area_mm2: float) -> float:
        """How many spots were measured in an area, one at least."""
        steps = [patch.step_mm for patch in self.painting.patches]
        return max(area_mm2 / float(np.mean(np.square(steps))), 1.0) if steps else 1.0

    def spectra_at(self, y: float, x: float) -> dict[str, np.ndarray]:
        """Spectra of the pixel at a place, mm, of both layers and of each; `InputError` where it has none."""
        spectra = {name: self.ds.xrf.spectrum(y=y, x=x, layer=name).values for name in SPECTRA}
        if not np.isfinite(spectra["all"]).all():
            raise InputError("The abundances of this pixel are no numbers.")
        return spectra

    def spectra_within(self, corners: Sequence[tuple[float, float]]) -> tuple[dict[str, np.ndarray], float]:
        """Mean spectra of the pixels in a polygon of corners (y, x), mm, and its area, mm²."""
        region = Region(corners, self.painting.shape, self.painting.pitch_mm)
        A, n = mean_abundance(self.ds, region)
        D, layer = self.ds.endmember.values.astype(np.float64), self.ds.layer.values
        spectra = {name: (A if name == "all" else A * (layer == name)) @ D for name in SPECTRA}
        return spectra, n * self.painting.pitch_mm**2

    def measured_at(self, y: float, x: float) -> float:
        """Share of the pixel at a place, mm, that was measured: 0 or 1."""
        row, column = (
            int(self._pick(np.array([at]), n, self.painting.pitch_mm)[0])
            for at, n in zip((y, x), self.painting.shape, strict=True)
        )
        return float(self._levels.measured(1, (slice(row, row + 1), slice(column, column + 1))).min())

    def measured_within(self, corners: Sequence[tuple[float, float]]) -> float:
        """Share of a polygon of corners (y, x), mm, that was measured; of a large one on a coarser level."""
        low, high = (end(np.asarray(corners, float), axis=0) for end in (np.min, np.max))
        factor, pitch = 1, self.painting.pitch_mm
        while (high - low).max() > _REGION_PX * pitch * factor and 2 * factor in self._levels:
            factor *= 2
        shape = self._maps.shape(factor)
        total = n = 0.0
        for box, mask in Region(corners, shape, pitch * factor).blocks():
            total += float(self._levels.measured(factor, box)[mask].sum())
            n += int(mask.sum())
        return total / n if n else self.measured_at(*(0.5 * (low + high)))

    def elements(self) -> list[str]:
        """Every element of which a line can be fitted on the energy axis, by its symbol."""
        if self.axis is None:
            return []
        import xraylib

        symbols = [xraylib.AtomicNumberToSymbol(number) for number in range(_LIGHTEST, _HEAVIEST + 1)]
        shells = shells_on(self.axis.energy_kev, symbols, "", _TUBE_KV)
        return sorted({shell.element for shell in shells})

    def _centres(self, window: Window, size: tuple[int, int], axis: int) -> np.ndarray:
        low, high = window[2 * axis : 2 * axis + 2]
        n = size[axis]
        return low + (np.arange(n) + 0.5) * (high - low) / n

    def _inside(self, centres: np.ndarray, axis: int) -> np.ndarray:
        return (centres >= 0) & (centres < self.painting.shape[axis] * self.painting.pitch_mm)

    def _pick(self, centres: np.ndarray, n: int, pitch_mm: float) -> np.ndarray:
        return np.clip((centres / pitch_mm).astype(int), 0, n - 1)

    def _photograph(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """sRGB in [0, 1], float32 (ny, nx, 3), from the level that the screen needs."""
        root, level = self.painting.place / "rgb", 0
        step = max(abs(y[-1] - y[0]) / max(len(y) - 1, 1), abs(x[-1] - x[0]) / max(len(x) - 1, 1))
        while (root / str(level + 1)).is_dir() and self.painting.pitch_mm * 2 ** (level + 1) <= step:
            level += 1
        image = open_array(open_group(root / str(level)), "image")
        pitch = self.painting.pitch_mm * 2**level
        rows, columns = (self._pick(c, image.shape[i], pitch) for i, c in enumerate((y, x)))
        box = tuple(slice(int(at.min()), int(at.max()) + 1) for at in (rows, columns))
        values = read(image, box)[np.ix_(rows - box[0].start, columns - box[1].start)]
        values = values.astype(np.float32) / np.iinfo(image.dtype).max
        return np.broadcast_to(values, (*values.shape[:2], 3)) if values.shape[2] == 1 else values

    def _values(
        self, elements: Sequence[str], layer: str, y: np.ndarray, x: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Counts (ny, nx) of some maps, NaN where there are none."""
        if layer == MEASURED:
            return self.spots.drawn(elements, y, x)
        step = abs(y[-1] - y[0]) / max(len(y) - 1, 1) / self.painting.pitch_mm
        factor = 1
        while 2 * factor <= _FINE_ENOUGH * step and max(self._maps.shape(factor)) > _SMALLEST:
            factor *= 2
        shape, pitch = self._maps.shape(factor), self.painting.pitch_mm * factor
        rows, columns = (self._pick(c, shape[i], pitch) for i, c in enumerate((y, x)))
        box = slice(int(rows.min()), int(rows.max()) + 1), slice(int(columns.min()), int(columns.max()) + 1)
        found = self._maps.window(elements, layer, factor, box)
        at = np.ix_(rows - box[0].start, columns - box[1].start)
        return {element: values[at] for element, values in found.items()}

    def _part(self, element: str, layer: str, factor: int) -> np.ndarray:
        """A whole map in pixels of a size."""
        ny, nx = self._maps.shape(factor)
        return self._maps.window([element], layer, factor, (slice(0, ny), slice(0, nx)))[element]
