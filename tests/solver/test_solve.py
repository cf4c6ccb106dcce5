import dataclasses
import hashlib
import os
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from helpers import small_painting, small_patch, small_truth, tree_bytes

from xrfsr_dask.cluster import executor_for
from xrfsr_dask.errors import (
    MemoryBudgetError,
    MissingPackageError,
    OptionError,
    ResumeError,
    StoreError,
    TilingError,
)
from xrfsr_dask.options import RunOptions, SolveOptions
from xrfsr_dask.progress import Silent
from xrfsr_dask.result import open_result
from xrfsr_dask.solver import plan_run, solve
from xrfsr_dask.solver.needs import task_bytes
from xrfsr_dask.solver.outer import task_count
from xrfsr_dask.store import create_painting, open_painting
from xrfsr_dask.store.arrays import open_array, open_group
from xrfsr_dask.store.results import PHOTONS, PYRAMID
from xrfsr_dask.store.staging import work_area
from xrfsr_dask.tiling.executor import LocalExecutor

OPTIONS = SolveOptions(method="paper", atoms=6, iterations=3, steps=7, tolerance=0)


def plan(path, *, name="r", tile=None, options=OPTIONS, **resources):
    return plan_run(
        open_painting(path), name=name, options=options, resources=RunOptions(tile=tile, **resources), slots=2
    )


def result_hash(path, name="r") -> str:
    digest = hashlib.sha256()
    tree = xr.open_datatree(path, engine="zarr", consolidated=False)
    for dataset in sorted(tree[f"results/{name}"].subtree, key=lambda node: node.path):
        for key in sorted(dataset.data_vars):
            digest.update(np.ascontiguousarray(dataset[key].values).tobytes())
    tree.close()
    return digest.hexdigest()


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    path = tmp_path_factory.mktemp("solved") / "p.zarr"
    small_painting(path)
    state = solve(plan(path, tile=250), LocalExecutor(1))
    return path, state


@pytest.mark.parametrize(("tile", "threads"), [(50, 1), (100, 2), (150, 3)])
def test_the_result_has_the_same_bits_for_every_tile_and_scheduler(solved, tmp_path, tile, threads):
    path = tmp_path / "p.zarr"
    small_painting(path)
    solve(plan(path, tile=tile), LocalExecutor(threads))
    assert result_hash(path) == result_hash(solved[0])


@pytest.mark.parametrize("prox", ["paper", "simplex"])
def test_steps_in_whole_arrays_give_the_result_but_for_rounding(solved, tmp_path, monkeypatch, prox):
    """The road to a GPU, NumPy in place of CuPy."""
    path, changed = tmp_path / "p.zarr", {"prox": prox, "iterations": 2}
    small_painting(path)
    monkeypatch.setattr("xrfsr_dask.kernels.abundance_arrays.gpu", lambda: np)
    monkeypatch.setattr("xrfsr_dask.solver.planning.gpu", lambda: np)
    for device in ("cpu", "gpu"):
        options = dataclasses.replace(OPTIONS, **changed, device=device)
        solve(plan(path, name=device, tile=100, options=options), LocalExecutor(1))
    one, other = (open_result(path, device) for device in ("cpu", "gpu"))
    np.testing.assert_allclose(one.abundance, other.abundance, atol=2e-4)
    np.testing.assert_allclose(one.endmember, other.endmember, rtol=1e-3, atol=1e-3)
    assert other.attrs["options"]["device"] == "gpu"


def test_a_gpu_that_is_not_there_or_not_used_is_told_before_any_work(tmp_path):
    path = tmp_path / "p.zarr"
    small_painting(path, "a")
    try:
        import cupy  # noqa: F401
    except ImportError:
        with pytest.raises(MissingPackageError, match="a GPU is used by way of CuPy; install"):
            plan(path, options=dataclasses.replace(OPTIONS, device="gpu"))
    with pytest.raises(OptionError, match="joint takes no abundance steps"):
        SolveOptions(method="joint", device="gpu")
    with pytest.raises(OptionError, match="device must be 'cpu' or 'gpu', got 'tpu'"):
        SolveOptions(method="paper", device="tpu")


