"""How well `joint` tells the layers apart: maps of hidden elements against their truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from benchmarks.experiments.runs import judged, kept
from benchmarks.experiments.scenes import painting
from benchmarks.experiments.tables import SEEDS
from xrfsr_dask.metrics import correlation
from xrfsr_dask.result import best_line
from xrfsr_dask.result.fitting import fit_lines
from xrfsr_dask.result.recognition import axis_for
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


def _counts(energy: np.ndarray, usual: np.ndarray, endmembers: np.ndarray) -> dict[str, np.ndarray]:
    """Per endmember: all its counts, in which wood shows, and those of a line of each element.

    Lines are fitted together, as `ds.xrf.element` does; `usual` (n_channel,) is the mean spectrum.
    """
    fitted = fit_lines(endmembers, axis_for(usual, energy))
    out = {"all counts": endmembers.sum(axis=1)}
    for element in ELEMENTS:
        line = best_line(energy, element)
        if line is not None:
            out[f"{element} {line}"] = fitted.counts_of(element, line)
    return out


def _rows(seed: int, pictures: Path) -> list[dict[str, Any]]:
    scene = painting(seed)
    ds = judged(scene, "joint").dataset
    assert ds is not None
    light = displayed(scene.photo.astype(np.float32) / 255.0).mean(axis=2)
    texture = light - gaussian_filter(light, 2.0 * scene.factor)
    outside = scene.truth.region != scene.truth.regions.index("hidden")
    hidden = ds.layer.values == "hidden"
    A, D = ds.abundance.values[..., hidden], ds.endmember.values[hidden]
    rows, panels = [], []
    beneath = scene.truth.layer == 1
    usual = ds.xrf.mean_spectrum().values
    true = _counts(scene.energy_kev, usual, scene.truth.endmember[beneath])
    ours = _counts(scene.energy_kev, usual, D)
    for name, counts in ours.items():
        truth, found = scene.truth.abundance[..., beneath] @ true[name], A @ counts
        if truth.std() < _LEAST:
            continue
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
