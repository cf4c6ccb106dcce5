"""What a task has at hand of a run: where the spots lie, and what it reads again and again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from functools import cached_property

import numpy as np
import zarr
from scipy.ndimage import gaussian_filter

from xrfsr_dask.kernels.colour import Colours
from xrfsr_dask.solver.joint import model
from xrfsr_dask.solver.joint.model import Field
from xrfsr_dask.solver.joint.scan import Scan
from xrfsr_dask.solver.run import Plan
from xrfsr_dask.store.arrays import read, read_finite
from xrfsr_dask.store.painting import linear_light
from xrfsr_dask.store.patches import CHUNK_SPOTS
from xrfsr_dask.tiling.grid import Rect

KEPT_BYTES = 12 * 2**20
"""Of chunks of spots, at most."""

_REACH = 2.0  # standard deviations


@dataclasses.dataclass(frozen=True)
class Desk:
    """Made anew by every task. Arrays are opened, and their metadata verified, when they are first asked for;
    what is read of them is verified, and of the spots kept for as long as it fits `KEPT_BYTES`."""

    plan: Plan
    _fields: dict[str, Field] = dataclasses.field(default_factory=dict)
    _arrays: dict[tuple[str, str], zarr.Array] = dataclasses.field(default_factory=dict)
    _chunks: dict[tuple[str, str, int, int], tuple[Rect, np.ndarray]] = dataclasses.field(default_factory=dict)

    @cached_property
    def scan(self) -> Scan:
        """Where the spots lie."""
        return Scan(self.plan)

    @cached_property
    def colours(self) -> Colours:
        """Colours of the photograph."""
        return model.load_colours(self.plan)

    @cached_property
    def smoothing(self) -> dict[str, float]:
        """By patch, how far the photograph is smoothed for it, px; none of those that lie as they should."""
        return model.load_placing(self.plan)["smoothed_px"]

    @cached_property
    def weights(self) -> zarr.Array:
        """Of the spots around every block."""
        return model.open_weights(self.plan)

    def field(self, name: str = model.FIELD) -> Field:
        """A field as saved."""
        if name not in self._fields:
            self._fields[name] = model.load_field(self.plan, name)
        return self._fields[name]

    def spots(self, name: str, patch: str, box: Rect) -> np.ndarray:
        """What is stored of a rectangle of spots, one of `model.SPOT_ARRAYS`, float32 (ny, nx, n); features of
        the smoothed photograph, where it is."""
        array = self._array(name, patch)
        out = np.empty((*box.shape, array.shape[2]), np.float32)
        for y in range(box.y0 // CHUNK_SPOTS, -(-box.y1 // CHUNK_SPOTS)):
            for x in range(box.x0 // CHUNK_SPOTS, -(-box.x1 // CHUNK_SPOTS)):
                at, values = self._chunk(name, patch, y, x)
                part = Rect(max(at.y0, box.y0), min(at.y1, box.y1), max(at.x0, box.x0), min(at.x1, box.x1))
                out[part.within((box.y0, box.x0))] = values[part.within((at.y0, at.x0))]
        return out

    def _array(self, name: str, patch: str) -> zarr.Array:
        if (name, patch) not in self._arrays:
            smoothed = name == "features" and patch in self.smoothing
            self._arrays[name, patch] = model.open_spots(self.plan, model.SMOOTHED if smoothed else name, patch)
        return self._arrays[name, patch]

    def _chunk(self, name: str, patch: str, y: int, x: int) -> tuple[Rect, np.ndarray]:
        """A chunk of spots, where it lies and its values; the last ones are kept."""
        found = self._chunks.pop((name, patch, y, x), None)
        if found is None:
            array, (y0, x0) = self._array(name, patch), (y * CHUNK_SPOTS, x * CHUNK_SPOTS)
            at = Rect(y0, min(y0 + CHUNK_SPOTS, array.shape[0]), x0, min(x0 + CHUNK_SPOTS, array.shape[1]))
            found = at, read_finite(array, at.slices)
        self._chunks[name, patch, y, x] = found
        while len(self._chunks) > 1 and sum(v.nbytes for _, v in self._chunks.values()) > KEPT_BYTES:
            del self._chunks[next(iter(self._chunks))]
        return found

    def smoothing_px(self, patches: Iterable[str]) -> float:
        """How far the photograph is smoothed where these patches speak, px; 0 where all lie as they should."""
        return max((self.smoothing.get(name, 0.0) for name in patches), default=0.0)

    def photograph(self, area: Rect, smoothing: float) -> np.ndarray:
        """Linear light (ny, nx, n_band) of an area, smoothed over `smoothing` px."""
        if not smoothing:
            return self._light(area)
        around = area.grown(int(_REACH * smoothing + 0.5), self.plan.painting.shape)
        smooth = gaussian_filter(
            self._light(around), (smoothing, smoothing, 0.0), truncate=_REACH, mode="nearest"
        )
        return np.ascontiguousarray(smooth[area.within((around.y0, around.x0))])

    def _light(self, area: Rect) -> np.ndarray:
        return linear_light(read(self._image, area.slices), self.plan.painting.transfer)

    @cached_property
    def _image(self) -> zarr.Array:
        return self.plan.painting.image()
