"""Read every chunk of a store and name each one that is damaged or missing."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr

from xrfsr_dask.errors import DamagedStoreError, StoreError
from xrfsr_dask.progress import Progress, Silent
from xrfsr_dask.store.arrays import first_line, open_array, open_group, read
from xrfsr_dask.store.contents import KINDS, lost
from xrfsr_dask.store.painting import FORMAT, FORMAT_VERSION, GROUPS, absolute, open_painting

_REQUIRED = {
    "rgb/0": ("image", "y", "x"),
    "patches/*": ("counts", "energy", "mean_spectrum"),
    "results/*": ("abundance", "endmember", "layer", "coverage", "y", "x", "energy"),
}


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
    """Read and verify every chunk of the photograph, patches and results; ``work/`` is left out.

    Raises
    ------
    StoreError
        `path` holds no Zarr group at all.
    """
    root, report = absolute(path), progress or Silent()
    if not root.is_dir():
        raise StoreError(f"{path} does not exist or is not a folder.")
    not_opened = list(_not_opened(root))
    damage = list(_missing(root))
    arrays: list[tuple[str, zarr.Array]] = []
    for folder in _nodes(root):
        inside = str(folder.relative_to(root))
        try:
            if json.loads((folder / "zarr.json").read_bytes())["node_type"] == "array":
                arrays.append((inside, open_array(open_group(folder.parent), folder.name)))
        except (OSError, ValueError, KeyError, TypeError, StoreError) as error:
            damage.append(Damage(f"{inside}/zarr.json", f"metadata not readable ({first_line(error)})"))
    report.expect(sum(_n_stored(array) for _, array in arrays))
    for inside, array in arrays:
        damage.extend(_damaged_chunks(root / inside, inside, array, report))
    damage = damage or not_opened  # what was found piece by piece says more
    return CheckReport(len(arrays), sum(_n_stored(array) for _, array in arrays), tuple(damage))


def _not_opened(root: Path) -> Iterator[Damage]:
    """What keeps the store from being opened; `StoreError` where it is none, or a newer one."""
    try:
        found = dict(json.loads((root / "zarr.json").read_bytes()).get("attributes", {}))
    except (OSError, ValueError, TypeError, AttributeError):
        if not any((root / name).is_dir() for name in GROUPS):
            open_painting(root)
        yield Damage("zarr.json", "metadata not readable")
        return
    try:
        open_painting(root)
    except StoreError as error:
        if found.get("format") != FORMAT or found.get("format_version") != FORMAT_VERSION:
            raise
        yield Damage(".", first_line(error))


def _is_array(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / "zarr.json").read_bytes())["node_type"] == "array")
    except (OSError, ValueError, KeyError, TypeError):
        return (folder / "c").is_dir() and not (folder / "c" / "zarr.json").is_file()


def _nodes(root: Path) -> Iterator[Path]:
    """Every folder below the root that must hold metadata; chunks and work are not entered."""
    yield root
    waiting = [root / name for name in ("rgb", "patches", "results")]
    while waiting:
        folder = waiting.pop(0)
        if folder.is_dir():
            yield folder
            if not _is_array(folder):
                waiting.extend(sorted(p for p in folder.iterdir() if p.is_dir()))


def _missing(root: Path) -> Iterator[Damage]:
    for pattern, names in _REQUIRED.items():
        for group in sorted(root.glob(pattern)):
            for name in names:
                if group.is_dir() and not (group / name).is_dir():
                    yield Damage(str((group / name).relative_to(root)), "the array is missing")
    for kind in KINDS:
        with contextlib.suppress(DamagedStoreError):  # told where metadata are read
            for name in lost(root, kind):
                yield Damage(f"{kind}/{name}", "it was added, and its folder is gone")


def _n_stored(array: zarr.Array) -> int:
    return math.prod(-(-n // c) for n, c in zip(array.shape, array.shards or array.chunks, strict=True))


def _damaged_chunks(folder: Path, inside: str, array: zarr.Array, progress: Progress) -> Iterator[Damage]:
    stored = array.shards or array.chunks
    counts = [range(-(-n // c)) for n, c in zip(array.shape, stored, strict=True)]
    for index in itertools.product(*counts):
        place = "/".join([inside, "c", *map(str, index)])
        region = tuple(
            slice(i * c, min((i + 1) * c, n)) for i, c, n in zip(index, stored, array.shape, strict=True)
        )
        if not folder.joinpath("c", *map(str, index)).is_file():
            yield Damage(place, "the chunk is missing")
        elif what := _fault(array, region):
            yield Damage(place, what)
        progress.advance()


def _fault(array: zarr.Array, region: tuple[slice, ...]) -> str | None:
    try:
        values = read(array, region)
    except (DamagedStoreError, OSError) as error:
        return first_line(error.__cause__ or error)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return "values are missing (not finite)"
    return None
