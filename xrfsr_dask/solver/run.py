"""What a run is: the painting, the options, the tiles and where its work lies. Integers and paths only."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from xrfsr_dask.beams import beam_of
from xrfsr_dask.errors import MemoryBudgetError, OptionError, StoreError
from xrfsr_dask.kernels.cokriging import PIXELS_AT_ONCE
from xrfsr_dask.kernels.colour import CENTRES
from xrfsr_dask.kernels.sampling import Beam, needed_bounds
from xrfsr_dask.kernels.smoothness import SMOOTHNESS_MARGIN
from xrfsr_dask.kernels.spectral import MOST_DIRECTIONS
from xrfsr_dask.options import RunOptions, SolveOptions, as_attributes
from xrfsr_dask.store import Painting, Patch
from xrfsr_dask.store.arrays import bytes_in_hand, open_array, open_group, stored_checksum, work_area
from xrfsr_dask.store.patches import CHUNK_SPOTS, check_name
from xrfsr_dask.store.places import Place, stands
from xrfsr_dask.store.results import TRUTH, level_shapes, shard_of
from xrfsr_dask.store.unfinished import OPTION
from xrfsr_dask.tiling.budget import KERNELS, choose_tile, megabytes
from xrfsr_dask.tiling.grid import Rect, blocks, cell_for, cells_of, plan_tiles

_MOST_STEPS = 20  # while a tile is in memory
_DISK_STEPS = 2.5  # reading and writing a tile takes as long as so many steps

VERSIONS = ("xrfsr_dask", "numpy", "numba", "zarr", "dask")
"""Packages whose versions are kept with every run and result."""

_SHARES_PER_SLOT = {True: 4, False: 1}  # `joint` or not: its tiles have no halo, so that small ones cost little
_SEEN_BYTES = 64 * 2**20  # of abundances that a task on spots reads at a time
COLOUR_DEPTH = 5 * CENTRES
"""float32 a pixel while its colour is described: likeness to every centre, on its way and done."""
NEAR_SPOTS = 900
"""Spots that may speak about one block of `joint`, where patches overlap."""

_EDGE_STEPS, _EDGE_PX = 5, 100  # around a block in which its edges are sought: steps, but no more px
_OVERLAPS = 4  # patches that may lie over one another
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
        return work_area(self.painting.path) / self.name

    @property
    def work(self) -> Place:
        """Folder of the run's state. A task left over from an earlier run of the same name writes elsewhere."""
        return self.base / self.identity

    @property
    def scale(self) -> float:
        """Counts of the patch of highest gain that make 1 in scaled units; the one number X is divided by."""
        largest = max(abs(patch.max_counts) / self.gain(patch) for patch in self.painting.patches)
        return _HEADROOM * largest if largest > 0 else 1.0

    @property
    def unit_gain(self) -> float:
        """The highest gain of all patches; gains are taken relative to it, so that step sizes hold for all."""
        return max(patch.gain for patch in self.painting.patches)

    def gain(self, patch: Patch) -> float:
        """Gain of a patch relative to the highest, in (0, 1]."""
        return patch.gain / self.unit_gain

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
        number = -(-left // self._steps_at_once(self.tile, self._windows()))
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

    def task_bytes(self, tile: int) -> int:
        """Bytes the largest task of the run needs with tiles of that side, px."""
        windows = self._windows()
        side = min(shard_of(self.cell, self.atoms), max(self.painting.shape))
        shard = 4 * side**2 * (self.atoms + 1)  # and where it was measured
        if self.options.method == "joint":
            whole = self._block_bytes() + 4 * self.atoms * tile**2
            return max(whole + bytes_in_hand(4 * self.cell**2 * self.atoms), self._chunk_bytes(), 4 * shard)
        return max(self._tile_bytes(windows, tile), self._chunk_bytes(), 4 * shard)

    @property
    def start_bytes(self) -> int:
        """Bytes the start (13) needs in the driver: the sampled spots, once more with colours, and codes."""
        n_channel = self.painting.patches[0].shape[2]
        return 4 * min(self.options.start_spots, self._spots) * (3 * n_channel + 8 * self.options.atoms)

    def spot_blocks(self, chunk: Chunk, depth: int) -> list[Rect]:
        """A chunk of spots in squares below which `depth` float32 a pixel are at most `_SEEN_BYTES`, if that
        can be."""
        return cells_of(chunk.spots, self._block_side(self.painting.patch(chunk.patch), depth))

    def _block_side(self, patch: Patch, depth: int) -> int:
        windows, side = self.beam(patch).windows().reshape(*patch.shape[:2], 4), CHUNK_SPOTS
        while side > 1 and 4 * depth * _reach(windows, side) > _SEEN_BYTES:
            side //= 2
        return side

    def _windows(self) -> list[np.ndarray]:
        return [self.beam(patch).windows() for patch in self.painting.patches]

    def _steps_at_once(self, side: int, windows: list[np.ndarray]) -> int:
        """Steps a tile makes in one visit at the least cost: few read and write often, many compute a wide
        halo."""
        spots = [(w[:, 1::2] - w[:, ::2]).max() for w in windows if len(w)] if self.n_hidden else []
        halo = max(spots, default=0) + self.margin  # px a step
        k = np.arange(1, _MOST_STEPS + 1)
        return int(k[((1 + k * halo / side) ** 2 + _DISK_STEPS / k).argmin()])

    def _tile_bytes(self, windows: list[np.ndarray], side: int) -> int:
        """Two states with their halo, what is written, the photograph, the spots, chunks on their way."""
        ny, nx = self.painting.shape
        y, x = max(0, (ny - side) // 2), max(0, (nx - side) // 2)
        core = (y, min(ny, y + side), x, min(nx, x + side))
        seen = windows if self.n_hidden else []
        y0, y1, x0, x1 = needed_bounds(
            core,
            seen,
            steps=min(self.options.steps, self._steps_at_once(side, windows)),
            margin=self.margin,
            shape=self.painting.shape,
        )[-1]
        state, photo = 4 * self.atoms, 12 * self.painting.n_band
        spots = sum(map(len, seen)) * (12 * self.atoms + 600) // (ny * nx) + 1
        padded, own = (y1 - y0) * (x1 - x0), side * side * state
        in_hand, codes = bytes_in_hand(self.cell**2 * state), 40 * self.cell**2 * self.options.atoms
        return int(
            max(
                padded * (2.2 * state + photo + spots) + own,
                padded * state + in_hand,
                own + in_hand + codes,
            )
        )

    def _block_bytes(self) -> int:
        """Covariances of the spots around one block, twice factored, and what joins them to its pixels."""
        step = max(1.0, min(p.step_mm for p in self.painting.patches) / self.painting.pitch_mm)
        at_once = min(len(self.painting.patches), _OVERLAPS)
        near = min(NEAR_SPOTS, int((self.cell / step + 12) ** 2) * at_once)
        pixels = (self.cell + 2 * edge_margin_px(step)) ** 2
        return int(40 * near**2 + min(pixels, PIXELS_AT_ONCE) * 12 * near + pixels * (8 * CENTRES + 2000))

    def _chunk_bytes(self) -> int:
        """A chunk of counts and its float copies, the abundances or the photograph below it, the sums."""
        n_channel, most = self.painting.patches[0].shape[2], 0
        for patch in self.painting.patches:
            windows = self.beam(patch).windows().reshape(*patch.shape[:2], 4)
            seen = 4 * self.atoms * _reach(windows, self._block_side(patch, self.atoms))
            if self.options.method == "joint":
                seen = max(seen, 4 * COLOUR_DEPTH * _reach(windows, self._block_side(patch, COLOUR_DEPTH)))
            photograph = 20 * self.painting.n_band * _reach(windows, CHUNK_SPOTS)
            most = max(most, seen + bytes_in_hand(4 * self.cell**2 * self.atoms), photograph)
        return least_bytes(n_channel, self.atoms) + most

    @property
    def disk_bytes(self) -> int:
        """Bytes on disk while the run goes on, at most: state, and the result as it is put together."""
        pixels, spots = self._stored_pixels, self._spots
        n_channel = self.painting.patches[0].shape[2]
        state = 4 * pixels * self.atoms
        endmembers = 8 * self.atoms * (n_channel + self.atoms)
        if self.options.method == "joint":  # scores, their variance, colours, and what is seen of each spot
            small = 4 * spots * (2 * min(MOST_DIRECTIONS, n_channel) + CENTRES + self.atoms) + 8 * pixels
        else:  # counts against two dictionaries
            small = 2 * 4 * spots * max(self.n_hidden, self.options.atoms)
        return 2 * state + small + 3 * endmembers + self.result_bytes - state

    @property
    def _stored_pixels(self) -> int:
        return self._padded(self.painting.shape)

    def _padded(self, shape: tuple[int, int]) -> int:
        """Pixels of whole cells: those that the far edges cut off are stored whole."""
        ny, nx = (-(-n // self.cell) * self.cell for n in shape)
        return ny * nx

    @property
    def _spots(self) -> int:
        return sum(patch.shape[0] * patch.shape[1] for patch in self.painting.patches)

    @property
    def result_bytes(self) -> int:
        """Bytes of the result on disk."""
        pixels, spots = self._stored_pixels, self._spots
        maps = 2 if self.options.method == "joint" else 1  # coverage, and evidence
        n_channel = self.painting.patches[0].shape[2]
        levels = sum(map(self._padded, level_shapes(self.painting.shape).values()))
        return 4 * (pixels * (self.atoms + maps) + levels * (self.atoms + 1) + spots + self.atoms * n_channel)

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


def plan_run(
    painting: Painting,
    *,
    name: str,
    options: SolveOptions,
    resources: RunOptions,
    slots: int,
    task_bytes: int | None = None,
) -> Plan:
    """Choose cell and tile for a run and check that it fits the memory, before anything is done.

    `slots` tasks run at once; each may need `task_bytes` where it runs, whatever `resources` grant.

    Raises
    ------
    StoreError
        The painting has no patch, or already has a result of that name.
    MemoryBudgetError
        No tile, or not the one asked for, fits the memory.
    TilingError
        The tile asked for is not a whole number of cells.
    """
    check_name(name, "result")
    if name == TRUTH:
        raise OptionError(f"'{TRUTH}' is kept for the known truth of a phantom; choose another --name.")
    if not painting.patches:
        raise StoreError(f"{painting.path} holds no patch yet; add one with `xrfsr add`.")
    _ = painting.energy_kev  # refuses a store without it before any work
    require_free(painting, name)
    cell = _cell_of(painting)
    plan = Plan(painting=painting, name=name, options=options, cell=cell, tile=resources.tile or cell)
    plan.tiles()  # refuses a tile that is not a whole number of cells
    if (need := KERNELS + plan.start_bytes) > resources.memory:
        raise MemoryBudgetError(
            f"the start needs {megabytes(need)} for its sample of spots, the limit is "
            f"{megabytes(resources.memory)}; raise --memory."
        )
    tile = choose_tile(
        plan.task_bytes,
        asked=resources.tile,
        cell=cell,
        slots=slots,
        memory=resources.memory,
        shape=painting.shape,
        shares=slots * _SHARES_PER_SLOT[options.method == "joint"],
        fixed=KERNELS,
        each=task_bytes,
    )
    return dataclasses.replace(plan, tile=tile, identity=identity_of(plan.fingerprint()))


def require_free(painting: Painting, name: str) -> None:
    """Refuse the name of a result that is there; raises `StoreError`."""
    if stands(painting.place / "results" / name):
        raise StoreError(
            f"{painting.path} already holds a result '{name}', and none is ever replaced; choose another "
            "--name."
        )


def edge_margin_px(step_px: float) -> int:
    """How far around a block its edges are sought, px: some steps of the scan, one where a step is wide."""
    return round(max(step_px, min(_EDGE_STEPS * step_px, _EDGE_PX)))


def fitting_workers(painting: Painting, options: SolveOptions, resources: RunOptions, most: int) -> int:
    """How many tasks at once, `most` or fewer, the memory has room for with the smallest tiles; at least 1."""
    if not painting.patches:
        return most
    cell = _cell_of(painting)
    plan = Plan(painting=painting, name="", options=options, cell=cell, tile=cell)
    room = (resources.memory - KERNELS) // plan.task_bytes(resources.tile or cell)
    return max(1, min(most, room))


def _cell_of(painting: Painting) -> int:
    return cell_for(
        _aligned_factor([beam_of(patch, painting.shape, painting.pitch_mm) for patch in painting.patches])
    )


def _aligned_factor(beams: list[Beam]) -> int | None:
    """HR px per spot where all patches lie on the grid at one whole factor, else None."""
    factors = {round(float(beam.transform[0, 0])) for beam in beams}
    factor = factors.pop()
    if factors or factor < 1:
        return None
    for beam in beams:
        shift = beam.transform[:2, 2] - 0.5 * factor
        upright = np.diag([factor, factor, 1.0]) + np.pad(beam.transform[:2, 2:], ((0, 1), (2, 0)))
        if not np.allclose(beam.transform, upright, atol=1e-6):
            return None
        if not np.allclose(shift / factor, np.round(shift / factor), atol=1e-6):
            return None
    return factor


def least_bytes(n_channel: int, atoms: int) -> int:
    """Bytes that any task on a chunk of counts needs: counts, their float copies, sums against all atoms."""
    return CHUNK_SPOTS**2 * n_channel * 12 + 24 * atoms * n_channel


def _reach(windows: np.ndarray, side: int) -> int:
    """HR px in the largest rectangle below any square of `side` spots; `windows` is (ny, nx, 4)."""
    most = 0
    for block in blocks(windows.shape[:2], side):
        seen = windows[block.slices].reshape(-1, 4)
        low, high = seen.min(axis=0), seen.max(axis=0)
        most = max(most, int(high[1] - low[0]) * int(high[3] - low[2]))
    return most
