"""Read every chunk of a store and name each one that is damaged or missing."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr

from xrfsr_dask.errors import DamagedStoreError, StoreError, first_line
from xrfsr_dask.progress import Progress, Silent
from xrfsr_dask.store.arrays import fault_of, open_array, open_group, read, read_finite
from xrfsr_dask.store.bounded import most_stored
from xrfsr_dask.store.contents import KINDS, half_moved, listed_arrays, lost
from xrfsr_dask.store.metadata import CHECKSUM, NAME, read_metadata
from xrfsr_dask.store.painting import FORMAT, FORMAT_VERSION, GROUPS, absolute, open_painting
from xrfsr_dask.store.patches import rises
from xrfsr_dask.store.places import Place, file_bytes, files_below, folders, leads_inside, really, size_of
from xrfsr_dask.store.remarks import remarks
from xrfsr_dask.store.results import PYRAMID, stored_levels
from xrfsr_dask.store.shapes import misfits
from xrfsr_dask.store.staging import work_area
from xrfsr_dask.store.unfinished import (
    broken_receipts,
    faulty_records,
    in_the_making,
    is_void,
    runs,
    state_of,
    whole_arrays,
)

_REQUIRED = {
    "rgb/0": ("image", "y", "x"),
    "patches/*": ("counts", "energy", "mean_spectrum"),
    "results/*": ("abundance", "endmember", "layer", "coverage", "y", "x", "energy"),
    f"results/*/{PYRAMID}/*": ("abundance", "measured"),
}


_AXES = ("energy", "y", "x")
_MANY = 100_000  # chunks of one array; where few of so many are there, they are told of together


@dataclass(frozen=True)
class Damage:
    """One thing that is wrong with a store."""

    place: str
    """Path inside the store, with the chunk where there is one."""
    what: str
    """What is wrong with it."""


@dataclass(frozen=True)
class CheckReport:
    """What a check read and found."""

    arrays: int
    chunks: int
    damage: tuple[Damage, ...]


def check_store(path: str | Path, progress: Progress | None = None) -> CheckReport:
    """Read and verify every chunk and all metadata of photograph, patches, results and unfinished runs.

    Of an unfinished run every chunk must be there that its checkpoint and receipts tell of.

    Raises
    ------
    StoreError
        `path` holds no Zarr group at all.
    """
    root, report = absolute(path), progress or Silent()
    if not root.is_dir():
        found = "is a file, not a folder" if root.is_file() else "does not exist"
        raise StoreError(f"{path} {found}; give a painting store, as `xrfsr new` makes it.")
    not_opened = list(_not_opened(root))
    damage = list(_missing(root))
    arrays: list[tuple[Place, zarr.Array]] = []
    for folder in _nodes(root):
        damage.extend(_faulty_metadata(root, folder, arrays))
    damage.extend(
        Damage(f"{folder.relative_to(root)}/{NAME}", f"its shape {array.shape} holds nothing")
        for folder, array in arrays
        if 0 in array.shape
    )
    damage.extend(_contradicting(root, arrays))
    unfinished = _unfinished(root, arrays, damage)
    report.expect(sum(_n_stored(array) for _, array in arrays))
    for folder, array in arrays:
        damage.extend(_damaged_chunks(root, folder, array, report, partly=folder in unfinished))
    damage = [found for found in dict.fromkeys(damage) if _stands(root, found)]
    damage = damage or not_opened  # what was found piece by piece says more
    return CheckReport(len(arrays), sum(_n_stored(array) for _, array in arrays), tuple(damage))


def _contradicting(root: Place, arrays: list[tuple[Place, zarr.Array]]) -> Iterator[Damage]:
    """Shapes that contradict one another, and, of the other arrays, axes that do not rise."""
    by_place = {str(folder.relative_to(root)): array for folder, array in arrays}
    wrong = {
        place: (found, expected)
        for place, found, expected in misfits({p: a.shape for p, a in by_place.items()})
    }
    for place, (found, expected) in wrong.items():
        yield Damage(f"{place}/{NAME}", f"its shape is {found}, {expected} was expected")
    for place, array in by_place.items():
        axis = place.rpartition("/")[2]
        if axis in _AXES and place not in wrong:
            with contextlib.suppress(StoreError):  # told where its chunks are read
                if not rises(read_finite(array)):
                    yield Damage(place, f"its {axis} does not rise")


def _faulty_metadata(root: Place, folder: Place, arrays: list[tuple[Place, zarr.Array]]) -> Iterator[Damage]:
    """Damage to the metadata of one node; an array is added to `arrays`."""
    place = str((folder / NAME).relative_to(root))
    try:
        found = read_metadata(folder / NAME)
        if found["node_type"] == "array":
            arrays.append((folder, open_array(open_group(folder.parent), folder.name)))
        if CHECKSUM not in found["attributes"] and _is_sealed(root):
            yield Damage(place, "its metadata carry no checksum")
    except (DamagedStoreError, OSError, ValueError, KeyError, TypeError, RecursionError, StoreError) as error:
        yield Damage(place, f"metadata not readable ({first_line(error)})")


def _is_sealed(root: Place) -> bool:
    """Whether the store is of a version whose metadata carry checksums."""
    try:
        return bool(read_metadata(root / NAME)["attributes"].get("format_version", 0) >= 2)
    except (DamagedStoreError, TypeError):
        return True


def _unfinished(root: Place, arrays: list[tuple[Place, zarr.Array]], damage: list[Damage]) -> set[Place]:
    """Add arrays and damage of unfinished runs; the arrays that need not have all chunks yet."""
    partly = set()
    for run in runs(root):
        inside = run.relative_to(root)
        damage.extend(
            Damage(f"{inside}/{name}", what) for name, what in [*faulty_records(run), *broken_receipts(run)]
        )
        whole = whole_arrays(run)
        damage.extend(
            Damage(f"{inside}/{name}/{NAME}", "the array or its metadata are missing")
            for name in whole
            if not (run / name / NAME).is_file()
        )
        for folder in _below(*state_of(run)):
            if in_the_making(folder) and not _of(folder, run, whole):
                continue
            found = list(_faulty_metadata(root, folder, arrays))
            damage.extend(d for d in found if "no checksum" not in d.what or _of(folder, run, whole))
            if not _of(folder, run, whole):
                partly.add(folder)
    return partly


def _stands(root: Place, damage: Damage) -> bool:
    """Whether what was found of a run in progress still counts: it may have gone on meanwhile, or be over."""
    area = str(work_area(root).relative_to(root))
    if not damage.place.startswith(f"{area}/"):
        return True
    name, _, inside = damage.place.removeprefix(f"{area}/").partition("/")
    run = work_area(root) / name
    return not is_void(run, inside) if "/" in inside else inside in dict(faulty_records(run))


def _of(folder: Place, run: Place, whole: list[str]) -> bool:
    """Whether a folder is one of the arrays of a run that are whole, or holds some."""
    inside = str(folder.relative_to(run))
    return any(name == inside or name.startswith(f"{inside}/") for name in whole)


def _not_opened(root: Place) -> Iterator[Damage]:
    """What keeps the store from being opened; `StoreError` where it is none, or a newer one."""
    try:
        found = dict(json.loads(file_bytes(root / NAME)).get("attributes", {}))
    except (StoreError, OSError, ValueError, TypeError, AttributeError, RecursionError):
        if not any((root / name).is_dir() for name in GROUPS):
            open_painting(root)
        yield Damage("zarr.json", "metadata not readable")
        return
    try:
        open_painting(root)
    except StoreError as error:
        ours = found.get("format") == FORMAT and found.get("format_version") in range(1, FORMAT_VERSION + 1)
        if not ours and not isinstance(error, DamagedStoreError):
            raise
        yield Damage(".", first_line(error))


def _is_array(folder: Place) -> bool:
    try:
        return bool(json.loads(file_bytes(folder / NAME))["node_type"] == "array")
    except (StoreError, OSError, ValueError, KeyError, TypeError, RecursionError):
        return (folder / "c").is_dir() and not (folder / "c" / "zarr.json").is_file()


def _nodes(root: Place) -> Iterator[Place]:
    """Every folder below the root that must hold metadata; chunks and work are not entered."""
    yield root
    passed = _half_moved(root)
    for folder in _below(*(root / name for name in GROUPS)):
        if not passed & {folder, *folder.parents}:
            yield folder


def _half_moved(root: Place) -> set[Place]:
    found: set[Place] = set()
    for kind in KINDS:
        with contextlib.suppress(DamagedStoreError):  # told where metadata are read
            found |= {root / kind / name for name in half_moved(root, kind)}
    return found


def _below(*tops: Place) -> Iterator[Place]:
    """Folders and those below them, each once whatever links lead there: some may lead in a circle."""
    waiting, seen = list(tops), set()
    while waiting:
        folder = waiting.pop(0)
        if folder.is_dir() and (real := really(folder)) not in seen:
            seen.add(real)
            yield folder
            if not _is_array(folder):
                waiting.extend(folders(folder))


def _missing(root: Place) -> Iterator[Damage]:
    passed = _half_moved(root)
    for pattern, names in _REQUIRED.items():
        for group in sorted(root.glob(pattern)):
            if group not in passed and group.is_dir():
                yield from _gone(root, group, names)
    for group in (root / "rgb", *(one for kind in KINDS for one in folders(root / kind) if one not in passed)):
        yield from _gone_of_those_listed(root, group)
    for result in sorted(root.glob("results/*")):
        if result not in passed:
            yield from _contradictions(root, result)
    for kind in KINDS:
        with contextlib.suppress(DamagedStoreError):  # told where metadata are read
            for name in lost(root, kind):
                yield Damage(f"{kind}/{name}", "it was added, and its folder is gone")


def _gone(root: Place, group: Place, arrays: Iterable[str]) -> Iterator[Damage]:
    for name in arrays:
        if not (group / name).is_dir():
            yield Damage(str((group / name).relative_to(root)), "the array is missing")


def _gone_of_those_listed(root: Place, group: Place) -> Iterator[Damage]:
    """Arrays that a group was written with and that are gone."""
    try:
        attributes = read_metadata(group / NAME)["attributes"]
    except DamagedStoreError:  # told where metadata are read
        return
    try:
        yield from _gone(root, group, listed_arrays(group, attributes))
    except DamagedStoreError as error:
        yield Damage(str((group / NAME).relative_to(root)), first_line(error))


def _contradictions(root: Place, result: Place) -> Iterator[Damage]:
    """What a result says of itself that cannot be."""
    try:
        solved = open_group(result)
    except StoreError:  # told where metadata are read
        return
    try:
        if (result / PYRAMID).is_dir():
            stored_levels(solved)
    except StoreError as error:
        yield Damage(str((result / PYRAMID).relative_to(root)), first_line(error))
    try:
        remarks(solved, 1.0)
    except DamagedStoreError as error:
        yield Damage(str(result.relative_to(root)), first_line(error))


def _n_stored(array: zarr.Array) -> int:
    return math.prod(-(-n // c) for n, c in zip(array.shape, array.shards or array.chunks, strict=True))


def _damaged_chunks(
    root: Place, folder: Place, array: zarr.Array, progress: Progress, *, partly: bool
) -> Iterator[Damage]:
    stored, most = array.shards or array.chunks, most_stored(array)
    counts = [range(-(-n // c)) for n, c in zip(array.shape, stored, strict=True)]
    if not partly and _n_stored(array) > _MANY and (there := len(files_below(folder / "c"))) < _MANY:
        few = f"only {there} of the {_n_stored(array)} chunks of its shape {array.shape} are there"
        yield Damage(str(folder.relative_to(root)), few)
        return
    for index in itertools.product(*counts):
        place = folder.joinpath("c", *map(str, index))
        region = tuple(
            slice(i * c, min((i + 1) * c, n)) for i, c, n in zip(index, stored, array.shape, strict=True)
        )
        if not place.is_file() and not (place.is_symlink() or place.exists()):
            if not partly:
                yield Damage(str(place.relative_to(root)), "the chunk is missing")
        elif not place.is_file():  # asked once more: a run may have written it meanwhile
            yield Damage(str(place.relative_to(root)), "what lies there is no file")
        elif not leads_inside(place, root):
            yield Damage(str(place.relative_to(root)), "a link leads out of the store; put the chunk there")
        elif (n_byte := size_of(place) or 0) > most:
            longer = f"it has {n_byte} bytes, more than the {most} of a whole one"
            yield Damage(str(place.relative_to(root)), longer)
        elif what := _fault(array, region):
            yield Damage(str(place.relative_to(root)), what)
        progress.advance()


def _fault(array: zarr.Array, region: tuple[slice, ...]) -> str | None:
    try:
        values = read(array, region)
    except (DamagedStoreError, OSError) as error:
        return fault_of(error.__cause__ or error)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return "values are missing (not finite)"
    return None
