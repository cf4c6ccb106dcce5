"""One hash for abundances, levels, endmembers, history and fit, whoever works, in whatever order and tiles."""

import random
import time
from dataclasses import replace

import pytest
from engine.scenes import OPTIONS, PAPER, add_narrow_patch, narrow_painting, planned, result_hash, solved_hash
from helpers import levels_from, small_truth

from xrfsr_dask.cluster import executor_for
from xrfsr_dask.options import RunOptions
from xrfsr_dask.result import open_result
from xrfsr_dask.solver import solve
from xrfsr_dask.store import create_painting
from xrfsr_dask.tiling.executor import LocalExecutor


class Shuffled:
    """An executor whose tasks begin, and end, in an order of their own."""

    def __init__(self, inner, seed: int) -> None:
        self._inner, self._random = inner, random.Random(seed)

    @property
    def slots(self) -> int:
        return self._inner.slots

    @property
    def task_bytes(self) -> int | None:
        return self._inner.task_bytes

    def map(self, fn, tasks, done):
        order = self._order(len(tasks))
        found = self._inner.map(fn, [tasks[i] for i in order], self._late(order, done))
        return [value for _, value in sorted(zip(order, found, strict=True), key=lambda pair: pair[0])]

    def reduce(self, fn, tasks, merge, done):
        order = self._order(len(tasks))
        return self._inner.reduce(fn, [tasks[i] for i in order], merge, self._late(order, done))

    def _order(self, n: int) -> list[int]:
        return self._random.sample(range(n), n)

    def _late(self, order, done):
        def after(i, value):
            time.sleep(self._random.choice((0, 0, 0.002)))
            done(order[i], value)

        return after


@pytest.fixture(scope="module", autouse=True)
def low_levels():
    """The hash is that of the levels too."""
    with levels_from(50):
        yield


@pytest.fixture(scope="module")
def workers():
    """Two worker processes."""
    with executor_for(RunOptions(processes=True, workers=2)) as executor:
        yield executor


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Hashes of one task at a time on one whole tile."""
    found = {}

    def hash_of(method: str) -> str:
        if method not in found:
            path = tmp_path_factory.mktemp(method) / "p.zarr"
            narrow_painting(path)
            found[method] = solved_hash(path, LocalExecutor(1), OPTIONS[method], tile=500)
        return found[method]

    return hash_of


JOINT = pytest.param("joint", marks=pytest.mark.slow)


@pytest.mark.filterwarnings("default")  # distributed leaves sockets to the garbage collector
@pytest.mark.parametrize("method", ["paper", JOINT])
@pytest.mark.parametrize("tile", [50, 250, *(pytest.param(n, marks=pytest.mark.slow) for n in (100, 500))])
@pytest.mark.parametrize("where", ["synchronous", "threads", "processes"])
def test_tiles_schedulers_and_the_order_of_finishing_leave_no_trace(
    whole, workers, tmp_path, method, tile, where
):
    path = tmp_path / "p.zarr"
    narrow_painting(path)
    inner = workers if where == "processes" else LocalExecutor(1 if where == "synchronous" else 3)
    assert solved_hash(path, Shuffled(inner, tile), OPTIONS[method], tile=tile) == whole(method)


@pytest.mark.parametrize(("bands", "atoms"), [(1, 3), (3, 1), (1, 1)])
def test_one_band_or_one_atom_lies_in_memory_as_many_do(tmp_path, bands, atoms):
    """The part of a tile with one column is strided otherwise in a wide tile than in one as wide as itself."""
    found = set()
    for tile in (50, 500):
        path = tmp_path / f"{tile}.zarr"
        narrow_painting(path, bands=bands)
        found.add(solved_hash(path, LocalExecutor(1), replace(PAPER, atoms=atoms), tile=tile))
    assert len(found) == 1


@pytest.mark.slow
@pytest.mark.parametrize("method", ["baseline1", "baseline2"])
def test_the_baselines_do_not_see_the_tiles_either(tmp_path, method):
    found = set()
    for tile, threads in ((50, 3), (500, 1)):
        path = tmp_path / f"{tile}.zarr"
        narrow_painting(path)
        options = replace(PAPER, method=method)
        found.add(solved_hash(path, Shuffled(LocalExecutor(threads), 0), options, tile=tile))
    assert len(found) == 1


@pytest.mark.parametrize("method", ["paper", JOINT])
def test_patches_that_overlap_may_be_added_in_any_order(whole, tmp_path, method):
    path = tmp_path / "p.zarr"
    narrow_painting(path, "ba")
    assert solved_hash(path, LocalExecutor(2), OPTIONS[method], tile=100) == whole(method)


@pytest.mark.parametrize("method", ["paper", JOINT])
def test_what_no_patch_covers_is_finite_and_flagged(tmp_path, method):
    path = tmp_path / "p.zarr"
    create_painting(path, small_truth(260, 60)[2], width_mm=60.0, transfer="linear")
    add_narrow_patch(path, "b")  # y 110 to 242: most of the upper half is bare
    solve(planned(path, OPTIONS[method], tile=100), LocalExecutor(2))
    ds = open_result(path, "r")
    coverage = ds.coverage.values
    assert (coverage[:100] == 0).all()
    assert (coverage[130:220, 20:45] > 0.9).all()
    assert bool(abs(ds.abundance.values).max() < float("inf"))
    assert bool((ds.cube[:100, :, ::5].values >= 0).all())  # NaN is not >= 0
    if method == "joint":
        assert float(ds.evidence[:50].max()) < float(ds.evidence[150:200, 20:45].min())
    assert result_hash(path)
