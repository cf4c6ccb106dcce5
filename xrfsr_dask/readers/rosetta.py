"""Bruker .bcf and other instrument files through rosettasciio, an optional package (GPL-3).

Its readers load a file whole: such a scan needs as much memory as its cube, and its pieces are parts of that.
Larger ones are exported by the instrument's software as Lispix .rpl, which is read piece by piece.
"""

from __future__ import annotations

import importlib
import struct
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from xrfsr_dask.errors import InputError, MissingPackageError, first_line
from xrfsr_dask.readers.protocol import Scan
from xrfsr_dask.readers.signals import Signal, scan_of

PLUGINS = {
    ".bcf": "bruker",
    ".emd": "emd",
    ".dm3": "digitalmicrograph",
    ".dm4": "digitalmicrograph",
    ".elid": "phenom",
    ".pts": "jeol",
    ".spd": "edax",
    ".ser": "tia",
}
"""Suffixes read here, and the reader of rosettasciio for each."""

_COMPILED = (".bcf",)
_BCF_NAME = b"AAMVHFSS"
_BCF_START, _BCF_HEAD = 0x118, 0x14C  # bytes before the first chunk; and up to what tells of all


def open_rosetta(path: Path, inside: str | None = None) -> Scan:
    """Open the map of spectra in a file; `inside` is its title where the file holds several."""
    reader = _plugin(path.suffix.lower())
    if path.suffix.lower() == ".bcf":
        _refuse_cut_off(path)
    if path.suffix.lower() in _COMPILED:
        _refuse_what_crashes(path, reader.__name__)
    try:
        found: list[dict[str, Any]] = reader.file_reader(str(path))
    except ImportError as error:
        raise MissingPackageError(
            f"reading {path} needs a further package ({error}); `pip install 'xrfsr_dask[bruker]'`."
        ) from error
    except Exception as error:  # a damaged file makes rosettasciio raise anything
        raise InputError(
            f"{path} cannot be read as {path.suffix} ({first_line(error)}); is it whole? "
            "Copy or export it again."
        ) from error
    return scan_of(path, [_signal(one) for one in found], inside)


def _refuse_cut_off(path: Path) -> None:
    """A .bcf says how many chunks it has, of what size; its reader takes those that are missing for zeros."""
    with path.open("rb") as file:
        head = file.read(_BCF_HEAD)
    if head[: len(_BCF_NAME)] != _BCF_NAME or len(head) < _BCF_HEAD:
        return  # the reader says that it is none
    (size,), (chunks,) = (struct.unpack_from("<I", head, at) for at in (0x128, 0x148))
    whole, found = chunks * size + _BCF_START, path.stat().st_size
    if found < whole:
        raise InputError(
            f"{path} is cut off: it holds {found:,} of the {whole:,} bytes that it should have; copy it again."
        )


def _refuse_what_crashes(path: Path, reader: str) -> None:
    """Read a file in a process of its own first: compiled code that does not check its bounds may end it."""
    code = f"import sys; from {reader} import file_reader; file_reader(sys.argv[1])"
    tried = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    if tried.returncode < 0:
        raise InputError(
            f"{path} cannot be read as {path.suffix}: it is damaged, its reader crashes on it "
            f"(signal {-tried.returncode}). Copy or export it again."
        )


def _plugin(suffix: str) -> ModuleType:
    try:
        return importlib.import_module(f"rsciio.{PLUGINS[suffix]}")
    except ImportError as error:
        raise MissingPackageError(
            f"reading {suffix} files needs rosettasciio ({error}); `pip install 'xrfsr_dask[bruker]'`."
        ) from error


def _signal(found: dict[str, Any]) -> Signal:
    data, metadata = np.asarray(found["data"]), found.get("metadata", {})
    return Signal(
        title=str(metadata.get("General", {}).get("title", "")),
        shape=data.shape,
        dtype=data.dtype,
        axes=list(found["axes"]),
        read=data.__getitem__,
        elements=tuple(map(str, metadata.get("Sample", {}).get("elements", ()))),
    )
