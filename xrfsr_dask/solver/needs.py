"""What a run needs: bytes of its largest task, of its start, on disk; known before anything is done."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from xrfsr_dask.kernels.cokriging import PIXELS_AT_ONCE
from xrfsr_dask.kernels.colour import CENTRES
from xrfsr_dask.kernels.sampling import needed_bounds
from xrfsr_dask.kernels.spectral import MOST_DIRECTIONS
from xrfsr_dask.solver.joint.blending import KEPT
from xrfsr_dask.solver.joint.desk import KEPT_BYTES
from xrfsr_dask.solver.joint.scan import Scan
from xrfsr_dask.solver.run import COLOUR_DEPTH, Plan, edge_margin_px, reach
from xrfsr_dask.store.arrays import bytes_in_hand
from xrfsr_dask.store.patches import CHUNK_SPOTS
from xrfsr_dask.store.results import level_shapes, shard_of

_BINS = 1000  # along a side
_METADATA_BYTES = 2**14  # of a run's arrays, beside their chunks
_SPOT_BYTES = 200  # while it is told which pixels each spot of a patch sees


def task_bytes(plan: Plan, tile: int) -> int:
    """Bytes the largest task of the run needs with tiles of that side, px."""
    return bytes_by_tile(plan)(tile)


def bytes_by_tile(plan: Plan) -> Callable[[int], int]:
    """`task_bytes` by the side of a tile; what does not depend on it is asked once."""
    side = min(shard_of(plan.cell, plan.atoms), max(plan.painting.shape))
    shard = 4 * side**2 * (plan.atoms + 1)  # and where it was measured
    least = max(_chunk_bytes(plan), 4 * shard)
    if plan.options.method != "joint":
        return functools.cache(lambda tile: max(_tile_bytes(plan, tile), least))
    block = _block_bytes(plan) + bytes_in_hand(4 * plan.cell**2 * plan.atoms)
    return lambda tile: max(block + 4 * plan.atoms * tile**2, least)


def start_bytes(plan: Plan) -> int:
    """Bytes the start (13) needs in the driver: the sampled spots, once more with colours, and codes."""
    n_channel = plan.n_channel
    return 4 * min(plan.options.start_spots, _spots(plan)) * (3 * n_channel + 8 * plan.options.atoms)


def disk_bytes(plan: Plan) -> int:
    """Bytes on disk while the run goes on, at most: state, and the result as it is put together."""
    pixels, spots = _stored_pixels(plan), _spots(plan)
    n_channel = plan.n_channel
    state = 4 * pixels * plan.atoms
    endmembers = 8 * plan.atoms * (n_channel + plan.atoms)
    last = result_bytes(plan)
    if plan.options.method == "joint":  # scores, their variance, colours, and what is seen of each spot
        r, scan = min(MOST_DIRECTIONS, n_channel), Scan(plan)
        small = 4 * spots * (2 * r + CENTRES + plan.atoms) + 8 * pixels
        last = max(last, 8 * r * math.prod(scan.grid) * scan.most_around())
    else:  # counts against two dictionaries
        small = 2 * 4 * spots * max(plan.n_hidden, plan.options.atoms)
    return state + small + 3 * endmembers + last + _METADATA_BYTES


def result_bytes(plan: Plan) -> int:
    """Bytes of the result on disk."""
    pixels, spots = _stored_pixels(plan), _spots(plan)
    maps = 2 if plan.options.method == "joint" else 1  # coverage, and evidence
    n_channel = plan.n_channel
    levels = sum(_padded(plan, shape) for shape in level_shapes(plan.painting.shape).values())
    return 4 * (pixels * (plan.atoms + maps) + levels * (plan.atoms + 1) + spots + plan.atoms * n_channel)


def least_bytes(n_channel: int, atoms: int) -> int:
    """Bytes that any task on a chunk of counts needs: counts, their float copies, sums against all atoms."""
    return CHUNK_SPOTS**2 * n_channel * 12 + 24 * atoms * n_channel


def _tile_bytes(plan: Plan, side: int) -> int:
    """The state with its halo, a row of it as it was, the photograph, the spots, chunks on their way."""
    windows, (ny, nx) = plan.windows(), plan.painting.shape
    y, x = max(0, (ny - side) // 2), max(0, (nx - side) // 2)
    core = (y, min(ny, y + side), x, min(nx, x + side))
    seen = windows if plan.n_hidden else []
    y0, y1, x0, x1 = needed_bounds(
        core,
        seen,
        steps=min(plan.options.steps, plan.steps_at_once(side)),
        margin=plan.margin,
        shape=plan.painting.shape,
    )[-1]
    state, photo = 4 * plan.atoms, 12 * plan.painting.n_band
    each = [12 * plan.atoms + 100 + _footprint_bytes(w) for w in seen]
    wide = max((int((w[:, 1::2] - w[:, ::2]).max()) for w in seen), default=0)  # a spot touches from outside
    spots = _most_of(plan, max(y1 - y0, x1 - x0) + wide, each) if each else 0
    padded, own = (y1 - y0) * (x1 - x0), side * side * state
    in_hand, codes = bytes_in_hand(plan.cell**2 * state), 40 * plan.cell**2 * plan.options.atoms
    return int(
        max(
            padded * (1.2 * state + photo) + (x1 - x0) * state + spots,
            padded * state + in_hand,
            own + in_hand + codes,
        )
        + _geometry_bytes(plan)
    )


def _block_bytes(plan: Plan) -> int:
    """Covariances of the spots around one block, twice factored, what joins them to its pixels, spots kept, and
    what those around other blocks say."""
    step = max(1.0, min(p.step_mm for p in plan.painting.patches) / plan.painting.pitch_mm)
    near, widest = Scan(plan).most_around(), max(map(_footprint_bytes, plan.windows()))
    pixels = (plan.cell + 2 * edge_margin_px(step)) ** 2
    joined = min(pixels, PIXELS_AT_ONCE) * 16 * near
    each = 8 * min(MOST_DIRECTIONS, plan.n_channel)  # scores, once; their noise and weights
    said = near * (each + KEPT * (4 * CENTRES + 2 * each))
    drawn = 8 * CENTRES + 2000  # for each pixel, beyond the block where edges are sought
    whole = 40 * near**2 + joined + near * widest + max(pixels * drawn, plan.cell**2 * drawn + said)
    return int(whole + KEPT_BYTES + _geometry_bytes(plan))


def _chunk_bytes(plan: Plan) -> int:
    """A chunk of counts and its float copies, the abundances or the photograph below it, the sums."""
    n_channel, most = plan.n_channel, 0
    for patch in plan.painting.patches:
        windows = plan.beam(patch).windows().reshape(*patch.shape[:2], 4)
        seen = 4 * plan.atoms * reach(windows, plan.block_side(patch, plan.atoms))
        if plan.options.method == "joint":
            seen = max(seen, 4 * COLOUR_DEPTH * reach(windows, plan.block_side(patch, COLOUR_DEPTH)))
        photograph = 20 * plan.painting.n_band * reach(windows, CHUNK_SPOTS)
        seen += bytes_in_hand(4 * plan.cell**2 * plan.atoms)
        spots = min(patch.shape[0] * patch.shape[1], CHUNK_SPOTS**2)
        most = max(most, max(seen, photograph) + spots * _footprint_bytes(windows.reshape(-1, 4)))
    return least_bytes(n_channel, plan.atoms) + most + _geometry_bytes(plan)


def _footprint_bytes(windows: np.ndarray) -> int:
    """Of one spot's weights, twice; `windows` (n, 4) are those of its patch."""
    return 8 * math.prod(int((windows[:, end] - windows[:, start]).max()) for start, end in ((0, 1), (2, 3)))


