"""The patches as measured: their maps in pixels of the screen, and the counts of their spots."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from xrfsr_dask.errors import InputError
from xrfsr_dask.lines.peaks import ELEMENTS
from xrfsr_dask.lines.tables import usual_line
from xrfsr_dask.result import open_patch
from xrfsr_dask.result.beside import channels_of
from xrfsr_dask.result.measured import Measured
from xrfsr_dask.result.spotwise import net_counts, shown
from xrfsr_dask.store import Painting, Patch
from xrfsr_dask.store.arrays import read
from xrfsr_dask.store.patches import CHUNK_SPOTS, apply_transform
from xrfsr_dask.view.regions import Region
from xrfsr_dask.view.words import place

_THREADS = 2  # that read counts and take them apart


@dataclass(frozen=True)
class Counted:
    """Counts as measured, and where."""

    spectrum: np.ndarray
    """float64 (n_channel,), counts per spot, the patch's gain included."""
    spots: int
    """How many it is the mean of."""
    words: str
    """Patches and spots, for a reader."""


class Spots:
    """All patches of a painting; safe for several threads."""

    def __init__(self, painting: Painting, energy_kev: np.ndarray | None = None) -> None:
        """`energy_kev` (n_channel,): channels of the spectra, all where not given; maps are made of all."""
        self._patches = [_PatchMaps(patch, energy_kev) for patch in painting.patches]
        self._pitch_mm = painting.pitch_mm
        self._lock = threading.Lock()

    def drawn(self, elements: Sequence[str], y: np.ndarray, x: np.ndarray) -> dict[str, np.ndarray]:
        """Maps of net counts at gain 1, float32 (ny, nx): the nearest spot's, the last patch above; else NaN.

        The first question reads all counts, once for all elements that the patches show.

        Parameters
        ----------
        elements : sequence of str
        y, x : float arrays of shapes (ny,), (nx,), mm
        """
        out = {element: np.full((len(y), len(x)), np.nan, np.float32) for element in elements}
        yy, xx = np.meshgrid(y, x, indexing="ij")
        for patch in self._patches if elements else ():
            with self._lock:
                maps = patch.maps(elements)
            row, column, inside = patch.nearest(yy.ravel(), xx.ravel())
            for element, values in maps.items():
                out[element].reshape(-1)[inside] = values[row[inside], column[inside]]
        return out

    def at(self, y: float, x: float) -> Counted:
        """The nearest spot to a place, mm; `InputError` where nothing was measured."""
        there = []
        for patch in self._patches:
            row, column, inside = (values[0] for values in patch.nearest(np.array([y]), np.array([x])))
            if inside:
                centre = apply_transform(patch.of.transform, np.array([[row, column]], float))[0]
                there.append((float(np.hypot(*(centre - [y, x]))), int(row), int(column), patch))
        if not there:
            raise InputError(f"Nothing was measured at {place((y, x), self._pitch_mm)}.")
        _, row, column, nearest = min(there, key=lambda found: found[0])
        others = [patch.of.name for *_, patch in there if patch is not nearest]
        words = f"patch {nearest.of.name}, spot in row {row}, column {column}"
        if others:
            words += f" (the nearest; also measured by {', '.join(others)})"
        return Counted(nearest.counted(row, column), 1, words)

    def within(self, corners: Sequence[tuple[float, float]]) -> Counted:
        """Mean of the spots whose centres lie in a polygon, (y, x) in mm; `InputError` where none does."""
        total: Any = 0.0
        spots, names = 0, []
        for patch in self._patches:
            inside = patch.inside(corners)
            if inside.any():
                total = total + patch.summed(inside)
                spots += int(inside.sum())
                names.append(patch.of.name)
        if not spots:
            raise InputError(
                "No spot's centre lies within this region: nothing was measured there, or it is too small."
            )
        which = f"patch {names[0]}" if len(names) == 1 else f"patches {', '.join(names)}"
        return Counted(total / spots, spots, f"{spots:,d} spots of {which}")


