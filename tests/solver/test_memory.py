"""The promise of the memory plan, measured: what a whole solve takes beyond the imports."""

import subprocess
import sys

import numpy as np
import pytest
from helpers import small_painting

from xrfsr_dask.options import RunOptions, SolveOptions
from xrfsr_dask.solver import plan_run
from xrfsr_dask.solver.needs import task_bytes
from xrfsr_dask.solver.passes import chunk_window, seen_abundances
from xrfsr_dask.solver.state import new_generation, open_generation
from xrfsr_dask.store import PatchSpec, add_patch, create_painting, open_painting, placement
from xrfsr_dask.tiling.executor import LocalExecutor

PEAK = """
def peak():
    # Not ru_maxrss: that of the process which started this one counts there too.
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
"""

MEASURED = f"""
import sys
import psutil
import xrfsr_dask.commands.solve
from xrfsr_dask.cli import main
{PEAK}
before = psutil.Process().memory_info().rss
sys.argv = ["xrfsr", *sys.argv[1:]]
assert main() == 0
print(peak() - before)
"""


def wide_painting(path, spots=(60, 80), n_channel=64):
    """A painting of 800 x 600 px with one patch of 10 px per spot."""
    rng = np.random.default_rng(0)
    create_painting(path, rng.integers(0, 255, (600, 800, 3)).astype("u1"), width_mm=800.0)
    energy = 0.1 + 0.1 * np.arange(n_channel)
    place = placement(at_mm=(0, 0), step_mm=10)
    spec = PatchSpec(shape=(*spots, n_channel), dtype="u2", transform=place, energy_kev=energy)
    counts = rng.poisson(5.0, spec.shape).astype("u2")
    add_patch(path, "a", spec, ((row, counts[row : row + 32]) for row in range(0, spots[0], 32)))


def solved(path, *words) -> int:
    """Bytes a solve in a process of its own took at most beyond its imports."""
    command = ["solve", path, "--name", "r", "--iterations", 1, "--steps", 1, "--quiet", *words]
    run = [sys.executable, "-c", MEASURED, *map(str, command)]
    out = subprocess.run(run, capture_output=True, text=True, check=True)
    return int(out.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's account of memory")
@pytest.mark.parametrize(
    ("atoms", "workers", "memory"), [(50, 1, 200), (50, 2, 400), (200, 1, 300), (200, 2, 450)]
)
def test_a_solve_keeps_to_the_memory_it_was_given(tmp_path, atoms, workers, memory):
    wide_painting(tmp_path / "warm.zarr")
    solved(tmp_path / "warm.zarr", "--atoms", 4)  # compiles the kernels, where that was not done before
    wide_painting(tmp_path / "p.zarr")
    words = ["--atoms", atoms, "--workers", workers, "--memory", f"{memory}MB"]
    assert solved(tmp_path / "p.zarr", *words) <= 1.1 * memory * 1e6


def crowded_painting(path, step, fwhm, patches=1, spots=(60, 60), size=1500, apart=0):
    """Small spots with a wide beam in one corner of a large painting, patch over patch."""
    rng = np.random.default_rng(0)
    create_painting(path, rng.integers(0, 255, (size, size, 3)).astype("u1"), width_mm=float(size))
    energy = 0.1 + 0.1 * np.arange(8)
    counts = rng.poisson(5.0, (*spots, 8)).astype("u2")
    for i in range(patches):
        place = placement(at_mm=(20 + i * apart, 20), step_mm=step)
        spec = PatchSpec(
            shape=counts.shape,
            dtype="u2",
            transform=place,
            energy_kev=energy,
            footprint="gaussian",
            spot_mm=fwhm,
        )
        add_patch(path, f"p{i}", spec, ((row, counts[row : row + 32]) for row in range(0, spots[0], 32)))


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's account of memory")
@pytest.mark.parametrize(
    ("scan", "memory"),
    [({"step": 1, "fwhm": 10, "spots": (300, 300)}, 800), ({"step": 4, "fwhm": 12, "patches": 8}, 450)],
    ids=["small spots", "many patches"],
)
def test_a_solve_of_crowded_spots_keeps_to_its_memory(tmp_path, scan, memory):
    wide_painting(tmp_path / "warm.zarr")
    solved(tmp_path / "warm.zarr", "--atoms", 4, "--method", "paper")
    crowded_painting(tmp_path / "p.zarr", **scan)
    words = ["--method", "paper", "--atoms", 5, "--workers", 1, "--memory", f"{memory}MB"]
    assert solved(tmp_path / "p.zarr", *words) <= 1.1 * memory * 1e6


def test_spots_that_lie_close_together_count_for_the_tile_they_lie_in(tmp_path):
    needs = {}
    for name, scan in {
        "one": {"step": 2, "fwhm": 20},
        "two": {"step": 2, "fwhm": 20, "patches": 2},
        "two apart": {"step": 2, "fwhm": 20, "patches": 2, "apart": 1000},
        "narrow": {"step": 2, "fwhm": 2},
    }.items():
        crowded_painting(tmp_path / name, **scan)
        plan = plan_run(
            open_painting(tmp_path / name),
            name="r",
            options=SolveOptions(method="paper", atoms=5),
            resources=RunOptions(memory=2 * 10**9, tile=600),
            slots=1,
        )
        needs[name] = task_bytes(plan, 600)
    assert needs["narrow"] < 0.7 * needs["one"]
    assert needs["two apart"] == pytest.approx(needs["one"], rel=0.02)
    assert needs["two"] > 1.4 * needs["one"]


def test_many_atoms_are_seen_block_by_block_with_the_same_bits(tmp_path):
    path = tmp_path / "p.zarr"
    small_painting(path, "ab")
    options = SolveOptions(method="paper", atoms=500)
    plan = plan_run(
        open_painting(path), name="r", options=options, resources=RunOptions(memory=2 * 10**9), slots=1
    )
    new_generation(plan, 0)
    rng = np.random.default_rng(0)
    array = open_generation(plan, 0)
    array[:] = rng.random(array.shape, dtype="f4")
    chunk = plan.chunks()[0]
    assert len(plan.spot_blocks(chunk, plan.atoms)) > 1
    window = chunk_window(plan, chunk)
    np.testing.assert_array_equal(seen_abundances(plan, 0, chunk), window.downsample(array[window.slices]))


def test_a_reduction_holds_no_more_parts_than_tasks_run():
    held, most = set(), []

    class Part:
        def __init__(self, n):
            self.n = n
            held.add(id(self))
            most.append(len(held))

        def __del__(self):
            held.discard(id(self))

    whole = LocalExecutor(1).reduce(
        Part, range(40), lambda parts: Part(sum(p.n for p in parts)), lambda *_: None
    )
    assert whole.n == sum(range(40))
    assert max(most) <= 3
