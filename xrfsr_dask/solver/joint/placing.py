"""Where scans lie against the photograph: found from the spots, and what is done about one out of place.

A scan that is out of place by a px or more would have wrong details drawn into it, which does more harm than no
photograph. It is not moved; it is told, and the photograph is smoothed by as much wherever that scan speaks.
"""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np

from xrfsr_dask.errors import PlacementWarning
from xrfsr_dask.kernels.displacement import (
    Displacement,
    Shift,
    ShiftSums,
    colour_terms,
    displacement,
    is_out_of_place,
    shift_sums,
    square_of_shifts,
)
from xrfsr_dask.kernels.sampling import Footprints
from xrfsr_dask.progress import Progress, ticking
from xrfsr_dask.solver.joint import model
from xrfsr_dask.solver.joint.spots import write_features
from xrfsr_dask.solver.run import Chunk, Plan
from xrfsr_dask.solver.standing import State
from xrfsr_dask.store.arrays import read_finite
from xrfsr_dask.store.patches import Patch
from xrfsr_dask.store.results import displaced
from xrfsr_dask.tiling.executor import Done, Executor
from xrfsr_dask.tiling.grid import Rect
from xrfsr_dask.tiling.sums import Sums, merge, quantised

CHUNKS = 6
"""Chunks of a patch that are asked, at most."""

_REACH = 1.5  # steps of the scan: how far away a patch is sought
_FAR = 6.0  # steps: where it is sought if it was not found nearby
_SURE = 1.0  # log det that a place so far away must explain


def asked_chunks(plan: Plan, patch: str) -> list[Chunk]:
    """Chunks drawn from all over a patch, `CHUNKS` at most."""
    chunks = [chunk for chunk in plan.chunks() if chunk.patch == patch]
    drawn = np.random.default_rng(len(chunks)).permutation(len(chunks))[:CHUNKS]
    return [chunks[i] for i in np.sort(drawn)]


def place(plan: Plan, state: State, executor: Executor, progress: Progress) -> State:
    """Displacement of every patch; under those out of place, S phi anew, of a photograph that is smoothed."""
    found, smoothing = {}, {}
    pitch = plan.painting.pitch_mm
    for patch in plan.painting.patches:
        step_px = patch.step_mm / pitch
        told = _measured(plan, patch, _REACH, executor, ticking(progress))
        if told is None:  # perhaps it lies far away
            wide = _measured(plan, patch, _FAR, executor, lambda *_: None)
            told = wide if wide is not None and wide.gain > _SURE else None
        if told is None:
            continue
        y, x = found[patch.name] = [round(v, 2) for v in told.offset]
        if is_out_of_place(told, step_px):
            smoothing[patch.name] = round(min(step_px, float(np.hypot(y, x))), 2)
            warnings.warn(displaced(patch.name, y, x, pitch), PlacementWarning, stacklevel=2)
    if smoothing:
        model.new_spots(plan, model.SMOOTHED, model.load_colours(plan).n, smoothing)
    for name, px in smoothing.items():
        again = [chunk for chunk in plan.chunks() if chunk.patch == name]
        executor.map(partial(write_features, plan, model.SMOOTHED, px), again, lambda *_: None)
    model.save_placing(plan, found, smoothing)
    return state


def _measured(plan: Plan, patch: Patch, reach: float, executor: Executor, done: Done) -> Displacement | None:
    """The displacement of a patch, sought up to `reach` steps away; None where it cannot be told."""
    limits = model.load_limits(plan)
    n = patch.shape[0] * patch.shape[1]
    bound = max(1.0, 8.0 * n * max(1.0, limits["score"]) ** 2 / min(1.0, limits["variance"]))
    task = partial(displacement_sums, plan, reach, bound)
    sums = executor.reduce(task, asked_chunks(plan, patch.name), merge, done)
    shifts, apart = _shifts(plan, patch, reach)
    return displacement(ShiftSums(**sums), shifts, apart)  # type: ignore[arg-type]


def _shifts(plan: Plan, patch: Patch, reach: float) -> tuple[list[Shift], int]:
    return square_of_shifts(reach * patch.step_mm / plan.painting.pitch_mm)


def displacement_sums(plan: Plan, reach: float, bound: float, chunk: Chunk) -> Sums:
    """`shift_sums` of the spots of one chunk that stay inside the painting under all shifts."""
    patch = plan.painting.patch(chunk.patch)
    shifts, _ = _shifts(plan, patch, reach)
    scores, variance = (
        read_finite(model.open_spots(plan, name, chunk.patch), chunk.spots.slices).astype(np.float64)
        for name in ("scores", "variance")
    )
    k = colour_terms(np.zeros((1, 1, plan.painting.n_band), np.float32)).shape[-1]
    found = []
    for block in plan.spot_blocks(chunk, 3 * k):
        at = block.within((chunk.spots.y0, chunk.spots.x0))
        found.append(_block_sums(plan, patch, block, shifts, scores[at], 1.0 / variance[at].mean(axis=-1)))
    whole = [sum(np.asarray(part) for part in parts) for parts in zip(*found, strict=True)]
    names = ShiftSums._fields
    return {name: quantised(np.asarray(v), bound) for name, v in zip(names, whole, strict=True)}


def _block_sums(
    plan: Plan,
    patch: Patch,
    block: Rect,
    shifts: list[Shift],
    scores: np.ndarray,
    weight: np.ndarray,
) -> ShiftSums:
    """`shift_sums` of a block of spots with scores (ny, nx, r) and weights (ny, nx)."""
    reach, size = shifts[-1][0], plan.painting.shape
    y, x = np.mgrid[block.slices]
    footprints = plan.beam(patch).footprints((y * patch.shape[1] + x).ravel())
    low, high = footprints.origin - reach, footprints.origin + footprints.weight.shape[1:] + reach
    inside = (low >= 0).all(axis=1) & (high <= size).all(axis=1)
    seen = Rect(0, 1, 0, 1)  # any pixel, where no spot is inside
    if inside.any():
        (y0, x0), (y1, x1) = low[inside].min(axis=0), high[inside].max(axis=0)
        seen = Rect(int(y0), int(y1), int(x0), int(x1))
    return shift_sums(
        scores.reshape(-1, scores.shape[-1])[inside],
        weight.ravel()[inside],
        colour_terms(plan.painting.photograph(seen.slices)),
        Footprints(footprints.origin[inside], footprints.weight[inside]),
        (seen.y0, seen.x0),
        shifts,
    )
