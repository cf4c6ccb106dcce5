"""How long the explorer takes for a picture of a painting of a hundred million px, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.measure import peak_gb, say

SIDE, ATOMS, CHANNELS = 10_000, 20, 1024
WIDTH_MM = 5000.0
_SCREEN = (900, 1200)


def write_large(path: Path) -> None:
    """A painting with one result: a random square over and over, and its levels."""
    from benchmarks.paintings import fill_levels
    from xrfsr_dask.lines.peaks import ELEMENTS, shapes, shells_on
    from xrfsr_dask.phantom.instrument import energy_axis
    from xrfsr_dask.store import create_painting
    from xrfsr_dask.store.results import new_result, shard_of
    from xrfsr_dask.store.staging import staged
    from xrfsr_dask.tiling.grid import CELL, blocks

    rng = np.random.default_rng(0)
    light = np.linspace(0, 255, SIDE).astype("u1")
    create_painting(path, np.broadcast_to(light[:, None], (SIDE, SIDE)), width_mm=WIDTH_MM)
    energy, shape, side = energy_axis(CHANNELS), (SIDE, SIDE), shard_of(CELL, ATOMS)
    drawn = shapes(shells_on(energy, ELEMENTS, "Rh", 50.0), energy, 1e-3)
    endmember = rng.dirichlet(np.full(len(drawn), 0.1), ATOMS) * 5000 @ drawn
    values = rng.random((side, side, ATOMS), np.float32) ** 8
    values /= values.sum(axis=-1, keepdims=True)
    with staged(path, "results/joint") as group:
        layer = (np.arange(ATOMS) >= ATOMS // 2).astype("u1")
        whole = new_result(group, shape=shape, pitch_mm=WIDTH_MM / SIDE, endmember=endmember, layer=layer,
                           energy_kev=energy, cell=CELL, attrs={"method": "joint"})  # fmt: skip
        for part in blocks(shape, side):
            whole[part.slices] = values[: part.shape[0], : part.shape[1]]
            group["coverage"][part.slices] = np.ones(part.shape, np.float32)
        fill_levels(group, shape, ATOMS)


def look(path: str) -> None:
    """Ask for the pictures that a visitor asks for, and print one JSON line each; seconds and, last, GB."""
    import xrfsr_dask as xs
    from xrfsr_dask.store import open_painting
    from xrfsr_dask.view.scene import Channel, Scene

    ds = xs.open_result(path)
    scene = Scene(ds, open_painting(path))
    colours = np.eye(3).tolist()
    channels = [Channel(name, (r, g, b)) for name, (r, g, b) in zip(("Cr", "Pb", "Cu"), colours, strict=True)]
    size = {"px": SIDE**2, "atoms": ATOMS, "elements": len(channels), "screen": list(_SCREEN)}
    before = peak_gb()
    began = time.perf_counter()
    found = ds.xrf.elements()
    say("which elements there are, s", time.perf_counter() - began, found=len(found), **size)
    pitch = WIDTH_MM / SIDE
    views = {"the whole": (0.0, WIDTH_MM, 0.0, WIDTH_MM)}
    for name, px, corner in (
        ("a quarter of its width", SIDE / 4, 0.2),
        ("the most px that one level shows", 1.66 * _SCREEN[1], 0.4),
        ("one to one", float(_SCREEN[1]), 0.7),
    ):
        w, h, low = px * pitch, px * pitch * _SCREEN[0] / _SCREEN[1], corner * WIDTH_MM
        views |= {name: (low, low + h, low, low + w)}
        views |= {f"{name}, moved by half of it": (low, low + h, low + w / 2, low + 1.5 * w)}
        views |= {f"{name}, moved back": (low, low + h, low, low + w)}
    for name, window in views.items():
        began = time.perf_counter()
        scene.picture(window, _SCREEN, channels)
        say(f"picture of {name}, s", time.perf_counter() - began, **size)
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    began = time.perf_counter()
    scene.spectra_within(
        [(WIDTH_MM * (0.5 + 0.48 * np.sin(t)), WIDTH_MM * (0.5 + 0.48 * np.cos(t))) for t in turn]
    )
    say("mean spectrum of a region of 72 million px, s", time.perf_counter() - began, **size)
    say("peak memory of panning beyond imports, GB", peak_gb() - before, **size)
    began = time.perf_counter()
    scene.values("Cr", "all")
    say("a whole map to be saved, s", time.perf_counter() - began, **size)


def panning(folder: str) -> None:
    """Write the painting (11 GB), then look at it from a new process."""
    path = Path(folder) / "large.zarr"
    write_large(path)
    code = f"from benchmarks.panning import look; look({str(path)!r})"
    subprocess.run([sys.executable, "-c", code], check=True)
