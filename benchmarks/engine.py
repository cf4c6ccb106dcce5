"""What the engine adds to its kernels, and what it gains on the plain transcription."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from benchmarks import paintings, plain
from benchmarks.measure import say, seconds, used
from xrfsr_dask.cluster import executor_for
from xrfsr_dask.kernels.abundance import abundance_steps
from xrfsr_dask.kernels.abundance_spots import TileSpots
from xrfsr_dask.kernels.sampling import needed_bounds
from xrfsr_dask.options import RunOptions, SolveOptions
from xrfsr_dask.progress import Silent
from xrfsr_dask.solver import Plan, outer, passes, plan_run, state
from xrfsr_dask.solver.passes import advance_tile
from xrfsr_dask.solver.start import start
from xrfsr_dask.solver.visit import visit
from xrfsr_dask.tiling.executor import Executor, LocalExecutor
from xrfsr_dask.tiling.grid import Rect


def against_plain() -> None:
    """One outer iteration of the engine, disk included, against the plain transcription; one core."""
    ny, nx, n_channel, atoms = 345, 490, 1024, 50
    with tempfile.TemporaryDirectory() as folder:
        painting = paintings.noise(Path(folder) / "p.zarr", (ny, nx), n_channel)
        options = SolveOptions(method="paper", atoms=atoms, steps=10, tolerance=0, dictionary_steps=20)
        run = plan_run(painting, name="r", options=options, resources=RunOptions(), slots=1)
        quiet, executor = Silent(), LocalExecutor(1)
        with state.locked(run):
            begun = start(run, executor, quiet)
            D, A = state.load_dictionaries(run, 0), state.open_generation(run, 0)[:].astype(float)

            def ours() -> None:
                nonlocal begun
                now = outer.project(run, begun, executor, quiet)
                now = outer.update_abundances(run, now, executor, quiet)
                begun = outer.update_dictionaries(run, now, outer.reduce_statistics(run, now, executor, quiet))

            S, X = _sampling(run), painting.patches[0].counts()[:].reshape(-1, n_channel) / run.scale
            I = painting.photograph().astype(float)

            def theirs() -> None:
                V, N = A[..., :atoms], A[..., atoms:]
                for _ in range(10):
                    V, N = plain.abundance_step(V, N, X, I, S, D.Dv, D.Dnv, D.Drgb, lam=0.1, gamma=1.01)
                plain.dictionary_steps(V, N, X, I, S, D.Dv, D.Dnv, D.Drgb, lam=0.1, gamma=1.01, steps=20)

            say("plain transcription / engine, one outer iteration", seconds(theirs, 1) / seconds(ours, 3),
                px=ny * nx, channels=n_channel, atoms=atoms)  # fmt: skip


def _sampling(run: Plan) -> sp.csr_matrix:
    """S of the only patch."""
    beam = run.beam(run.painting.patches[0])
    fp = beam.footprints(np.arange(beam.spots[0] * beam.spots[1]))
    s, dy, dx = np.nonzero(fp.weight)
    columns = (fp.origin[s, 0] + dy) * beam.shape[1] + fp.origin[s, 1] + dx
    return sp.csr_matrix((fp.weight[s, dy, dx], (s, columns)), shape=(len(fp.origin), np.prod(beam.shape)))


def overhead() -> None:
    """CPU of one visit to all tiles, disk and halo included, against the bare kernel on the same tiles."""
    size, atoms = 1000, 50
    with tempfile.TemporaryDirectory() as folder:
        painting = paintings.noise(Path(folder) / "p.zarr", (size, size), 64)
        options = SolveOptions(method="paper", atoms=atoms, tolerance=0, dictionary_steps=5)
        resources = RunOptions(tile=500, memory=2 * 10**9)
        run = plan_run(painting, name="r", options=options, resources=resources, slots=2)
        n_step = run.visits()[0]
        quiet = Silent()
        with state.locked(run):
            begun = outer.project(run, start(run, LocalExecutor(2), quiet), LocalExecutor(2), quiet)
            bare = _bare_cpu(run, begun, n_step)

            def visited(executor: Executor) -> float:
                """CPU seconds of a visit that begins with nothing written, worker processes included."""
                shutil.rmtree(run.work / f"gen-{begun.generation + n_step:06d}", ignore_errors=True)
                task = partial(advance_tile, run, begun.generation, begun.dictionary, n_step)
                with used() as spent:
                    visit(run, begun.generation + n_step, task, executor, quiet, origin="bench")
                return spent.cpu

            for name, where in (("threads", {}), ("processes", {"processes": True})):
                with executor_for(RunOptions(workers=2, memory=2 * 10**9, **where)) as executor:
                    visited(executor)
                    spent = statistics.median(visited(executor) for _ in range(3))
                say(f"CPU of a visit / bare kernel, {name}", spent / bare, px=size**2, atoms=atoms, tile=500,
                    steps=n_step, bare_us_per_px_and_step=round(bare / size**2 / n_step * 1e6, 3))  # fmt: skip


def _bare_cpu(run: Plan, begun: state.State, n_step: int) -> float:
    """CPU seconds of the kernel alone on the tiles, no halo updated; all it reads is in memory."""
    matrices = passes._matrices(run, begun.dictionary)
    spent = np.zeros(3)
    (patch,) = run.painting.patches
    beam, array = run.beam(patch), state.open_generation(run, begun.generation)
    windows = beam.windows()
    for tile in run.tiles():
        tile_and_beside = needed_bounds(tile, [], steps=1, margin=run.margin, shape=run.painting.shape)
        around = Rect(*tile_and_beside[-1]).slices
        A, photo = np.asarray(array[around]), run.painting.photograph(around)
        inside = np.flatnonzero((windows[:, 0] >= tile.y0) & (windows[:, 1] <= tile.y1)
                                & (windows[:, 2] >= tile.x0) & (windows[:, 3] <= tile.x1))  # fmt: skip
        C = passes._projected(run, begun.dictionary, patch.name, inside, beam.spots)
        spots = [TileSpots(beam.footprints(inside), windows[inside], C, run.gain(patch))]
        shape, regions = run.painting.shape, [tuple(tile)] * n_step + tile_and_beside[1:]
        for i in range(len(spent)):
            copy, before = A.copy(), time.process_time()
            abundance_steps(copy, photo, spots, matrices, regions, shape=shape)
            spent[i] += time.process_time() - before
    return float(np.median(spent))
