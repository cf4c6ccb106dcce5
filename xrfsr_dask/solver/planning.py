"""Plan a run: choose cell and tile, and refuse what cannot be before anything is done."""

from __future__ import annotations

import dataclasses

import numpy as np

from xrfsr_dask.beams import beam_of
from xrfsr_dask.errors import MemoryBudgetError, OptionError, StoreError
from xrfsr_dask.kernels.abundance_arrays import gpu
from xrfsr_dask.kernels.sampling import Beam
from xrfsr_dask.options import RunOptions, SolveOptions
from xrfsr_dask.solver.needs import bytes_by_tile, start_bytes, task_bytes
from xrfsr_dask.solver.run import Plan, identity_of
from xrfsr_dask.store import Painting
from xrfsr_dask.store.names import check_name
from xrfsr_dask.store.places import stands
from xrfsr_dask.store.results import TRUTH
from xrfsr_dask.tiling.budget import KERNELS, choose_tile, megabytes
from xrfsr_dask.tiling.grid import cell_for

_SHARES_PER_SLOT = {True: 8, False: 1}  # `joint` or not: its tiles have no halo, so that small ones cost little


def plan_run(
    painting: Painting,
    *,
    name: str,
    options: SolveOptions,
    resources: RunOptions,
    slots: int,
    each: int | None = None,
) -> Plan:
    """Choose cell and tile for a run and check that it fits the memory, before anything is done.

    `slots` tasks run at once; each may need `each` bytes where it runs, whatever `resources` grant.

    Raises
    ------
    StoreError
        The painting has no patch, or already has a result of that name.
    MemoryBudgetError
        No tile, or not the one asked for, fits the memory.
    TilingError
        The tile asked for is not a whole number of cells.
    """
    check_name(name, "result")
    if name == TRUTH:
        raise OptionError(f"'{TRUTH}' is kept for the known truth of a phantom; choose another --name.")
    if not painting.patches:
        raise StoreError(f"{painting.path} holds no patch yet; add one with `xrfsr add`.")
    for patch in painting.patches:
        patch.energy_kev()  # refuses one without it, or whose energies fall, before any work
    require_free(painting, name)
    if options.device == "gpu":
        gpu()  # refused where there is none, before any work
    plan = roomy(painting, name=name, options=options, resources=resources, slots=slots, each=each)
    return dataclasses.replace(plan, identity=identity_of(plan.fingerprint()))


def roomy(
    painting: Painting,
    *,
    name: str,
    options: SolveOptions,
    resources: RunOptions,
    slots: int,
    each: int | None = None,
) -> Plan:
    """The plan of `plan_run`, from where photograph and patches lie alone: they need not be there yet."""
    cell = _cell_of(painting)
    whole = -(-max(painting.shape) // cell) * cell  # as large as any tile need be
    asked = whole if (resources.tile or 0) >= max(painting.shape) else resources.tile
    plan = Plan(painting=painting, name=name, options=options, cell=cell, tile=asked or cell)
    plan.tiles()  # refuses a tile that is not a whole number of cells
    if (need := KERNELS + start_bytes(plan)) > resources.memory:
        raise MemoryBudgetError(
            f"the start needs {megabytes(need)} for its sample of spots, the limit is "
            f"{megabytes(resources.memory)}; raise --memory."
        )
    tile = choose_tile(
        bytes_by_tile(plan),
        asked=asked,
        cell=cell,
        slots=slots,
        memory=resources.memory,
        shape=painting.shape,
        shares=slots * _SHARES_PER_SLOT[options.method == "joint"],
        fixed=KERNELS,
        each=each,
    )
    return dataclasses.replace(plan, tile=tile)


def require_free(painting: Painting, name: str) -> None:
    """Refuse the name of a result that is there; raises `StoreError`."""
    if stands(painting.place / "results" / name):
        raise StoreError(
            f"{painting.path} already holds a result '{name}', and none is ever replaced; choose another "
            "--name."
        )


def fitting_workers(painting: Painting, options: SolveOptions, resources: RunOptions, most: int) -> int:
    """How many tasks at once, `most` or fewer, the memory has room for with the smallest tiles; at least 1."""
    if not painting.patches:
        return most
    cell = _cell_of(painting)
    plan = Plan(painting=painting, name="", options=options, cell=cell, tile=cell)
    room = (resources.memory - KERNELS) // task_bytes(plan, resources.tile or cell)
    return max(1, min(most, room))


def _cell_of(painting: Painting) -> int:
    return cell_for(
        _aligned_factor([beam_of(patch, painting.shape, painting.pitch_mm) for patch in painting.patches])
    )


def _aligned_factor(beams: list[Beam]) -> int | None:
    """HR px per spot where all patches lie on the grid at one whole factor, else None."""
    factors = {round(float(beam.transform[0, 0])) for beam in beams}
    factor = factors.pop()
    if factors or factor < 1:
        return None
    for beam in beams:
        shift = beam.transform[:2, 2] - 0.5 * factor
        upright = np.diag([factor, factor, 1.0]) + np.pad(beam.transform[:2, 2:], ((0, 1), (2, 0)))
        if not np.allclose(beam.transform, upright, atol=1e-6):
            return None
        if not np.allclose(shift / factor, np.round(shift / factor), atol=1e-6):
            return None
    return factor
