"""What each ingredient of `joint` is worth: left out, or replaced by what was tried before it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.experiments.runs import judged, kept_rows
from benchmarks.experiments.scenes import Scene, chart, painting
from xrfsr_dask.kernels import cokriging, edges
from xrfsr_dask.solver.joint import blocks, layers, picture, stages
from xrfsr_dask.view.table import as_markdown

SIZE = (150, 200)
SCENES: dict[str, Callable[[], Scene]] = {
    "painting": lambda: painting(shape=SIZE, n_channel=512),
    "chart": lambda: chart(shape=SIZE, n_channel=256),
}


@contextmanager
def _map_by_folds() -> Iterator[None]:
    """The map of the first step, neighbours taken for independent."""

    def mapped(plan: Any, field: Any, prior: Any, *_: Any) -> Any:
        return dataclasses.replace(field, prior=prior)

    with patch.object(stages, "_mapped", mapped):
        yield


@contextmanager
def _no_map() -> Iterator[None]:
    def none(normal: np.ndarray, right: np.ndarray, square: np.ndarray) -> np.ndarray:
        N, R = normal.sum(axis=0), right.sum(axis=0)
        return np.concatenate([np.zeros_like(R[:-1]), R[-1:] / N[-1, -1]])

    with patch.object(stages, "ridge_by_folds", none), _map_by_folds():
        yield


@contextmanager
def _with(module: Any, **values: Any) -> Iterator[None]:
    with patch.multiple(module, **values):
        yield


def _hidden_blind(
    desk: Any, field: Any, near: Any, block: Any, *, plain: Any = picture.pictured, spots: Any, **only: Any
) -> Any:
    """Hidden: all departures from the map, kriged without the photograph."""
    found = plain(desk, field, near, block, spots=spots, **only)
    if spots is None or field.sharp:
        return found
    places, _ = picture.pixels_of(desk, near, block)
    blind = picture.krige_blind(spots, field.prior, places[only.get("only", slice(None))])
    return picture.Picture(found.whole, blind - field.middle.astype(np.float32))


VARIANTS: dict[str, Callable[[], Any]] = {
    "as it is": nullcontext,
    "no map from colour to score": _no_map,
    "map by folds of spots, neighbours independent": _map_by_folds,
    "no drift of the map": lambda: _with(cokriging, SHARES=(0.0,)),
    "no part that ignores the photograph": lambda: _with(cokriging, SHARES=(1.0,)),
    "one law for what is hidden, Matérn 1.5 steps": lambda: _with(stages, HIDDENS=cokriging.HIDDENS[:1]),
    "one law, chosen": lambda: _with(cokriging, _HIDDEN_KEPT=1),
    "hidden layer kriged without the photograph": lambda: _with(blocks, pictured=_hidden_blind),
    "edges never": lambda: _with(stages, _CLEARLY=0.0),
    "edges always": lambda: _with(stages, _CLEARLY=np.inf),
    "edges twice as dear": lambda: _with(edges.sharpened, __kwdefaults__={"lam": 2.0}),
    "hidden layer held a tenth as much": lambda: _with(blocks, _FIRM=np.float32(0.3)),
    "hidden layer not held": lambda: _with(blocks, _FIRM=np.float32(0.0)),
    "no dictionary steps": lambda: _with(stages, _HOLD=1e9),
    "dictionary steps not held": lambda: _with(stages, _HOLD=1e-3),
    "hidden spectra however unlike": lambda: _with(layers, _PLAUSIBLE=-1.0),
}


def ablation_table(folder: Path) -> str:
    """PSNR and SAM of every variant on both scenes, and the correlation of the hidden layer with its truth."""
    return as_markdown(kept_rows(folder, "ablation", VARIANTS, _row))


def _row(name: str) -> dict[str, Any]:
    out: dict[str, Any] = {"variant": name}
    for title, make in SCENES.items():
        scene = make()
        with VARIANTS[name]():
            found = judged(scene, "joint")
        ds, whole = found.dataset, found.figures[0]
        assert ds is not None
        hidden = ds.layer.values == "hidden"
        estimate = ds.abundance.values[..., hidden] @ ds.endmember.values[hidden].sum(axis=1)
        truth = scene.hidden_map(np.ones(len(scene.energy_kev)))
        alike = np.corrcoef(estimate.ravel(), truth.ravel())[0, 1] if estimate.std() > 0 else 0.0
        out[f"{title}, PSNR (dB)"] = round(whole["psnr_db"], 2)
        out[f"{title}, SAM (deg)"] = round(whole["sam_deg"], 2)
        out[f"{title}, hidden counts with the truth"] = round(float(alike), 3)
    return out
