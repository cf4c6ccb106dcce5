import pytest

from xrfsr_dask.errors import MemoryBudgetError
from xrfsr_dask.tiling.budget import choose_tile


def choose(memory: int, asked: int | None = None, slots: int = 2, fixed: int = 0, shares: int = 1) -> int:
    return choose_tile(
        lambda side: 1000 * side**2,
        asked=asked,
        cell=50,
        slots=slots,
        memory=memory,
        shape=(400, 300),
        shares=shares,
        fixed=fixed,
    )


def test_the_largest_tile_that_fits_is_chosen():
    assert choose(10**12, slots=1) == 400
    assert choose(2 * 1000 * 150**2) == 150
    assert choose(2 * 1000 * 150**2 - 1) == 100


def test_a_small_painting_is_cut_finely_enough_for_all_to_have_work():
    assert choose(10**12, shares=2) == 200  # 6 tiles of at most a third
    assert choose(10**12, shares=12) == 100
    assert choose(10**12, shares=10**6) == 50  # no finer than cells
    assert choose(10**12, shares=10**6, asked=300) == 300


def test_too_little_memory_is_refused_with_both_numbers():
    with pytest.raises(
        MemoryBudgetError, match=r"2 tasks .* 50 px need 5 MB, the limit is 4 MB; raise --memory"
    ):
        choose(4_000_000)


def test_what_is_taken_already_is_left_out():
    assert choose(2 * 1000 * 150**2 + 10, fixed=10) == 150
    assert choose(2 * 1000 * 150**2 + 9, fixed=10) == 100


def test_a_tile_asked_for_is_refused_rather_than_shrunk():
    with pytest.raises(MemoryBudgetError, match=r"300 px need 180 MB, the limit is 10 MB.*smaller --tile"):
        choose(10_000_000, asked=300)


def test_tiles_are_cut_so_that_all_slots_end_together():
    def chosen(shape: tuple[int, int], slots: int, shares: int) -> int:
        return choose_tile(
            lambda side: side, asked=None, cell=50, slots=slots, memory=10**9, shape=shape, shares=shares
        )

    # in tiles of 350 px, which are small enough, one of two workers would get 55 % of the work
    assert chosen((1000, 1000), slots=2, shares=8) == 300
    assert chosen((1000, 1000), slots=1, shares=8) == 350
    assert chosen((1000, 1000), slots=4, shares=16) == 250
    # balance is no reason to cut a painting into crumbs
    assert chosen((20_000, 25_000), slots=64, shares=256) == 1000
