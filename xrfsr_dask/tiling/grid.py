"""Tiles and cells of an HR grid; integers only.

A *cell* is a fixed square, the chunk of every state array and the unit of every sum, so neither depends on
the *tile*, the whole number of cells that one task owns.
"""

from __future__ import annotations

from typing import NamedTuple

from xrfsr_dask.errors import TilingError

CELL = 50
"""Side of a cell, px, where the factor does not ask for another."""


class Rect(NamedTuple):
    """Half-open rectangle of pixels."""

    y0: int
    y1: int
    x0: int
    x1: int

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def slices(self) -> tuple[slice, slice]:
        """To index a (y, x, …) array of the whole grid."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def within(self, corner: tuple[int, int]) -> tuple[slice, slice]:
        """To index an array whose first pixel is `corner` (y, x)."""
        dy, dx = corner
        return slice(self.y0 - dy, self.y1 - dy), slice(self.x0 - dx, self.x1 - dx)

    def grown(self, px: int, shape: tuple[int, int]) -> Rect:
        """Wider by `px` on each side, but never outside a grid of `shape`."""
        return Rect(
            max(0, self.y0 - px),
            min(shape[0], self.y1 + px),
            max(0, self.x0 - px),
            min(shape[1], self.x1 + px),
        )


def blocks(shape: tuple[int, int], size: int) -> list[Rect]:
    """Squares of `size` px that cover a grid of `shape`, row by row; those at the far edges are cut off."""
    ny, nx = shape
    return [
        Rect(y, min(y + size, ny), x, min(x + size, nx)) for y in range(0, ny, size) for x in range(0, nx, size)
    ]


def plan_tiles(shape: tuple[int, int], *, tile: int, cell: int = CELL) -> list[Rect]:
    """Cut a grid of `shape` (ny, nx) px into tiles of `tile` px, a whole number of cells."""
    if tile % cell:
        near = max(tile // cell, 1) * cell
        raise TilingError(
            f"a tile of {tile} px is not a whole number of {cell}-px cells; try {near} or {near + cell}."
        )
    return blocks(shape, tile)


def cells_of(tile: Rect, cell: int = CELL) -> list[Rect]:
    """The cells of a tile, row by row, in px of the whole grid."""
    return [
        Rect(tile.y0 + c.y0, tile.y0 + c.y1, tile.x0 + c.x0, tile.x0 + c.x1) for c in blocks(tile.shape, cell)
    ]


def cell_for(factor: float | None) -> int:
    """Side of the cell for an aligned scan of `factor` HR px per spot: the multiple of it nearest to 50."""
    if factor is None or factor != int(factor) or factor > CELL:
        return CELL
    return max(1, round(CELL / factor)) * int(factor)
