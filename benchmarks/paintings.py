"""Paintings to be timed on: noise where only sizes matter, a painted room where data decide what is done."""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import zarr

from benchmarks.tiles import FACTOR
from xrfsr_dask.phantom import AlignedScene, aligned_painting
from xrfsr_dask.progress import Silent, ticking
from xrfsr_dask.result.photons import write_photons
from xrfsr_dask.solver.levels import write_level
from xrfsr_dask.store import Painting, PatchSpec, add_patch, create_painting, open_painting, placement
from xrfsr_dask.store.arrays import place_of, write_values
from xrfsr_dask.store.patches import CHUNK_SPOTS
from xrfsr_dask.store.results import MEAN, level_shapes, new_levels, shard_of
from xrfsr_dask.tiling.executor import LocalExecutor
from xrfsr_dask.tiling.grid import CELL, blocks


def fill_levels(group: zarr.Group, shape: tuple[int, int], n_atom: int) -> None:
    """Lay out and write levels, mean and photons of a result whose abundances and coverage are there."""
    side = shard_of(CELL, n_atom)
    sums = [group["abundance"][part.slices].sum(axis=(0, 1), dtype=np.float64) for part in blocks(shape, side)]
    write_values(group, MEAN, np.sum(sums, axis=0) / np.prod(shape), ("atom",), units="1")
    new_levels(group, shape=shape, n_atom=n_atom, cell=CELL)
    for factor, level in level_shapes(shape).items():
        task = partial(write_level, CELL, place_of(group), factor)
        LocalExecutor(2).map(task, blocks(level, side), ticking(Silent()))
    write_photons(group, float(np.prod(shape)))


def noise(path: Path, shape: tuple[int, int], n_channel: int) -> Painting:
    """A scan of nothing, aligned with a photograph (ny, nx) of nothing."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(2.0, (shape[0] // FACTOR, shape[1] // FACTOR, n_channel)).astype("u2")
    photo = rng.integers(0, 255, (*shape, 3)).astype("u1")
    return stored(path, photo, counts, np.arange(n_channel) * 0.04, transfer="linear")


@lru_cache(maxsize=1)
def room(shape: tuple[int, int] = (345, 490), n_channel: int = 1024) -> AlignedScene:
    """A painted room with hidden layers, one scan over all of it."""
    return aligned_painting(shape=shape, factor=FACTOR, n_channel=n_channel)


def rooms(path: Path, size: int, n_channel: int, base: int = 500) -> Painting:
    """A square of `size` px, a multiple of `base`: one room mirrored over and over, counts made on the fly."""
    scene, n = room((base, base), n_channel), -(-size // base)
    folded = np.pad(np.arange(base), (0, (n - 1) * base), mode="symmetric")
    photo = scene.photo[folded][:, folded]
    spots = base // FACTOR
    spot = np.pad(np.arange(spots), (0, (n - 1) * spots), mode="symmetric")
    return stored(path, photo, scene.counts.astype("u2"), scene.energy_kev, at=spot)


def stored(
    path: Path,
    photo: np.ndarray,
    counts: np.ndarray,
    energy_kev: np.ndarray,
    *,
    at: np.ndarray | None = None,
    transfer: str = "srgb",
) -> Painting:
    """A store of one aligned scan with steps of 1 mm; `at` repeats its rows and columns."""
    rows, columns = (np.arange(n) for n in counts.shape[:2]) if at is None else (at, at)
    create_painting(path, photo, width_mm=float(len(columns)), transfer=transfer)
    shape = (len(rows), len(columns), counts.shape[2])
    spec = PatchSpec(
        shape=shape,
        dtype=counts.dtype,
        transform=placement(at_mm=(0, 0), step_mm=1.0),
        energy_kev=energy_kev,
    )
    strips = range(0, len(rows), CHUNK_SPOTS)
    add_patch(path, "a", spec, ((r, counts[rows[r : r + CHUNK_SPOTS]][:, columns]) for r in strips))
    return open_painting(path)
