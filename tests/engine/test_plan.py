"""What a run says of itself beforehand, and keeps to: memory, tasks, bytes on disk."""

import json
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
from engine.scenes import ENVIRONMENT, OPTIONS, narrow_painting, planned, run_folder
from helpers import levels_from
from solver.test_memory import MEASURED, PEAK

from xrfsr_dask.cli import main
from xrfsr_dask.commands import solve as solving
from xrfsr_dask.commands.solve import dry_run, solve_painting
from xrfsr_dask.errors import MemoryBudgetError
from xrfsr_dask.options import RunOptions, SolveOptions
from xrfsr_dask.progress import Silent
from xrfsr_dask.solver import plan_run, solve
from xrfsr_dask.solver.needs import task_bytes
from xrfsr_dask.solver.outer import task_count
from xrfsr_dask.store import PatchSpec, add_patch, create_painting, open_painting, placement
from xrfsr_dask.tiling.executor import ClientExecutor, LocalExecutor

BEDROOM = (1320, 1686)


def large_painting(path, shape=BEDROOM, spots=(96, 85), step=3.9, n_channel=16, side=(2, 5)):
    """A painting of many pixels with a grid of patches, small counts."""
    rng = np.random.default_rng(0)
    create_painting(path, rng.integers(0, 255, (*shape, 3)).astype("u1"), width_mm=float(shape[1]))
    counts = rng.poisson(2.0, (*spots, n_channel)).astype("u2")
    for i in range(side[0] * side[1]):
        row, column = divmod(i, side[1])
        at = (4 + row * (shape[0] - 12) / side[0], 4 + column * (shape[1] - 8) / side[1])
        place = placement(at_mm=at, step_mm=step, rotation_deg=0.3 * (i % 3))
        energy = 0.1 + 0.3 * np.arange(n_channel)
        spec = PatchSpec(shape=counts.shape, dtype="u2", transform=place, energy_kev=energy)
        add_patch(path, f"p{i}", spec, ((r, counts[r : r + 32]) for r in range(0, spots[0], 32)))
    return open_painting(path)


def refused_at_once(call, match):
    """Within a second; the best of three, for the machine may be busy."""
    seconds = []
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(MemoryBudgetError, match=match):
            call()
        seconds.append(time.monotonic() - began)
    assert min(seconds) < 1


@pytest.mark.parametrize("method", ["paper", "joint"])
def test_too_large_a_tile_is_refused_at_once_with_both_numbers(tmp_path, method):
    painting = large_painting(tmp_path / "p.zarr")
    options, memory = SolveOptions(method=method), 512 * 2**20
    too_large = RunOptions(tile=1000, memory=memory)
    refused_at_once(
        lambda: plan_run(painting, name="r", options=options, resources=too_large, slots=2),
        r"2 tasks at once with tiles of 1000 px need \S+ .B, the limit is 537 MB",
    )
    processes = RunOptions(tile=1000, memory=memory, workers=2, processes=True)
    refused_at_once(  # before worker processes are started
        lambda: solve_painting(painting.path, name="r", options=options, resources=processes),
        r"2 tasks at once with tiles of 1000 px need \S+ .B, the limit is 537 MB",
    )
    plan = plan_run(painting, name="r", options=options, resources=RunOptions(memory=memory), slots=2)
    assert 50 <= plan.tile < 1000  # shrunk where none was asked for
    assert 2 * task_bytes(plan, plan.tile) < memory


@pytest.mark.filterwarnings("default")
def test_a_cluster_of_small_workers_is_asked_for_small_tasks_or_refused(tmp_path):
    """Whatever --memory says, and never by killing worker after worker."""
    from distributed import Client, LocalCluster

    large_painting(tmp_path / "p.zarr")
    options, rich = SolveOptions(method="paper"), 64 * 10**9
    call = {"options": options, "name": "r"}
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, memory_limit="700MB", processes=False, dashboard_address=None
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        too_large = RunOptions(tile=1000, memory=rich)
        refused_at_once(
            lambda: solve_painting(tmp_path / "p.zarr", **call, resources=too_large, client=client),
            r"tiles of 1000 px needs \S+ MB, a worker .* leaves 141 MB",
        )
        executor = ClientExecutor(client)
        plan = plan_run(
            open_painting(tmp_path / "p.zarr"), **call, resources=RunOptions(memory=rich),
            slots=executor.slots, each=executor.task_bytes,
        )  # fmt: skip
    assert plan.tile < 1000
    assert task_bytes(plan, plan.tile) <= 141e6


