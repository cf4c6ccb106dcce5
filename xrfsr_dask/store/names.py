"""Names of patches, results and runs: each is that of a folder, and of nothing outside it."""

from __future__ import annotations

import re
from typing import Any

from xrfsr_dask.errors import OptionError

PARTIAL = ".partial-"
"""In the name of what is being put together, before who does it; in no name that a user gives."""

_UNFINISHED = ".partial"  # ends the names of files that Zarr is writing
_METADATA = "zarr.json"  # lies beside the patches and results
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_unfinished(file_name: str) -> bool:
    """Whether a file was being written; a killed process leaves it."""
    return file_name.endswith(_UNFINISHED)


def check_name(name: Any, what: str) -> None:
    """Refuse a name that could leave its folder or that a file system may not take."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name.lower() == _METADATA or PARTIAL in name:
        raise OptionError(
            f"{name!r} cannot be the name of a {what}; use up to 64 letters, digits, '.', '_' or '-', "
            f"beginning with a letter or digit, but not '{_METADATA}' or with '{PARTIAL}' in it."
        )
