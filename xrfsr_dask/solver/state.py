"""State of a run in progress: generations of abundances, dictionaries, and the checkpoint that names them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import operator
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr

from xrfsr_dask.errors import DamagedStoreError, ResumeError, StoreError, XrfsrError, first_line
from xrfsr_dask.interrupts import raise_heard
from xrfsr_dask.kernels.dictionary import Dictionaries
from xrfsr_dask.solver.run import Plan, identity_of
from xrfsr_dask.solver.standing import State, checked, refuse_changes
from xrfsr_dask.store import Painting
from xrfsr_dask.store.arrays import new_array, new_group, open_array, open_group, read_finite, write_values
from xrfsr_dask.store.contents import record_all
from xrfsr_dask.store.journal import add_line, cut_off_rest, read_lines, read_record, write_record
from xrfsr_dask.store.links import refuse_any_link
from xrfsr_dask.store.locks import alone, held, is_mine, require_free, require_mine
from xrfsr_dask.store.metadata import n_stored, seal
from xrfsr_dask.store.names import is_unfinished
from xrfsr_dask.store.places import Place, files_below, folders, rmtree, stands
from xrfsr_dask.store.staging import run_folder, sweep
from xrfsr_dask.store.unfinished import (
    CHECKPOINT,
    LOCK,
    RECEIPTS,
    RUN,
    has_started,
    runs,
    superseded,
    whole_arrays,
    wipe,
)

_VERSION = 6


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
    """The receipt for `values`, which were written to `tile`.

    Raises
    ------
    XrfsrError
        They are not finite, which the next step would take for damage.
    """
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        y0, y1, x0, x1 = tile
        raise XrfsrError(
            f"the abundances at y {y0}:{y1}, x {x0}:{x1} px became infinite, so these counts cannot be solved "
            "as they are: look for single values far from all others in the scans there, or try another method."
        )
    checksum = 0
    for row in values:  # not all at once, which would copy them
        checksum = zlib.crc32(np.ascontiguousarray(row).data, checksum)
    return Receipt(tuple(tile), checksum, low, high)  # type: ignore[arg-type]


def new_generation(
    plan: Plan, generation: int, *, origin: str = "start", beside: tuple[str, ...] = ()
) -> list[Receipt]:
    """Create the array of a generation, or find what an interrupted pass of the same origin left of it.

    Parameters
    ----------
    plan : Plan
    generation : int
    origin : str
        What the pass computes from; receipts of a pass of another origin are void.
    beside : tuple of str
        Further (y, x) arrays of the run, by their path in its work folder, that each tile is written to.

    Returns
    -------
    list of Receipt
        Tiles that are written already and need not be done again.
    """
    require_own(plan)
    path = _generation_path(plan, generation)
    first = {"origin": origin, "beside": list(beside)}
    found = _receipts(path / RECEIPTS, first)
    if found:
        cut_off_rest(path / RECEIPTS)
        return found
    rmtree(path)
    group = new_group(path)
    shape = (*plan.painting.shape, plan.atoms)
    chunks = (plan.cell, plan.cell, plan.atoms)
    new_array(group, "abundance", shape=shape, dtype="f4", chunks=chunks, dims=("y", "x", "atom"))
    seal(path)
    add_line(path / RECEIPTS, first)
    return []


def keep_receipt(plan: Plan, generation: int, receipt: Receipt) -> None:
    """Note that a tile is written."""
    require_own(plan)
    add_line(_generation_path(plan, generation) / RECEIPTS, dataclasses.asdict(receipt))


def _receipts(path: Place, first: dict[str, Any]) -> list[Receipt]:
    """Receipts of a pass; lines that are damaged, tell of no tile or were cut off by a kill are passed over."""
    lines, _ = read_lines(path)
    if not lines or lines[0] != first:
        return []
    return [receipt for told in lines[1:] if (receipt := _receipt(told))]


def _receipt(told: dict[str, Any]) -> Receipt | None:
    try:
        y0, y1, x0, x1 = map(operator.index, told["tile"])
        return Receipt(**(told | {"tile": (y0, y1, x0, x1)}))
    except (KeyError, TypeError, ValueError):
        return None


def open_generation(plan: Plan, generation: int) -> zarr.Array:
    """The abundances of a generation, (y, x, atom)."""
    group = open_group(_generation_path(plan, generation), mode="r+")
    return open_array(group, "abundance", (*plan.painting.shape, plan.atoms))


def _generation_path(plan: Plan, generation: int) -> Place:
    return plan.work / f"gen-{generation:06d}"


# Dictionaries, their Grams and the counts against them


def save_dictionaries(plan: Plan, number: int, D: Dictionaries) -> None:
    """Write dictionaries with their Grams, and room for ``C = X Dnv^T`` of every patch."""
    require_own(plan)
    path = _dictionary_path(plan, number)
    rmtree(path)
    group = new_group(path)
    write_values(group, "Dv", D.Dv, ("atom", "energy"))
    write_values(group, "Dnv", D.Dnv, ("atom", "energy"))
    write_values(group, "Drgb", D.Drgb, ("atom", "band"))
    write_values(group, "Kn", D.Dnv @ D.Dnv.T, ("atom", "other_atom"))
    write_values(group, "Kvn", D.Dv @ D.Dnv.T, ("atom", "other_atom"))
    new_spot_arrays(plan, group.create_group("projected"), plan.n_hidden)
    seal(path)


def load_dictionaries(plan: Plan, number: int) -> Dictionaries:
    """Dictionaries as saved."""
    return Dictionaries(*(load_matrix(plan, number, name) for name in ("Dv", "Dnv", "Drgb")))


def load_matrix(plan: Plan, number: int, name: str) -> np.ndarray:
    """One of Dv, Dnv, Drgb, Kn, Kvn, float64."""
    shape = {
        "Drgb": (plan.n_visible, plan.painting.n_band),
        "Kn": (plan.n_hidden, plan.n_hidden),
        "Kvn": (plan.n_visible, plan.n_hidden),
    }.get(name, (None, plan.n_channel))
    return read_finite(open_array(open_group(_dictionary_path(plan, number)), name, shape))


def open_projected(plan: Plan, number: int, patch: str) -> zarr.Array:
    """``C = X Dnv^T`` of a patch, (spot_y, spot_x, atom)."""
    group = open_group(_dictionary_path(plan, number) / "projected", mode="r+")
    return open_array(group, patch, (*plan.painting.patch(patch).shape[:2], plan.n_hidden))


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


def _dictionary_path(plan: Plan, number: int) -> Place:
    return plan.work / f"dictionary-{number:06d}"


# The checkpoint


def begin(plan: Plan, fingerprint: dict[str, Any]) -> None:
    """Write down what a new run depends on; what an earlier one left is removed."""
    require_own(plan)
    wipe(plan.base)
    plan.work.mkdir()
    write_record(plan.base / RUN, {"version": _VERSION, "fingerprint": fingerprint})


def save(plan: Plan, state: State) -> State:
    """Make `state` the one a run resumes from, then sweep what it no longer names.

    The receipts of its generation lie beside that generation. The checkpoint lists the arrays that are whole.
    """
    require_own(plan)
    sealed = seal(plan.work)
    named = {"generation": state.generation, "dictionary": state.dictionary}
    old = {folder for folder in folders(plan.work) if superseded(folder.name, **named)}
    known = set(whole_arrays(plan.base))  # no stage writes to what earlier ones left
    arrays = {
        str(at.relative_to(plan.base)): (at, found)
        for at, found in sealed.items()
        if found["node_type"] == "array" and not old & set(at.parents)
    }
    record = {
        "version": _VERSION,
        "identity": plan.identity,
        "state": dataclasses.asdict(state),
        "whole": [name for name, found in arrays.items() if name in known or _is_whole(*found)],
    }
    require_own(plan)
    write_record(plan.base / CHECKPOINT, record)
    require_own(plan)
    if (plan.base / RUN).exists() and not (told := read_record(plan.base / RUN)).get("started"):
        write_record(plan.base / RUN, told | {"started": True})
    for path in old:
        rmtree(path)
    raise_heard()
    return state


def load(plan: Plan, fingerprint: dict[str, Any]) -> State | None:
    """The state to resume from, None where there is none.

    Raises
    ------
    ResumeError
        The unfinished run had other inputs or options; the message names what changed.
    """
    if not has_started(plan.base):
        return None
    try:
        told = read_record(plan.base / RUN)
        if told["version"] != _VERSION:
            raise ResumeError(
                f"run '{plan.name}' was begun by another version of xrfsr_dask; begin again with --restart."
            )
        before = told["fingerprint"]
        refuse_changes(plan.name, before, json.loads(json.dumps(fingerprint)))
        return checked(plan, State(**read_record(plan.base / CHECKPOINT)["state"]))
    except (DamagedStoreError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ResumeError(
            f"run '{plan.name}' left no readable checkpoint ({first_line(error)}); begin again with --restart."
        ) from error


@contextlib.contextmanager
def telling_the_way_on(plan: Plan) -> Iterator[None]:
    """Say of damage to the state of a run what can be done: only the run itself can make it anew."""
    try:
        yield
    except StoreError as error:
        if str(plan.base) not in str(error) or not is_mine(plan.base / LOCK):
            raise
        raise type(error)(f"{error} The run '{plan.name}' cannot go on; begin again with --restart.") from error


def require_unchanged(plan: Plan) -> None:
    """Refuse to make a result of inputs that changed while the run was going on, or of another's run."""
    require_own(plan)
    if identity_of(plan.fingerprint()) != plan.identity:
        raise ResumeError(
            f"photograph or patches of {plan.painting.path} changed while run '{plan.name}' was going on; "
            "begin again with --restart."
        )


