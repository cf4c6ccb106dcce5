import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrfsr_dask.errors import TilingError
from xrfsr_dask.tiling.grid import Rect, blocks, cell_for, cells_of, plan_tiles


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 5))
def test_tiles_and_their_cells_cover_every_pixel_once(ny, nx, n):
    seen = {}
    for tile in plan_tiles((ny, nx), tile=50 * n, cell=50):
        for cell in cells_of(tile, 50):
            assert cell.y0 % 50 == cell.x0 % 50 == 0
            assert (cell.y0, cell.x0) not in seen
            seen[cell.y0, cell.x0] = cell.shape[0] * cell.shape[1]
    assert sum(seen.values()) == ny * nx


def test_a_tile_that_is_not_whole_cells_is_refused_with_two_that_are():
    with pytest.raises(TilingError, match=r"120 px is not a whole number of 50-px cells; try 100 or 150"):
        plan_tiles((500, 500), tile=120)
    with pytest.raises(TilingError, match="try 50 or 100"):
        plan_tiles((500, 500), tile=20)


@pytest.mark.parametrize(
    ("factor", "cell"), [(5, 50), (3, 51), (8, 48), (2, 50), (7, 49), (60, 50), (None, 50)]
)
def test_a_cell_is_the_multiple_of_the_factor_nearest_to_50(factor, cell):
    assert cell_for(factor) == cell


def test_a_halo_stops_at_the_border():
    assert Rect(0, 50, 100, 150).grown(7, (60, 155)) == Rect(0, 57, 93, 155)


def test_blocks_at_the_far_edge_are_cut_off():
    assert blocks((5, 3), 4) == [Rect(0, 4, 0, 3), Rect(4, 5, 0, 3)]
