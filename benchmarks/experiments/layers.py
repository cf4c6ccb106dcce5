"""How well `joint` tells the layers apart: maps of hidden elements against their truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter

from benchmarks.experiments.runs import judged, kept
from benchmarks.experiments.scenes import Scene, painting
from benchmarks.experiments.tables import SEEDS
from xrfsr_dask.lines.fitting import fit_lines
from xrfsr_dask.lines.recognition import axis_for
from xrfsr_dask.metrics import correlation
from xrfsr_dask.result import best_line
from xrfsr_dask.view import figures
from xrfsr_dask.view.panels import Panel, displayed
from xrfsr_dask.view.table import as_markdown

ELEMENTS = ("Pb", "Hg", "Cu", "As", "Fe", "Mn", "Ca")
"""What the paints beneath hold and the X-rays bring out."""
_LEAST = 1.0  # counts per spot by which a hidden map must vary to be judged


def layer_table(folder: Path, pictures: Path) -> str:
    """Correlation of each hidden element's map with its truth, and with the photograph outside of it."""
    rows = [
        row for seed in SEEDS for row in kept(folder, f"layers-{seed}", lambda s=seed: _rows(s, pictures))
    ]  # fmt: skip
    return as_markdown(rows)


def _true_maps(scene: Scene, usual: np.ndarray) -> dict[str, np.ndarray]:
    """Hidden maps of the truth (ny, nx): all counts, in which wood shows, and a line of each element.

    Paints are fitted each by itself, as they are pure; `usual` (n_channel,) is the mean spectrum.
    """
    beneath = scene.truth.layer == 1
    A, D = scene.truth.abundance[..., beneath], scene.truth.endmember[beneath]
    fitted = fit_lines(D, axis_for(usual, scene.energy_kev))
    lines = {element: best_line(scene.energy_kev, element) for element in ELEMENTS}
    named = {f"{element} {line}": fitted.counts_of(element, line) for element, line in lines.items() if line}
    return {name: A @ counts for name, counts in {"all counts": D.sum(axis=1), **named}.items()}


def _found_map(ds: xr.Dataset, name: str) -> np.ndarray:
    """The same of a result, as its user is shown it."""
    if name == "all counts":
        kev = ds.energy.values
        return np.asarray(ds.xrf.roi(kev[0], kev[-1], "hidden").values)
    element, line = name.split()
    return np.asarray(ds.xrf.element(element, line, layer="hidden").values)


def _rows(seed: int, pictures: Path) -> list[dict[str, Any]]:
    scene = painting(seed)
    ds = judged(scene, "joint").dataset
    assert ds is not None
    light = displayed(scene.photo.astype(np.float32) / 255.0).mean(axis=2)
    texture = light - gaussian_filter(light, 2.0 * scene.factor)
    outside = scene.truth.region != scene.truth.regions.index("hidden")
    rows, panels = [], []
    for name, truth in _true_maps(scene, ds.xrf.mean_spectrum().values).items():
        if truth.std() < _LEAST:
            continue
        found = _found_map(ds, name)
        rows.append(
            {
                "seed": seed,
                "hidden map": name,
                "varies by (counts)": round(float(truth.std()), 2),
                "with the truth": round(correlation(found, truth), 3),
                "with the photograph outside": round(correlation(found[outside], light[outside]), 3),
                "with its texture outside": round(correlation(found[outside], texture[outside]), 3),
                "leak (counts)": round(float(found[outside].std()), 2),
            }
        )
        y, x = (np.arange(n) + 0.5 for n in truth.shape)
        panels += [
            Panel(values=found, y_mm=y, x_mm=x, title=f"{name}, hidden, joint"),
            Panel(values=truth, y_mm=y, x_mm=x, title=f"{name}, hidden, truth"),
        ]
    if seed == SEEDS[0]:
        for i in range(0, len(panels), 2):
            name = panels[i].title.split()[0].lower()
            figures.save(
                figures.comparison(panels[i : i + 2], columns=2, unit="px"),
                pictures / f"hidden-{name}.png",
                dpi=90,
            )
    return rows