def test_the_order_of_adding_patches_does_not_matter(solved, tmp_path):
    A, D, photo = small_truth()
    path = tmp_path / "p.zarr"
    create_painting(path, photo, width_mm=170.0, transfer="linear")
    for name in "cab":
        small_patch(path, name, A, D)
    solve(plan(path, tile=100), LocalExecutor(2))
    assert result_hash(path) == result_hash(solved[0])


def test_the_result_is_whole_labelled_and_explains_the_counts(solved):
    path, state = solved
    tree = xr.open_datatree(path, engine="zarr", consolidated=False)
    result = tree["results/r"].to_dataset()
    assert result.abundance.dims == ("y", "x", "atom")
    assert result.abundance.dtype == np.float32
    np.testing.assert_allclose(result.abundance.sum("atom"), 1, atol=1e-4)
    assert float(result.endmember.min()) >= 0
    assert list(result.layer.values) == [0] * 6 + [1] * 6
    np.testing.assert_allclose(result.y[:2], [0.5, 1.5])
    assert result.energy.attrs["units"] == "keV"
    coverage = result.coverage.values
    assert coverage[0, 0] == 0
    assert coverage[100, 60] > 1.9  # two patches overlap there
    assert 0.9 < coverage[20, 8] < 1.1
    for name in "abc":
        chi = tree[f"results/r/fit/{name}/chi_square"].values
        assert np.isfinite(chi).all()
        assert 0.5 < chi.mean() < 2
    assert tree["results/r/history/objective"].shape == (state.iteration,)
    tree.close()


def test_a_small_result_has_nothing_that_spares_time_with_large_ones(solved):
    assert not {PHOTONS, PYRAMID} & set(open_group(solved[0] / "results/r").keys())


def test_nothing_is_left_in_the_work_area(solved):
    assert list(work_area(solved[0]).iterdir()) == []


def test_higher_gain_means_the_same_painting_seen_with_more_counts(tmp_path):
    rates = {}
    for gain in (1.0, 4.0):
        path = tmp_path / f"{gain}.zarr"
        small_painting(path, "ab", gain=gain)
        solve(plan(path, tile=250), LocalExecutor(2))
        tree = xr.open_datatree(path, engine="zarr", consolidated=False)
        r = tree["results/r"].to_dataset()
        rates[gain] = float((r.abundance.values @ r.endmember.values).mean())
        tree.close()
    assert rates[4.0] == pytest.approx(rates[1.0], rel=0.05)


class InterruptAfter(Silent):
    """Ctrl-C after some tasks."""

    def __init__(self, tasks: int) -> None:
        self.left = tasks

    def advance(self, n: int = 1) -> None:
        self.left -= n
        if self.left < 0:
            raise KeyboardInterrupt


class Count(Silent):
    def __init__(self) -> None:
        self.done = self.total = self.largest_step = 0

    def expect(self, total: int) -> None:
        self.total = total

    def advance(self, n: int = 1) -> None:
        self.done += n
        self.largest_step = max(self.largest_step, n)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.55, 0.97])
def test_an_interrupted_run_goes_on_to_the_same_bits(solved, tmp_path, share):
    path = tmp_path / "p.zarr"
    small_painting(path)
    run = plan(path, tile=50)
    total = task_count(run)
    with pytest.raises(KeyboardInterrupt):
        solve(run, LocalExecutor(2), progress=InterruptAfter(int(share * total)))
    assert not (path / "results" / "r").exists()
    count = Count()
    solve(plan(path, tile=100), LocalExecutor(2), progress=count)
    assert result_hash(path) == result_hash(solved[0])
    assert count.done == count.total


