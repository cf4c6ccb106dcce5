"""From the words of a command to its exit status: one sentence for whatever goes wrong."""

from __future__ import annotations

import argparse
import errno
import io
import logging
import os
import re
import shlex
import sys
import threading
import warnings
from collections.abc import Sequence
from typing import Any

from xrfsr_dask import __version__, interrupts
from xrfsr_dask.cli.looking import browse_words, export_words, maps_words, report_words
from xrfsr_dask.cli.paintings import add_words, check_words, info_words, new_words
from xrfsr_dask.cli.solving import demo_words, evaluate_words, solve_words
from xrfsr_dask.cli.words import Parser, printable
from xrfsr_dask.errors import ClusterError, ClusterWarning, OptionError, PlacementWarning, XrfsrError
from xrfsr_dask.tiling.budget import one_heap

DEBUG = bool(os.environ.get("XRFSR_DEBUG"))
"""Whether tracebacks, warnings and logs are wanted."""
_OF_KILLED_WORKERS = "ignore::UserWarning:multiprocessing.resource_tracker"

_PLACES = ("out", "to", "folder", "store")  # words that say where a command writes
_COMMANDS = (
    demo_words,
    new_words,
    add_words,
    solve_words,
    browse_words,
    maps_words,
    report_words,
    export_words,
    evaluate_words,
    info_words,
    check_words,
)

_WHAT = """Super-resolve X-ray fluorescence scans of whole paintings: several coarse scans
(patches) and one photograph become one cube of spectra at the photograph's
resolution, in two layers: what the photograph shows (visible), and what it does
not (hidden)."""

_BEGIN = """Begin with `xrfsr demo`. With scans of your own:

  xrfsr new painting.zarr --rgb photo.tif --width-mm 923
  xrfsr add painting.zarr scan1.rpl --at 12.0,30.5 --step-mm 2.6
  xrfsr solve painting.zarr
  xrfsr browse painting.zarr

Each command explains itself: `xrfsr COMMAND --help`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 the user's input is wrong, 2 usage."""
    if argv is not None:
        return _run(argv)
    interrupts.hear()
    interrupts.raise_dropped(told=DEBUG)
    try:
        _say_one_sentence_only()
        _say_what_can_be_said()
        one_heap()
        return interrupts.leave(_run(sys.argv[1:]))
    finally:
        interrupts.ignore()


def _run(words: Sequence[str]) -> int:
    args = argparse.Namespace()
    try:
        command_line()["xrfsr"].parse_args(joined(words), args)
        return int(args.run(args) or 0)
    except ClusterError as error:
        return _fail(str(error) + (_way_on(args, words) or ""))
    except OptionError as error:
        return _fail(_as_typed(str(error), args))
    except XrfsrError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return interrupts.tell(lambda: _fail(_interrupted(args, words)))
    except BrokenPipeError:
        return 0
    except OSError as error:
        place = next((found for name in _PLACES if (found := getattr(args, name, None))), error.filename)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            way_on = _way_on(args, words) or ""
            return _fail(f"the disk is full ({place or 'while writing'}); free some space and repeat.{way_on}")
        place = error.filename or place
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            return _fail(f"{place}: not allowed to write or read here ({error.strerror}).")
        return _fail(f"{place or type(error).__name__}: {error.strerror or error}; check the path.")
    except MemoryError:
        return _fail("this machine or its limits leave too little memory; give a smaller --memory or --tile.")
    except Exception as error:
        if interrupts.heard:  # within an import, which made something else of it
            return interrupts.tell(lambda: _fail(_interrupted(args, words)))
        if DEBUG:
            raise
        if "cannot cache function" in str(error):  # numba's, at the import of the kernels
            return _fail(
                "the compiled kernels cannot be kept: neither the package's folder nor one in HOME can be "
                "written; set NUMBA_CACHE_DIR to a folder that can."
            )
        found = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        return _fail(f"something unforeseen happened ({found}); please report it, with XRFSR_DEBUG=1 set.")


def _as_typed(message: str, args: argparse.Namespace) -> str:
    """A message in which options that Python calls ``hidden_atoms`` are ``--hidden-atoms``."""
    for name in vars(args):
        if "_" in name:
            message = re.sub(rf"(?<!\S){name}(?=\s)", f"--{name.replace('_', '-')}", message)
    return message


def _interrupted(args: argparse.Namespace, words: Sequence[str]) -> str:
    way_on = _way_on(args, words)
    return "interrupted; nothing is lost" + (f".{way_on}" if way_on else ": repeat the same command.")


def _way_on(args: argparse.Namespace, words: Sequence[str]) -> str | None:
    """The command that goes on with an unfinished solve, if there is one."""
    staging = sys.modules.get("xrfsr_dask.store.staging")  # not imported for this: there may be an interrupt
    if getattr(args, "command", None) != "solve" or staging is None:
        return None
    try:
        run = staging.run_folder(args.store, args.name or args.method)
        if not (run / "checkpoint.json").exists():
            return None
    except XrfsrError:  # no name, or an object store that does not answer
        return None
    same = [word for word in words if word not in ("--restart", "--resume")]
    return f" Go on with: {shlex.join(['xrfsr', *same, '--resume'])}"


def joined(words: Sequence[str]) -> list[str]:
    """Pairs of numbers may begin with a minus: ``--calibration -0.96,0.01`` is one option and its value."""
    out: list[str] = []
    for word in words:
        if out and out[-1] in ("--calibration", "--at") and re.match(r"-[\d.]+", word):
            out[-1] += f"={word}"
        else:
            out.append(word)
    return out


def _say_one_sentence_only() -> None:
    """Warnings, logs and last words of other threads are not for the user; XRFSR_DEBUG=1 shows them."""
    if DEBUG:
        return
    if not set(sys.warnoptions) - {_OF_KILLED_WORKERS}:
        warnings.simplefilter("ignore")
        sys.warnoptions[:] = [_OF_KILLED_WORKERS]  # processes that are started from here are told too
    warnings.simplefilter("ignore", PlacementWarning)  # told in the summary
    warnings.simplefilter("always", ClusterWarning)
    others = warnings.showwarning

    def tell(message: Warning | str, category: type[Warning], *rest: Any, **kwargs: Any) -> None:
        if issubclass(category, ClusterWarning):
            _fail(str(message))
        else:
            others(message, category, *rest, **kwargs)

    warnings.showwarning = tell
    logging.disable(logging.CRITICAL)
    threading.excepthook = lambda _: None


def _say_what_can_be_said() -> None:
    """Letters that the terminal does not know are spelled out, and are no error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(message: str) -> int:
    if sys.stderr is not None:
        print(f"xrfsr: {printable(message)}", file=sys.stderr)
    return 1


def command_line() -> dict[str, argparse.ArgumentParser]:
    """The parser of ``xrfsr`` itself, under that name, and those of its commands, in the order of its help."""
    parser = Parser(
        prog="xrfsr",
        description=_WHAT,
        epilog=_BEGIN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"xrfsr {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for words_of in _COMMANDS:
        words_of(commands)
    return {"xrfsr": parser, **commands.choices}
