"""A tile in memory for the abundance step alone: noise, and a scan aligned with the grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xrfsr_dask.kernels.abundance import StepMatrices, step_matrices
from xrfsr_dask.kernels.abundance_spots import TileSpots
from xrfsr_dask.kernels.sampling import Beam, Bounds

FACTOR = 5  # HR px per spot
STEPS = 10  # of one visit, as the engine takes them


@dataclass(frozen=True)
class NoiseTile:
    """What `abundance_steps` is given: a whole painting of noise."""

    A: np.ndarray
    photo: np.ndarray
    spots: list[TileSpots]
    Kn: np.ndarray
    Kvn: np.ndarray
    Drgb: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)"""
        ny, nx = self.photo.shape[:2]
        return ny, nx

    @property
    def regions(self) -> list[Bounds]:
        """Of `STEPS` steps."""
        return [(0, self.shape[0], 0, self.shape[1])] * (STEPS + 1)

    def matrices(self, *, exact: bool) -> StepMatrices:
        """With either projection."""
        return step_matrices(self.Kn, self.Kvn, self.Drgb, lam=0.1, gamma=1.01, exact=exact)


def noise_tile(side: int, atoms: int) -> NoiseTile:
    """A square of `side` px with `atoms` visible and as many hidden endmembers."""
    rng, m = np.random.default_rng(0), atoms
    transform = np.diag([FACTOR, FACTOR, 1.0])
    transform[:2, 2] = FACTOR / 2
    beam = Beam(transform, (side // FACTOR, side // FACTOR), (side, side))
    windows, index = beam.windows(), np.arange((side // FACTOR) ** 2)
    A = rng.random((side, side, 2 * m), np.float32) ** 8
    A /= A.sum(axis=-1, keepdims=True)
    I = rng.random((side, side, 3), np.float32)
    Dv, Dnv, Drgb = rng.random((m, 256)), rng.random((m, 256)), rng.random((m, 3))
    spots = [TileSpots(beam.footprints(index), windows, rng.random((len(index), m), "f4"), 1.0)]
    return NoiseTile(A, I, spots, (Dnv @ Dnv.T).astype("f4"), Dv @ Dnv.T, Drgb)
