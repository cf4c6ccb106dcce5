"""What is solved, and with what."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from xrfsr_dask.options.checks import seed
from xrfsr_dask.values import is_one_of, is_whole, number, require, shown, whole

METHODS = ("joint", "paper", "baseline1", "baseline2")
"""Methods that run on the engine, over a whole painting."""

_MOST = 2**63 - 1  # bytes, px or workers: no machine has more


@dataclass(frozen=True, kw_only=True)
class SolveOptions:
    """What is solved: method, model and stopping rule. Defaults for Dai et al.'s methods are theirs."""

    method: str = "joint"
    """``"joint"``: co-kriging with the photograph, then non-negative factors; smoothness and scale come from
    the data. Dai et al. 2017 over the whole painting: ``"paper"`` is Algorithm 1, ``"baseline1"`` is (28), the
    counts and smoothness alone, ``"baseline2"`` is (30), without a hidden layer."""
    atoms: int = 50
    """M: visible endmembers, and as many hidden ones; a baseline has one kind only. `joint`: visible ones, at
    most."""
    hidden_atoms: int = 12
    """Hidden endmembers at most (`joint` only)."""
    smoothness: float = 0.1
    """lambda of (9), dimensionless; 0 switches the term off."""
    sparsity: float = 0.02
    """beta of (13), the start's l1 weight, dimensionless."""
    iterations: int = 20
    """Outer iterations of Algorithm 1 at most."""
    steps: int = 10
    """Abundance steps (15) in each outer iteration."""
    tolerance: float = 1e-4
    """Stop once the objective falls by less than this fraction in an iteration; 0: never stop early."""
    prox: Literal["paper", "simplex"] = "paper"
    """Projection (15c): the paper's clip and rescale, or the exact Euclidean one."""
    gamma: float = 1.01
    """gamma_1 … gamma_5: safety factor on every step size, more than 1."""
    dictionary_steps: int = 200
    """Steps of (17), (19), (21) in each iteration at most."""
    start_spots: int = 4000
    """Spots the coupled dictionary (13) is learned on at most."""
    seed: int = 0
    """Seed of the start's choice of spots."""
    device: Literal["cpu", "gpu"] = "cpu"
    """What takes the abundance steps of Dai et al.'s methods; a GPU by way of CuPy, the same but for the last
    bits, which then depend on the tile."""

    def __post_init__(self) -> None:
        require(
            is_one_of(self.device, ("cpu", "gpu")), f"device must be 'cpu' or 'gpu', got {shown(self.device)}."
        )
        require(
            self.device == "cpu" or self.method != "joint",
            "joint takes no abundance steps, which are what a GPU is for; leave out device 'gpu'.",
        )
        require(
            is_one_of(self.method, METHODS),
            f"unknown method {shown(self.method)}; choose one of: {', '.join(METHODS)}.",
        )
        require(
            is_one_of(self.prox, ("paper", "simplex")),
            f"prox must be 'paper' or 'simplex', got {shown(self.prox)}.",
        )
        checked: dict[str, int | float] = {
            "atoms": whole("atoms", self.atoms, least=1, most=1000),
            "hidden_atoms": whole("hidden_atoms", self.hidden_atoms, least=1, most=200),
            "seed": seed(self.seed),
            "gamma": number("gamma", self.gamma, least=1, above=True),
        }
        for name in ("iterations", "steps", "dictionary_steps", "start_spots"):
            checked[name] = whole(name, getattr(self, name), least=1)
        for name in ("smoothness", "sparsity", "tolerance"):
            checked[name] = number(name, getattr(self, name), least=0)
        for name, value in checked.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """With what it is solved: resources. They never change the result."""

    tile: int | None = None
    """Side of a tile, HR px, a multiple of the cell; None: the largest that fits the memory and leaves
    every worker something to do."""
    memory: int = 512 * 2**20
    """Bytes all tasks running at once may need together with the compiled kernels, beyond the interpreter and
    its imports; each worker process of `processes` has kernels, and imports, of its own. The first run ever
    compiles the kernels, with about 100 MB more."""
    workers: int | None = None
    """Threads, or worker processes when `processes` is set; None: one per core, or as many as `memory` has room
    for."""
    processes: bool = False
    """Start worker processes (a LocalCluster) in place of threads."""
    scheduler: str | None = None
    """Address of a running Dask scheduler."""

    def __post_init__(self) -> None:
        for name, unit in (("tile", " px"), ("workers", "")):
            value = getattr(self, name)
            require(
                value is None or (is_whole(value) and 1 <= value <= _MOST),
                f"{name} must be at least 1{unit}, got {shown(value)}.",
            )
        require(
            is_whole(self.memory) and 0 < self.memory <= _MOST,
            f"memory must be a number of bytes, more than 0, got {shown(self.memory)}.",
        )
        require(
            isinstance(self.processes, bool), f"processes must be True or False, got {shown(self.processes)}."
        )
        require(
            not (self.processes and self.scheduler),
            "processes of this machine and a scheduler exclude each other; give --processes or --scheduler.",
        )
        require(
            self.scheduler is None or _is_address(self.scheduler),
            f"{shown(self.scheduler)} is not the address of a scheduler, such as tcp://127.0.0.1:8786.",
        )
        for name in ("tile", "workers", "memory"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, int(value))


def _is_address(text: Any) -> bool:
    """Whether a value is an address such as ``tcp://127.0.0.1:8786``."""
    found = re.fullmatch(r"\w+://[^/\s]+:(\d{1,5})", text) if isinstance(text, str) else None
    return found is not None and 0 < int(found[1]) < 2**16