def _geometry_bytes(plan: Plan) -> int:
    """Places of all spots of the largest patch, and windows of all patches."""
    largest = max(patch.shape[0] * patch.shape[1] for patch in plan.painting.patches)
    return _SPOT_BYTES * largest + 16 * _spots(plan)


def _most_of(plan: Plan, side: float, each: Sequence[float]) -> float:
    """The largest sum, over squares of `side` px anywhere, of what each spot of every patch (n_patch,) takes.

    Counted in bins much smaller than a cell, unless the painting is very large: a little more than there is.
    """
    size = max(1, plan.cell // 10, -(-max(plan.painting.shape) // _BINS))
    ny, nx = (-(-n // size) for n in plan.painting.shape)
    total = np.zeros((ny, nx))
    for windows, one in zip(plan.windows(), each, strict=True):
        y, x = ((windows[:, i] + windows[:, i + 1]) // 2 // size for i in (0, 2))
        total += one * np.bincount(y * nx + x, minlength=ny * nx).reshape(ny, nx)
    n = math.ceil(side / size) + 1
    sums = np.pad(total, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    y, x = (np.arange(max(1, m - n + 1)) for m in (ny, nx))
    y1, x1 = np.minimum(y + n, ny), np.minimum(x + n, nx)
    squares = sums[np.ix_(y1, x1)] - sums[np.ix_(y, x1)] - sums[np.ix_(y1, x)] + sums[np.ix_(y, x)]
    return float(squares.max())


def _stored_pixels(plan: Plan) -> int:
    return _padded(plan, plan.painting.shape)


def _padded(plan: Plan, shape: tuple[int, int]) -> int:
    """Pixels of whole cells: those that the far edges cut off are stored whole."""
    ny, nx = (-(-n // plan.cell) * plan.cell for n in shape)
    return ny * nx


def _spots(plan: Plan) -> int:
    return sum(patch.shape[0] * patch.shape[1] for patch in plan.painting.patches)
