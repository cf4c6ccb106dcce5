"""Where `joint` might do harm: forty settings, each against a cubic spline."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from skimage import data
from skimage.transform import resize

from benchmarks.experiments import faults
from benchmarks.experiments.runs import judged, kept_rows
from benchmarks.experiments.scenes import Scene, chart, painting
from xrfsr_dask.view.table import as_markdown

Fault = Callable[[np.ndarray], np.ndarray]

SIZE = (150, 200)


def _painted(**options: Any) -> Scene:
    return painting(**({"shape": SIZE, "n_channel": 512} | options))


def _charted(**options: Any) -> Scene:
    return chart(**({"shape": SIZE, "n_channel": 256} | options))


def _unrelated(scene: Scene) -> Scene:
    return scene.with_photo((255 * resize(data.astronaut(), scene.photo.shape[:2])).astype(np.uint8))


def _constant(scene: Scene) -> Scene:
    return scene.with_photo(np.full_like(scene.photo, 120))


def _random(scene: Scene) -> Scene:
    return scene.with_photo(np.random.default_rng(5).integers(0, 256, scene.photo.shape).astype(np.uint8))


def _shifted(scene: Scene, y: int, x: int) -> Scene:
    return scene.with_photo(np.roll(scene.photo, (y, x), axis=(0, 1)))


def _grey(scene: Scene) -> Scene:
    return scene.with_photo(scene.photo.mean(axis=2).astype(np.uint8))


def _faulty(worse: Callable[[Scene, Fault], Scene], fault: Fault) -> Scene:
    return worse(_painted(), fault)


_PHOTOGRAPHS: dict[str, Fault] = {
    "saved as a poor JPEG": faults.poor_jpeg,
    "out of focus": faults.blurred,
    "with a vignette": faults.vignetted,
    "with cracks": faults.cracked,
    "with glints": faults.glinting,
    "with noise": faults.noisy,
    "with the weave": faults.woven,
    "distorted by 1.2 px": faults.warped,
}
_SCANS: dict[str, Fault] = {
    "with an unsteady tube": faults.unsteady,
    "with dead rows": faults.dead_rows,
    "with dead spots": faults.dead_spots,
    "with hot spots": faults.hot_spots,
    "with a hot channel": faults.hot_channel,
    "with a beam twice as wide": faults.wide_beam,
    "with rows in zigzag": faults.zigzag,
    "half of it a channel off": faults.drifting_energy,
}
_FAULTS = (("photograph", faults.photographed, _PHOTOGRAPHS), ("scan", faults.counted, _SCANS))

SETTINGS: dict[str, tuple[Callable[[], Scene], dict[str, Any]]] = {
    "as it is": (_painted, {}),
    "photograph of something else": (lambda: _unrelated(_painted()), {}),
    "… with 300 counts": (lambda: _unrelated(_painted(counts_per_spot=300.0)), {}),
    "… with 100 000 counts": (lambda: _unrelated(_painted(counts_per_spot=1e5)), {}),
    "photograph of noise": (lambda: _random(_painted()), {}),
    "constant photograph": (lambda: _constant(_painted()), {}),
    "grey photograph": (lambda: _grey(_painted()), {}),
    "photograph out of place by 1 and 1 px": (lambda: _shifted(_painted(), 1, -1), {}),
    "photograph out of place by 3 and 2 px": (lambda: _shifted(_painted(), 3, -2), {}),
    "60 counts a spot": (lambda: _painted(counts_per_spot=60.0), {}),
    "300 counts a spot": (lambda: _painted(counts_per_spot=300.0), {}),
    "100 000 counts a spot": (lambda: _painted(counts_per_spot=1e5), {}),
    "one atom": (_painted, {"atoms": 1}),
    "200 atoms": (_painted, {"atoms": 200}),
    "5 x 7 spots": (lambda: _painted(shape=(25, 35)), {}),
    "factor 2": (lambda: _painted(factor=2), {}),
    "factor 3": (lambda: _painted(shape=(150, 201), factor=3), {}),
    "factor 8": (lambda: _painted(shape=(160, 208), factor=8), {}),
    "64 channels": (lambda: _painted(n_channel=64), {}),
    "nothing hidden": (lambda: _painted(hidden=False), {}),
    "another seed": (lambda: _painted(seed=7), {}),
    "chart": (_charted, {}),
    "chart, 10 dB": (lambda: _charted(snr_db=10.0), {}),
    "chart, constant photograph": (lambda: _constant(_charted()), {}),
    **{
        f"{what} {name}": (partial(_faulty, worse, fault), {})
        for what, worse, named in _FAULTS
        for name, fault in named.items()
    },
}


def adverse_table(folder: Path) -> str:
    """RMSE, PSNR and SAM of `cubic` and `joint`, and every region where one of them is worse."""
    return as_markdown(kept_rows(folder, "adverse", SETTINGS, _row))


def _row(name: str) -> dict[str, Any]:
    make, options = SETTINGS[name]
    scene = make()
    cubic, joint = (judged(scene, method, **options).figures for method in ("cubic", "joint"))
    worse = [
        f"{theirs['region']} {key}: {ours[key]:.4g} for {theirs[key]:.4g}"
        for ours, theirs in zip(joint, cubic, strict=True)
        for key, sign in (("rmse", 1), ("psnr_db", -1), ("sam_deg", 1))
        if sign * ours[key] > sign * theirs[key]
    ]
    text = {
        title: f"{row[0]['rmse']:.3g} / {row[0]['psnr_db']:.2f} / {row[0]['sam_deg']:.2f}"
        for title, row in (("cubic", cubic), ("joint", joint))
    }
    return {"setting": name, **text, "joint worse in": "; ".join(worse) or "nothing"}
