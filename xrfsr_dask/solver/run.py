"""What a run is: the painting, the options, the tiles and where its work lies. Integers and paths only."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from xrfsr_dask.beams import beam_of
from xrfsr_dask.kernels.colour import CENTRES
from xrfsr_dask.kernels.sampling import Beam
from xrfsr_dask.kernels.smoothness import SMOOTHNESS_MARGIN
from xrfsr_dask.options import SolveOptions, as_attributes
from xrfsr_dask.store import Painting, Patch
from xrfsr_dask.store.arrays import open_array, open_group, stored_checksum
from xrfsr_dask.store.patches import CHUNK_SPOTS
from xrfsr_dask.store.places import Place
from xrfsr_dask.store.results import level_shapes, shard_of
from xrfsr_dask.store.staging import run_folder
from xrfsr_dask.store.unfinished import OPTION
from xrfsr_dask.tiling.grid import Rect, blocks, cells_of, plan_tiles

_MOST_STEPS = 20  # while a tile is in memory
_DISK_STEPS = 2.5  # reading and writing a tile takes as long as so many steps

VERSIONS = ("xrfsr_dask", "numpy", "numba", "zarr", "dask")
"""Packages whose versions are kept with every run and result."""

_SEEN_BYTES = 64 * 2**20  # of abundances that a task on spots reads at a time
COLOUR_DEPTH = 5 * CENTRES
"""float32 a pixel while its colour is described: likeness to every centre, on its way and done."""
NEAR_SPOTS = 900
"""Spots that may speak about one block of `joint`, where patches overlap."""

_EDGE_STEPS, _EDGE_PX = 5, 100  # around a block in which its edges are sought: steps, but no more px
_HEADROOM = 1.25  # scaled counts stay below 1 / _HEADROOM, so that HR pixels brighter than any spot fit the box


class Chunk(NamedTuple):
    """One chunk of one patch's counts: the unit of all work on spots."""

    patch: str
    spots: Rect


