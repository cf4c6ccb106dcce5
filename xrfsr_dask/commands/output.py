"""Where a command leaves its report."""

from __future__ import annotations

from pathlib import Path

from xrfsr_dask.errors import InputError


def check_folder(folder: Path) -> None:
    """Refuse a folder for output that is, or lies in, a file."""
    for part in (folder, *folder.parents):
        if part.exists():
            if not part.is_dir():
                raise InputError(f"{folder} cannot be a folder for output: {part} is a file.")
            return