class DiskUse(Silent):
    """Most bytes there are in a folder while a run goes on."""

    def __init__(self, folder) -> None:
        self.folder, self.most = folder, 0

    def advance(self, n: int = 1) -> None:
        self.most = max(self.most, sum(p.stat().st_size for p in self.folder.rglob("*") if p.is_file()))


@pytest.mark.parametrize("method", ["paper", pytest.param("joint", marks=pytest.mark.slow)])
@pytest.mark.parametrize("side", [50, 512])  # with levels and without
def test_a_dry_run_says_tiles_tasks_memory_and_bytes_on_disk_as_they_will_be(tmp_path, method, side):
    path = tmp_path / "p.zarr"
    with levels_from(side):
        keeps_to_its_words(path, method)


def keeps_to_its_words(path, method) -> None:
    narrow_painting(path)
    options, resources = OPTIONS[method], RunOptions(tile=50, workers=1)
    said = dry_run(path, name="r", options=options, resources=resources)
    assert not run_folder(path).exists()
    assert (said["tile_px"], said["tiles"], said["tasks_at_once"]) == (50, 12, 1)
    before = DiskUse(path)
    before.advance()
    use = DiskUse(path)
    run = planned(path, options)
    assert said["tasks"] == task_count(run)
    assert said["bytes_per_task"] == task_bytes(run, 50)
    solve(run, LocalExecutor(1), progress=use)
    most = use.most - before.most
    assert most <= said["bytes_on_disk_while_running"] <= 2 * most
    after = DiskUse(path)
    after.advance()
    assert after.most - before.most <= 1.2 * said["bytes_of_result"] + 40_000  # metadata


@pytest.mark.parametrize("method", ["paper", "joint"])
def test_many_cores_are_no_reason_to_refuse(tmp_path, monkeypatch, method):
    monkeypatch.setattr(solving, "cores", lambda: 64)
    path = tmp_path / "p.zarr"
    narrow_painting(path)
    few = RunOptions(memory=192 * 2**20)
    said = dry_run(path, name="r", options=OPTIONS[method], resources=few)
    assert 1 <= said["tasks_at_once"] < 64
    assert said["tasks_at_once"] * said["bytes_per_task"] < few.memory
    assert solve_painting(path, name="r", options=OPTIONS[method], resources=few)["result"] == "r"
    with pytest.raises(MemoryBudgetError, match="64 tasks at once"):  # as many as were asked for, or none
        dry_run(path, name="s", options=OPTIONS[method], resources=RunOptions(memory=few.memory, workers=64))


