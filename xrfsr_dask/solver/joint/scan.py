"""Blocks of the HR grid and the spots near them; geometry only.

A *block* is a cell, or a part of one where a cell holds many spots. It is computed alone, from the stored spots
around it, in one order of operations: so it has the same bits in any tile, and no halo of pixels is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from xrfsr_dask.beams import in_spots, square_side_mm
from xrfsr_dask.solver.run import NEAR_SPOTS, Plan
from xrfsr_dask.store.patches import Patch, apply_transform
from xrfsr_dask.tiling.grid import Rect, blocks, cells_of

BLOCK_STEPS = 12
"""A block is at most this many steps of the scan wide."""

MARGINS = (6, 5, 4, 3, 2, 1)
"""Steps around a block whose spots speak about it: the widest that keeps them to `NEAR_SPOTS`."""

_AREA_CELLS = 4  # side
_BINS, _MOST_BINS = 10, 2000  # along the side of a block, in which spots are counted; of the painting


class Near(NamedTuple):
    """Some spots of one patch."""

    patch: Patch
    spots: np.ndarray
    """int (n,): flat, row-major."""
    centres: np.ndarray
    """float64 (n, 2): (y, x) in px."""


@dataclass(frozen=True)
class Scan:
    """Where the spots of all patches lie, in steps of the finest scan."""

    plan: Plan

    @cached_property
    def step_px(self) -> float:
        """HR px per step."""
        painting = self.plan.painting
        return max(1.0, min(patch.step_mm for patch in painting.patches) / painting.pitch_mm)

    @cached_property
    def spot_steps(self) -> float:
        """Side of a square spot as wide as the average one, steps."""
        sides = [square_side_mm(patch) for patch in self.plan.painting.patches]
        return float(np.mean(sides)) / (self.step_px * self.plan.painting.pitch_mm)

    def blocks(self, tile: Rect) -> list[Rect]:
        """Blocks of a tile, row by row of cells."""
        return [block for cell in cells_of(tile, self.plan.cell) for block in cells_of(cell, self.block_px)]

    @property
    def block_px(self) -> int:
        """Side of a block, px."""
        parts = max(1, int(np.ceil(self.plan.cell / (BLOCK_STEPS * self.step_px))))
        return -(-self.plan.cell // parts)

    def index_of(self, block: Rect) -> tuple[int, int]:
        """Row and column of a block among all of the painting."""
        return self._number(block.y0), self._number(block.x0)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of blocks of the whole painting."""
        ny, nx = self.plan.painting.shape
        return self._number(ny - 1) + 1, self._number(nx - 1) + 1

    def _number(self, px: int) -> int:
        """Of the row or column of blocks that a pixel is in."""
        cells, within = divmod(px, self.plan.cell)
        return cells * -(-self.plan.cell // self.block_px) + within // self.block_px

    def blocks_meeting(self, area: Rect) -> list[Rect]:
        """Blocks that have a pixel in an area, in the order of `blocks`."""
        cell, (ny, nx) = self.plan.cell, self.plan.painting.shape
        y0, x0 = area.y0 // cell * cell, area.x0 // cell * cell
        whole = Rect(y0, min(-(-area.y1 // cell) * cell, ny), x0, min(-(-area.x1 // cell) * cell, nx))
        return [
            b
            for b in self.blocks(whole)
            if b.y0 < area.y1 and b.y1 > area.y0 and b.x0 < area.x1 and b.x1 > area.x0
        ]

    def all_blocks(self) -> list[Rect]:
        """Blocks of the whole painting."""
        ny, nx = self.plan.painting.shape
        cells = cells_of(Rect(0, ny, 0, nx), self.plan.cell)
        return [block for cell in cells for block in self.blocks(cell)]

    def areas(self) -> list[Rect]:
        """The whole painting in squares of some cells, as tasks on sums take it; any others give the same."""
        return blocks(self.plan.painting.shape, _AREA_CELLS * self.plan.cell)

    def sampled(self, most: int) -> list[Rect]:
        """Blocks drawn at random among those that hold spots, in their order on the painting."""
        blocks = [block for block in self.all_blocks() if self.near(block, 0)]
        rng = np.random.default_rng([self.plan.options.seed, most])
        return [blocks[i] for i in np.sort(rng.permutation(len(blocks))[:most])]

    def near(self, block: Rect, margin: float) -> list[Near]:
        """Spots whose centres lie in a block grown by `margin` steps: patch, flat indices, centres in px.

        With a margin of 0 every spot of the painting is near exactly one block.
        """
        grown = margin * self.step_px
        low = np.array([block.y0 - grown, block.x0 - grown])
        high = np.array([block.y1 + grown, block.x1 + grown])
        limit = np.array(self.plan.painting.shape) - 1e-6
        out = []
        for patch in self.plan.painting.patches:
            index = _candidates(patch, low, high, self.plan.painting.pitch_mm, limit)
            if len(index):
                rows = np.stack(np.divmod(index, patch.shape[1]), axis=1)
                centres = apply_transform(patch.transform, rows) / self.plan.painting.pitch_mm
                held = np.clip(centres, 0.0, limit)
                inside = ((held >= low) & (held < high)).all(axis=1)
                if inside.any():
                    out.append(Near(patch, index[inside], centres[inside]))
        return out

    def around(self, block: Rect) -> list[Near]:
        """The spots that speak about a block."""
        return self.gathered(block, MARGINS, NEAR_SPOTS)

    def most_around(self) -> int:
        """No fewer than `around` finds for any block."""
        return self.most_gathered(MARGINS, NEAR_SPOTS)

    def most_gathered(self, margins: tuple[int, ...], most: int) -> int:
        """No fewer spots than `gathered` finds near any block: all in the bins that its box touches."""
        shape = self.plan.painting.shape
        size = max(1, self.block_px // _BINS, -(-max(shape) // _MOST_BINS))
        bins, limit = tuple(-(-n // size) for n in shape), np.array(shape) - 1e-6
        total = np.zeros(bins, np.int64)
        for patch in self.plan.painting.patches:
            ny, nx = patch.shape[:2]
            for row in range(ny):  # not all at once, which many spots would make large
                spots = np.column_stack([np.full(nx, row), np.arange(nx)])
                centres = apply_transform(patch.transform, spots) / self.plan.painting.pitch_mm
                y, x = (np.clip(centres, 0.0, limit) // size).astype(np.int64).T
                np.add.at(total, (y, x), 1)
        sums = np.pad(total, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
        widest, narrowest = (
            _boxes(sums, *(self._binned(n, margin * self.step_px, size) for n in shape))
            for margin in (max(margins), min(margins))
        )
        return int(np.where(narrowest > most, narrowest, np.minimum(widest, most)).max())

    def _binned(self, n: int, grown: float, size: int) -> tuple[np.ndarray, np.ndarray]:
        """First bins of the rows, or columns, of blocks along `n` px, and those after their last, int (k,)."""
        px = np.arange(n)
        first = px[px % self.plan.cell % self.block_px == 0]
        ends = (first - grown) // size, (np.append(first[1:], n) + grown) // size + 1
        low, high = (np.clip(end, 0, -(-n // size)).astype(np.int64) for end in ends)
        return low, high

    def gathered(self, block: Rect, margins: tuple[int, ...], most: int) -> list[Near]:
        """`near` with the widest margin that keeps the number of spots to `most`, else the narrowest."""
        found: list[Near] = []
        for margin in margins:
            found = self.near(block, margin)
            if sum(len(index) for _, index, _ in found) <= most:
                break
        return found


def _boxes(
    sums: np.ndarray, rows: tuple[np.ndarray, np.ndarray], columns: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Sums over boxes of bins, from those over all up to each."""
    corners = [[sums[np.ix_(y, x)] for x in columns] for y in rows]
    return np.asarray(corners[1][1] - corners[0][1] - corners[1][0] + corners[0][0])


def _candidates(
    patch: Patch, low: np.ndarray, high: np.ndarray, pitch_mm: float, limit: np.ndarray
) -> np.ndarray:
    """Flat indices of a rectangle of spots that holds all whose centre may lie in the box; px.

    A box at the edge of the painting takes in what lies beyond that edge.
    """
    ny, nx = patch.shape[:2]
    ends = apply_transform(patch.transform, np.array([(y, x) for y in (0, ny) for x in (0, nx)])) / pitch_mm
    low = np.where(low <= 0, np.minimum(low, ends.min(axis=0)), low)
    high = np.where(high >= limit, np.maximum(high, ends.max(axis=0)), high)
    corners = np.array([(y, x) for y in (low[0], high[0]) for x in (low[1], high[1])])
    spots = in_spots(patch, corners * pitch_mm)
    first = np.clip(np.floor(spots.min(axis=0)), 0, (ny, nx)).astype(int)
    last = np.clip(np.ceil(spots.max(axis=0)) + 1, 0, (ny, nx)).astype(int)
    return (np.arange(first[0], last[0])[:, None] * nx + np.arange(first[1], last[1])).ravel()
