"""What runs in progress keep in the work area, as far as a check knows it: names, and what must be whole."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from xrfsr_dask.errors import DamagedStoreError, StoreError, first_line
from xrfsr_dask.store.arrays import open_array, open_group, read_finite
from xrfsr_dask.store.contents import is_inside
from xrfsr_dask.store.journal import read_lines, read_record, write_record
from xrfsr_dask.store.metadata import NAME
from xrfsr_dask.store.names import PARTIAL, is_unfinished
from xrfsr_dask.store.places import Place, files_below, folders
from xrfsr_dask.store.staging import remove_tree, sweep, work_area

RUN = "run.json"
"""What a run depends on: its fingerprint."""
OPTION = "option "
"""Begins the names of options in a run's fingerprint."""
CHECKPOINT = "checkpoint.json"
"""Where a run stands, with the arrays that are whole."""
LOCK = "lock.json"
"""Who works on a run."""
RECEIPTS = "receipts.jsonl"
"""Beside a generation: what it is computed from, then a line for every tile that is written."""
TRIED = "tried"
"""Folder of what a task is told only to try it out: each stage writes it anew."""

START = "start"
"""Folder of what is needed until the first checkpoint."""


def runs(root: Place) -> list[Place]:
    """Folders of runs in the work area of a store."""
    area = work_area(root)
    return [folder for folder in folders(area) if PARTIAL not in folder.name] if area.is_dir() else []


def faulty_records(run: Place) -> Iterator[tuple[str, str]]:
    """Files of a run (by their path inside it) that are not as they were written, and what is wrong."""
    for name in (RUN, CHECKPOINT, LOCK):
        if (run / name).exists() or (name != LOCK and (run / CHECKPOINT).exists()):
            try:
                found = read_record(run / name)
            except DamagedStoreError as error:
                yield name, first_line(error)
                continue
            if name == CHECKPOINT and not _lists_arrays(found):
                yield name, "it does not list the arrays that are whole"
            if name == RUN and not isinstance(found.get("fingerprint", {}), dict):
                yield name, "it does not tell what the run depends on"
    if has_started(run) and not (run / CHECKPOINT).exists():
        yield CHECKPOINT, "the checkpoint is missing"
    for folder in _named(run):
        if not any((work / folder).is_dir() for work in folders(run)):
            yield CHECKPOINT, f"it names {folder}, which is not there"


def has_started(run: Place) -> bool:
    """Whether a run has come to its first checkpoint and is not over, as far as its record can be read."""
    try:
        told = read_record(run / RUN)
    except DamagedStoreError:
        told = {}
    return not told.get("over") and ((run / CHECKPOINT).exists() or bool(told.get("started")))


def wipe(run: Place) -> None:
    """Remove all state of a run but its lock; whenever that ends, what is left of it counts no longer."""
    if (run / RUN).exists():
        with contextlib.suppress(OSError):  # a disk that is full
            write_record(run / RUN, {"over": True})
    (run / CHECKPOINT).unlink(missing_ok=True)
    for state in folders(run):
        remove_tree(state)
    (run / RUN).unlink(missing_ok=True)
    sweep(run)


def superseded(folder: str, *, generation: int, dictionary: int) -> bool:
    """Whether a folder of state has no more use once a checkpoint names a generation and dictionaries."""
    kind, _, number = folder.partition("-")
    named = {"gen": generation, "weights": generation, "dictionary": dictionary}
    return folder == START or (kind in named and number.isdigit() and int(number) < named[kind])


def state_of(run: Place) -> list[Place]:
    """Folders of a run's state that count: none before its first checkpoint, which begins anew, nor those that
    are being swept."""
    found = [folder for work in folders(run) for folder in folders(work)] if run.is_dir() else []
    return [folder for folder in found if not is_void(run, str(folder.relative_to(run)))]


def is_void(run: Place, place: str) -> bool:
    """Whether what lies at a place inside a run (``<identity>/<folder>/…``) counts no longer."""
    if not has_started(run) or TRIED in place.split("/"):
        return True
    try:
        state = read_record(run / CHECKPOINT)["state"]
        named = {name: int(state[name]) for name in ("generation", "dictionary")}
    except (DamagedStoreError, KeyError, TypeError, ValueError):
        return False
    return superseded(place.split("/")[1], **named)


