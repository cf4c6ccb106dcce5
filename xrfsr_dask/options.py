"""Choices a user makes, one frozen dataclass per stage; checked once, saved with every result.

Never data, paths of stores, or a Dask client.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from xrfsr_dask.errors import OptionError

METHODS = ("paper",)
"""Methods that run on the engine, over a whole painting."""


def as_attributes(options: Any) -> dict[str, Any]:
    """The fields of an options dataclass as a JSON-able dictionary, to be saved with a result."""
    return dataclasses.asdict(options)


def require(condition: bool, message: str) -> None:
    """Raise `OptionError` with `message` unless `condition` holds."""
    if not condition:
        raise OptionError(message)


@dataclass(frozen=True, kw_only=True)
class SolveOptions:
    """What is solved: method, model and stopping rule. Defaults are the paper's (its section V)."""

    method: str = "paper"
    """``"paper"``: Algorithm 1 of Dai et al. 2017 over the whole painting."""
    atoms: int = 50
    """M: visible endmembers, and as many hidden ones."""
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

    def __post_init__(self) -> None:
        require(self.method in METHODS, f"unknown method '{self.method}'; choose one of: {', '.join(METHODS)}.")
        require(1 <= self.atoms <= 1000, f"atoms must lie between 1 and 1000, got {self.atoms}.")
        require(self.prox in ("paper", "simplex"), f"prox must be 'paper' or 'simplex', got '{self.prox}'.")
        for name in ("smoothness", "sparsity", "tolerance"):
            value = getattr(self, name)
            require(math.isfinite(value) and value >= 0, f"{name} must be >= 0, got {value}.")
        require(self.gamma > 1, f"gamma must be more than 1, got {self.gamma}.")
        for name in ("iterations", "steps", "dictionary_steps", "start_spots"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1, got {getattr(self, name)}.")
        require(self.seed >= 0, f"seed must be >= 0, got {self.seed}.")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """With what it is solved: resources. They never change the result."""

    tile: int | None = None
    """Side of a tile, HR px, a multiple of the cell; None: the largest that fits the memory."""
    memory: int = 512 * 2**20
    """Bytes all tasks running at once may need together, beyond the interpreter and its imports."""
    workers: int | None = None
    """Threads, or worker processes when `processes` is set; None: one per core."""
    processes: bool = False
    """Start worker processes (a LocalCluster) in place of threads."""
    scheduler: str | None = None
    """Address of a running Dask scheduler."""

    def __post_init__(self) -> None:
        require(self.tile is None or self.tile >= 1, f"tile must be at least 1 px, got {self.tile}.")
        require(self.memory > 0, f"memory must be more than 0 bytes, got {self.memory}.")
        require(self.workers is None or self.workers >= 0, f"workers must be at least 0, got {self.workers}.")


@dataclass(frozen=True, kw_only=True)
class AddOptions:
    """How a scan becomes a patch: its name, its place, its energy axis, its beam. Saved with the patch."""

    name: str | None = None
    """Name of the patch; None: the next free one of p01, p02, …"""
    at_mm: tuple[float, float] | None = None
    """(y, x) of the outer top left corner of the first spot, mm from the photograph's top left."""
    step_mm: float | None = None
    """Distance between neighbouring spots, mm; None: what the file says."""
    rotation_deg: float = 0.0
    """Turn about the corner `at_mm`, degrees, clockwise as seen."""
    transform_file: str | None = None
    """File of a 3x3 or 2x3 matrix (column, row, 1) -> (x_mm, y_mm, 1), in place of the three above."""
    calibration: str | None = None
    """``"OFFSET,GAIN"`` in keV (channel i lies at OFFSET + GAIN i) or a .spx file; None: what the file says."""
    inside: str | None = None
    """Which cube of a file that holds several: its path in HDF5, its title in .bcf and the like."""
    spot_mm: float | None = None
    """Beam on the painting, mm: side of a box, full width at half maximum of a Gaussian; None: one step."""
    footprint: Literal["box", "gaussian"] = "box"
    """Shape of the beam."""
    gain: float = 1.0
    """Counts of this patch per count of the model."""
    dwell_s: float | None = None
    """Time per spot, s."""
    noise: Literal["poisson", "gaussian"] = "poisson"
    """``"poisson"``: counts, negative ones are refused; ``"gaussian"``: values that may be negative."""
    resample: bool = False
    """Rebin onto the energy axis of the patches there are, conserving counts."""

    def __post_init__(self) -> None:
        if self.transform_file is None:
            require(
                self.at_mm is not None, "where the patch lies is not known; give --at X,Y or --transform FILE."
            )
        else:
            alone = self.at_mm is None and self.step_mm is None and self.rotation_deg == 0
            require(alone, "--transform says all about the place; leave out --at, --step-mm and --rotation.")
        place = (*(self.at_mm or ()), self.rotation_deg)
        require(all(map(math.isfinite, place)), f"--at and --rotation must be finite, got {place}.")
        for field in ("step_mm", "spot_mm", "dwell_s", "gain"):
            value = getattr(self, field)
            require(
                value is None or (math.isfinite(value) and value > 0),
                f"{field} must be more than 0, got {value}.",
            )
        require(
            self.footprint in ("box", "gaussian"),
            f"footprint must be 'box' or 'gaussian', got '{self.footprint}'.",
        )
        require(
            self.noise in ("poisson", "gaussian"), f"noise must be 'poisson' or 'gaussian', got '{self.noise}'."
        )
