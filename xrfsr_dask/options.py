"""Choices a user makes, one frozen dataclass per stage; checked once, saved with every result.

Never data, paths of stores, or a Dask client.
"""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

from xrfsr_dask.errors import OptionError

METHODS = ("joint", "paper", "baseline1", "baseline2")
"""Methods that run on the engine, over a whole painting."""

IN_MEMORY = ("cubic", "gsomp", "csusr", "nssr", "hysure", "cnmf", "guided", "palette")
"""Methods to compare with: one aligned scan in memory, a module of `methods` each."""


def as_attributes(options: Any) -> dict[str, Any]:
    """The fields of an options dataclass as a JSON-able dictionary, to be saved with a result."""
    return dataclasses.asdict(options)


def require(condition: bool, message: str) -> None:
    """Raise `OptionError` with `message` unless `condition` holds."""
    if not condition:
        raise OptionError(message)


def _whole(value: Any) -> bool:
    """Whether a value is a whole number; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_address(text: str) -> bool:
    """Whether a text is an address such as ``tcp://127.0.0.1:8786``."""
    found = re.fullmatch(r"\w+://[^/\s]+:(\d{1,5})", text)
    return found is not None and 0 < int(found[1]) < 2**16


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

    def __post_init__(self) -> None:
        require(self.method in METHODS, f"unknown method '{self.method}'; choose one of: {', '.join(METHODS)}.")
        for name in ("atoms", "hidden_atoms", "iterations", "steps", "dictionary_steps", "start_spots", "seed"):
            value = getattr(self, name)
            require(_whole(value), f"{name} must be a whole number, got {value!r}.")
            object.__setattr__(self, name, int(value))
        require(1 <= self.atoms <= 1000, f"atoms must lie between 1 and 1000, got {self.atoms}.")
        require(
            1 <= self.hidden_atoms <= 200, f"hidden_atoms must lie between 1 and 200, got {self.hidden_atoms}."
        )
        require(self.prox in ("paper", "simplex"), f"prox must be 'paper' or 'simplex', got '{self.prox}'.")
        for name in ("smoothness", "sparsity", "tolerance"):
            value = getattr(self, name)
            number = not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)
            require(number and 0 <= value <= 1e6, f"{name} must be >= 0 and at most 1e6, got {value}.")
            object.__setattr__(self, name, float(value))
        require(self.gamma > 1, f"gamma must be more than 1, got {self.gamma}.")
        for name in ("iterations", "steps", "dictionary_steps", "start_spots"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1, got {getattr(self, name)}.")
        require(self.seed >= 0, f"seed must be >= 0, got {self.seed}.")


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
        require(
            self.tile is None or (_whole(self.tile) and self.tile >= 1),
            f"tile must be at least 1 px, got {self.tile}.",
        )
        require(
            _whole(self.memory) and self.memory > 0,
            f"memory must be a number of bytes, more than 0, got {self.memory!r}.",
        )
        require(
            self.workers is None or (_whole(self.workers) and self.workers >= 1),
            f"workers must be at least 1, got {self.workers}.",
        )
        require(
            not (self.processes and self.scheduler),
            "processes of this machine and a scheduler exclude each other; give --processes or --scheduler.",
        )
        require(
            self.scheduler is None or _is_address(self.scheduler),
            f"'{self.scheduler}' is not the address of a scheduler, such as tcp://127.0.0.1:8786.",
        )


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
        y, x = self.at_mm or (0.0, 0.0)
        require(math.isfinite(x) and math.isfinite(y), f"--at must be finite, got {x},{y}.")
        require(math.isfinite(self.rotation_deg), f"--rotation must be finite, got {self.rotation_deg}.")
        for field in ("step_mm", "spot_mm", "dwell_s", "gain"):
            value = getattr(self, field)
            require(
                value is None or (math.isfinite(value) and value > 0),
                f"--{field.replace('_', '-')} must be more than 0, got {value}.",
            )
        for field, unit in (("step_mm", "mm"), ("dwell_s", "s")):
            value = getattr(self, field)
            require(
                value is None or 1e-6 <= value <= 1e6,
                f"--{field.replace('_', '-')} must lie between 1e-6 and 1e6 {unit}, got {value}.",
            )
        require(
            self.footprint in ("box", "gaussian"),
            f"footprint must be 'box' or 'gaussian', got '{self.footprint}'.",
        )
        require(
            self.noise in ("poisson", "gaussian"), f"noise must be 'poisson' or 'gaussian', got '{self.noise}'."
        )


EVALUATED = (*IN_MEMORY, *METHODS)
"""Methods that `xrfsr evaluate` and `compare` can run."""


LAYER_WORDS = ("all", "visible", "hidden")
"""What a user can call the layers of a result."""

_CHOOSE_LAYER = f"choose one of: {', '.join(LAYER_WORDS)}."


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Which part of a result's cube is written out."""

    name: str | None = None
    """Name of the result; None: the newest."""
    layer: str = "all"
    """``"all"``, ``"visible"`` or ``"hidden"``."""
    energy_kev: tuple[float, float] | None = None
    """Channels whose centres lie between, keV; None: all."""
    y_mm: tuple[float, float] | None = None
    """Pixels whose centres lie between, mm; None: all."""
    x_mm: tuple[float, float] | None = None
    """The same along x."""

    def __post_init__(self) -> None:
        require(self.layer in LAYER_WORDS, f"unknown layer '{self.layer}'; {_CHOOSE_LAYER}")
        for name in ("energy_kev", "y_mm", "x_mm"):
            bounds = getattr(self, name)
            if bounds is not None:
                low, high = bounds
                require(low <= high, f"{name} runs from {low:g} to {high:g}; give the smaller first.")


@dataclass(frozen=True, kw_only=True)
class MapOptions:
    """Which element maps are written, and how."""

    elements: tuple[str, ...] = ()
    """``"Pb"`` for its usual line, or ``"Pb-Ma"``; empty: those with most counts."""
    layer: str = "all"
    """``"all"``, ``"visible"`` or ``"hidden"``."""
    name: str | None = None
    """Name of the result; None: the newest."""
    pyramid: bool = False
    """Also all maps as channels of one OME-Zarr pyramid."""
    table: bool = False
    """Also the table that XRF Explorer imports."""

    def __post_init__(self) -> None:
        require(all(self.elements), "an element without a name was asked for; name them such as Cr,Pb,As.")
        require(self.layer in LAYER_WORDS, f"unknown layer '{self.layer}'; {_CHOOSE_LAYER}")


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """How a real scan is split, binned and compared (the paper's section V-D)."""

    factor: int
    """Spots binned together along each axis."""
    methods: tuple[str, ...] = ("cubic", "paper", "joint")
    """What is compared; ``("all",)`` for all."""
    elements: tuple[str, ...] = ()
    """Chemical symbols whose maps are compared; empty: those the file lists."""
    map_bin: int = 4
    """Spots binned together along each axis before element maps are correlated."""
    seed: int = 0
    """Seed of the split into halves."""

    def __post_init__(self) -> None:
        require(self.factor >= 1, f"factor must be at least 1, got {self.factor}.")
        require(self.map_bin >= 1, f"map_bin must be at least 1, got {self.map_bin}.")
        require(self.seed >= 0, f"seed must be >= 0, got {self.seed}.")
        for method in self.methods:
            require(
                method in (*EVALUATED, "all"),
                f"unknown method '{method}'; choose among: {', '.join(EVALUATED)}, all.",
            )


@dataclass(frozen=True, kw_only=True)
class ChartOptions:
    """The paper's synthetic scene (its section V-C): a resolution chart over hidden rectangles."""

    shape: tuple[int, int] = (345, 490)
    """(ny, nx) HR px."""
    factor: int = 5
    """HR px per spot along each axis; divides both sizes."""
    n_channel: int = 1024
    """Channels of the spectra."""
    snr_db: float = 35.0
    """Mean square of the spots' spectra over that of the Gaussian noise, dB."""
    seed: int = 0
    """Seed of the noise."""

    def __post_init__(self) -> None:
        require(min(self.shape) >= 40, f"the chart needs at least 40 x 40 px, got {self.shape}.")
        fits = self.factor >= 1 and not any(n % self.factor for n in self.shape)
        require(fits, f"factor {self.factor} does not divide a chart of {self.shape} px.")
        require(self.n_channel >= 64, f"n_channel must be at least 64, got {self.n_channel}.")
        require(math.isfinite(self.snr_db), f"snr_db must be finite, got {self.snr_db}.")
        require(self.seed >= 0, f"seed must be >= 0, got {self.seed}.")


@dataclass(frozen=True, kw_only=True)
class BedroomOptions:
    """The painted phantom: a photograph, paints with real lines, layers beneath, overlapping patches."""

    shape: tuple[int, int] = (1320, 1686)
    """(ny, nx) px of our own picture; a given photograph brings its own."""
    width_mm: float = 923.0
    """Width of the painting, mm."""
    n_patches: int = 10
    """Number of scans."""
    spots: tuple[int, int] = (96, 85)
    """(ny, nx) spots of each scan."""
    n_channel: int = 4096
    """Channels of each spectrum."""
    overlap_spots: tuple[int, int] = (6, 10)
    """Least and largest overlap of neighbours, spots, at the middle of their common edge."""
    max_turn_deg: float = 2.0
    """Each patch is turned by up to this, either way."""
    dwell_s: float = 0.05
    """Time per spot, s."""
    counts_per_s: float = 120_000.0
    """Count rate on an average colour, 1/s."""
    hidden: bool = True
    """Whether a figure, stretcher bars and tacks lie beneath."""
    seed: int = 0
    """Seed of picture, layers, places and counts."""

    def __post_init__(self) -> None:
        require(min(self.shape) >= 16, f"the picture needs at least 16 x 16 px, got {self.shape}.")
        require(min(self.spots) >= 1, f"a patch needs at least one spot, got {self.spots}.")
        require(self.n_patches >= 1, f"n_patches must be at least 1, got {self.n_patches}.")
        require(16 <= self.n_channel <= 4096, f"n_channel must lie between 16 and 4096, got {self.n_channel}.")
        least, most = self.overlap_spots
        shortest = min(self.spots)
        fits = 0 <= least <= most < shortest or self.n_patches == 1
        require(fits, f"overlap_spots must rise from 0 to below {shortest}, got {self.overlap_spots}.")
        require(0 <= self.max_turn_deg <= 45, f"max_turn_deg must be 0 to 45, got {self.max_turn_deg}.")
        for name in ("width_mm", "dwell_s", "counts_per_s"):
            value = getattr(self, name)
            require(math.isfinite(value) and value > 0, f"{name} must be more than 0, got {value}.")
        require(self.counts_per_spot <= 1e7, f"{self.counts_per_spot:g} counts per spot are more than 1e7.")
        require(self.seed >= 0, f"seed must be >= 0, got {self.seed}.")

    @property
    def counts_per_spot(self) -> float:
        """Counts of one spot on an average colour."""
        return self.dwell_s * self.counts_per_s

    @classmethod
    def small(cls, *, seed: int = 0) -> BedroomOptions:
        """A study of the room: four patches, 1024 channels, solved within minutes."""
        return cls(
            shape=(304, 388), width_mm=212.0, n_patches=4, spots=(34, 40), n_channel=1024, seed=seed
        )  # fmt: skip

    @classmethod
    def bedroom(cls, *, seed: int = 0) -> BedroomOptions:
        """The whole painting: ten patches of 96 x 85 spots with 4096 channels, over 2 million px."""
        return cls(seed=seed)
