"""From the last generation to a result: factors in counts, coverage, fit and history, all or nothing."""

from __future__ import annotations

import importlib.metadata
from functools import partial
from typing import Any

import numpy as np
import zarr

from xrfsr_dask.beams import coverage
from xrfsr_dask.kernels.fit import channel_groups, chi_square_gaussian, chi_square_poisson
from xrfsr_dask.options import as_attributes
from xrfsr_dask.progress import Progress, ticking
from xrfsr_dask.solver.joint.model import load_misdwelt, load_placing, open_evidence
from xrfsr_dask.solver.levels import write_levels
from xrfsr_dask.solver.passes import seen_abundances
from xrfsr_dask.solver.run import VERSIONS, Chunk, Plan
from xrfsr_dask.solver.standing import State
from xrfsr_dask.solver.state import load_matrix, open_generation
from xrfsr_dask.store.arrays import new_array, open_array, open_group, place_of, read, read_finite, write_values
from xrfsr_dask.store.places import Place
from xrfsr_dask.store.results import MEAN, level_shapes, new_levels, new_result, shard_of
from xrfsr_dask.store.staging import staged
from xrfsr_dask.tiling.executor import Executor
from xrfsr_dask.tiling.grid import Rect


def finish(plan: Plan, state: State, executor: Executor, progress: Progress) -> None:
    """Write ``results/<name>``: it appears only when it is whole."""
    painting, o = plan.painting, plan.options
    Dv, Dnv = (load_matrix(plan, state.dictionary, name) for name in ("Dv", "Dnv"))
    with staged(painting.path, f"results/{plan.name}") as group:
        new_result(
            group,
            shape=painting.shape,
            pitch_mm=painting.pitch_mm,
            endmember=plan.scale / plan.unit_gain * np.concatenate([Dv, Dnv]),
            layer=np.repeat([0, 1], [len(Dv), len(Dnv)]),
            energy_kev=painting.energy_kev,
            cell=plan.cell,
            attrs={
                "method": o.method,
                "options": as_attributes(o),
                "scale": plan.scale,
                "iterations": state.iteration,
                "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
                **(load_placing(plan) | load_misdwelt(plan) if o.method == "joint" else {}),
            },
        )
        _write_history(group.create_group("history"), state)
        _new_fit(group.create_group("fit"), plan)
        if o.method == "joint":
            _new_evidence(group, plan)
        new_levels(group, shape=painting.shape, n_atom=plan.atoms, cell=plan.cell)
        place = place_of(group)
        sums = executor.map(
            partial(write_shard, plan, state.generation, place), plan.shards(), ticking(progress)
        )
        write_values(group, MEAN, np.sum(sums, axis=0) / np.prod(painting.shape), ("atom",), units="1")
        write_levels(plan, place, executor, progress)
        if level_shapes(painting.shape):
            _write_photons(group, plan)
        executor.map(partial(fit_chunk, plan, state.generation, place), plan.chunks(), ticking(progress))


def write_shard(plan: Plan, generation: int, place: Place, shard: Rect) -> np.ndarray:
    """One shard of ``abundance`` and of ``coverage``; gives the sums of its abundances, float64 (n_atom,)."""
    group = open_group(place, mode="r+")
    A = read_finite(open_generation(plan, generation), shard.slices)
    open_array(group, "abundance")[shard.slices] = A
    p = plan.painting
    open_array(group, "coverage")[shard.slices] = coverage(p.patches, shard, p.shape, p.pitch_mm)
    if plan.options.method == "joint":
        open_array(group, "evidence")[shard.slices] = read_finite(open_evidence(plan), shard.slices)
    return np.asarray(A.sum(axis=(0, 1), dtype=np.float64))


def fit_chunk(plan: Plan, generation: int, place: Place, chunk: Chunk) -> None:
    """Chi-square per spot of one chunk: the model seen by the beam against the counts."""
    patch = plan.painting.patch(chunk.patch)
    group = open_group(place, mode="r+")
    X = read(patch.counts(), chunk.spots.slices).reshape(-1, patch.shape[2])
    SA = seen_abundances(plan, generation, chunk)
    model = np.float32(patch.gain) * SA @ read_finite(open_array(group, "endmember"))
    if patch.noise == "poisson":
        chi = chi_square_poisson(X, model, channel_groups(patch.mean_spectrum()))
    else:
        chi = chi_square_gaussian(X, model)
    open_array(group, f"fit/{patch.name}/chi_square")[chunk.spots.slices] = chi.reshape(chunk.spots.shape)


def _write_photons(group: zarr.Group, plan: Plan) -> None:
    """What the first element map of a large result would wait for."""
    from xrfsr_dask.result.photons import spots_of, write_photons  # here: tasks need none of it, nor xarray

    write_photons(group, spots_of(plan.painting))


def _new_fit(group: zarr.Group, plan: Plan) -> None:
    for patch in plan.painting.patches:
        new_array(
            group.create_group(patch.name),
            "chi_square",
            shape=patch.shape[:2],
            dtype="f4",
            chunks=patch.counts().chunks[:2],
            dims=("spot_y", "spot_x"),
            attrs={"units": "1", "long_name": "chi-square per degree of freedom of each spot"},
        )


def _new_evidence(group: zarr.Group, plan: Plan) -> None:
    side = shard_of(plan.cell, plan.atoms)
    new_array(
        group,
        "evidence",
        shape=plan.painting.shape,
        dtype="f4",
        chunks=(side, side),
        dims=("y", "x"),
        attrs={
            "units": "1",
            "long_name": "share of a pixel's uncertainty that the counts take away",
        },
    )


def _write_history(group: zarr.Group, state: State) -> None:
    names = state.history[0] if state.history else ()
    for name in names:
        values: Any = np.array([line[name] for line in state.history])
        write_values(group, name, values, ("iteration",), units="1")
