"""What one task does: plain functions of a plan, the names of what to read, and one tile or chunk.

Each reads from the store, computes with the kernels, writes its own cells or chunks whole, and returns
little: nothing, or exact sums.
"""

from __future__ import annotations

import numpy as np

from xrfsr_dask.beams import SpotWindow, spot_window
from xrfsr_dask.errors import DamagedStoreError
from xrfsr_dask.kernels import abundance_arrays
from xrfsr_dask.kernels.abundance import StepMatrices, abundance_steps, step_matrices
from xrfsr_dask.kernels.abundance_spots import TileSpots
from xrfsr_dask.kernels.dictionary import spot_statistics
from xrfsr_dask.kernels.sampling import needed_bounds, touching
from xrfsr_dask.kernels.smoothness import smoothness_gram
from xrfsr_dask.solver.run import Chunk, Plan
from xrfsr_dask.solver.state import Receipt, load_matrix, open_generation, open_projected, receipt_of
from xrfsr_dask.store.arrays import read, read_finite, write
from xrfsr_dask.tiling.grid import Rect, cells_of
from xrfsr_dask.tiling.sums import Sums, quantised


def project_counts(plan: Plan, dictionary: int, chunk: Chunk) -> None:
    """``C = X Dnv^T`` of one chunk of counts (METHOD, section 5)."""
    Dnv = load_matrix(plan, dictionary, "Dnv").astype(np.float32)
    X = scaled_counts(plan, chunk)
    C = X.reshape(-1, X.shape[2]) @ Dnv.T
    write(open_projected(plan, dictionary, chunk.patch), chunk.spots.slices, C.reshape(*X.shape[:2], -1))


def advance_tile(plan: Plan, generation: int, dictionary: int, steps: int, tile: Rect) -> Receipt:
    """`steps` abundance steps (15) on one tile: from `generation` with a halo, into the one `steps` later."""
    patches = plan.painting.patches if plan.n_hidden else ()  # without hidden atoms the counts have no say
    beams = [plan.beam(patch) for patch in patches]
    windows = [beam.windows() for beam in beams]
    regions = needed_bounds(tile, windows, steps=steps, margin=plan.margin, shape=plan.painting.shape)
    padded = Rect(*regions[-1])
    spots = []
    for patch, beam, window in zip(patches, beams, windows, strict=True):
        index = touching(window, regions[-2])
        if len(index):
            C = _projected(plan, dictionary, patch.name, index, beam.spots)
            footprints = beam.footprints(index, window)
            spots.append(TileSpots(footprints, window[index], C, plan.gain(patch)))
    take = abundance_arrays.abundance_steps if plan.options.device == "gpu" else abundance_steps
    out = take(
        read_finite(open_generation(plan, generation), padded.slices),
        plan.painting.photograph(padded.slices),
        spots,
        _matrices(plan, dictionary),
        regions,
        shape=plan.painting.shape,
    )
    core = out[tile.within((padded.y0, padded.x0))]
    write(open_generation(plan, generation + steps), tile.slices, core)
    return receipt_of(tile, core)


def sum_spots(plan: Plan, generation: int, chunk: Chunk) -> Sums:
    """P, Q and |X|^2 of (M2) for one chunk of counts."""
    patch = plan.painting.patch(chunk.patch)
    X = scaled_counts(plan, chunk)
    X = X.reshape(-1, X.shape[2])
    SA = seen_abundances(plan, generation, chunk)
    P, Q, xx = spot_statistics(np.float32(plan.gain(patch)) * SA, X)
    n = sum(p.shape[0] * p.shape[1] for p in plan.painting.patches)
    most = 4.0 * n  # abundances, relative gains and scaled counts are all at most 1
    return {
        "P": quantised(P, most),
        "Q": quantised(Q, most),
        "xx": quantised(np.array(xx), most * X.shape[1]),
    }