def discard(plan: Plan) -> None:
    """Remove all state of a run but its lock; nothing of one that another process has taken over."""
    if is_mine(plan.base / LOCK):
        wipe(plan.base)


def require_own(plan: Plan) -> None:
    """Asked before whatever changes the state of a run: this process may have been asleep for long."""
    require_mine(plan.base / LOCK, f"run '{plan.name}'")


def discard_finished(painting: Painting, name: str) -> bool:
    """Remove what a run that was killed just after its result was whole left behind; whether there was any."""
    base = run_folder(painting.path, name)
    if not stands(painting.place / "results" / name) or not base.is_dir():
        return False
    with held(base / LOCK, f"{painting.path}: run '{name}'"):
        record_all(painting.place, "results", base.parent)
        wipe(base)
    with contextlib.suppress(OSError):
        base.rmdir()
    sweep(base.parent)
    return True


@contextlib.contextmanager
def locked(plan: Plan, *, restart: bool = False) -> Iterator[None]:
    """Hold the run for this process; refuse while a living process holds it, or another run of the store.

    A run that ends before its first checkpoint leaves nothing behind.
    """
    refuse_any_link(plan.base)
    area = plan.base.parent
    made = not area.exists()
    plan.base.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.ExitStack() as holding:
            with alone(area):  # of two that begin together, one sees the other
                for other in runs(plan.painting.place):
                    if other != plan.base:
                        require_free(other / LOCK, f"{plan.painting.path}: run '{other.name}'")
                holding.enter_context(held(plan.base / LOCK, f"{plan.painting.path}: run '{plan.name}'"))
            if restart:
                wipe(plan.base)
            plan.work.mkdir(exist_ok=True)
            try:
                yield
            finally:
                if not has_started(plan.base):
                    discard(plan)
                if is_mine(plan.base / LOCK):
                    with contextlib.suppress(OSError):
                        plan.work.rmdir()  # that of a plan that was refused is empty
    finally:
        with contextlib.suppress(OSError):
            plan.base.rmdir()  # empty where nothing was begun
            if made:
                area.rmdir()


def _is_whole(folder: Place, metadata: dict[str, Any]) -> bool:
    """Whether every chunk of an array is there; a generation is, or it would not be named."""
    if folder.parent.name.startswith("gen-"):
        return True
    there = sum(not is_unfinished(file.name) for file in files_below(folder / "c"))
    return n_stored(metadata) == there or not metadata["shape"]