@dataclass(frozen=True)
class Plan:
    """A run as planned; small and picklable, handed to every task."""

    painting: Painting
    name: str
    options: SolveOptions
    cell: int
    """Side of a cell, px."""
    tile: int
    """Side of a tile, px."""
    identity: str = "unplanned"
    """Of the fingerprint: runs of other inputs or options never share a folder of state."""
    layers: tuple[int, int] | None = None
    """Visible and hidden endmembers where the data decide (`joint`), once they have; None: as options say."""

    @property
    def base(self) -> Place:
        """Folder of the run: its lock, its checkpoint, and `work`."""
        return run_folder(self.painting.path, self.name)

    @property
    def work(self) -> Place:
        """Folder of the run's state. A task left over from an earlier run of the same name writes elsewhere."""
        return self.base / self.identity

    @property
    def scale(self) -> float:
        """Counts of the patch of highest gain that make 1 in scaled units; the one number X is divided by."""
        largest = max(patch.max_counts / self.gain(patch) for patch in self.painting.patches)
        return _HEADROOM * largest if largest > 0 else 1.0

    @property
    def unit_gain(self) -> float:
        """The highest gain of all patches; gains are taken relative to it, so that step sizes hold for all."""
        return max(patch.gain for patch in self.painting.patches)

    def gain(self, patch: Patch) -> float:
        """Gain of a patch relative to the highest, in (0, 1]."""
        return patch.gain / self.unit_gain

    @property
    def n_channel(self) -> int:
        """Of all patches."""
        return self.painting.patches[0].shape[2]

    @property
    def n_visible(self) -> int:
        """Visible endmembers; baseline #1 has none, so the photograph has no say."""
        if self.layers:
            return self.layers[0]
        return 0 if self.options.method == "baseline1" else self.options.atoms

    @property
    def n_hidden(self) -> int:
        """Hidden endmembers; baseline #2 has none, so the counts have no say in the abundances (37)."""
        if self.layers:
            return self.layers[1]
        if self.options.method == "joint":
            return self.options.hidden_atoms
        return 0 if self.options.method == "baseline2" else self.options.atoms

    @property
    def noise(self) -> str:
        """``"poisson"`` where all patches hold counts, else ``"gaussian"``."""
        return "poisson" if all(p.noise == "poisson" for p in self.painting.patches) else "gaussian"

    @property
    def atoms(self) -> int:
        """Atoms of both layers together."""
        return self.n_visible + self.n_hidden

    @property
    def margin(self) -> int:
        """Px the smoothness term looks aside in one step."""
        return SMOOTHNESS_MARGIN if self.options.smoothness > 0 and self.n_hidden else 0

    def visits(self, done: int = 0) -> list[int]:
        """Abundance steps of each visit to the tiles in one iteration of which `done` steps are made."""
        left = self.options.steps - done
        number = -(-left // self.steps_at_once(self.tile))
        return [left // number + (i < left % number) for i in range(number)]

    def beam(self, patch: Patch) -> Beam:
        """Sampling operator of a patch."""
        return beam_of(patch, self.painting.shape, self.painting.pitch_mm)

    def tiles(self) -> list[Rect]:
        """Tiles of the HR grid."""
        return plan_tiles(self.painting.shape, tile=self.tile, cell=self.cell)

    def shards(self) -> list[Rect]:
        """Shards of the result, each written whole by one task."""
        return blocks(self.painting.shape, shard_of(self.cell, self.atoms))

    def level_shards(self, factor: int) -> list[Rect]:
        """Shards of one level of the result."""
        return blocks(level_shapes(self.painting.shape)[factor], shard_of(self.cell, self.atoms))

    @property
    def result_tasks(self) -> int:
        """Tasks that put the result together from the last generation."""
        levels = sum(len(self.level_shards(factor)) for factor in level_shapes(self.painting.shape))
        return len(self.shards()) + levels + len(self.chunks())

    def chunks(self) -> list[Chunk]:
        """Chunks of counts of all patches."""
        return [
            Chunk(patch.name, spots)
            for patch in self.painting.patches
            for spots in blocks(patch.shape[:2], CHUNK_SPOTS)
        ]

    def spot_blocks(self, chunk: Chunk, depth: int) -> list[Rect]:
        """A chunk of spots in squares below which `depth` float32 a pixel are at most `_SEEN_BYTES`, if that
        can be."""
        return cells_of(chunk.spots, self.block_side(self.painting.patch(chunk.patch), depth))

    def block_side(self, patch: Patch, depth: int) -> int:
        windows, side = self.beam(patch).windows().reshape(*patch.shape[:2], 4), CHUNK_SPOTS
        while side > 1 and 4 * depth * reach(windows, side) > _SEEN_BYTES:
            side //= 2
        return side

    def windows(self) -> list[np.ndarray]:
        """HR px that each spot of each patch sees, int (n_spot, 4): y0, y1, x0, x1."""
        return [self.beam(patch).windows() for patch in self.painting.patches]

    def steps_at_once(self, side: int) -> int:
        """Steps a tile makes in one visit at the least cost: few read and write often, many compute a wide
        halo, where there is one."""
        if side >= max(self.painting.shape):
            return _MOST_STEPS
        spots = [(w[:, 1::2] - w[:, ::2]).max() for w in self.windows() if len(w)] if self.n_hidden else []
        halo = max(spots, default=0) + self.margin  # px a step
        k = np.arange(1, _MOST_STEPS + 1)
        return int(k[((1 + k * halo / side) ** 2 + _DISK_STEPS / k).argmin()])

    def fingerprint(self) -> dict[str, Any]:
        """Everything the result depends on, to recognise a run that may be resumed."""
        p = self.painting
        found: dict[str, Any] = {f"{OPTION}{k}": v for k, v in as_attributes(self.options).items()}
        found |= {f"version {name}": importlib.metadata.version(name) for name in VERSIONS}
        photograph = open_array(open_group(p.path), "rgb/0/image")
        found |= {"photograph": [p.pitch_mm, p.transfer, stored_checksum(photograph)]}
        for patch in self.painting.patches:
            found[f"patch {patch.name}"] = [
                list(patch.shape), patch.transform.tolist(), patch.spot_mm, patch.footprint, patch.gain,
                patch.noise, patch.max_counts, stored_checksum(patch.counts()),
                *(stored_checksum(open_array(open_group(patch.path), n)) for n in ("energy", "mean_spectrum")),
            ]  # fmt: skip
        return found


def identity_of(fingerprint: dict[str, Any]) -> str:
    """A short name for a fingerprint; 0 and 0.0 are the same."""
    plain = json.loads(json.dumps(fingerprint), parse_int=float)
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]


def edge_margin_px(step_px: float) -> int:
    """How far around a block its edges are sought, px: some steps of the scan, one where a step is wide."""
    return round(max(step_px, min(_EDGE_STEPS * step_px, _EDGE_PX)))


def reach(windows: np.ndarray, side: int) -> int:
    """HR px in the largest rectangle below any square of `side` spots; `windows` is (ny, nx, 4)."""
    most = 0
    for block in blocks(windows.shape[:2], side):
        seen = windows[block.slices].reshape(-1, 4)
        low, high = seen.min(axis=0), seen.max(axis=0)
        most = max(most, int(high[1] - low[0]) * int(high[3] - low[2]))
    return most