def test_the_bar_ends_where_it_was_told(tmp_path):
    path = tmp_path / "p.zarr"
    small_painting(path, "a")
    count = Count()
    solve(plan(path, tile=100), LocalExecutor(2), progress=count)
    assert count.done == count.total > 0


def interrupted(path) -> None:
    small_painting(path, "a")
    with pytest.raises(KeyboardInterrupt):
        solve(plan(path, tile=100), LocalExecutor(1), progress=InterruptAfter(30))


def test_other_options_on_resume_are_refused_by_name(tmp_path):
    path = tmp_path / "p.zarr"
    interrupted(path)
    other = SolveOptions(method="paper", atoms=6, iterations=3, steps=7, tolerance=0, smoothness=0.3)
    before = sorted(path.rglob("*"))
    with pytest.raises(ResumeError, match=r"smoothness was 0.1, now 0.3.*--restart"):
        solve(plan(path, options=other), LocalExecutor(1))
    assert sorted(path.rglob("*")) == before  # not even an empty folder


def test_a_patch_added_since_is_named_on_resume(tmp_path):
    path = tmp_path / "p.zarr"
    interrupted(path)
    A, D, _ = small_truth()
    small_patch(path, "b", A, D)
    with pytest.raises(ResumeError, match="patch b was absent, now there"):
        solve(plan(path), LocalExecutor(1))
    solve(plan(path), LocalExecutor(1), restart=True)
    assert (path / "results" / "r").exists()


def test_resume_insists_on_an_unfinished_run(tmp_path):
    path = tmp_path / "p.zarr"
    small_painting(path, "a")
    with pytest.raises(ResumeError, match="no unfinished run 'r'"):
        solve(plan(path), LocalExecutor(1), resume=True)


def test_a_second_run_is_refused_while_the_first_is_alive_and_a_dead_ones_lock_is_taken(tmp_path):
    path = tmp_path / "p.zarr"
    small_painting(path, "a")
    second: list[str] = []

    class StartAnother(Silent):
        def advance(self, n: int = 1) -> None:
            if not second:
                with pytest.raises(StoreError, match=r"run 'r' is being worked on by process \d+") as error:
                    solve(plan(path), LocalExecutor(1))
                second.append(str(error.value))

    lock = work_area(path) / "r" / "lock.json"
    lock.parent.mkdir(parents=True)
    lock.write_text('{"host": "x", "pid": "gone", "broken": ')
    os.utime(lock, (1e9, 1e9))
    solve(plan(path), LocalExecutor(1), progress=StartAnother())
    assert second


def refusal(path, make: Callable[[], object], error: type[Exception], words: str) -> None:
    before = tree_bytes(path)
    with pytest.raises(error, match=words):
        make()
    assert tree_bytes(path) == before


def test_what_cannot_work_is_refused_and_the_store_left_alone(solved, tmp_path):
    path = solved[0]
    refusal(path, lambda: plan(path), StoreError, "already holds a result 'r'")
    refusal(path, lambda: plan(path, name="../r"), OptionError, "cannot be the name of a result")
    refusal(path, lambda: plan(path, name="s", tile=70), TilingError, "70 px is not a whole number of 50-px")
    refusal(path, lambda: plan(path, name="s", memory=1000), MemoryBudgetError, "the limit is 1 kB")
    empty = tmp_path / "empty.zarr"
    create_painting(empty, small_truth()[2], width_mm=170.0)
    refusal(empty, lambda: plan(empty), StoreError, "holds no patch yet")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"atoms": 0}, "atoms must lie between 1 and 1000, got 0"),
        ({"smoothness": -1.0}, "smoothness must be >= 0 and at most 1e6, got -1.0"),
        ({"smoothness": float("nan")}, "smoothness must be >= 0 and at most 1e6, got nan"),
        ({"smoothness": 1e300}, r"smoothness must be >= 0 and at most 1e6, got 1e\+300"),
        ({"gamma": 1.0}, "gamma must be more than 1"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"method": "magic"}, "unknown method 'magic'; choose one of: joint, paper, baseline1"),
        ({"prox": "none"}, "prox must be 'paper' or 'simplex'"),
    ],
)
def test_options_that_cannot_work_are_refused(change, words):
    with pytest.raises(OptionError, match=words):
        SolveOptions(**change)


