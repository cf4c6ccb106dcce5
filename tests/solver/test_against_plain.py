"""The engine against the plain transcription of the paper, from the same start."""

import numpy as np
import pytest
import scipy.sparse as sp
from helpers import small_painting

from benchmarks import plain
from xrfsr_dask.options import RunOptions, SolveOptions
from xrfsr_dask.progress import Silent
from xrfsr_dask.solver import outer, plan_run, state
from xrfsr_dask.solver.passes import scaled_counts
from xrfsr_dask.solver.start import start
from xrfsr_dask.tiling.executor import LocalExecutor


def sampling_matrix(plan):
    """S of every patch stacked, as one sparse matrix."""
    rows = []
    for patch in plan.painting.patches:
        beam = plan.beam(patch)
        fp = beam.footprints(np.arange(beam.spots[0] * beam.spots[1]))
        s, dy, dx = np.nonzero(fp.weight)
        column = (fp.origin[s, 0] + dy) * beam.shape[1] + fp.origin[s, 1] + dx
        shape = (len(fp.origin), beam.shape[0] * beam.shape[1])
        rows.append(sp.csr_matrix((fp.weight[s, dy, dx].astype(float), (s, column)), shape=shape))
    return sp.vstack(rows).tocsr()


def all_counts(plan):
    """X of every patch stacked, scaled, one row per spot."""
    out = []
    for patch in plan.painting.patches:
        X = np.zeros(patch.shape, np.float32)
        for chunk in plan.chunks():
            if chunk.patch == patch.name:
                X[chunk.spots.slices] = scaled_counts(plan, chunk)
        out.append(X.reshape(-1, patch.shape[2]).astype(float))
    return np.concatenate(out)


@pytest.mark.parametrize(
    ("method", "patches"),
    [
        pytest.param("paper", "a", marks=pytest.mark.slow),
        ("paper", "abc"),
        ("baseline1", "abc"),
        pytest.param("baseline2", "abc", marks=pytest.mark.slow),
    ],
)
def test_two_iterations_are_those_of_the_paper(tmp_path, method, patches):
    painting = small_painting(tmp_path / "p.zarr", patches)
    options = SolveOptions(method=method, atoms=5, iterations=2, steps=6, tolerance=0, dictionary_steps=1500)
    plan = plan_run(painting, name="r", options=options, resources=RunOptions(tile=100), slots=1)
    executor, quiet = LocalExecutor(1), Silent()
    with state.locked(plan):
        now = start(plan, executor, quiet)
        D = state.load_dictionaries(plan, 0)
        A = state.open_generation(plan, 0)[:].astype(float)
        S, X, I = sampling_matrix(plan), all_counts(plan), painting.photograph().astype(float)
        n_v, lam = plan.n_visible, 0.0 if method == "baseline1" else 0.1
        Av, Anv, Dv, Dnv, Drgb = A[..., :n_v], A[..., n_v:], D.Dv, D.Dnv, D.Drgb
        for _ in range(2):
            now = outer.project(plan, now, executor, quiet)
            now = outer.update_abundances(plan, now, executor, quiet)
            sums = outer.reduce_statistics(plan, now, executor, quiet)
            now = outer.update_dictionaries(plan, now, sums)
            for _ in range(options.steps):
                Av, Anv = plain.abundance_step(Av, Anv, X, I, S, Dv, Dnv, Drgb, lam=0.1, gamma=1.01)
            Dv, Dnv, Drgb = plain.dictionary_steps(
                Av, Anv, X, I, S, Dv, Dnv, Drgb, lam=lam, gamma=1.01, steps=1500
            )
        got = state.open_generation(plan, now.generation)[:]
        np.testing.assert_allclose(got, np.concatenate([Av, Anv], -1), atol=2e-3)
        value = plain.objective(Av, Anv, X, I, S, Dv, Dnv, Drgb, lam=0.1)
        assert now.history[-1]["objective"] == pytest.approx(value, rel=1e-4)
