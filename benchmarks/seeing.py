"""How long somebody who looks has to wait: a result of the Bedroom's size, asked in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

SHAPE, ATOMS, CHANNELS = (1320, 1686), 100, 4096
WIDTH_MM = 923.0

_LIBRARIES = """
import time; began = time.perf_counter()
import dask.array, numpy, pandas, xarray, zarr; took = time.perf_counter() - began
from benchmarks.seeing import _say; _say("of which imports of Dask, NumPy, pandas, xarray and Zarr, s", took)
"""


def write_result(path: Path) -> None:
    """A painting with one result of dense, random abundances; every endmember shows some twenty elements."""
    from benchmarks.paintings import fill_levels
    from xrfsr_dask.lines.peaks import ELEMENTS, shapes, shells_on
    from xrfsr_dask.phantom.instrument import energy_axis
    from xrfsr_dask.store import create_painting
    from xrfsr_dask.store.results import new_result
    from xrfsr_dask.store.staging import staged
    from xrfsr_dask.tiling.grid import CELL

    rng = np.random.default_rng(0)
    create_painting(path, rng.integers(0, 255, (*SHAPE, 3)).astype("u1"), width_mm=WIDTH_MM)
    energy = energy_axis(CHANNELS)
    drawn = shapes(shells_on(energy, ELEMENTS, "Rh", 50.0), energy, 1e-3)
    photons = rng.dirichlet(np.full(len(drawn), 0.1), ATOMS) * 5000
    endmember = photons @ drawn + 0.3 * np.exp(-0.5 * ((energy - 11) / 5) ** 2)
    with staged(path, "results/joint") as group:
        layout = {"shape": SHAPE, "pitch_mm": WIDTH_MM / SHAPE[1], "energy_kev": energy, "cell": CELL}
        layer = (np.arange(ATOMS) >= ATOMS // 2).astype("u1")
        whole = new_result(group, endmember=endmember, layer=layer, attrs={"method": "joint"}, **layout)
        side = whole.shards[0]
        for y in range(0, SHAPE[0], side):
            for x in range(0, SHAPE[1], side):
                part = whole[y : y + side, x : x + side].shape
                values = rng.random(part, np.float32) ** 8
                whole[y : y + side, x : x + side] = values / values.sum(axis=-1, keepdims=True)
        group["coverage"][...] = np.ones(SHAPE, np.float32)
        fill_levels(group, SHAPE, ATOMS)


def look(path: str) -> None:
    """Ask the questions, first and again, and print one JSON line each; seconds and, last, GB."""
    began = time.perf_counter()
    import xrfsr_dask as xs

    ds = xs.open_result(path)
    _say("opening a result, s", time.perf_counter() - began, note="imports included")
    size = {"px": list(SHAPE), "channels": CHANNELS, "atoms": ATOMS}
    questions: dict[str, Callable[[], object]] = {
        "point spectrum": lambda: ds.xrf.spectrum(y=310.2, x=455.0),
        "element map": lambda: ds.xrf.element("Cr").compute(),
        "another element map": lambda: ds.xrf.element("Pb", layer="hidden").compute(),
        "mean spectrum": lambda: ds.xrf.mean_spectrum(),
    }
    for name, ask in questions.items():
        for order in ("first", "again"):
            began = time.perf_counter()
            ask()
            _say(f"{name}, s", time.perf_counter() - began, order=order, **size)
    from benchmarks.measure import peak_gb  # here: what it imports is no part of opening a result

    _say("peak memory of looking, GB", peak_gb(), **size)


def seeing(folder: str) -> None:
    """Write the result, then look at it from a new process."""
    path = Path(folder) / "seen.zarr"
    write_result(path)
    for code in (_LIBRARIES, f"from benchmarks.seeing import look; look({str(path)!r})"):
        subprocess.run([sys.executable, "-c", code], check=True)


def _say(name: str, value: float, **context: object) -> None:
    print(json.dumps({"figure": name, "value": round(value, 4), **context}), flush=True)
