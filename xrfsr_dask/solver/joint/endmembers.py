"""The stage that finds endmembers: among the spectra of sampled pixels, and where these do not do."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np

from xrfsr_dask.progress import Progress, ticking
from xrfsr_dask.solver.joint import model
from xrfsr_dask.solver.joint.blocks import misfits, sampled_pixels
from xrfsr_dask.solver.joint.layers import layered_endmembers
from xrfsr_dask.solver.joint.model import Spectra
from xrfsr_dask.solver.joint.picture import Picture
from xrfsr_dask.solver.joint.scan import Scan
from xrfsr_dask.solver.run import Plan
from xrfsr_dask.solver.standing import State
from xrfsr_dask.solver.start import mean_spectrum
from xrfsr_dask.tiling.executor import Executor
from xrfsr_dask.tiling.grid import Rect

_BLOCKS = 64  # sampled for spectra of pixels
_MISSED_BLOCKS = 16  # that are sampled besides, of those that the endmembers so far hold worst
_ROUNDS = 2  # in which these are sought
_THREADS = 8  # of this process, at most, which choose while no task runs
_TRACE = 1e-3  # of an endmember, that is like the mean spectrum


def find_endmembers(plan: Plan, state: State, executor: Executor, progress: Progress) -> State:
    """Non-negative endmembers of both layers among the spectra of sampled pixels, and where these do not do."""
    spectra, field = model.load_spectra(plan), model.load_field(plan, model.LEARNED)
    sampled = Scan(plan).sampled(_BLOCKS)
    pictures = _pictures(plan, sampled, executor, progress)
    middle = np.median(np.concatenate([p.hidden for p in pictures]), axis=0).astype(np.float64)
    model.save_field(plan, model.FIELD, dataclasses.replace(field, middle=middle))
    threads = min(executor.slots, _THREADS)
    Dv, Dnv, n_held = _chosen(plan, spectra, pictures, middle, threads)
    for number in range(_rounds(sampled)):
        missed = _missed_blocks(plan, spectra, np.concatenate([Dv, Dnv]), sampled, executor, progress)
        progress.advance(_MISSED_BLOCKS - len(missed))
        if not missed:
            progress.advance((_ROUNDS - 1 - number) * _round_tasks(plan))
            break
        sampled = [*sampled, *missed]
        pictures += _pictures(plan, missed, executor, progress)
        Dv, Dnv, n_held = _chosen(plan, spectra, pictures, middle, threads)
    Dv, Dnv = (_nowhere_zero(D, mean_spectrum(plan)) / plan.scale for D in (Dv, Dnv))
    model.save_endmembers(plan, 0, Dv, Dnv)
    model.save_start(plan, np.concatenate([Dv, Dnv]), n_held)
    return state


def endmember_tasks(plan: Plan) -> int:
    """Tasks of `find_endmembers`."""
    sampled = Scan(plan).sampled(_BLOCKS)
    return len(sampled) + _rounds(sampled) * _round_tasks(plan)


def _rounds(sampled: list[Rect]) -> int:
    """How often blocks are sought that were missed: never where all that hold spots are sampled."""
    return _ROUNDS if len(sampled) == _BLOCKS else 0


def _round_tasks(plan: Plan) -> int:
    return len(Scan(plan).areas()) + _MISSED_BLOCKS


def _pictures(plan: Plan, blocks: list[Rect], executor: Executor, progress: Progress) -> list[Picture]:
    """Some pixels of each block, by the field as learned."""
    told = executor.map(partial(sampled_pixels, plan), blocks, ticking(progress))
    return [picture for picture in told if picture is not None]


def _chosen(
    plan: Plan, spectra: Spectra, pictures: list[Picture], middle: np.ndarray, threads: int
) -> tuple[np.ndarray, np.ndarray, int]:
    whole, hidden = (np.concatenate([getattr(p, name) for p in pictures]) for name in ("whole", "hidden"))
    hidden -= middle.astype(np.float32)
    numbers = {"n_visible": plan.options.atoms, "n_hidden": plan.options.hidden_atoms}
    return layered_endmembers(spectra, whole, hidden, **numbers, threads=threads)


def _nowhere_zero(D: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Endmembers (k, n_channel) with a trace of the mean spectrum (n_channel,) in all channels: the steps on
    them multiply, and what is 0 would stay 0 whatever the counts say. Where background was taken off, the mean
    has negative channels too, in which nothing is asked of them."""
    trace = np.maximum(mean, 0.0)
    return np.maximum(D, _TRACE * D.sum(axis=1, keepdims=True) * trace / max(float(trace.sum()), 1e-300))


def _missed_blocks(
    plan: Plan,
    spectra: Spectra,
    D: np.ndarray,
    sampled: list[Rect],
    executor: Executor,
    progress: Progress,
) -> list[Rect]:
    """Blocks not sampled yet whose spots the endmembers D (k, n_channel) hold worst; none if all are held."""
    scan, known = Scan(plan), set(sampled)
    E, areas = (D * spectra.whitening) @ spectra.basis, scan.areas()
    told = executor.map(partial(misfits, plan, E), areas, ticking(progress))
    found = [
        (-misfit, block)
        for area, each in zip(areas, told, strict=True)
        for block, misfit in zip(scan.blocks(area), each, strict=True)
        if misfit > 0 and block not in known
    ]
    return [block for _, block in sorted(found)[:_MISSED_BLOCKS]]
