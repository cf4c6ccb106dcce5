"""Ten turned, overlapping patches against one aligned scan of the same counts per spot."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import xrfsr_dask as xs
from benchmarks.experiments.runs import judged, kept
from benchmarks.experiments.scenes import painting
from xrfsr_dask.beams import centres_mm, within
from xrfsr_dask.metrics import factor_sums
from xrfsr_dask.options import BedroomOptions
from xrfsr_dask.phantom import write_painting
from xrfsr_dask.store import open_painting
from xrfsr_dask.tiling.grid import Rect
from xrfsr_dask.view.table import as_markdown, metric_rows

SHAPE = (500, 700)
SPOTS = (39, 41)
COUNTS = 6000.0


def road_table(folder: Path) -> str:
    """Figures of `joint` on both, the patches' parted into overlaps and the rest."""
    rows = kept(folder, "road-aligned", _aligned) + kept(folder, "road-patches", _patches)
    return as_markdown(rows)


def _aligned() -> list[dict[str, Any]]:
    return _named("one aligned scan", judged(painting(shape=SHAPE, counts_per_spot=COUNTS), "joint").figures)


def _patches() -> list[dict[str, Any]]:
    options = BedroomOptions(
        shape=SHAPE, spots=SPOTS, n_patches=10, n_channel=1024, dwell_s=1.0, counts_per_s=COUNTS
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "painting.zarr"
        write_painting(path, options)
        ds = xs.super_resolve(path, method="joint")
        truth = xs.open_result(path, "truth")
        stored = open_painting(path)
        ny, nx = stored.shape
        centres = centres_mm(Rect(0, ny, 0, nx), stored.pitch_mm)
        covering = np.sum([within(patch, centres) for patch in stored.patches], axis=0)
        steps = sorted({round(patch.step_mm / stored.pitch_mm, 2) for patch in stored.patches})
        sums = factor_sums(
            ds.abundance.values.reshape(ny * nx, -1),
            ds.endmember.values,
            truth.abundance.values.reshape(ny * nx, -1),
            truth.endmember.values,
            np.minimum(covering, 2) - 1,
            ("one patch", "overlaps"),
        )
    return _named(f"ten turned patches, a step of {steps[0]:g} px", sums.table())


def _named(name: str, figures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"scan": row["method"]} | {k: v for k, v in row.items() if k != "method"}
        for row in metric_rows({name: figures})
    ]
