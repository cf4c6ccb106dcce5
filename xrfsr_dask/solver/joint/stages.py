"""The road of `joint`, stage by stage: basis, spots, field, endmembers, abundances, dictionary steps.

Each stage maps or reduces small tasks over chunks of counts, blocks or tiles, and ends in a checkpoint.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from functools import partial

import numpy as np

from xrfsr_dask.kernels.cokriging import DRIFTS, HIDDENS, Law, Prior, best_prior, classes_of, likeliest
from xrfsr_dask.kernels.colour import learn_colours
from xrfsr_dask.kernels.dictionary import minimise_in_box
from xrfsr_dask.kernels.poisson import CountSums, poisson_step, prior_loss
from xrfsr_dask.kernels.ridge import MapSums, ridge_by_evidence, ridge_by_folds
from xrfsr_dask.kernels.spectral import (
    Pairs,
    choose_basis,
    gaussian_whitening,
    leading_directions,
    poisson_whitening,
)
from xrfsr_dask.lines.tables import candidate_lines
from xrfsr_dask.progress import Progress, ticking
from xrfsr_dask.solver import state as states
from xrfsr_dask.solver.joint import model
from xrfsr_dask.solver.joint.blocks import (
    MapBounds,
    area_map_sums,
    held_out,
    sampled_departures,
    sampled_likelihoods,
    unmix_tile,
)
from xrfsr_dask.solver.joint.endmembers import endmember_tasks, find_endmembers
from xrfsr_dask.solver.joint.kriging import krige_area
from xrfsr_dask.solver.joint.model import Field, Spectra
from xrfsr_dask.solver.joint.placing import asked_chunks, place
from xrfsr_dask.solver.joint.scan import Scan
from xrfsr_dask.solver.joint.spots import (
    candidate_pairs,
    describe_spots,
    dictionary_sums,
    largest_score,
    ridge_sums,
    see_spots,
)
from xrfsr_dask.solver.run import Plan
from xrfsr_dask.solver.standing import State, settled
from xrfsr_dask.solver.start import mean_spectrum, sample_spots
from xrfsr_dask.solver.visit import visit
from xrfsr_dask.store.unfinished import TRIED
from xrfsr_dask.tiling.executor import Executor
from xrfsr_dask.tiling.grid import Rect
from xrfsr_dask.tiling.sums import merge

_COLOUR_PIXELS = 8000  # of the photograph, sampled for centres of colours
_PRIOR_BLOCKS = 8  # sampled for the likelihood
_CLEARLY = 0.5  # edges are taken where they leave less than this share of the error of a smooth field
_SHARP_DIRECTIONS = 4
_STRONG = 1e-5  # share of the strongest direction's departure
_HOLD = 20.0  # abundance that the start of an endmember is worth


def run(plan: Plan, state: State | None, executor: Executor, progress: Progress) -> tuple[Plan, State]:
    """From the counts to abundances and endmembers, going on from `state` where there is one.

    Returns
    -------
    Plan, State
        The plan with the number of endmembers of each layer as chosen, and the state to finish.
    """
    state = state or State()
    for number, stage in enumerate(_STAGES, 1):
        if state.passes < number:
            plan = with_layers(plan, state)
            state = states.save(plan, stage(plan, state, executor, progress).moved(passes=number))
    plan = with_layers(plan, state)
    start = model.load_start(plan)
    while state.iteration < plan.options.iterations:
        if settled(state.history, plan.options.tolerance):
            break
        state = improve_endmembers(plan, state, start, executor, progress)
    return plan, state


def task_count(plan: Plan, state: State | None = None) -> int:
    """Tasks still ahead, if every iteration is needed."""
    tiles, chunks = len(plan.tiles()), len(plan.chunks())
    areas = len(Scan(plan).areas())
    drawn = len(Scan(plan).sampled(_PRIOR_BLOCKS))
    asked = sum(len(asked_chunks(plan, patch.name)) for patch in plan.painting.patches)
    field = chunks + 2 * areas + 4 * drawn
    each = [2 * chunks, chunks, asked, field, areas, endmember_tasks(plan), tiles, chunks]
    done = state or State()
    iterations = chunks * (plan.options.iterations - done.iteration)
    return sum(each[done.passes :]) + iterations + plan.result_tasks


def with_layers(plan: Plan, state: State) -> Plan:
    """The plan with the endmembers that were chosen; as it is before they are."""
    if state.passes < 6:
        return plan
    n_v, n_nv = (len(states.load_matrix(plan, state.dictionary, name)) for name in ("Dv", "Dnv"))
    return dataclasses.replace(plan, layers=(n_v, n_nv))


# Stages


def find_basis(plan: Plan, state: State, executor: Executor, progress: Progress) -> State:
    """Whitening, and the directions of spectral space that carry a picture; colours of the photograph."""
    model.create(plan)
    _, X = sample_spots(plan)
    X *= np.float32(plan.scale)
    mean = mean_spectrum(plan)
    whitening = poisson_whitening(mean) if plan.noise == "poisson" else gaussian_whitening(X)
    X *= whitening.astype(np.float32)
    leading, strength = leading_directions(X, seed=plan.options.seed)
    del X
    W = np.column_stack(
        [mean * whitening, leading, candidate_lines(plan.painting.energy_kev) / whitening[:, None]]
    )
    W /= np.maximum(np.linalg.norm(W, axis=0), 1e-30)
    chunks = plan.chunks()
    model.save_candidates(plan, W * whitening[:, None])
    largest = max(executor.map(partial(largest_score, plan), chunks, ticking(progress)))
    bound = max(1.0, 4.0 * largest**2 * _n_spots(plan))
    sums = executor.reduce(partial(candidate_pairs, plan, bound), chunks, merge, ticking(progress))
    basis = choose_basis(W, strength, Pairs(**sums), len(strength))
    colours = learn_colours(_sampled_colours(plan), seed=plan.options.seed)
    model.save_spectra(plan, Spectra(whitening, basis), colours)
    return state


def describe(plan: Plan, state: State, executor: Executor, progress: Progress) -> State:
    """Scores, their noise and S phi of every spot."""
    chunks = plan.chunks()
    told = executor.map(partial(describe_spots, plan), chunks, ticking(progress))
    wrong: Counter[str] = Counter()
    for chunk, t in zip(chunks, told, strict=True):
        wrong[chunk.patch] += int(t["misdwelt"])
    model.save_misdwelt(plan, {patch: n for patch, n in sorted(wrong.items()) if n})
    model.save_limits(
        plan,
        {
            "score": max(t["score"] for t in told),
            "variance": min(t["variance"] for t in told),
            "certainty": max(t["certainty"] for t in told),
        },
    )
    return state


def learn_field(plan: Plan, state: State, executor: Executor, progress: Progress) -> State:
    """The model (J1): the global map, and the prior (J2) under which the spots are most likely."""
    limits, n = model.load_limits(plan), _n_spots(plan)
    bound = max(1.0, 8.0 * n * max(1.0, limits["score"]) ** 2 / min(1.0, limits["variance"]))
    sums = executor.reduce(partial(ridge_sums, plan, bound), plan.chunks(), merge, ticking(progress))
    g = ridge_by_folds(sums["normal"], sums["right"], sums["square"])
    r = g.shape[1]
    sampled = Scan(plan).sampled(_PRIOR_BLOCKS)
    first = Field(g, Prior(DRIFTS[0], HIDDENS[:1] * r, np.ones(r), np.ones(r)), np.zeros(r), np.zeros((r, 0)))
    table = _likelihoods(plan, first, (DRIFTS[:1], HIDDENS), sampled, executor, progress)
    laws = DRIFTS, likeliest(table, HIDDENS)
    usual = _usual_variance(plan)
    drifting = _mapped(plan, first, best_prior(table, DRIFTS[:1], HIDDENS, usual), executor, progress)
    again = _likelihoods(plan, drifting, laws, sampled, executor, progress)
    drifting = dataclasses.replace(drifting, prior=best_prior(again, *laws, usual))
    sharp = _mapped(plan, first, best_prior(table[:, :, :1], DRIFTS[:1], HIDDENS, usual), executor, progress)
    sharp = _sharpened(plan, sharp, sampled, executor, progress)
    for name, field in (("drifting", drifting), ("sharp", sharp)):
        model.save_field(plan, name, field)
    told = executor.map(partial(held_out, plan, ("drifting", "sharp")), sampled, ticking(progress))
    smooth_error, sharp_error = np.sum(told, axis=0)
    model.save_field(plan, model.LEARNED, sharp if sharp_error < _CLEARLY * smooth_error else drifting)
    return state


def krige(plan: Plan, state: State, executor: Executor, progress: Progress) -> State:
    """Weights of the spots around every block; none where edges are sought, as these ask for pixels."""
    scan = Scan(plan)
    areas = scan.areas()
    if model.load_field(plan, model.LEARNED).sharp:
        progress.advance(len(areas))
        return state
    model.new_weights(plan, scan.grid, scan.most_around())
    executor.map(partial(krige_area, plan), areas, ticking(progress))
    return state


def unmix(plan: Plan, state: State, executor: Executor, progress: Progress) -> State:
    """Abundances of every pixel, tile by tile."""
    model.new_evidence(plan)
    task = partial(unmix_tile, plan, 1, state.dictionary)
    visit(plan, 1, task, executor, progress, origin=f"joint tile-{plan.tile}", beside=(model.EVIDENCE,))
    return state.moved(generation=1)


def see(plan: Plan, state: State, executor: Executor, progress: Progress) -> State:
    """S A of every spot, for the dictionary steps."""
    model.new_spots(plan, "seen", plan.atoms)
    executor.map(partial(see_spots, plan, state.generation), plan.chunks(), ticking(progress))
    return state


def improve_endmembers(
    plan: Plan, state: State, start: np.ndarray, executor: Executor, progress: Progress
) -> State:
    """One dictionary step with its checkpoint; `start` are the endmembers chosen among pixels."""
    bound = 64.0 * _n_spots(plan) * len(plan.painting.energy_kev)
    sums = executor.reduce(
        partial(dictionary_sums, plan, state.dictionary, plan.noise, bound),
        plan.chunks(),
        merge,
        ticking(progress),
    )
    D = _endmembers(plan, state.dictionary)
    if plan.noise == "gaussian":
        D, data, prior = _least_squares_step(sums, D, start)
    else:
        data, prior = float(sums["deviance"]), prior_loss(D, start, hold=_HOLD)
        D = poisson_step(CountSums(sums["pull"], sums["seen"], data), start, hold=_HOLD)
    n_v, number = plan.n_visible, state.dictionary + 1
    model.save_endmembers(plan, number, D[:n_v], D[n_v:])
    line = {"objective": data + prior, "data": data, "prior": prior}
    progress.note(f"iteration {state.iteration + 1}, objective {line['objective']:.6g}")
    return states.save(
        plan, state.moved(iteration=state.iteration + 1, dictionary=number, history=[*state.history, line])
    )


_STAGES = (find_basis, describe, place, learn_field, krige, find_endmembers, unmix, see)


# The small sums


def _likelihoods(
    plan: Plan,
    field: Field,
    laws: tuple[tuple[Law, ...], tuple[Law, ...]],
    blocks: list[Rect],
    executor: Executor,
    progress: Progress,
) -> np.ndarray:
    """Log likelihoods under all laws, shares and scales, summed over sampled blocks in their order."""
    model.save_field(plan, TRIED, field)
    tables = executor.map(partial(sampled_likelihoods, plan, TRIED, laws), blocks, ticking(progress))
    return np.asarray(np.sum([table for table in tables if table is not None], axis=0))


def _mapped(plan: Plan, field: Field, prior: Prior, executor: Executor, progress: Progress) -> Field:
    """The field under a prior, its global map fitted by generalised least squares."""
    field = dataclasses.replace(field, prior=prior)
    model.save_field(plan, TRIED, field)
    limits, n, classes = model.load_limits(plan), _n_spots(plan), classes_of(prior)
    least = min(1.0, limits["variance"])  # no entry of K^-1 exceeds 1 / (least noise)
    bounds = MapBounds(
        normal=4.0 * n / least,
        right=4.0 * n * max(1.0, limits["score"]) / least,
        square=4.0 * n * max(1.0, limits["score"]) ** 2 / least,
    )
    task = partial(area_map_sums, plan, TRIED, bounds)
    sums = executor.reduce(task, Scan(plan).areas(), merge, ticking(progress))
    found = MapSums(sums["normal"], sums["right"], sums["square"], float(sums["n"]))
    return dataclasses.replace(field, map=ridge_by_evidence(found, classes))


def _sharpened(plan: Plan, field: Field, blocks: list[Rect], executor: Executor, progress: Progress) -> Field:
    """The field with edges: the directions in which spots depart from the map by more than noise."""
    model.save_field(plan, TRIED, field)
    found = executor.map(partial(sampled_departures, plan, TRIED), blocks, ticking(progress))
    values, vectors = np.linalg.eigh(np.sum(found, axis=0))
    strong = values > _STRONG * max(float(values[-1]), 1e-30)
    directions = vectors[:, strong][:, ::-1][:, :_SHARP_DIRECTIONS]
    return dataclasses.replace(field, sharp=True, directions=directions)


def _usual_variance(plan: Plan) -> np.ndarray:
    """Noise variance (r,) of the scores of an average spot."""
    spectra = model.load_spectra(plan)
    if plan.noise == "gaussian":
        return np.ones(spectra.basis.shape[1])
    return spectra.variance(mean_spectrum(plan)[None].astype(np.float32))[0].astype(np.float64)


def _least_squares_step(
    sums: dict[str, np.ndarray], D: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, float, float]:
    """Endmembers >= 0 by least squares, held to the start; with the objective before the step."""
    hold = _HOLD / max(1, len(D))
    G, Q = sums["P"] + hold * np.eye(len(D)), sums["Q"] + hold * start
    data = float(sums["xx"] - 2 * np.vdot(sums["Q"], D) + np.vdot(sums["P"], D @ D.T))
    prior = float(hold * np.square(D - start).sum())
    return minimise_in_box(D, G, Q, gamma=1.01, steps=50, upper=np.inf), data, prior


def _endmembers(plan: Plan, number: int) -> np.ndarray:
    """Both layers of a dictionary, float64 (k, n_channel), scaled."""
    return np.concatenate([states.load_matrix(plan, number, name) for name in ("Dv", "Dnv")])


def _n_spots(plan: Plan) -> int:
    return sum(patch.shape[0] * patch.shape[1] for patch in plan.painting.patches)


def _sampled_colours(plan: Plan) -> np.ndarray:
    """Pixels (n, n_band) of the photograph in linear light, spread over cells drawn at random."""
    cells = Scan(plan).all_blocks()
    rng = np.random.default_rng(plan.options.seed)
    cells = [cells[i] for i in np.sort(rng.permutation(len(cells))[:160])]
    each = -(-_COLOUR_PIXELS // len(cells))
    out = []
    for cell in cells:
        pixels = plan.painting.photograph(cell.slices).reshape(-1, plan.painting.n_band)
        out.append(pixels[np.sort(rng.permutation(len(pixels))[:each])])
    return np.concatenate(out)
