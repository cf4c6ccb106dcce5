"""What `make bench` is asked for, and the arithmetic of figures that are no times."""

import numpy as np
import pytest

from benchmarks import __main__ as bench
from benchmarks import convergence
from xrfsr_dask.kernels.projection import project_rows


def test_an_unknown_benchmark_is_refused_in_a_sentence(capsys):
    assert bench.main(["steps", "stepps"]) == 2
    said = capsys.readouterr()
    assert "unknown benchmark 'stepps'; choose among: startup, steps" in said.err
    assert not said.out, "nothing runs where a word is wrong"


def test_only_what_is_named_runs(monkeypatch):
    ran = []
    for name in bench.DEFAULT:
        monkeypatch.setitem(bench.DEFAULT, name, lambda name=name: ran.append(name))
    assert bench.main(["seeing", "steps"]) == 0
    assert ran == ["seeing", "steps"]


@pytest.fixture
def problem(monkeypatch):
    """A tiny one: 10 x 10 px, four spots, three atoms a layer, whole spectra kept beside it."""
    monkeypatch.setattr(convergence, "_SHAPE", (10, 10))
    rng = np.random.default_rng(0)
    E, Drgb, X, I = rng.random((6, 8)), rng.random((3, 3)), rng.random((4, 8)), rng.random((100, 3))
    constant = np.square(X).sum() + np.square(I).sum()
    return convergence.Problem(E @ E.T, Drgb @ Drgb.T, X @ E.T, I @ Drgb.T, constant), (E, Drgb, X, I)


def test_the_objective_of_the_convergence_figure_is_that_of_the_paper(problem):
    from benchmarks import plain

    small, (E, Drgb, X, I) = problem
    A = np.random.default_rng(1).dirichlet(np.ones(6), 100)
    S = np.stack([convergence._seen(unit[:, None]).ravel() for unit in np.eye(100)], axis=1)
    cube = A.reshape(10, 10, 6)
    written = plain.objective(
        cube[..., :3], cube[..., 3:], X, I.reshape(10, 10, 3), S, E[:3], E[3:], Drgb, lam=convergence._LAM
    )
    assert small.value(A) == pytest.approx(written, rel=1e-10)


def test_its_gradient_is_that_of_its_objective(problem):
    small, _ = problem
    rng = np.random.default_rng(2)
    A, move = rng.random((100, 6)), rng.normal(size=(100, 6))
    slope = (small.value(A + 1e-4 * move) - small.value(A - 1e-4 * move)) / 2e-4
    assert slope == pytest.approx(2 * np.vdot(small.gradient(A), move), rel=1e-6)


def test_its_projection_is_exact_and_its_steps_descend(problem):
    small, _ = problem
    V = np.random.default_rng(3).normal(size=(100, 6))
    even = V.copy()
    convergence._project(even, np.ones(6))
    np.testing.assert_allclose(even, project_rows(V, exact=True), atol=1e-6)
    start = np.full((100, 6), 1 / 6)
    plain, quick = (
        convergence._descend(small, start, small.own_sizes(), inertia=inertia, most=30)[1]
        for inertia in (False, True)
    )
    assert quick < plain < small.value(start)
