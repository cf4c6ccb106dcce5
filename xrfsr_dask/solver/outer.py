"""The loop of Algorithm 1 over a whole painting."""

from __future__ import annotations

import dataclasses
from functools import partial

from xrfsr_dask.errors import ResumeError
from xrfsr_dask.kernels import dictionary as palm
from xrfsr_dask.kernels.dictionary import Statistics
from xrfsr_dask.progress import Progress, Silent, ticking
from xrfsr_dask.solver import joint
from xrfsr_dask.solver import state as states
from xrfsr_dask.solver.finish import finish
from xrfsr_dask.solver.passes import advance_tile, project_counts, sum_spots, sum_tile
from xrfsr_dask.solver.planning import require_free
from xrfsr_dask.solver.run import Plan
from xrfsr_dask.solver.standing import State, record, settled
from xrfsr_dask.solver.start import start
from xrfsr_dask.solver.visit import visit
from xrfsr_dask.tiling.blas import one_thread
from xrfsr_dask.tiling.executor import Executor
from xrfsr_dask.tiling.sums import merge


def solve(
    plan: Plan,
    executor: Executor,
    *,
    progress: Progress | None = None,
    resume: bool = False,
    restart: bool = False,
) -> State:
    """Solve a planned run and write ``results/<name>``; an unfinished run of the same plan goes on.

    Parameters
    ----------
    plan : Plan
        As `plan_run` gives it.
    executor : Executor
        Where the tasks run; it never changes the result.
    progress : Progress, optional
        Told of every finished task.
    resume : bool
        Refuse to begin anew where there is no unfinished run.
    restart : bool
        Discard an unfinished run.

    Raises
    ------
    ResumeError
        The unfinished run had other inputs or options, or there is none although `resume` is set.
    """
    report = progress or Silent()
    with states.locked(plan, restart=restart), one_thread():
        require_free(plan.painting, plan.name)  # another process may have made it since this run was planned
        fingerprint = plan.fingerprint()
        state = states.load(plan, fingerprint)
        if state is None and resume:
            raise ResumeError(f"there is no unfinished run '{plan.name}' in {plan.painting.path} to resume.")
        if state is None:
            states.begin(plan, fingerprint)
        report.expect(task_count(plan, state))
        road = joint.run if plan.options.method == "joint" else alternate
        with states.telling_the_way_on(plan):
            plan, state = road(plan, state, executor, report)
            states.require_unchanged(plan)
            finish(plan, state, executor, report)
        states.discard(plan)  # here, where no second run can have begun
    return state


def alternate(plan: Plan, state: State | None, executor: Executor, progress: Progress) -> tuple[Plan, State]:
    """Algorithm 1: abundances and dictionaries by turns, from the start (13) or from `state`."""
    state = state or start(plan, executor, progress)
    while state.iteration < plan.options.iterations:
        if settled(state.history, plan.options.tolerance):
            break
        state = project(plan, state, executor, progress)
        state = update_abundances(plan, state, executor, progress)  # (15)
        sums = reduce_statistics(plan, state, executor, progress)  # (M2)
        state = update_dictionaries(plan, state, sums)  # (17), (19), (21)
        progress.note(f"iteration {state.iteration}, objective {state.history[-1]['objective']:.6g}")
    return plan, state


def project(plan: Plan, state: State, executor: Executor, progress: Progress) -> State:
    """The counts against the newest hidden endmembers, ``C = X Dnv^T``."""
    if state.passes > 0:
        return state
    if plan.n_hidden:
        executor.map(partial(project_counts, plan, state.dictionary), plan.chunks(), ticking(progress))
    return states.save(plan, state.moved(passes=1))


def update_abundances(plan: Plan, state: State, executor: Executor, progress: Progress) -> State:
    """All abundance steps (15) of one iteration, a few in each visit to the tiles."""
    for steps in plan.visits(done=state.passes - 1):
        visit(
            plan,
            state.generation + steps,
            partial(advance_tile, plan, state.generation, state.dictionary, steps),
            executor,
            progress,
            origin=f"gen-{state.generation} dictionary-{state.dictionary} steps-{steps} tile-{plan.tile}",
        )
        state = states.save(plan, state.moved(passes=state.passes + steps, generation=state.generation + steps))
    return state


def reduce_statistics(plan: Plan, state: State, executor: Executor, progress: Progress) -> Statistics:
    """The sums (M2) over all tiles and all spots."""
    spots = partial(sum_spots, plan, state.generation)
    tiles = partial(sum_tile, plan, state.generation)
    low = executor.reduce(spots, plan.chunks(), merge, ticking(progress))
    high = executor.reduce(tiles, plan.tiles(), merge, ticking(progress))
    return Statistics(
        P=low["P"],
        Q=low["Q"],
        R=high["R"],
        Ri=high["Ri"],
        T=high["T"],
        xx=float(low["xx"]),
        ii=float(high["ii"]),
    )


def update_dictionaries(plan: Plan, state: State, sums: Statistics) -> State:
    """New dictionaries from the sums, the objective they give, and the checkpoint that ends the iteration."""
    o = plan.options
    D = states.load_dictionaries(plan, state.dictionary)
    lam = 0.0 if o.method == "baseline1" else o.smoothness  # (34) leaves the term out, (20) keeps it
    D = palm.update_dictionaries(D, sums, lam=lam, gamma=o.gamma, steps=o.dictionary_steps)
    states.save_dictionaries(plan, state.dictionary + 1, D)
    value = record(palm.objective(D, sums, lam=o.smoothness))
    return states.save(
        plan,
        dataclasses.replace(
            state,
            iteration=state.iteration + 1,
            passes=0,
            dictionary=state.dictionary + 1,
            history=[*state.history, value],
        ),
    )


def task_count(plan: Plan, state: State | None = None) -> int:
    """Tasks still ahead, if every iteration is needed."""
    if plan.options.method == "joint":
        return joint.task_count(plan, state)
    tiles, chunks = len(plan.tiles()), len(plan.chunks())
    project = chunks if plan.n_hidden else 0
    each = project + chunks + tiles * (len(plan.visits()) + 1)
    if state is None:
        return tiles + chunks + plan.options.iterations * each + plan.result_tasks
    ahead = len(plan.visits(done=max(0, state.passes - 1)))
    done = project * (state.passes > 0) + tiles * (len(plan.visits()) - ahead)
    return (plan.options.iterations - state.iteration) * each - done + plan.result_tasks