class _PatchMaps:
    """One patch, its maps kept once they were made."""

    def __init__(self, patch: Patch, energy_kev: np.ndarray | None) -> None:
        self.of = patch
        self._asked_kev = energy_kev
        self._maps: dict[str, np.ndarray] = {}

    @cached_property
    def _channels(self) -> slice | np.ndarray:
        return slice(None) if self._asked_kev is None else channels_of(self._asked_kev, self.of.energy_kev())

    @cached_property
    def _back(self) -> np.ndarray:
        return np.linalg.inv(self.of.transform)

    @cached_property
    def _seen(self) -> list[str]:
        """The elements that some square of its spots shows."""
        return shown(self._measured.fit(ELEMENTS))

    @cached_property
    def _measured(self) -> Measured:
        return Measured(open_patch(self.of.store_path, self.of.name), self.of.square_means())

    def nearest(self, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows and columns of the spots at places (n,), mm, and whether there is one."""
        row, column = np.rint(apply_transform(self._back, np.stack([y, x], 1))).T
        inside = (row >= 0) & (row < self.of.shape[0]) & (column >= 0) & (column < self.of.shape[1])
        row, column = (np.where(inside, values, 0).astype(int) for values in (row, column))
        return row, column, inside

    def inside(self, corners: Sequence[tuple[float, float]]) -> np.ndarray:
        """Spots whose centres lie in a polygon, bool (ny, nx)."""
        region = Region(apply_transform(self._back, np.asarray(corners, float)) + 0.5, self.of.shape[:2])
        return region.contains(*np.mgrid[: self.of.shape[0], : self.of.shape[1]])

    def counted(self, row: int, column: int) -> np.ndarray:
        """Counts of one spot, float64 (n_channel,)."""
        counts = read(self.of.counts(), (slice(row, row + 1), slice(column, column + 1)))
        return counts.reshape(-1).astype(float)[self._channels]

    def summed(self, inside: np.ndarray) -> np.ndarray:
        """Sum of the counts of some spots, float64 (n_channel,)."""
        counts, total = self.of.counts(), np.zeros(self.of.shape[2])
        for part in _chunks(self.of.shape):
            if inside[part].any():
                total += read(counts, part)[inside[part]].sum(axis=0, dtype=np.float64)
        return total[self._channels]

    def maps(self, elements: Iterable[str]) -> dict[str, np.ndarray]:
        """Net counts of the usual lines at gain 1, float32 (ny, nx) each."""
        if not self._maps and self._seen:
            self._maps = self._made(self._seen)
        for element in elements:
            if element not in self._maps:  # it takes counts from its neighbours: their maps are not those
                self._maps[element] = self._made([*self._seen, element])[element]
        return {element: self._maps[element] for element in elements}

    def _made(self, elements: list[str]) -> dict[str, np.ndarray]:
        """Maps of all elements that are fitted, in one reading of the counts."""
        axis, P, G = self._measured.spot_fit(elements)
        lines = {element: usual_line(self.of.energy_kev(), element) for element in elements}
        each = np.stack([axis.share_of(*line) for line in lines.items()], axis=1).astype(np.float32)
        out = np.empty((*self.of.shape[:2], len(elements)), np.float32)
        counts = self.of.counts()

        def take_apart(part: tuple[slice, slice]) -> None:
            out[part] = net_counts(read(counts, part), P, G, each) / self.of.gain

        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(take_apart, _chunks(self.of.shape)))
        return {element: out[..., i].copy() for i, element in enumerate(elements)}


def _chunks(shape: tuple[int, ...]) -> list[tuple[slice, slice]]:
    rows, columns = (
        [slice(at, min(at + CHUNK_SPOTS, n)) for at in range(0, n, CHUNK_SPOTS)] for n in shape[:2]
    )
    return [(row, column) for row in rows for column in columns]
