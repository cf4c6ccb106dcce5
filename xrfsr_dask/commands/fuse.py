"""Solve one scan that is aligned with its photograph, both in memory."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xrfsr_dask.commands.solve import dry_run, solve_painting
from xrfsr_dask.errors import MemoryBudgetError
from xrfsr_dask.options import RunOptions, SolveOptions
from xrfsr_dask.progress import Progress
from xrfsr_dask.result import from_factors, open_result
from xrfsr_dask.store import PatchSpec, add_patch, create_painting, placement
from xrfsr_dask.store.arrays import open_array, open_group, read_finite
from xrfsr_dask.store.patches import CHUNK_SPOTS, Noise

if TYPE_CHECKING:
    import xarray as xr

_SOURCE, _PATCH = "array in memory", "scan"


@dataclass(frozen=True, kw_only=True, eq=False)
class Aligned:
    """One scan and its photograph, a whole number of pixels to a spot."""

    counts: np.ndarray
    """uint16, uint32 or float32 (ny, nx, n_channel)."""
    image: np.ndarray
    """uint8 or uint16 (factor * ny, factor * nx, band)."""
    transfer: str
    """``"srgb"`` or ``"linear"``: how the image's values relate to light."""
    energy_kev: np.ndarray
    """(n_channel,), or the numbers of the channels."""
    has_energy: bool
    noise: Noise
    """``"poisson"`` or ``"gaussian"``."""
    step_mm: float
    """Distance between spots, mm."""


def solve_arrays(
    arrays: Aligned, *, options: SolveOptions, resources: RunOptions, progress: Progress | None = None
) -> xr.Dataset:
    """Put arrays into a painting store of their own, solve it, and load the result.

    Returns
    -------
    xarray.Dataset
        As `from_factors` makes it, with ``evidence (y, x)`` where the method has it and ``chi_square (spot_y,
        spot_x)``; nothing of the store is left.
    """
    with _painting_of(arrays) as path:
        solve_painting(path, options=options, resources=resources, progress=progress)
        found = _loaded(path)
    if not arrays.has_energy:
        found["energy"] = found.energy.assign_attrs(units="1", long_name="channel")
    return found


def require_plans(arrays: Aligned, methods: list[SolveOptions], resources: RunOptions) -> None:
    """Raise what `solve_arrays` would raise before its work, such as `MemoryBudgetError`, without any work."""
    if methods:
        with _painting_of(arrays) as path:
            for options in methods:
                try:
                    dry_run(path, options=options, resources=resources)
                except MemoryBudgetError as error:
                    raise MemoryBudgetError(f"method '{options.method}': {error}") from error


@contextlib.contextmanager
def _painting_of(arrays: Aligned) -> Iterator[Path]:
    """A store of these arrays alone, for the time of the block."""
    ny, nx, n_channel = arrays.counts.shape
    spec = PatchSpec(
        shape=(ny, nx, n_channel),
        dtype=arrays.counts.dtype,
        transform=placement(at_mm=(0.0, 0.0), step_mm=arrays.step_mm),
        energy_kev=arrays.energy_kev,
        noise=arrays.noise,
        source=_SOURCE,
    )
    with tempfile.TemporaryDirectory(prefix="xrfsr-fuse-") as folder:
        path = Path(folder) / "painting.zarr"
        width_mm = nx * arrays.step_mm
        create_painting(path, arrays.image, width_mm=width_mm, transfer=arrays.transfer, source=_SOURCE)
        rows = ((r, arrays.counts[r : r + CHUNK_SPOTS]) for r in range(0, ny, CHUNK_SPOTS))
        add_patch(path, _PATCH, spec, rows)
        yield path


def _loaded(path: Path) -> xr.Dataset:
    """The result with its factors in memory, so that its store may go, and how well it explains each spot."""
    ds = open_result(path)
    out = from_factors(
        abundance=ds.abundance.values,
        endmember=ds.endmember.values,
        layer=ds.layer.values,
        y_mm=ds.y.values,
        x_mm=ds.x.values,
        energy_kev=ds.energy.values,
        coverage=ds.coverage.values,
        attrs=dict(ds.attrs),
    )
    if "evidence" in ds:
        out["evidence"] = ds.evidence.load()
    fit = open_array(open_group(path / "results" / ds.attrs["result"] / "fit" / _PATCH), "chi_square")
    out["chi_square"] = ("spot_y", "spot_x"), read_finite(fit), dict(fit.attrs)
    return out