def sum_tile(plan: Plan, generation: int, tile: Rect) -> Sums:
    """R, Ri, T and |I|^2 of (M2) for one tile, cell by cell."""
    array, n_v = open_generation(plan, generation), plan.n_visible
    padded = Rect(
        tile.y0, min(tile.y1 + 1, plan.painting.shape[0]), tile.x0, min(tile.x1 + 1, plan.painting.shape[1])
    )
    A = read_finite(array, padded.slices)
    image = plan.painting.photograph(tile.slices)
    n_band = image.shape[2]
    out = {
        "R": np.zeros((n_v, n_v)),
        "Ri": np.zeros((n_v, n_band)),
        "T": np.zeros((plan.n_hidden, plan.n_hidden)),
        "ii": np.zeros(()),
    }
    bound = 4.0 * plan.painting.shape[0] * plan.painting.shape[1] * max(n_band, 1)
    for cell in cells_of(tile, plan.cell):
        rows, columns = cell.within((tile.y0, tile.x0))
        # copied: a product takes another order on one column of a tile as it lies there
        Av = np.ascontiguousarray(A[rows, columns, :n_v]).reshape(cell.shape[0] * cell.shape[1], n_v)
        I = np.ascontiguousarray(image[rows, columns]).reshape(-1, n_band)
        wide = A[rows.start : rows.stop + 1, columns.start : columns.stop + 1, n_v:]
        out["R"] += quantised(Av.T @ Av, bound)
        out["Ri"] += quantised(Av.T @ I, bound)
        out["T"] += quantised(smoothness_gram(wide, cell.shape), bound)
        out["ii"] += quantised(np.square(I, dtype=np.float64).sum(), bound)
    return out


def scaled_counts(plan: Plan, chunk: Chunk) -> np.ndarray:
    """Counts X of one chunk in scaled units, float32 (ny, nx, n_channel)."""
    counts = read(plan.painting.patch(chunk.patch).counts(), chunk.spots.slices)
    X = counts.astype(np.float32)
    if not np.isfinite(X).all():
        raise DamagedStoreError(f"patch '{chunk.patch}': counts of spots {tuple(chunk.spots)} are not finite.")
    X *= np.float32(1.0 / plan.scale)
    return X


def seen_abundances(plan: Plan, generation: int, chunk: Chunk) -> np.ndarray:
    """S A of one chunk of spots, float32 (n_spot, atoms), without the gain; block by block of spots."""
    array, patch = open_generation(plan, generation), plan.painting.patch(chunk.patch)
    SA = np.empty((*chunk.spots.shape, plan.atoms), np.float32)
    for block in plan.spot_blocks(chunk, plan.atoms):
        window = spot_window(plan.painting, patch, *block.slices)
        part = window.downsample(read_finite(array, window.slices))
        SA[block.within((chunk.spots.y0, chunk.spots.x0))] = part.reshape(*block.shape, plan.atoms)
    return SA.reshape(-1, plan.atoms)


def chunk_window(plan: Plan, chunk: Chunk) -> SpotWindow:
    """The spots of one chunk and the HR pixels they see."""
    rows, columns = chunk.spots.slices
    return spot_window(plan.painting, plan.painting.patch(chunk.patch), rows, columns)


def _matrices(plan: Plan, dictionary: int) -> StepMatrices:
    Kn, Kvn, Drgb = (load_matrix(plan, dictionary, name) for name in ("Kn", "Kvn", "Drgb"))
    o = plan.options
    return step_matrices(Kn, Kvn, Drgb, lam=o.smoothness, gamma=o.gamma, exact=o.prox == "simplex")


def _projected(
    plan: Plan, dictionary: int, patch: str, index: np.ndarray, spots: tuple[int, int]
) -> np.ndarray:
    """C of some spots, read as the smallest rectangle of spots that holds them."""
    rows, columns = np.divmod(index, spots[1])
    box = Rect(int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1)
    C = read_finite(open_projected(plan, dictionary, patch), box.slices)
    return np.ascontiguousarray(C[rows - box.y0, columns - box.x0])
