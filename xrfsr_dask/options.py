"""Choices a user makes, one frozen dataclass per stage; checked once, saved with every result.

Never data, paths of stores, or a Dask client.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from xrfsr_dask.values import is_number, is_one_of, is_whole, number, require, shown, whole

METHODS = ("joint", "paper", "baseline1", "baseline2")
"""Methods that run on the engine, over a whole painting."""

IN_MEMORY = ("cubic", "gsomp", "csusr", "nssr", "hysure", "cnmf", "guided", "palette")
"""Methods to compare with: one aligned scan in memory, a module of `methods` each."""

_MOST = 2**63 - 1  # bytes, px or workers: no machine has more
_LARGEST_SEED = 2**128 - 1  # as NumPy draws them


def as_attributes(options: Any) -> dict[str, Any]:
    """The fields of an options dataclass as a JSON-able dictionary, to be saved with a result."""
    return dataclasses.asdict(options)


def _is_address(text: Any) -> bool:
    """Whether a value is an address such as ``tcp://127.0.0.1:8786``."""
    found = re.fullmatch(r"\w+://[^/\s]+:(\d{1,5})", text) if isinstance(text, str) else None
    return found is not None and 0 < int(found[1]) < 2**16


def _seed(value: Any) -> int:
    return whole("seed", value, least=0, largest=_LARGEST_SEED)


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
            "seed": _seed(self.seed),
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
        for field in ("name", "transform_file", "calibration", "inside"):
            value = getattr(self, field)
            require(value is None or isinstance(value, str), f"{field} must be text, got {shown(value)}.")
        pair = self.at_mm is None or (isinstance(self.at_mm, tuple) and len(self.at_mm) == 2)
        require(pair, f"--at must be two numbers, got {shown(self.at_mm)}.")
        y, x = self.at_mm or (0.0, 0.0)
        require(is_number(x) and is_number(y), f"--at must be finite, got {x},{y}.")
        require(is_number(self.rotation_deg), f"--rotation must be finite, got {shown(self.rotation_deg)}.")
        for field in ("step_mm", "spot_mm", "dwell_s", "gain"):
            value = getattr(self, field)
            require(
                (value is None and field != "gain") or (is_number(value) and value > 0),
                f"--{field.replace('_', '-')} must be more than 0, got {shown(value)}.",
            )
        for field, unit in (("step_mm", "mm"), ("dwell_s", "s")):
            value = getattr(self, field)
            require(
                value is None or 1e-6 <= value <= 1e6,
                f"--{field.replace('_', '-')} must lie between 1e-6 and 1e6 {unit}, got {value}.",
            )
        for field, words in (("footprint", ("box", "gaussian")), ("noise", ("poisson", "gaussian"))):
            value = getattr(self, field)
            require(
                is_one_of(value, words), f"{field} must be '{words[0]}' or '{words[1]}', got {shown(value)}."
            )


EVALUATED = (*IN_MEMORY, *METHODS)
"""Methods that `xrfsr evaluate` and `compare` can run."""


def evaluated(methods: Any) -> tuple[str, ...]:
    """Names of methods to be compared, one alone or several; "all" stands for all.

    Raises
    ------
    OptionError
        One of them is none, or there are none.
    """
    known = f"choose among: {', '.join(EVALUATED)}, all."
    named = (methods,) if isinstance(methods, str) else methods
    require(isinstance(named, Iterable), f"methods must be names of methods, got {shown(methods)}; {known}")
    names = tuple(named)
    require(bool(names), f"no method was named; {known}")
    for name in names:
        require(is_one_of(name, (*EVALUATED, "all")), f"unknown method {shown(name)}; {known}")
    return names


LAYER_WORDS = ("all", "visible", "hidden")
"""What a user can call the layers of a result."""

_RANGES = {"energy_kev": "energies", "y_mm": "y", "x_mm": "x"}  # in words
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
        require(is_one_of(self.layer, LAYER_WORDS), f"unknown layer {shown(self.layer)}; {_CHOOSE_LAYER}")
        for name in ("energy_kev", "y_mm", "x_mm"):
            bounds = getattr(self, name)
            if bounds is not None:
                pair = isinstance(bounds, tuple) and len(bounds) == 2 and all(map(is_number, bounds))
                require(pair, f"the range of {_RANGES[name]} must be two numbers, got {shown(bounds)}.")
                low, high = bounds
                told = f"the range of {_RANGES[name]} runs from {low:g} to {high:g}; give the smaller first."
                require(low <= high, told)


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
        require(is_one_of(self.layer, LAYER_WORDS), f"unknown layer {shown(self.layer)}; {_CHOOSE_LAYER}")


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
        whole("factor", self.factor, least=1)
        whole("map_bin", self.map_bin, least=1)
        _seed(self.seed)
        object.__setattr__(self, "methods", evaluated(self.methods))


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
        whole("factor", self.factor, least=1)
        whole("n_channel", self.n_channel, least=64)
        _seed(self.seed)
        require(min(self.shape) >= 40, f"the chart needs at least 40 x 40 px, got {self.shape}.")
        fits = not any(n % self.factor for n in self.shape)
        require(fits, f"factor {self.factor} does not divide a chart of {self.shape} px.")
        require(is_number(self.snr_db), f"snr_db must be finite, got {shown(self.snr_db)}.")


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
        whole("n_patches", self.n_patches, least=1)
        whole("n_channel", self.n_channel, least=16, most=4096)
        least, most = self.overlap_spots
        shortest = min(self.spots)
        fits = 0 <= least <= most < shortest or self.n_patches == 1
        require(fits, f"overlap_spots must rise from 0 to below {shortest}, got {self.overlap_spots}.")
        turns = is_number(self.max_turn_deg) and 0 <= self.max_turn_deg <= 45
        require(turns, f"max_turn_deg must be 0 to 45, got {shown(self.max_turn_deg)}.")
        for name in ("width_mm", "dwell_s", "counts_per_s"):
            value = getattr(self, name)
            require(is_number(value) and value > 0, f"{name} must be more than 0, got {shown(value)}.")
        require(self.counts_per_spot <= 1e7, f"{self.counts_per_spot:g} counts per spot are more than 1e7.")
        _seed(self.seed)

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