def test_a_dry_run_speaks_in_words(tmp_path, capsys):
    path = tmp_path / "p.zarr"
    narrow_painting(path)
    assert main(["solve", str(path), "--method", "paper", "--dry-run"]) == 0
    out = capsys.readouterr().out
    for words in ("tiles", "tasks", "memory per task", "on disk while running", " MB"):
        assert words in out
    assert main(["solve", str(path), "--method", "paper", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes_per_task"] > 1e6


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("method", ["paper", "joint"])
def test_tasks_of_a_pass_are_its_tiles_and_nothing_grows_with_the_iterations(tmp_path, method):
    import dataclasses

    from distributed import Client, SchedulerPlugin

    class Finished(SchedulerPlugin):
        def __init__(self) -> None:
            self.tasks, self.most = Counter(), 0

        def transition(self, key, start, finish, *args, **kwargs):
            self.most = max(self.most, len(client.cluster.scheduler.tasks))
            if (start, finish) == ("processing", "memory"):
                self.tasks[str(key).partition("-")[0]] += 1

    found = []
    with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        for iterations in (2, 7):
            path = tmp_path / f"{iterations}.zarr"
            narrow_painting(path)
            options = dataclasses.replace(OPTIONS[method], iterations=iterations)
            plugin = Finished()
            client.cluster.scheduler.add_plugin(plugin, name=str(iterations))
            solve(planned(path, options), ClientExecutor(client))
            client.cluster.scheduler.remove_plugin(str(iterations))
            found.append(plugin)
            plan = planned(path, options, name="other")
    few, many = (plugin.tasks for plugin in found)
    assert many.total() - many["merge"] <= 1.2 * task_count(plan)
    tiles, chunks = len(plan.tiles()), len(plan.chunks())
    if method == "paper":
        each = {
            name: (many[name] - few[name]) / 5
            for name in ("advance_tile", "sum_tile", "sum_spots", "project_counts", "merge")
        }
        passes = len(plan.visits())
        assert each["advance_tile"] <= 1.2 * tiles * passes
        assert each["sum_tile"] <= 1.2 * tiles
        assert each["sum_spots"] + each["project_counts"] <= 1.2 * 2 * chunks
        assert each["merge"] <= (tiles + chunks) / 7 + 2
    else:
        assert many["unmix_tile"] <= 1.2 * tiles
        assert (many["dictionary_sums"] - few["dictionary_sums"]) / 5 <= 1.2 * chunks
    assert found[1].most <= found[0].most + 3


DRIVER = f"""
import functools, operator, sys
from xrfsr_dask.cluster import executor_for
from xrfsr_dask.options import RunOptions, SolveOptions
from xrfsr_dask.solver import plan_run
from xrfsr_dask.store import open_painting
{PEAK}
if __name__ == "__main__":
    resources = RunOptions(tile=50, processes=True, workers=2, memory=2 * 10**9)
    with executor_for(resources) as executor:
        plan = plan_run(open_painting(sys.argv[1]), name="r", options=SolveOptions(method="paper"),
                        resources=resources, slots=2)
        tiles = plan.tiles()
        found = executor.map(functools.partial(operator.itemgetter, 0), tiles, lambda *_: None)
        assert len(found) == len(tiles) >= 10_000, len(tiles)
        print(peak())
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's account of memory")
def test_a_driver_of_ten_thousand_tiles_stays_small(tmp_path):
    path = tmp_path / "p.zarr"
    large_painting(path, shape=(5000, 5000), side=(1, 1))
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    run = [sys.executable, str(script), str(path)]
    out = subprocess.run(run, capture_output=True, text=True, check=True, env=ENVIRONMENT).stdout
    print("driver with 10 000 tiles, MB:", round(int(out) / 1e6))
    assert int(out) <= 300e6


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's account of memory")
@pytest.mark.parametrize(("method", "side"), [("paper", 450), ("joint", 500)])
def test_nine_times_the_painting_takes_no_more_memory(tmp_path, method, side):
    """The smaller one holds a whole shard of the result, so that both write as much at once."""
    peaks = []
    for n in (1, 1, 3):  # the first run of all compiles the kernels
        path = tmp_path / f"{len(peaks)}.zarr"
        large_painting(
            path, shape=(side * n,) * 2, spots=(64, 64), step=0.0147 * side, n_channel=256, side=(n, n)
        )
        command = ["solve", path, "--method", method, "--atoms", 20, "--iterations", 1, "--steps", 2, "--quiet"]
        command += ["--tile", 100, "--workers", 1, "--memory", "1GB"]
        run = [sys.executable, "-c", MEASURED, *map(str, command)]
        out = subprocess.run(run, capture_output=True, text=True, check=True, env=ENVIRONMENT).stdout
        peaks.append(int(out.splitlines()[-1]))
    print("MB beyond imports, one painting and nine times:", [round(p / 1e6) for p in peaks[1:]])
    assert peaks[2] <= 1.3 * peaks[1]
