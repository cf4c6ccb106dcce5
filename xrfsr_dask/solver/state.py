"""State of a run in progress: generations of abundances, dictionaries, and the checkpoint that names them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import socket
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import zarr

from xrfsr_dask.errors import ResumeError, StoreError
from xrfsr_dask.kernels.dictionary import Dictionaries, Objective
from xrfsr_dask.solver.run import Plan
from xrfsr_dask.store.arrays import new_array, open_array, open_group, read_finite, remove_tree, write_values

_CHECKPOINT = "checkpoint.json"
_RECEIPTS = "receipts.jsonl"
_VERSION = 1


@dataclass(frozen=True)
class State:
    """Where a run stands: the names of what is whole on disk."""

    iteration: int = 0
    """Outer iterations finished."""
    passes: int = 0
    """Passes of the current iteration finished: first the counts, then each visit."""
    generation: int = 0
    """Number of the newest whole generation of abundances."""
    dictionary: int = 0
    """Number of the newest dictionaries."""
    history: list[dict[str, float]] = field(default_factory=list)
    """Objective and its parts after each iteration."""

    def moved(self, **changes: Any) -> State:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)


def settled(history: list[dict[str, float]], tolerance: float) -> bool:
    """Whether the last iteration changed the objective by less than `tolerance` of it."""
    if len(history) < 2 or tolerance <= 0:
        return False
    before, now = history[-2]["objective"], history[-1]["objective"]
    return abs(before - now) < tolerance * before


def record(value: Objective) -> dict[str, float]:
    """An objective as a line of the history."""
    return {
        "objective": value.total,
        "data": value.data,
        "photograph": value.photograph,
        "smoothness": value.smoothness,
    }


# Generations of abundances


@dataclass(frozen=True)
class Receipt:
    """What a task tells of the tile it wrote."""

    tile: tuple[int, int, int, int]
    """(y0, y1, x0, x1), px."""
    checksum: int
    """crc32 of what was written."""
    smallest: float
    largest: float
    """Least and largest abundance written."""


def receipt_of(tile: tuple[int, int, int, int], values: np.ndarray) -> Receipt:
    """The receipt for `values`, which were written to `tile`."""
    checksum = zlib.crc32(np.ascontiguousarray(values).data)
    return Receipt(tuple(tile), checksum, float(values.min()), float(values.max()))  # type: ignore[arg-type]


def new_generation(plan: Plan, generation: int, *, origin: str = "start") -> list[Receipt]:
    """Create the array of a generation, or find what an interrupted pass of the same origin left of it.

    Parameters
    ----------
    plan : Plan
    generation : int
    origin : str
        What the pass computes from; receipts of a pass of another origin are void.

    Returns
    -------
    list of Receipt
        Tiles that are written already and need not be done again.
    """
    path = _generation_path(plan, generation)
    found = _receipts(path / _RECEIPTS, origin)
    if found:
        return found
    shutil.rmtree(path, ignore_errors=True)
    group = zarr.create_group(str(path), zarr_format=3)
    shape = (*plan.painting.shape, plan.atoms)
    chunks = (plan.cell, plan.cell, plan.atoms)
    new_array(group, "abundance", shape=shape, dtype="f4", chunks=chunks, dims=("y", "x", "atom"))
    (path / _RECEIPTS).write_text(json.dumps({"origin": origin}) + "\n")
    return []


def keep_receipt(plan: Plan, generation: int, receipt: Receipt) -> None:
    """Note that a tile is written."""
    with (_generation_path(plan, generation) / _RECEIPTS).open("a") as file:
        file.write(json.dumps(dataclasses.asdict(receipt)) + "\n")


def _receipts(path: Path, origin: str) -> list[Receipt]:
    """Receipts of a pass; a last line that was cut off by a kill is passed over."""
    try:
        first, *lines = path.read_text().splitlines()
        if json.loads(first) != {"origin": origin}:
            return []
    except (OSError, ValueError):
        return []
    out = []
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            told = json.loads(line)
            out.append(Receipt(**(told | {"tile": tuple(told["tile"])})))
    return out


def open_generation(plan: Plan, generation: int) -> zarr.Array:
    """The abundances of a generation, (y, x, atom)."""
    return open_array(open_group(_generation_path(plan, generation), mode="r+"), "abundance")


def _generation_path(plan: Plan, generation: int) -> Path:
    return plan.work / f"gen-{generation:06d}"


# Dictionaries, their Grams and the counts against them


def save_dictionaries(plan: Plan, number: int, D: Dictionaries) -> None:
    """Write dictionaries with their Grams, and room for ``C = X Dnv^T`` of every patch."""
    path = _dictionary_path(plan, number)
    shutil.rmtree(path, ignore_errors=True)
    group = zarr.create_group(str(path), zarr_format=3)
    write_values(group, "Dv", D.Dv, ("atom", "energy"))
    write_values(group, "Dnv", D.Dnv, ("atom", "energy"))
    write_values(group, "Drgb", D.Drgb, ("atom", "band"))
    write_values(group, "Kn", D.Dnv @ D.Dnv.T, ("atom", "other_atom"))
    write_values(group, "Kvn", D.Dv @ D.Dnv.T, ("atom", "other_atom"))
    new_spot_arrays(plan, group.create_group("projected"), plan.n_hidden)


def load_dictionaries(plan: Plan, number: int) -> Dictionaries:
    """Dictionaries as saved."""
    return Dictionaries(*(load_matrix(plan, number, name) for name in ("Dv", "Dnv", "Drgb")))


def load_matrix(plan: Plan, number: int, name: str) -> np.ndarray:
    """One of Dv, Dnv, Drgb, Kn, Kvn, float64."""
    return read_finite(open_array(open_group(_dictionary_path(plan, number)), name))


def open_projected(plan: Plan, number: int, patch: str) -> zarr.Array:
    """``C = X Dnv^T`` of a patch, (spot_y, spot_x, atom)."""
    return open_array(open_group(_dictionary_path(plan, number) / "projected", mode="r+"), patch)


def new_spot_arrays(plan: Plan, group: zarr.Group, n: int) -> None:
    """One empty (spot_y, spot_x, atom) array per patch, chunked like its counts."""
    for patch in plan.painting.patches:
        new_array(
            group,
            patch.name,
            shape=(*patch.shape[:2], n),
            dtype="f4",
            chunks=(*patch.counts().chunks[:2], n),
            dims=(f"{patch.name}_y", f"{patch.name}_x", "atom"),
        )


def _dictionary_path(plan: Plan, number: int) -> Path:
    return plan.work / f"dictionary-{number:06d}"


# The checkpoint


def save(plan: Plan, state: State) -> State:
    """Make `state` the one a run resumes from (temp, fsync, rename), then sweep what it no longer names.

    The receipts of its generation lie beside that generation.
    """
    text = json.dumps(
        {
            "version": _VERSION,
            "state": dataclasses.asdict(state),
            "fingerprint": plan.fingerprint(),
        }
    )
    target = plan.work / _CHECKPOINT
    partial = target.with_suffix(".partial")
    with partial.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(target)
    keep = {_generation_path(plan, state.generation), _dictionary_path(plan, state.dictionary)}
    for old in [*plan.work.glob("gen-*"), *plan.work.glob("dictionary-*"), plan.work / "start"]:
        if old not in keep:
            shutil.rmtree(old, ignore_errors=True)
    return state


def load(plan: Plan) -> State | None:
    """The state to resume from, None where there is none.

    Raises
    ------
    ResumeError
        The unfinished run had other inputs or options; the message names what changed.
    """
    path = plan.work / _CHECKPOINT
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text())
        state, before = State(**found["state"]), found["fingerprint"]
    except (ValueError, KeyError, TypeError) as error:
        raise ResumeError(
            f"{path} is not a readable checkpoint ({error}); begin again with --restart."
        ) from error
    now = json.loads(json.dumps(plan.fingerprint()))
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if changed:
        details = "; ".join(_difference(key, before.get(key), now.get(key)) for key in changed)
        raise ResumeError(
            f"an unfinished run '{plan.name}' had other inputs or options: {details}. "
            "Repeat it as it was, choose another --name, or discard it with --restart."
        )
    return state


def discard(plan: Plan) -> None:
    """Remove all state of a run."""
    remove_tree(plan.work)


@contextlib.contextmanager
def locked(plan: Plan, *, restart: bool = False) -> Iterator[None]:
    """Hold the run for this process; refuse while another living process holds it.

    A run that ends before its first checkpoint leaves nothing behind.
    """
    path = plan.work / "lock.json"
    me = {"host": socket.gethostname(), "pid": os.getpid(), "started": psutil.Process().create_time()}
    if path.exists() and (holder := _living_holder(path)):
        raise StoreError(
            f"{plan.painting.path}: run '{plan.name}' is being worked on by process {holder['pid']} on "
            f"{holder['host']}; wait for it or stop it."
        )
    if restart:
        discard(plan)
    try:
        plan.work.mkdir(parents=True, exist_ok=True)
        if not (plan.work / "zarr.json").exists():
            zarr.create_group(str(plan.work), zarr_format=3)
        path.write_text(json.dumps(me))
        yield
    finally:
        path.unlink(missing_ok=True)
        if not (plan.work / _CHECKPOINT).exists():
            discard(plan)


def _living_holder(path: Path) -> dict[str, Any] | None:
    try:
        holder = json.loads(path.read_text())
        same_host = holder["host"] == socket.gethostname()
        if same_host and psutil.Process(holder["pid"]).create_time() != holder["started"]:
            return None
    except (ValueError, KeyError, psutil.NoSuchProcess):
        return None
    return holder


def _difference(key: str, before: Any, now: Any) -> str:
    if key.startswith(("option ", "version ")):
        return f"{key.removeprefix('option ')} was {before}, now {now}"
    if before is None or now is None:
        return (
            f"{key} was {'absent' if before is None else 'there'}, now {'absent' if now is None else 'there'}"
        )
    return f"{key} changed"
