"""Where a run stands, and whether what is told of that can be."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass, field
from typing import Any

from xrfsr_dask.errors import ResumeError
from xrfsr_dask.kernels.dictionary import Objective
from xrfsr_dask.solver.run import Plan
from xrfsr_dask.store.unfinished import OPTION

MOST_STAGES = 8
"""Of `joint`, before its iterations."""


@dataclass(frozen=True)
class State:
    """Where a run stands: the names of what is whole on disk."""

    iteration: int = 0
    """Outer iterations finished."""
    passes: int = 0
    """How far the current iteration is: one for the counts, and one for each abundance step."""
    generation: int = 0
    """The newest whole generation of abundances: how many steps they have made since the start, so that whoever
    writes one, with whatever tiles, and however late, writes the same."""
    dictionary: int = 0
    """Number of the newest dictionaries."""
    history: list[dict[str, float]] = field(default_factory=list)
    """Objective and its parts after each iteration."""

    def moved(self, **changes: Any) -> State:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)


def settled(history: list[dict[str, float]], tolerance: float) -> bool:
    """Whether the last iteration changed the objective by less than `tolerance` of it."""
    if len(history) < 2 or tolerance <= 0:
        return False
    before, now = history[-2]["objective"], history[-1]["objective"]
    return abs(before - now) < tolerance * before


def record(value: Objective) -> dict[str, float]:
    """An objective as a line of the history."""
    return {
        "objective": value.total,
        "data": value.data,
        "photograph": value.photograph,
        "smoothness": value.smoothness,
    }


def checked(plan: Plan, state: State) -> State:
    """A state that this run can have; `ValueError` for any other."""
    most = {
        "iteration": plan.options.iterations,
        "passes": max(MOST_STAGES, plan.options.steps + 1),
        "generation": plan.options.iterations * plan.options.steps + 1,
        "dictionary": plan.options.iterations,
    }
    for name, limit in most.items():
        value = getattr(state, name)
        if type(value) is not int or not 0 <= value <= limit:
            raise ValueError(f"its {name} is {value!r}")
    contradicts = _contradicts_joint if plan.options.method == "joint" else _contradicts
    if contradicts(plan, state):
        raise ValueError(
            f"its iteration is {state.iteration} with {state.passes} passes, its generation "
            f"{state.generation}, its dictionary {state.dictionary}"
        )
    told = state.history
    known = isinstance(told, list) and all(map(_is_of_numbers, told))
    if not known or len(told) != state.iteration or any(line.keys() != told[0].keys() for line in told):
        raise ValueError(f"its history is not that of {state.iteration} iterations")
    return state


def _contradicts(plan: Plan, state: State) -> bool:
    """Whether the numbers of a run of Algorithm 1 cannot stand together: in each iteration one pass for the
    counts, then one and a generation a step, and dictionaries at its end."""
    steps = state.iteration * plan.options.steps + max(0, state.passes - 1)
    most = plan.options.steps + 1 if state.iteration < plan.options.iterations else 0
    return state.dictionary != state.iteration or state.generation != steps or state.passes > most


def _contradicts_joint(plan: Plan, state: State) -> bool:
    """The same of `joint`, whose iterations come after its stages."""
    return state.dictionary != state.iteration or (state.iteration > 0 and state.passes != MOST_STAGES)


def _is_of_numbers(line: Any) -> bool:
    return (
        isinstance(line, dict)
        and "objective" in line
        and all(name.isidentifier() for name in line)
        and all(isinstance(v, int | float) and abs(v) <= sys.float_info.max for v in line.values())
    )


def refuse_changes(name: str, before: dict[str, Any], now: dict[str, Any]) -> None:
    """`ResumeError` where a run has other inputs or options now than before; it names what changed."""
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if changed:
        details = "; ".join(_difference(key, before.get(key), now.get(key)) for key in changed)
        raise ResumeError(
            f"an unfinished run '{name}' had other inputs or options: {details}. "
            "Repeat it as it was, choose another --name, or discard it with --restart."
        )


def _difference(key: str, before: Any, now: Any) -> str:
    if key.startswith((OPTION, "version ")):
        return f"{key.removeprefix(OPTION)} was {before}, now {now}"
    if before is None or now is None:
        return (
            f"{key} was {'absent' if before is None else 'there'}, now {'absent' if now is None else 'there'}"
        )
    return f"{key} changed"
