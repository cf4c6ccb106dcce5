"""The abundance step alone, in memory: on a processor, and on a GPU where there is one."""

from __future__ import annotations

import numpy as np

from benchmarks.measure import say, seconds
from benchmarks.tiles import STEPS, noise_tile
from xrfsr_dask.errors import MissingPackageError
from xrfsr_dask.kernels.abundance import abundance_steps
from xrfsr_dask.kernels.abundance_arrays import abundance_steps as in_arrays
from xrfsr_dask.kernels.abundance_arrays import gpu as cupy


def steps() -> None:
    """The step, everything included, against the M x M product alone."""
    side = 250
    for m in (50, 200):
        tile = noise_tile(side, m)
        flat, out = np.ascontiguousarray(tile.A[..., m:]).reshape(-1, m), np.empty((side**2, m), "f4")
        product = seconds(lambda flat=flat, K=tile.Kn, out=out: np.dot(flat, K, out=out))
        for exact in (False, True):
            mats = tile.matrices(exact=exact)
            step = seconds(
                lambda t=tile, m=mats: abundance_steps(
                    t.A.copy(), t.photo, t.spots, m, t.regions, shape=t.shape
                )
            )
            step, prox = step / STEPS, "simplex" if exact else "paper"
            say("abundance step / its sgemm", step / product, atoms=m, prox=prox,
                us_per_px_and_step=round(step / side**2 * 1e6, 3))  # fmt: skip


def gpu(sides: tuple[int, ...] = (250, 1000)) -> None:
    """A visit on a GPU, what is moved there and back included, against the kernel on one core."""
    try:
        device = cupy().cuda.runtime.getDeviceProperties(0)["name"].decode()
    except MissingPackageError as error:
        print(f"left out: {error}")
        return
    for m in (50, 200):
        for side in sides:
            tile = noise_tile(side, m)
            for exact in (False, True):
                given = tile.photo, tile.spots, tile.matrices(exact=exact), tile.regions
                there = seconds(lambda t=tile, g=given: in_arrays(t.A, *g, shape=t.shape))
                here = seconds(lambda t=tile, g=given: abundance_steps(t.A.copy(), *g, shape=t.shape), 1)
                found = in_arrays(tile.A, *given, shape=tile.shape)
                apart = np.abs(found - abundance_steps(tile.A.copy(), *given, shape=tile.shape)).max()
                took = {"ns_per_px_and_step": round(there / side**2 / STEPS * 1e9, 2)}
                say("abundance steps on one core / on a GPU", here / there, atoms=m, px=side**2, **took,
                    prox=("paper", "simplex")[exact], apart=round(float(apart), 8), gpu=device)  # fmt: skip
