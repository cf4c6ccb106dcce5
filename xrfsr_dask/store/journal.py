"""What a run writes down of itself: one record that is replaced whole, and lines that are added one by one.

Both carry checksums, so a flipped bit is told from what was written; a line cut off by a kill is passed over.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from xrfsr_dask.errors import DamagedStoreError
from xrfsr_dask.store.places import Place, append_text, file_bytes, replace_text, truncate


def write_record(path: Place, record: dict[str, Any]) -> None:
    """Put a record in the place of the one there was, whole or not at all."""
    replace_text(path, as_line(record))


def read_record(path: Place) -> dict[str, Any]:
    """A record as written; `DamagedStoreError` where its checksum does not match."""
    try:
        return _parsed(file_bytes(path).decode())
    except (OSError, ValueError) as error:
        raise DamagedStoreError(f"{path} is damaged: not readable ({error}).") from error


def add_line(path: Place, record: dict[str, Any]) -> None:
    """Add one line."""
    append_text(path, as_line(record))


def read_lines(path: Place) -> tuple[list[dict[str, Any]], int]:
    """Lines whose checksums match, and how many whole lines there are beside whose do not.

    `DamagedStoreError` where something lies there that is no file.
    """
    try:
        *whole, _ = file_bytes(path).decode(errors="replace").split("\n")
    except OSError:
        return [], 0
    out, bad = [], 0
    for line in whole:
        try:
            out.append(_parsed(line))
        except ValueError:
            bad += 1
    return out, bad


def cut_off_rest(path: Place) -> None:
    """Take away a last line that a kill or a full disk cut off, so that lines may be added."""
    text = file_bytes(path)
    whole = text.rfind(b"\n") + 1
    if whole < len(text):
        truncate(path, whole)


def as_line(record: dict[str, Any]) -> str:
    """A record as it is written, with its checksum."""
    body = json.dumps(record, sort_keys=True)
    return f"{zlib.crc32(body.encode()):08x} {body}\n"


def _parsed(line: str) -> dict[str, Any]:
    vouched, _, body = line.rstrip("\n").partition(" ")
    if vouched != f"{zlib.crc32(body.encode()):08x}":
        raise ValueError("the checksum does not match")
    try:
        found = json.loads(body, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError("it is no record")
    return found


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number")
