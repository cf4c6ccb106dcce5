"""The abundance step alone, in memory."""

from __future__ import annotations

import numpy as np

from benchmarks.measure import say, seconds
from benchmarks.paintings import FACTOR
from xrfsr_dask.kernels.abundance import TileSpots, abundance_steps, step_matrices
from xrfsr_dask.kernels.sampling import Beam

_STEPS = 10  # of one visit, as the engine takes them


def steps() -> None:
    """The step, everything included, against the M x M product alone."""
    rng, side = np.random.default_rng(0), 250
    beam = _aligned_beam(side, side)
    windows, index = beam.windows(), np.arange((side // FACTOR) ** 2)
    for m in (50, 200):
        A = rng.dirichlet(np.ones(2 * m), beam.shape).astype("f4")
        I = rng.random((*beam.shape, 3)).astype("f4")
        Dv, Dnv, Drgb = rng.random((m, 256)), rng.random((m, 256)), rng.random((m, 3))
        spots = [TileSpots(beam.footprints(index), windows, rng.random((len(index), m), "f4"), 1.0)]
        K = (Dnv @ Dnv.T).astype("f4")
        flat, out = np.ascontiguousarray(A[..., m:]).reshape(-1, m), np.empty((side**2, m), "f4")
        product = seconds(lambda flat=flat, K=K, out=out: np.dot(flat, K, out=out))
        for exact in (False, True):
            mats = step_matrices(K, Dv @ Dnv.T, Drgb, lam=0.1, gamma=1.01, exact=exact)
            regions = [(0, side, 0, side)] * (_STEPS + 1)
            step = seconds(
                lambda A=A, I=I, s=spots, m=mats, r=regions: abundance_steps(
                    A.copy(), I, s, m, r, shape=(side, side)
                )
            )
            step, prox = step / _STEPS, "simplex" if exact else "paper"
            say("abundance step / its sgemm", step / product, atoms=m, prox=prox,
                us_per_px_and_step=round(step / side**2 * 1e6, 3))  # fmt: skip


def _aligned_beam(ny: int, nx: int) -> Beam:
    """A scan aligned with the grid."""
    transform = np.diag([FACTOR, FACTOR, 1.0])
    transform[:2, 2] = FACTOR / 2
    return Beam(transform, (ny // FACTOR, nx // FACTOR), (ny, nx))
