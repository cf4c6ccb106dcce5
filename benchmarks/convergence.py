"""Abundance steps to the same objective, dictionaries held: the paper's step sizes against accelerated ones.

The paper's own step (15a) leaves the counts out of the visible gradient, so that its iterates do not go to the
minimum of (9) at all. Both sides here therefore follow the whole gradient of (9), projected exactly; only the
sizes of the steps, and inertia, differ. Nothing of this is in the package: what it would be worth.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit

from benchmarks import paintings
from benchmarks.measure import say
from xrfsr_dask.kernels.smoothness import difference, difference_adjoint
from xrfsr_dask.options import RunOptions, SolveOptions
from xrfsr_dask.progress import Silent
from xrfsr_dask.solver import plan_run, state
from xrfsr_dask.solver.start import start
from xrfsr_dask.tiling.executor import LocalExecutor

_SHAPE, _ATOMS, _LAM, _GAMMA = (50, 75), 20, 0.1, 1.01
_MOST = 20_000
_NEAR = 1.001  # of the minimum
_LOOKED = 10  # steps between looks at the objective


@dataclass(frozen=True)
class Problem:
    """(9) in A, with D fixed, through small matrices alone: A is (n_px, 2 m), visible atoms first."""

    K: np.ndarray
    """(2 m, 2 m): E E^T of all endmembers."""
    R: np.ndarray
    """(m, m): Drgb Drgb^T."""
    C: np.ndarray
    """(n_spot, 2 m): X E^T."""
    CI: np.ndarray
    """(n_px, m): I Drgb^T."""
    constant: float
    """|X|^2 + |I|^2."""

    def value(self, A: np.ndarray) -> float:
        """The objective."""
        data, colour, rough = self._residuals(A)
        m = len(self.R)
        value = self.constant + np.vdot(_seen(A), data - self.C) + np.vdot(A[:, :m], colour - self.CI)
        return float(value + np.vdot(A[:, m:], rough))

    def gradient(self, A: np.ndarray) -> np.ndarray:
        """Half of its gradient."""
        data, colour, rough = self._residuals(A)
        out = _seen_adjoint(data)
        out[:, : len(self.R)] += colour
        out[:, len(self.R) :] += rough
        return out

    def _residuals(self, A: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        m = len(self.R)
        N = A[:, m:].reshape(*_SHAPE, m)
        rough = _LAM * difference_adjoint(difference(N)).reshape(-1, m) @ self.K[m:, m:]
        return _seen(A) @ self.K - self.C, A[:, :m] @ self.R - self.CI, rough

    def paper_sizes(self) -> np.ndarray:
        """1 / step of each atom as (15) has it."""
        m = len(self.R)
        sizes = np.linalg.norm(self.R), np.linalg.norm(self.K[m:, m:])
        return _GAMMA * np.repeat(sizes, m)

    def own_sizes(self) -> np.ndarray:
        """1 / step of each atom: its share of the curvature, scaled by the largest eigenvalue that is left."""
        m, seen = len(self.R), 1 / paintings.FACTOR**2  # |S^T S|
        curvature = seen * self.K
        curvature[:m, :m] += self.R
        curvature[m:, m:] += 8 * _LAM * self.K[m:, m:]
        sizes = np.abs(curvature).sum(axis=1)
        root = 1 / np.sqrt(np.maximum(sizes, 1e-9 * sizes.max()))
        return np.linalg.norm(root[:, None] * curvature * root, 2) / root**2


def convergence() -> None:
    """Steps until the objective is within 0.1 % of its minimum, from the start (13)."""
    problem, A = _from_the_start()
    own, paper = problem.own_sizes(), problem.paper_sizes()
    _, least = _descend(problem, A, own, inertia=True, most=3000)
    target = _NEAR * least
    ours, _ = _descend(problem, A, own, inertia=True, most=_MOST, target=target)
    alone, _ = _descend(problem, A, own, inertia=False, most=_MOST, target=target)
    theirs, reached = _descend(problem, A, paper, inertia=False, most=_MOST, target=target)
    say("abundance steps to 0.1 % of the minimum, paper's sizes / accelerated", theirs / ours,
        paper=theirs, sizes_alone=alone, accelerated=ours, paper_ends_at=round(reached / least, 4), goal=10,
        px=_SHAPE[0] * _SHAPE[1], atoms=_ATOMS, smoothness=_LAM)  # fmt: skip


def _from_the_start() -> tuple[Problem, np.ndarray]:
    """Dictionaries and abundances of (13), by the engine."""
    scene = paintings.room(_SHAPE, 256)
    with tempfile.TemporaryDirectory() as folder:
        painting = paintings.stored(Path(folder) / "p.zarr", scene.photo, scene.counts, scene.energy_kev)
        options = SolveOptions(method="paper", atoms=_ATOMS)
        run = plan_run(painting, name="r", options=options, resources=RunOptions(memory=2 * 10**9), slots=1)
        with state.locked(run):
            start(run, LocalExecutor(1), Silent())
            D, A = state.load_dictionaries(run, 0), state.open_generation(run, 0)[:].astype(float)
        X = scene.counts.reshape(-1, scene.counts.shape[2]).astype(float) / run.scale
        I = painting.photograph().reshape(-1, 3).astype(float)
    E, Drgb = np.concatenate([D.Dv, D.Dnv]), np.asarray(D.Drgb)
    constant = np.square(X).sum() + np.square(I).sum()
    return Problem(E @ E.T, Drgb @ Drgb.T, X @ E.T, I @ Drgb.T, constant), A.reshape(len(I), -1)


def _descend(
    problem: Problem,
    A: np.ndarray,
    sizes: np.ndarray,
    *,
    inertia: bool,
    most: int,
    target: float = -np.inf,
) -> tuple[int, float]:
    """Projected gradients, with inertia that restarts where it points uphill: steps taken, objective then."""
    ahead, t, value = A, 1.0, np.inf
    for k in range(1, most + 1):
        new = ahead - problem.gradient(ahead) / sizes
        _project(new, 1 / sizes)
        if np.vdot((ahead - new) * sizes, new - A) > 0:
            t = 1.0
        further = (1 + np.sqrt(1 + 4 * t * t)) / 2 if inertia else 1.0
        ahead, A, t = new + (t - 1) / further * (new - A), new, further
        if k % _LOOKED == 0 or k == most:
            value = problem.value(A)
            if value < target:
                break
    return k, value


@njit(cache=True)
def _project(V, share):  # type: ignore[no-untyped-def]
    """Rows onto the simplex, in place: the nearest point where atom j counts 1 / share[j]."""
    for i in range(V.shape[0]):
        v = V[i]
        level = (v.sum() - 1.0) / share.sum()
        while True:
            total, width = -1.0, 0.0
            for j in range(v.size):
                if v[j] > level * share[j]:
                    total += v[j]
                    width += share[j]
            nearer = total / width
            if nearer - level <= 1e-14 * abs(level):
                break
            level = nearer
        for j in range(v.size):
            v[j] = max(v[j] - level * share[j], 0.0)


def _seen(A: np.ndarray) -> np.ndarray:
    """S A."""
    f = paintings.FACTOR
    ny, nx = _SHAPE[0] // f, _SHAPE[1] // f
    return A.reshape(ny, f, nx, f, -1).mean(axis=(1, 3)).reshape(ny * nx, -1)


def _seen_adjoint(R: np.ndarray) -> np.ndarray:
    """S^T R."""
    f = paintings.FACTOR
    wide = R.reshape(_SHAPE[0] // f, _SHAPE[1] // f, -1) / f**2
    return wide.repeat(f, axis=0).repeat(f, axis=1).reshape(-1, R.shape[1])
