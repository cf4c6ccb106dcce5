"""What is in a painting store."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from xrfsr_dask.errors import DamagedStoreError
from xrfsr_dask.options import SolveOptions, as_attributes
from xrfsr_dask.store import Painting, Patch, open_painting
from xrfsr_dask.store.arrays import open_array, open_group
from xrfsr_dask.store.journal import read_record
from xrfsr_dask.store.painting import names_of
from xrfsr_dask.store.places import Place, stands
from xrfsr_dask.store.remarks import remarks
from xrfsr_dask.store.staging import work_area
from xrfsr_dask.store.unfinished import CHECKPOINT, OPTION, RUN


def describe(path: str | Path) -> dict[str, Any]:
    """Photograph, patches, results and unfinished runs of a store, JSON-able."""
    painting = open_painting(path)
    ny, nx = painting.shape
    return {
        "store": painting.path,
        "photograph": {
            "px": [ny, nx],
            "bands": painting.n_band,
            "mm": [float(f"{n * painting.pitch_mm:.7g}") for n in (ny, nx)],
            "pitch_mm": painting.pitch_mm,
        },
        "patches": [patch_figures(patch) for patch in painting.patches],
        "results": [_result(painting, name) for name in names_of(painting.place / "results")],
        "unfinished_runs": [
            _unfinished(run.parent)
            for run in sorted(work_area(painting.path).glob(f"*/{CHECKPOINT}"))
            if not stands(painting.place / "results" / run.parent.name)
        ],
    }


def as_text(found: dict[str, Any]) -> str:
    """The description as a few lines for people."""
    photo = found["photograph"]
    lines = [
        f"{found['store']}",
        f"photograph  {photo['px'][1]} x {photo['px'][0]} px, {photo['mm'][1]:.6g} x {photo['mm'][0]:.6g} mm, "
        f"{photo['pitch_mm']:.4g} mm per px, {photo['bands']} {'band' if photo['bands'] == 1 else 'bands'}",
    ]
    lines += [
        f"patch       {p['name']}: {p['spots'][1]} x {p['spots'][0]} spots, {p['channels']} channels "
        f"{p['energy_kev'][0]:.3f} to {p['energy_kev'][1]:.3f} keV, step {p['step_mm']:.3g} mm, "
        f"{p['counts_per_spot']:.0f} counts a spot ({p['source'] or 'unknown source'})"
        for p in found["patches"]
    ]
    lines += [f"result      {r['name']}: {r['atoms']} atoms, method {r['method']}" for r in found["results"]]
    lines += [f"note        {told}" for r in found["results"] for told in (*r["out_of_place"], *r["misdwelt"])]
    lines += [_way_on(run, found["store"]) for run in found["unfinished_runs"]]
    return "\n".join(lines)


def _way_on(run: dict[str, Any], store: str) -> str:
    """An unfinished run in a line, with its options as they are typed, those that are as usual left out."""
    options = run["options"]
    if options is None:
        return f"unfinished  {run['name']}: its records cannot be read; `xrfsr check` tells more"
    usual = {"name": options.get("method")} | as_attributes(SolveOptions())
    asked = {"name": run["name"]} | options
    words = [
        word
        for key, value in usual.items()
        if asked.get(key, value) != value
        for word in (f"--{key.replace('_', '-')}", str(asked[key]))
    ]
    return f"unfinished  {run['name']}: go on with {shlex.join(['xrfsr', 'solve', store, *words])}"


def patch_figures(patch: Patch) -> dict[str, Any]:
    """Name, size, axis and counts of one patch, JSON-able."""
    energy = patch.energy_kev()
    ny, nx, n_channel = patch.shape
    return {
        "name": patch.name,
        "spots": [ny, nx],
        "channels": n_channel,
        "energy_kev": [float(energy[0]), float(energy[-1])],
        "step_mm": patch.step_mm,
        "gain": patch.gain,
        "counts_per_spot": patch.total_counts / (ny * nx),
        "source": str(open_group(patch.path).attrs.get("source", "")),
    }


def _unfinished(run: Place) -> dict[str, Any]:
    """Name and options of a run in progress; None for options where it cannot go on from its records."""
    try:
        told = dict(read_record(run / RUN)["fingerprint"])
        read_record(run / CHECKPOINT)
    except (DamagedStoreError, KeyError, TypeError, ValueError):
        return {"name": run.name, "options": None}
    options = {key.removeprefix(OPTION): value for key, value in told.items() if key.startswith(OPTION)}
    return {"name": run.name, "options": options}


def _result(painting: Painting, name: str) -> dict[str, Any]:
    folder = painting.place / "results" / name
    group = open_group(folder)
    atoms = open_array(group, "abundance").shape[2]
    return {
        "name": name,
        "atoms": atoms,
        "method": str(group.attrs.get("method", "known truth")),
        **remarks(group, painting.pitch_mm),
    }
