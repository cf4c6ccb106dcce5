"""Blocks speak beyond their borders, so that none is seen in a map."""

from types import SimpleNamespace

import numpy as np
import pytest
from helpers import small_painting
from solver.test_solve import plan

from xrfsr_dask.solver.joint import blending
from xrfsr_dask.solver.joint.blending import Blended, Local, in_columns
from xrfsr_dask.solver.joint.blending import _shared as shared
from xrfsr_dask.solver.joint.desk import Desk
from xrfsr_dask.solver.joint.picture import Picture
from xrfsr_dask.tiling.grid import Rect, blocks


@pytest.fixture
def blended(tmp_path, monkeypatch):
    """Of a painting whose blocks say their own place: 1000 y + x of their first pixel, whatever is asked."""
    small_painting(tmp_path / "p.zarr")
    field = SimpleNamespace(sharp=False, middle=np.zeros(1))
    monkeypatch.setattr(Blended, "local", lambda _, block: Local([], None, field, block))
    monkeypatch.setattr(Desk, "smoothing_px", lambda *_: 0.0)
    monkeypatch.setattr(
        blending, "pixels_of", lambda _, near, block: (np.zeros((np.prod(block.shape), 1)),) * 2
    )

    def said(_, there, places, features):
        return Picture(*np.full((2, len(places), 1), 1000.0 * there.y0 + there.x0, "f4"))

    monkeypatch.setattr(blending, "told", said)
    return Blended(Desk(plan(tmp_path / "p.zarr")), field)


def test_what_is_said_goes_over_from_block_to_block_without_a_step(blended):
    scan, (ny, nx) = blended.desk.scan, blended.desk.plan.painting.shape
    whole = np.full((ny, nx), np.nan)
    for block in scan.all_blocks():
        whole[block.slices] = blended.pictured(block).hidden.reshape(block.shape)
    side, px = scan.block_px, blended.reach_px
    assert 2 * px <= side
    row = whole[side // 2]  # in the middle of a row of blocks
    np.testing.assert_allclose(row[px : side - px], 0.0)
    np.testing.assert_allclose(row[side + px : 2 * side - px], side)
    over = row[side - px : side + px]
    np.testing.assert_allclose(over, side * (np.arange(2 * px) + 0.5) / (2 * px), rtol=1e-5)
    assert np.abs(np.diff(whole, axis=0)).max() <= 1.001 * 1000 * side / (2 * px)


@pytest.mark.parametrize(
    ("shape", "side", "px"), [((150, 100), 50, 12), ((61, 52), 12, 3), ((40, 210), 50, 10)]
)
def test_what_blocks_say_of_a_pixel_is_one_whole_but_at_the_edges(shape, side, px):
    found, total = blocks(shape, side), np.zeros(shape)
    for block in found:
        for other in found:
            at, weight = shared(block, other, px)
            if weight.size:
                total[block.slices][at] += weight[..., 0]
    assert total.min() > 0.2
    whole = [n // side * side - px for n in shape]  # beyond are blocks that are cut off
    np.testing.assert_allclose(total[px : whole[0], px : whole[1]], 1.0, atol=1e-6)


def test_blocks_are_visited_once_each_and_few_of_them_side_by_side():
    tile = Rect(100, 460, 200, 1000)
    found = [b for b in blocks((460, 1000), 50) if b.y0 >= 100 and b.x0 >= 200]
    order = in_columns(found, tile, 50)
    assert sorted(order) == sorted(found)
    assert {b.x0 for b in order[: 8 * blending.COLUMNS]} == {200, 250, 300, 350}