def _lists_arrays(checkpoint: dict[str, Any]) -> bool:
    listed = checkpoint.get("whole")
    return isinstance(listed, list) and all(map(is_inside, listed))


def whole_arrays(run: Place) -> list[str]:
    """Arrays of a run that must have every chunk, by their path inside it."""
    try:
        listed = read_record(run / CHECKPOINT)["whole"]
        return [name for name in listed if is_inside(name)]
    except (DamagedStoreError, KeyError, TypeError):
        return []


def broken_receipts(run: Place) -> Iterator[tuple[str, str]]:
    """Receipts of a run that are damaged, or tell of a tile that is not there as it was written."""
    for folder in state_of(run):
        path = folder / RECEIPTS
        place, begun = str(path.relative_to(run)), bool(files_below(folder / "abundance" / "c"))
        if not path.is_file():
            if begun:
                yield place, "the receipts are missing"
            continue
        whole = folder.name in _named(run)  # asked first: a run that goes on may name it meanwhile
        lines, bad = read_lines(path)
        if bad:
            yield place, f"{bad} receipts are damaged"
        elif not lines and begun:  # else it was killed before the first was whole, and no tile is there
            yield place, "its receipts are empty"
        try:
            yield from _not_as_told(run, path, lines)
            if begun and whole and (n := _untold(folder, lines)):
                yield place, f"they do not tell of {n} of its pixels"
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            yield place, f"they tell of no tiles ({first_line(error)})"


def _not_as_told(run: Place, path: Place, lines: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Tiles of a generation, and of the arrays beside it, that are not as its receipts tell."""
    beside = lines[0].get("beside", []) if lines else []
    if not all(map(is_inside, beside)):
        raise ValueError("their arrays lie elsewhere")
    for told in lines[1:]:
        if what := _departs(path.parent, told):
            yield str((path.parent / "abundance").relative_to(run)), f"tile {told['tile']}: {what}"
        for name in beside:
            if what := _lacks(path.parents[1] / name, told["tile"]):
                yield str((path.parents[1] / name).relative_to(run)), what


def _named(run: Place) -> list[str]:
    """Folders of abundances and dictionaries that the checkpoint of a run names, but for the first of each."""
    try:
        state = read_record(run / CHECKPOINT)["state"]
        numbers = (("gen", state["generation"]), ("dictionary", state["dictionary"]))
        return [f"{kind}-{number:06d}" for kind, number in numbers if number > 0]
    except (DamagedStoreError, KeyError, TypeError, ValueError):
        return []


def _untold(generation: Place, lines: list[dict[str, Any]]) -> int:
    """Pixels of a whole generation that none of its receipts tells of."""
    try:
        ny, nx = open_array(open_group(generation), "abundance").shape[:2]
    except StoreError:  # told where metadata are read
        return 0
    tiles = {tuple(told["tile"]) for told in lines[1:]}
    return int(ny * nx - sum((y1 - y0) * (x1 - x0) for y0, y1, x0, x1 in tiles))


def in_the_making(folder: Place) -> bool:
    """Whether a group or array of a run was only just begun when the run was killed: nothing is in it yet."""
    return not any(file.name == NAME or not is_unfinished(file.name) for file in files_below(folder))


def _departs(generation: Place, told: dict[str, Any]) -> str | None:
    try:
        values = _tile(generation / "abundance", told["tile"])
    except StoreError as error:
        return first_line(error)
    if zlib.crc32(np.ascontiguousarray(values).data) != told["checksum"]:
        return "the values are not those that were written"
    return None


def _lacks(array: Place, tile: list[int]) -> str | None:
    try:
        _tile(array, tile)
    except StoreError as error:
        return first_line(error)
    return None


def _tile(array: Place, tile: list[int]) -> np.ndarray:
    y0, y1, x0, x1 = tile
    return read_finite(open_array(open_group(array.parent), array.name), (slice(y0, y1), slice(x0, x1)))
