"""The package from Python: arrays in memory, or a store."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

import numpy as np

from xrfsr_dask.commands.fuse import solve_arrays
from xrfsr_dask.commands.given import aligned, labels_of, truth_of
from xrfsr_dask.commands.solve import solve_painting
from xrfsr_dask.errors import XrfsrError
from xrfsr_dask.methods import super_resolve as run
from xrfsr_dask.methods.protocol import Estimate, Factors, Scene
from xrfsr_dask.metrics import WHOLE, Sums, added, row_sums
from xrfsr_dask.options import EVALUATED, METHODS, RunOptions, SolveOptions, evaluated
from xrfsr_dask.progress import Bar, Silent
from xrfsr_dask.result import open_result
from xrfsr_dask.store.painting import linear_light
from xrfsr_dask.store.patches import Noise
from xrfsr_dask.values import require, shown

if TYPE_CHECKING:
    import xarray as xr

P = ParamSpec("P")
R = TypeVar("R")

_SWITCHES = ("restart", "resume")


def _in_python(call: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that its errors call the command line's ``--step-mm`` ``step_mm``."""

    def argument(word: re.Match[str]) -> str:
        name = word[1].replace("-", "_")
        return f"{name}=True" if name in _SWITCHES else name

    @functools.wraps(call)
    def spoken(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return call(*args, **kwargs)
        except XrfsrError as error:
            error.args = (re.sub(r"(?<!\S)--([a-z][a-z-]*)", argument, str(error)),)
            raise

    return spoken


@_in_python
def fuse(
    counts: np.ndarray,
    rgb: np.ndarray,
    *,
    factor: int,
    method: str = "joint",
    atoms: int = 50,
    hidden_atoms: int = 12,
    energy: np.ndarray | None = None,
    noise: Noise = "poisson",
    smoothness: float = 0.1,
    iterations: int = 20,
    steps: int = 10,
    prox: Literal["paper", "simplex"] = "paper",
    seed: int = 0,
    device: Literal["cpu", "gpu"] = "cpu",
    step_mm: float = 1.0,
    workers: int | None = None,
    memory: int = RunOptions.memory,
) -> xr.Dataset:
    """Super-resolve one scan that is aligned with its photograph, both in memory.

    Parameters
    ----------
    counts : array of shape (ny, nx, n_channel)
        LR counts per spot; an `xarray.DataArray` may have its axis "energy" anywhere.
    rgb : array of shape (factor * ny, factor * nx, 3) or (…, 1) or (factor * ny, factor * nx)
        HR photograph: uint8 or uint16 in sRGB, or floats in [0, 1] in linear light.
    factor : int
        HR pixels per spot along one axis.
    method : str
        One of `xrfsr_dask.options.METHODS`.
    atoms, hidden_atoms : int
        Endmembers of each layer; `joint`: visible and hidden ones, at most.
    energy : array of shape (n_channel,), optional
        keV of each channel; where not given, those that `counts` is labelled with, or channel numbers.
    noise : {"poisson", "gaussian"}
        Poisson counts are never negative; Gaussian values may be, and their level is estimated.
    smoothness, iterations, steps, prox, seed, device
        As in `SolveOptions`.
    step_mm : float
        Distance between spots, mm, for the coordinates.
    workers, memory
        Threads, and bytes they may use together.

    Returns
    -------
    xarray.Dataset
        ``abundance``, ``endmember``, ``layer``, ``coverage`` and the lazy ``cube (y, x, energy)`` in counts
        per measured spot, as `open_result` gives them; ``chi_square (spot_y, spot_x)``, 1 where only noise is
        left; with `joint`, ``evidence (y, x)``: how much of each pixel rests on counts.

    Raises
    ------
    InputError
        Shapes that do not fit each other, negative Poisson counts, values that are not finite.

    Examples
    --------
    >>> ds = xs.fuse(counts, rgb, factor=5, energy=keV)
    >>> ds.xrf.element("Pb", line="La", layer="hidden")
    """
    options = SolveOptions(
        method=method,
        atoms=atoms,
        hidden_atoms=hidden_atoms,
        smoothness=smoothness,
        iterations=iterations,
        steps=steps,
        prox=prox,
        seed=seed,
        device=device,
    )
    resources = RunOptions(workers=workers, memory=memory)
    arrays = aligned(counts, rgb, factor=factor, energy=energy, noise=noise, step_mm=step_mm)
    return solve_arrays(arrays, options=options, resources=resources)


@_in_python
def super_resolve(
    path: str | Path,
    *,
    name: str | None = None,
    method: str = "joint",
    atoms: int = 50,
    hidden_atoms: int = 12,
    smoothness: float = 0.1,
    iterations: int = 20,
    steps: int = 10,
    prox: Literal["paper", "simplex"] = "paper",
    seed: int = 0,
    device: Literal["cpu", "gpu"] = "cpu",
    tile: int | None = None,
    memory: int = RunOptions.memory,
    workers: int | None = None,
    client: Any = None,
    resume: bool = False,
    restart: bool = False,
    progress: bool = False,
) -> xr.Dataset:
    """Super-resolve a painting store, as ``xrfsr solve`` does, and open the result.

    Parameters
    ----------
    path : str or Path
        A painting store with at least one patch.
    name : str, optional
        Name of the result; the method's where not given.
    method, atoms, hidden_atoms, smoothness, iterations, steps, prox, seed, device
        As in `SolveOptions`.
    tile, memory, workers
        As in `RunOptions`.
    client : distributed.Client, optional
        Where to run; threads of this process where not given.
    resume, restart : bool
        Insist on going on with an unfinished run, or discard it.
    progress : bool
        Show a bar on stderr.

    Examples
    --------
    >>> ds = xs.super_resolve("bedroom.zarr", name="few", atoms=10, memory=2 * 2**30)
    >>> ds.xrf.element("Pb", layer="hidden").plot(yincrease=False)
    """
    options = SolveOptions(
        method=method,
        atoms=atoms,
        hidden_atoms=hidden_atoms,
        smoothness=smoothness,
        iterations=iterations,
        steps=steps,
        prox=prox,
        seed=seed,
        device=device,
    )
    resources = RunOptions(tile=tile, memory=memory, workers=workers)
    require(name is None or isinstance(name, str), f"the name of a result must be text, got {name!r}.")
    require(
        client is None or hasattr(client, "nthreads"), f"client must be a distributed.Client, got {client!r}."
    )
    call = {"name": name, "options": options, "resources": resources, "client": client}
    flags = {"resume": resume, "restart": restart}
    if progress:
        with Bar("solve") as bar:
            done = solve_painting(path, **call, **flags, progress=bar)  # type: ignore[arg-type]
    else:
        done = solve_painting(path, **call, **flags, progress=Silent())  # type: ignore[arg-type]
    return open_result(path, str(done["result"]))


@dataclass(frozen=True)
class Compared:
    """One method's answer to a scene."""

    estimate: Estimate
    """The HR cube, in counts per measured spot: ``estimate.rows(slice)`` gives rows of pixels."""
    seconds: float
    """How long it took."""
    sums: Sums | None
    """What the figures are made of; ``sums.psnr_per_channel()`` is the paper's Fig. 6. None without a truth."""
    dataset: xr.Dataset | None = None
    """The layers apart, as `fuse` gives them, of a method that runs on the engine."""

    def __repr__(self) -> str:
        ny, nx, n_channel = self.estimate.shape
        lines = [f"{nx} x {ny} px of {n_channel} channels in {self.seconds:.1f} s"]
        lines += [
            f"{r['region']} {r['rmse']:.3g} counts RMSE, {r['psnr_db']:.1f} dB, {r['sam_deg']:.2f} degrees"
            for r in self.figures
        ]
        return "; ".join(lines)

    @property
    def figures(self) -> list[dict[str, Any]]:
        """RMSE, PSNR and SAM, whole and per region, as `metrics.Sums.table`; empty without a truth."""
        return self.sums.table() if self.sums else []


@_in_python
def compare(
    counts: np.ndarray,
    rgb: np.ndarray,
    *,
    factor: int,
    methods: str | Sequence[str] = ("cubic", "guided", "palette"),
    truth: tuple[np.ndarray, np.ndarray] | None = None,
    labels: np.ndarray | None = None,
    regions: Sequence[str] = (WHOLE,),
    energy: np.ndarray | None = None,
    noise: Noise = "poisson",
    atoms: int = 50,
    seed: int = 0,
    memory: int = 2**30,
    workers: int | None = None,
) -> dict[str, Compared]:
    """Super-resolve one aligned scan by several methods, and judge them where the truth is known.

    Parameters
    ----------
    counts, rgb, factor, energy, noise
        As for `fuse`.
    methods : sequence of str, or str
        Of `xrfsr_dask.options.EVALUATED`; ``"all"`` for all.
    truth : (abundance, endmember), optional
        Factors (ny, nx, k) and (k, n_channel) of the true HR cube, counts per measured spot.
    labels : int array of shape (ny, nx), optional
        Region of each HR pixel, an index into `regions`; negative: not judged.
    regions : sequence of str
        Names of the regions.
    atoms, seed
        Of every method; those that choose from the data take this many atoms at most.
    memory : int
        Bytes a method may need; one that needs more is refused before it begins.
    workers : int, optional
        Threads of the methods that run on the engine.

    Returns
    -------
    dict of str to Compared

    Examples
    --------
    >>> found = xs.compare(counts, rgb, factor=5, methods=("cubic", "guided"), truth=(A, D))
    >>> found["guided"].figures[0]["psnr_db"] > found["cubic"].figures[0]["psnr_db"]
    True
    """
    options, resources = SolveOptions(atoms=atoms, seed=seed), RunOptions(memory=memory, workers=workers)
    names = evaluated(methods)
    names = EVALUATED if "all" in names else names
    arrays = aligned(counts, rgb, factor=factor, energy=energy, noise=noise, step_mm=1.0)
    if truth is not None:
        truth = truth_of(truth, (*arrays.image.shape[:2], arrays.counts.shape[2]))
    if labels is not None:
        labels = labels_of(labels, arrays.image.shape[:2])
    require(
        isinstance(regions, list | tuple)
        and len(regions) > 0
        and all(isinstance(name, str) for name in regions),
        f"regions must be a list of names, got {shown(regions)}.",
    )
    scene = Scene(
        arrays.counts.astype(np.float32), linear_light(arrays.image, arrays.transfer), int(factor), noise
    )
    out = {}
    for name in names:
        began = time.perf_counter()
        estimate: Estimate
        ds = None
        if name in METHODS:
            ds = solve_arrays(arrays, options=replace(options, method=name), resources=resources)
            estimate = Factors(ds.abundance.values, ds.endmember.values, nonnegative=False)
        else:
            estimate = run(name, scene, atoms=atoms, seed=seed, memory=memory)
        seconds = time.perf_counter() - began
        sums = None if truth is None else _against(estimate, truth, labels, regions)
        out[name] = Compared(estimate, seconds, sums, ds)
    return out


def _against(
    estimate: Estimate,
    truth: tuple[np.ndarray, np.ndarray],
    labels: np.ndarray | None,
    regions: Sequence[str],
) -> Sums:
    """Sums of all differences, a few rows of pixels at a time."""
    A, D = truth
    ny, nx, n_channel = estimate.shape
    where = np.zeros((ny, nx), np.int64) if labels is None else labels
    parts = [slice(y, min(y + 16, ny)) for y in range(0, ny, 16)]
    return added(
        row_sums(
            estimate.rows(part).reshape(-1, n_channel),
            (A[part] @ D).reshape(-1, n_channel),
            where[part].ravel(),
            regions,
        )
        for part in parts
    )
