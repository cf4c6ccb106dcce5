"""The start of a run (13): dictionaries from a sample of spots, then codes of all spots, then upsampling."""

from __future__ import annotations

from functools import partial

import numpy as np
import zarr

from xrfsr_dask.beams import centres_mm, in_spots, within
from xrfsr_dask.kernels.dictionary import Dictionaries
from xrfsr_dask.kernels.initial import codes_from_products, interpolate, learn_coupled
from xrfsr_dask.progress import Progress, ticking
from xrfsr_dask.solver.passes import chunk_window, scaled_counts
from xrfsr_dask.solver.run import Chunk, Plan
from xrfsr_dask.solver.standing import State
from xrfsr_dask.solver.state import (
    load_matrix,
    new_generation,
    new_spot_arrays,
    open_generation,
    save,
    save_dictionaries,
)
from xrfsr_dask.store.arrays import new_group, open_array, open_group, read_finite, write
from xrfsr_dask.tiling.executor import Executor
from xrfsr_dask.tiling.grid import Rect, cells_of

_CHUNKS_READ = 96  # at most, for the sample: enough to see all of a painting, few enough to stay cheap


def start(plan: Plan, executor: Executor, progress: Progress) -> State:
    """Dictionary 0 and generation 0, saved as the first checkpoint.

    Baseline #1 begins with (31), which is (13) without the photograph.
    """
    Il, X = sample_spots(plan)
    o = plan.options
    seen = Il if plan.n_visible else Il[:, :0]
    Drgb, D = learn_coupled(seen, X, atoms=o.atoms, beta=o.sparsity, seed=o.seed)
    Drgb = Drgb if plan.n_visible else np.zeros((0, Il.shape[1]))
    del Il, X, seen
    save_dictionaries(plan, 0, Dictionaries(Dv=D[: plan.n_visible], Dnv=D[: plan.n_hidden], Drgb=Drgb))
    new_spot_arrays(plan, new_group(plan.work / "start", overwrite=True), o.atoms)
    executor.map(partial(code_spots, plan), plan.chunks(), ticking(progress))
    new_generation(plan, 0)
    executor.map(partial(upsample_codes, plan), plan.tiles(), ticking(progress))
    return save(plan, State())


def mean_spectrum(plan: Plan) -> np.ndarray:
    """Mean counts per spot at relative gain 1, float64 (n_channel,)."""
    patches = plan.painting.patches
    n = [patch.shape[0] * patch.shape[1] for patch in patches]
    total = sum(k * patch.mean_spectrum() / plan.gain(patch) for k, patch in zip(n, patches, strict=True))
    return np.asarray(total) / sum(n)


def sample_spots(plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Photograph Il (n, n_band) and counts X (n, n_channel), scaled, of at most ``start_spots`` spots.

    Spots are drawn at random, evenly over chunks that are themselves drawn at random where there are many.
    """
    rng = np.random.default_rng(plan.options.seed)
    chunks = plan.chunks()
    if len(chunks) > _CHUNKS_READ:
        chunks = [chunks[i] for i in np.sort(rng.choice(len(chunks), _CHUNKS_READ, replace=False))]
    sizes = np.array([chunk.spots.shape[0] * chunk.spots.shape[1] for chunk in chunks])
    share = np.minimum(1.0, plan.options.start_spots / sizes.sum())
    colours, counts = [], []
    for chunk, size in zip(chunks, sizes, strict=True):
        picked = np.sort(rng.choice(size, max(1, int(share * size)), replace=False))
        X = scaled_counts(plan, chunk)
        gain = np.float32(plan.gain(plan.painting.patch(chunk.patch)))
        counts.append(X.reshape(size, -1)[picked] / gain)
        colours.append(_photo_at_spots(plan, chunk)[picked])
    return np.concatenate(colours), np.concatenate(counts)


def code_spots(plan: Plan, chunk: Chunk) -> None:
    """Codes Al of one chunk of spots for the coupled dictionary."""
    name = "Dv" if plan.n_visible else "Dnv"
    Drgb, D = (load_matrix(plan, 0, part).astype(np.float32) for part in ("Drgb", name))
    X = scaled_counts(plan, chunk) / np.float32(plan.gain(plan.painting.patch(chunk.patch)))
    products, gram = X.reshape(-1, X.shape[2]) @ D.T, D @ D.T
    if plan.n_visible:
        products, gram = products + _photo_at_spots(plan, chunk) @ Drgb.T, gram + Drgb @ Drgb.T
    Al = codes_from_products(products, gram, beta=plan.options.sparsity)
    _start_array(plan, chunk.patch)[chunk.spots.slices] = Al.reshape(*X.shape[:2], -1)


def upsample_codes(plan: Plan, tile: Rect) -> None:
    """Av(0) of one tile: codes of the spots interpolated and averaged over patches; Anv(0) = 0.

    They are the first atoms, those of the hidden layer where baseline #1 has no other.

    Where no patch measured, the codes of the photograph alone.
    """
    A = np.zeros((*tile.shape, plan.atoms), np.float32)
    for cell in cells_of(tile, plan.cell):
        A[(*cell.within((tile.y0, tile.x0)), slice(0, plan.options.atoms))] = _cell_codes(plan, cell)
    write(open_generation(plan, 0), tile.slices, A)


def _cell_codes(plan: Plan, cell: Rect) -> np.ndarray:
    points = centres_mm(cell, plan.painting.pitch_mm)
    total = np.zeros((len(points), plan.options.atoms), np.float32)
    weight = np.zeros(len(points), np.float32)
    for patch in plan.painting.patches:
        inside = within(patch, points)
        if inside.any():
            row, column = in_spots(patch, points[inside]).T
            total[inside] += _interpolated(plan, patch.name, row, column, patch.shape[:2])
            weight[inside] += 1.0
    alone = weight == 0
    if alone.any() and plan.n_visible:
        Drgb = load_matrix(plan, 0, "Drgb").astype(np.float32)
        image = plan.painting.photograph(cell.slices).reshape(len(points), -1)
        total[alone] = codes_from_products(image @ Drgb.T, Drgb @ Drgb.T, beta=plan.options.sparsity)[alone]
    return (total / np.maximum(weight, 1.0)[:, None]).reshape(*cell.shape, -1)


def _interpolated(
    plan: Plan, patch: str, row: np.ndarray, column: np.ndarray, spots: tuple[int, int]
) -> np.ndarray:
    box = Rect(
        max(0, int(row.min()) - 1),
        min(spots[0], int(row.max()) + 2),
        max(0, int(column.min()) - 1),
        min(spots[1], int(column.max()) + 2),
    )
    return interpolate(read_finite(_start_array(plan, patch), box.slices), row - box.y0, column - box.x0)


def _photo_at_spots(plan: Plan, chunk: Chunk) -> np.ndarray:
    """Il = S I (11) of one chunk of spots, float32 (n_spot, n_band)."""
    window = chunk_window(plan, chunk)
    return window.downsample(plan.painting.photograph(window.slices))


def _start_array(plan: Plan, patch: str) -> zarr.Array:
    return open_array(open_group(plan.work / "start", mode="r+"), patch)
