"""``make bench``: one JSON line per figure, each a ratio taken in the same run, medians over repeats."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from benchmarks import plain, seeing
from xrfsr_dask.cluster import executor_for
from xrfsr_dask.kernels.abundance import TileSpots, abundance_steps, step_matrices
from xrfsr_dask.kernels.sampling import Beam
from xrfsr_dask.options import RunOptions, SolveOptions
from xrfsr_dask.progress import Silent
from xrfsr_dask.solver import Plan, outer, passes, plan_run, state
from xrfsr_dask.solver.passes import advance_tile
from xrfsr_dask.solver.start import start
from xrfsr_dask.solver.visit import visit
from xrfsr_dask.store import PatchSpec, add_patch, create_painting, open_painting, placement
from xrfsr_dask.tiling.executor import Executor, LocalExecutor

REPEATS = 5


def say(name: str, value: float, **context: object) -> None:
    """One figure."""
    print(json.dumps({"figure": name, "value": round(value, 3), **context}), flush=True)


def seconds(call: Callable[[], object], repeats: int = REPEATS) -> float:
    """Median wall time of a call, after one to warm up."""
    call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def aligned_beam(ny: int, nx: int, factor: int = 5) -> Beam:
    """A scan aligned with the grid."""
    transform = np.diag([factor, factor, 1.0])
    transform[:2, 2] = factor / 2
    return Beam(transform, (ny // factor, nx // factor), (ny, nx))


def step_against_sgemm() -> None:
    """The abundance step, everything included, against the M x M product alone."""
    rng = np.random.default_rng(0)
    for m in (50, 200):
        beam = aligned_beam(250, 250)
        A = rng.dirichlet(np.ones(2 * m), beam.shape).astype("f4")
        I = rng.random((*beam.shape, 3)).astype("f4")
        Dv, Dnv, Drgb = rng.random((m, 256)), rng.random((m, 256)), rng.random((m, 3))
        windows = beam.windows()
        spots = [TileSpots(beam.footprints(np.arange(2500)), windows, rng.random((2500, m), "f4"), 1.0)]
        K = (Dnv @ Dnv.T).astype("f4")
        flat, out = np.ascontiguousarray(A[..., m:]).reshape(-1, m), np.empty((62500, m), "f4")
        product = seconds(lambda flat=flat, K=K, out=out: np.dot(flat, K, out=out))
        for exact in (False, True):
            mats = step_matrices(K, Dv @ Dnv.T, Drgb, lam=0.1, gamma=1.01, exact=exact)
            regions = [(0, 250, 0, 250)] * 4
            step = seconds(
                lambda A=A, I=I, s=spots, m=mats, r=regions: abundance_steps(
                    A.copy(), I, s, m, r, shape=(250, 250)
                )
            )
            say("abundance step / its sgemm", step / 3 / product, atoms=m, prox="simplex" if exact else "paper",
                us_per_px_and_step=round(step / 3 / 62500 * 1e6, 3))  # fmt: skip


def iteration_against_plain() -> None:
    """One outer iteration of the engine, disk included, against the plain transcription; one core."""
    rng = np.random.default_rng(0)
    ny, nx, n_channel, atoms = 150, 200, 256, 50
    beam = aligned_beam(ny, nx)
    counts = rng.poisson(2.0, (ny // 5, nx // 5, n_channel)).astype("u2")
    photo = rng.integers(0, 255, (ny, nx, 3)).astype("u1")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.zarr"
        create_painting(path, photo, width_mm=nx / 5, transfer="linear")
        spec = PatchSpec(shape=counts.shape, dtype="u2", transform=placement(at_mm=(0, 0), step_mm=1.0),
                         energy_kev=np.arange(n_channel) * 0.04)  # fmt: skip
        add_patch(path, "a", spec, ((r, counts[r : r + 32]) for r in range(0, len(counts), 32)))
        options = SolveOptions(method="paper", atoms=atoms, steps=10, tolerance=0, dictionary_steps=20)
        run = plan_run(open_painting(path), name="r", options=options, resources=RunOptions(), slots=1)
        quiet, executor = Silent(), LocalExecutor(1)
        with state.locked(run):
            begun = start(run, executor, quiet)
            D, A = state.load_dictionaries(run, 0), state.open_generation(run, 0)[:].astype(float)

            def ours() -> None:
                nonlocal begun
                now = outer.project(run, begun, executor, quiet)
                now = outer.update_abundances(run, now, executor, quiet)
                begun = outer.update_dictionaries(run, now, outer.reduce_statistics(run, now, executor, quiet))

            fp = beam.footprints(np.arange(counts.shape[0] * counts.shape[1]))
            s, dy, dx = np.nonzero(fp.weight)
            columns = (fp.origin[s, 0] + dy) * nx + fp.origin[s, 1] + dx
            S = sp.csr_matrix((fp.weight[s, dy, dx], (s, columns)), shape=(len(fp.origin), ny * nx))
            X, I = counts.reshape(-1, n_channel) / run.scale, photo / 255
            Av, Anv = A[..., :atoms], A[..., atoms:]

            def theirs() -> None:
                V, N = Av, Anv
                for _ in range(10):
                    V, N = plain.abundance_step(V, N, X, I, S, D.Dv, D.Dnv, D.Drgb, lam=0.1, gamma=1.01)
                plain.dictionary_steps(V, N, X, I, S, D.Dv, D.Dnv, D.Drgb, lam=0.1, gamma=1.01, steps=20)

            say("plain transcription / engine, one outer iteration", seconds(theirs, 1) / seconds(ours, 3),
                px=ny * nx, channels=n_channel, atoms=atoms)  # fmt: skip


def overhead_of_the_engine() -> None:
    """CPU of one visit to all tiles, disk and halo included, against the bare kernel on the same tiles."""
    rng, size, atoms, steps = np.random.default_rng(0), 1000, 50, 5
    counts = rng.poisson(2.0, (size // 5, size // 5, 64)).astype("u2")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.zarr"
        photo = rng.integers(0, 255, (size, size, 3)).astype("u1")
        create_painting(path, photo, width_mm=size / 5, transfer="linear")
        spec = PatchSpec(shape=counts.shape, dtype="u2", transform=placement(at_mm=(0, 0), step_mm=1.0),
                         energy_kev=np.arange(64) * 0.3)  # fmt: skip
        add_patch(path, "a", spec, ((r, counts[r : r + 32]) for r in range(0, len(counts), 32)))
        options = SolveOptions(method="paper", atoms=atoms, steps=steps, tolerance=0, dictionary_steps=5)
        resources = RunOptions(tile=500, memory=2 * 10**9)
        run = plan_run(open_painting(path), name="r", options=options, resources=resources, slots=2)
        quiet = Silent()
        with state.locked(run):
            begun = outer.project(run, start(run, LocalExecutor(2), quiet), LocalExecutor(2), quiet)
            bare = _bare_cpu(run, begun, steps)

            def visited(executor: Executor) -> float:
                """CPU seconds of a visit that begins with nothing written, worker processes included."""
                shutil.rmtree(run.work / "gen-000001", ignore_errors=True)
                task = partial(advance_tile, run, begun.generation, begun.dictionary, steps)
                before = _cpu()
                visit(run, begun.generation + 1, task, executor, quiet, origin="bench")
                return _cpu() - before

            for name, where in (("threads", {}), ("processes", {"processes": True})):
                with executor_for(RunOptions(workers=2, memory=2 * 10**9, **where)) as executor:
                    visited(executor)
                    used = statistics.median(visited(executor) for _ in range(3))
                say(f"CPU of a visit / bare kernel, {name}", used / bare, px=size**2, atoms=atoms, tile=500,
                    bare_us_per_px_and_step=round(bare / size**2 / steps * 1e6, 3))  # fmt: skip


def _bare_cpu(run: Plan, begun: state.State, steps: int) -> float:
    """CPU seconds of the kernel alone on the tiles, without halo; all it reads is in memory."""
    matrices, used = passes._matrices(run, begun.dictionary), []
    (patch,) = run.painting.patches
    beam, array = run.beam(patch), state.open_generation(run, begun.generation)
    windows = beam.windows()
    for tile in run.tiles():
        A, photo = np.asarray(array[tile.slices]), run.painting.photograph(tile.slices)
        inside = np.flatnonzero((windows[:, 0] >= tile.y0) & (windows[:, 1] <= tile.y1)
                                & (windows[:, 2] >= tile.x0) & (windows[:, 3] <= tile.x1))  # fmt: skip
        C = passes._projected(run, begun.dictionary, patch.name, inside, beam.spots)
        spots = [TileSpots(beam.footprints(inside), windows[inside], C, run.gain(patch))]
        shape, regions = run.painting.shape, [tuple(tile)] * (steps + 1)
        times = []
        for _ in range(3):
            copy, before = A.copy(), time.process_time()
            abundance_steps(copy, photo, spots, matrices, regions, shape=shape)
            times.append(time.process_time() - before)
        used.append(min(times))
    return sum(used)


def _cpu() -> float:
    """CPU seconds of this process and of all it started."""
    me = psutil.Process()
    return sum(sum(p.cpu_times()[:2]) for p in [me, *me.children(recursive=True)])


def import_times() -> None:
    """How long a user waits before anything happens."""
    for name, command in {
        "import xrfsr_dask, s": [sys.executable, "-c", "import xrfsr_dask"],
        "xrfsr --help, s": [sys.executable, "-m", "xrfsr_dask", "--help"],
    }.items():
        bare = seconds(lambda: subprocess.run([sys.executable, "-c", ""], check=True))
        whole = seconds(lambda c=command: subprocess.run(c, check=True, stdout=subprocess.DEVNULL))
        say(name, whole, beyond_a_bare_interpreter=round(whole - bare, 3))


if __name__ == "__main__":
    with threadpool_limits(1):
        import_times()
        step_against_sgemm()
        iteration_against_plain()
        overhead_of_the_engine()
    with tempfile.TemporaryDirectory() as folder:
        seeing.seeing(folder)
