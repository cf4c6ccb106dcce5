"""Solve one scan that is aligned with its photograph, both in memory."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xrfsr_dask.commands.solve import solve_painting
from xrfsr_dask.options import RunOptions, SolveOptions
from xrfsr_dask.progress import Progress
from xrfsr_dask.result import from_factors, open_result
from xrfsr_dask.store import PatchSpec, add_patch, create_painting, placement
from xrfsr_dask.store.arrays import open_array, open_group, read_finite
from xrfsr_dask.store.patches import CHUNK_SPOTS, Noise

if TYPE_CHECKING:
    import xarray as xr

_SOURCE, _PATCH = "array in memory", "scan"


def solve_arrays(
    counts: np.ndarray,
    image: np.ndarray,
    *,
    transfer: str,
    energy_kev: np.ndarray,
    noise: Noise,
    step_mm: float,
    options: SolveOptions,
    resources: RunOptions,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Put arrays into a painting store of their own, solve it, and load the result.

    Parameters
    ----------
    counts : uint16, uint32 or float32 array of shape (ny, nx, n_channel)
    image : uint8 or uint16 array of shape (factor * ny, factor * nx, band)
    transfer : {"srgb", "linear"}
    energy_kev : float array of shape (n_channel,)
    noise : {"poisson", "gaussian"}
    step_mm : float
        Distance between spots, mm.
    options, resources, progress
        As for `solve_painting`.

    Returns
    -------
    xarray.Dataset
        As `from_factors` makes it, with ``evidence (y, x)`` where the method has it and ``chi_square (spot_y,
        spot_x)``; nothing of the store is left.
    """
    spec = PatchSpec(
        shape=(counts.shape[0], counts.shape[1], counts.shape[2]),
        dtype=counts.dtype,
        transform=placement(at_mm=(0.0, 0.0), step_mm=step_mm),
        energy_kev=energy_kev,
        noise=noise,
        source=_SOURCE,
    )
    with tempfile.TemporaryDirectory(prefix="xrfsr-fuse-") as folder:
        path = Path(folder) / "painting.zarr"
        width_mm = counts.shape[1] * step_mm
        create_painting(path, image, width_mm=width_mm, transfer=transfer, source=_SOURCE)
        rows = ((r, counts[r : r + CHUNK_SPOTS]) for r in range(0, len(counts), CHUNK_SPOTS))
        add_patch(path, _PATCH, spec, rows)
        solve_painting(path, options=options, resources=resources, progress=progress)
        return _loaded(path)


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
