"""Scores of the pixels of a block as all blocks near them say, each by its own spots.

A block is kriged from the spots around it alone, and where the layers are hard to tell apart, neighbours split
them differently: an edge in a hidden map that no painting has. So blocks speak some way beyond their border,
the less the further, and what is said of a pixel is their mean. Every share is computed for whole pairs of
blocks, in one order, so it has the same bits in any tile.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from xrfsr_dask.kernels.cokriging import Kriged, Neighbours
from xrfsr_dask.solver.joint.desk import Desk
from xrfsr_dask.solver.joint.kriging import kriged
from xrfsr_dask.solver.joint.model import Field
from xrfsr_dask.solver.joint.picture import Picture, neighbours, pictured, pixels_of, told
from xrfsr_dask.solver.joint.scan import Near
from xrfsr_dask.tiling.grid import Rect

COLUMNS = 4
"""Blocks side by side that are visited before the rest of their rows, so that few need be kept."""
KEPT = 3 * (COLUMNS + 2)
"""Blocks whose spots are kept, as `in_columns` asks for them again."""

_REACH_STEPS, _REACH_SHARE = 2.0, 0.25  # of a block beyond its border: steps, and its side at most


class Local(NamedTuple):
    """What the spots around one block say."""

    near: list[Near]
    spots: Neighbours | None
    """Their scores are less the global map; none are left of those that are kriged."""
    field: Field
    """The model as it is there."""
    kriged: Kriged | None
    """None where there are no spots, or edges are sought."""


@dataclass(frozen=True)
class Blended:
    """Made anew by every task."""

    desk: Desk
    field: Field
    _kept: dict[Rect, Local] = dataclasses.field(default_factory=dict)
    _pixels: dict[tuple[Rect, float], tuple[np.ndarray, np.ndarray]] = dataclasses.field(default_factory=dict)

    def local(self, block: Rect) -> Local:
        """The spots around a block; the last `KEPT` are kept."""
        found = self._kept.pop(block, None)
        if found is None:
            near = self.desk.scan.around(block)
            spots = neighbours(self.desk, near, self.field)
            there = self.field.at(spots)
            if spots is None or there.sharp:
                found = Local(near, spots, there, None)
            else:
                heard = kriged(self.desk, block, spots, there.prior)
                found = Local(near, heard.spots, there, heard)
        self._kept[block] = found
        while len(self._kept) > (1 if found.field.sharp else KEPT):  # where edges are sought none asks another
            del self._kept[next(iter(self._kept))]
        return found

    def pixels(self, block: Rect, near: list[Near]) -> tuple[np.ndarray, np.ndarray]:
        """`pixels_of` a block as some spots see them; those of the last block are kept."""
        key = block, self.desk.smoothing_px(n.patch.name for n in near)
        if key not in self._pixels:
            for other in [known for known in self._pixels if known[0] != block]:
                del self._pixels[other]
            self._pixels[key] = pixels_of(self.desk, near, block)
        return self._pixels[key]

    def pictured(self, block: Rect) -> Picture:
        """Scores of a block's pixels, row by row."""
        own = self.local(block)
        if own.field.sharp:
            return pictured(self.desk, own.field, own.near, block, spots=own.spots)
        r = len(own.field.middle)
        whole, hidden = np.zeros((*block.shape, r), np.float32), np.zeros((*block.shape, r), np.float32)
        total = np.zeros((*block.shape, 1), np.float32)
        px = self.reach_px
        for other in self.desk.scan.blocks_meeting(block.grown(px, self.desk.plan.painting.shape)):
            at, weight = _shared(block, other, px)
            if not weight.size:
                continue
            there = self.local(other)
            places, features = (
                values.reshape(*block.shape, -1)[at].reshape(-1, values.shape[1])
                for values in self.pixels(block, there.near)
            )
            said = told(there.field, there.kriged, places, features)
            for out, values in ((whole, said.whole), (hidden, said.hidden)):
                out[at] += weight * values.reshape(*weight.shape[:2], -1)
            total[at] += weight
        return Picture((whole / total).reshape(-1, r), (hidden / total).reshape(-1, r))

    @property
    def reach_px(self) -> int:
        """How far blocks speak beyond their border."""
        return max(1, int(min(_REACH_STEPS * self.desk.scan.step_px, _REACH_SHARE * self.desk.scan.block_px)))


def in_columns(found: list[Rect], tile: Rect, side: int) -> list[Rect]:
    """Blocks of a tile, `COLUMNS` of them side by side from top to bottom, then the next."""
    return sorted(found, key=lambda block: ((block.x0 - tile.x0) // (COLUMNS * side), block.y0, block.x0))


def _shared(block: Rect, other: Rect, px: int) -> tuple[tuple[slice, slice], np.ndarray]:
    """The pixels of a block that another speaks of, and with what weight, float32 (ny, nx, 1)."""
    ramps, at = [], []
    for low, high, first, last in (
        (block.y0, block.y1, other.y0, other.y1),
        (block.x0, block.x1, other.x0, other.x1),
    ):
        part = slice(max(low, first - px) - low, max(min(high, last + px) - low, 0))
        centre = np.arange(part.start, part.stop) + low + 0.5
        ramps.append(np.clip((np.minimum(centre - first, last - centre) + px) / (2.0 * px), 0.0, 1.0))
        at.append(part)
    return (at[0], at[1]), np.multiply.outer(*ramps).astype(np.float32)[..., None]
