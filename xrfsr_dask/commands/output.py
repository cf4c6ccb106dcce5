"""Where a command leaves its report: checked before the work, and nothing left behind by a failure."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from xrfsr_dask.errors import InputError, MissingPackageError, OptionError
from xrfsr_dask.store.painting import refuse_inside
from xrfsr_dask.store.places import is_url
from xrfsr_dask.store.staging import partial_of, remove_tree

_PROBE_BYTES = 2**20  # about what a report takes


def check_pictures() -> None:
    """Refuse before any work what would fail at the first picture of a report."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingPackageError(
            "the report's pictures need matplotlib, which is not installed; `pip install 'xrfsr_dask[view]'`."
        )


def here(name: str | Path) -> Path:
    """A path on this machine; `InputError` for a URL: only stores lie on object stores."""
    if is_url(name):
        raise InputError(f"{name}: files are written to this machine only; give a path in one of its folders.")
    return Path(name)


@contextlib.contextmanager
def output_folder(name: str | Path) -> Iterator[Path]:
    """The folder of that name, that is there for the block and can be written; made where it is missing.

    After an error the folders that were made here are removed again where they are empty.

    Raises
    ------
    InputError
        It is, or lies in, a file.
    OptionError
        The name is empty, which would mean the current folder.
    StoreError
        It lies in a painting's store.
    OSError
        It cannot be written, or the disk is full.
    """
    if not str(name):
        raise OptionError("the name of the folder for output is empty; give a path such as report.")
    folder = here(name)
    refuse_inside(folder)
    above = (folder.absolute(), *folder.absolute().parents)
    made = [part for part in above if not part.exists()]
    if not above[len(made)].is_dir():
        raise InputError(f"{name} cannot be a folder for output: {above[len(made)]} is a file.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _put_together(folder) as partial:
            (partial / "probe").write_bytes(bytes(_PROBE_BYTES))
            (partial / "probe").unlink()
        yield folder
    except BaseException:
        with contextlib.suppress(OSError):  # one that is not empty stays, with all above it
            for part in made:
                part.rmdir()
        raise


@contextlib.contextmanager
def report_in(folder: Path) -> Iterator[Path]:
    """Where the files of a report are written; they appear in `folder` together, when all are there."""
    with _put_together(folder) as partial:
        yield partial
        folder.mkdir(exist_ok=True)
        for path in sorted(partial.iterdir()):
            if path.is_dir():
                remove_tree(folder / path.name)
            path.replace(folder / path.name)


@contextlib.contextmanager
def _put_together(folder: Path) -> Iterator[Path]:
    """A new folder beside what `folder` holds, gone at the end."""
    with partial_of(folder / ".report" if folder.is_dir() else folder) as partial:
        partial.mkdir(parents=True)
        yield partial
        partial.rmdir()