@pytest.mark.filterwarnings("default")  # distributed leaves sockets to the garbage collector
def test_worker_processes_give_the_same_bits(solved, tmp_path):
    path = tmp_path / "p.zarr"
    small_painting(path)
    resources = RunOptions(tile=100, processes=True, workers=2)
    with executor_for(resources) as executor:
        assert executor.slots == 2
        run = plan_run(open_painting(path), name="r", options=OPTIONS, resources=resources, slots=2)
        solve(run, executor)
    assert result_hash(path) == result_hash(solved[0])


def test_tiles_of_an_interrupted_visit_are_not_done_again(solved, tmp_path):
    """Twenty tiles: the first visit is cut off after some; the resume does only the others."""
    path = tmp_path / "p.zarr"
    small_painting(path)
    run = plan(path, tile=50)
    before_visit = 2 * len(run.chunks()) + len(run.tiles())
    with pytest.raises(KeyboardInterrupt):
        solve(run, LocalExecutor(1), progress=InterruptAfter(before_visit + 12))
    receipts = run.work / f"gen-{run.visits()[0]:06d}" / "receipts.jsonl"
    assert len(receipts.read_text().splitlines()) >= 1 + 12
    with receipts.open("a") as file:
        file.write('0123abcd {"tile": [0, 50')  # a line cut off by a kill
    count = Count()
    solve(plan(path, tile=50), LocalExecutor(1), progress=count)
    assert count.largest_step >= 12
    assert result_hash(path) == result_hash(solved[0])


def test_another_photograph_on_resume_is_refused(tmp_path):
    path = tmp_path / "p.zarr"
    interrupted(path)
    image = open_array(open_group(path, mode="r+"), "rgb/0/image")
    image[:] = image[:][::-1]
    with pytest.raises(ResumeError, match="photograph changed"):
        solve(plan(path), LocalExecutor(1))


def test_restart_does_not_touch_a_run_that_is_alive(tmp_path):
    path = tmp_path / "p.zarr"
    small_painting(path, "a")
    tried: list[bool] = []

    class Restart(Silent):
        def advance(self, n: int = 1) -> None:
            if not tried:
                with pytest.raises(StoreError, match="is being worked on"):
                    solve(plan(path), LocalExecutor(1), restart=True)
                tried.append(True)

    solve(plan(path), LocalExecutor(1), progress=Restart())
    assert tried


def test_the_plan_counts_the_start_and_the_shards(tmp_path):
    path = tmp_path / "p.zarr"
    small_painting(path, "a")
    run = plan(path, options=SolveOptions(method="paper", atoms=200))
    assert task_bytes(run, 50) >= 4 * 4 * 100**2 * 400  # shards shrink with the atoms: 100 px of 400
    assert max(shard.shape[0] for shard in run.shards()) == 100
    words = r"the start needs 6\d MB .* the limit is 600 kB; raise --memory"
    with pytest.raises(MemoryBudgetError, match=words):
        plan(path, memory=600_000)


def test_a_tile_makes_more_steps_in_a_visit_the_less_its_halo_costs(tmp_path):
    path = tmp_path / "p.zarr"
    small_painting(path)
    most = {}
    for method in ("paper", "baseline2"):
        for tile in (50, 200, 5000):
            options = SolveOptions(method=method, atoms=6, steps=12)
            run = plan(path, options=options, tile=tile, memory=10**11)
            for done in range(13):
                assert sum(run.visits(done)) == 12 - done
            most[method, tile] = max(run.visits())
    assert most["paper", 50] < most["paper", 200] < most["paper", 5000] == 12
    assert most["baseline2", 50] == 12  # the counts have no say: no spot is looked at, there is no halo
