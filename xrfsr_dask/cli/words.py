"""Words that several commands share: what they mean, and how answers are printed."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from xrfsr_dask.errors import XrfsrError
from xrfsr_dask.options import LAYER_WORDS, METHODS, RunOptions, SolveOptions
from xrfsr_dask.progress import Bar, Progress, Silent

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


_ENDLESS = re.compile(r"\d{40,}|\S{400,}")


def printable(text: str) -> str:
    """Control characters of names and paths as escapes: they neither break the line nor steer a terminal.

    Of numbers and words without end, only both ends.
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return _ENDLESS.sub(lambda found: f"{found[0][:20]}…{found[0][-20:]}", shown)


class Parser(argparse.ArgumentParser):
    """Takes options by their whole names only, and says in one sentence what is wrong with the words."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {printable(message)}; see `{self.prog} --help`.\n")


def command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], int | None],
    text: str,
    *,
    more: str = "",
    example: str,
) -> Any:
    """A command of `xrfsr`; its help says what it does, in a few sentences `more`, and ends with an example."""
    parser = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}. {more}",
        epilog=f"example: {example}",
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print what was found as JSON, for other programs")
    parser.add_argument("--quiet", action="store_true", help="show no progress bar")
    return parser


def store_word(p: Any) -> None:
    p.add_argument("store", metavar="P.zarr", help="the painting store, as `xrfsr new` or `xrfsr demo` made it")


def result_words(p: Any, *, layer: bool = True) -> None:
    """Which result, and which part of it."""
    p.add_argument("--name", help="name of the result, as `xrfsr info` lists them (the newest)")
    if layer:
        p.add_argument(
            "--layer",
            choices=LAYER_WORDS,
            default="all",
            help="what the photograph shows (visible), what it does not (hidden), or both together (all)",
        )


def calibration_word(p: Any) -> None:
    p.add_argument(
        "--calibration",
        metavar="OFFSET,GAIN|FILE.spx",
        help="keV of channel 0 and keV per channel, such as -0.9555,0.009999, or a Bruker spectrum that holds "
        "them (what the file says)",
    )


def inside_word(p: Any) -> None:
    p.add_argument(
        "--inside",
        metavar="PATH",
        help="which cube of a file that holds several: its path in HDF5, its title in .bcf and .hspy; in HDF5 "
        "its axes may follow, as in 'entry/data[energy,y,x]'",
    )


def seed_word(p: Any, what: str) -> None:
    p.add_argument("--seed", type=int, default=0, metavar="N", help=f"number that fixes {what} (0)")


def solver_words(p: Any, *, method: bool = True) -> None:
    o = SolveOptions()
    model = p.add_argument_group("what is solved")
    if method:
        model.add_argument(
            "--method",
            choices=METHODS,
            default=o.method,
            help="joint: ours; paper: Dai et al. 2017, with its two baselines (joint)",
        )
    model.add_argument(
        "--atoms",
        metavar="N",
        type=int,
        default=o.atoms,
        help="endmembers: spectra that every pixel is mixed from. joint: visible ones, at most; else: of each "
        f"layer ({o.atoms})",
    )
    model.add_argument(
        "--hidden-atoms",
        metavar="N",
        type=int,
        default=o.hidden_atoms,
        help=f"hidden endmembers of joint, at most ({o.hidden_atoms})",
    )
    model.add_argument(
        "--iterations",
        metavar="N",
        type=int,
        default=o.iterations,
        help=f"rounds of improvement at most ({o.iterations})",
    )
    model.add_argument(
        "--tolerance",
        metavar="X",
        type=float,
        default=o.tolerance,
        help=f"stop once a round changes the objective by less than this share of it ({o.tolerance})",
    )
    theirs = p.add_argument_group("of Dai et al.'s methods only")
    theirs.add_argument(
        "--smoothness",
        metavar="X",
        type=float,
        default=o.smoothness,
        help=f"weight of the hidden layer's smoothness, their lambda; 0 for none ({o.smoothness})",
    )
    theirs.add_argument(
        "--steps", metavar="N", type=int, default=o.steps, help=f"abundance steps in each round ({o.steps})"
    )
    theirs.add_argument(
        "--prox",
        choices=("paper", "simplex"),
        default=o.prox,
        help="how abundances are made to sum to one: clipped and divided as they do, or exactly (paper)",
    )
    theirs.add_argument(
        "--device",
        choices=("cpu", "gpu"),
        default=o.device,
        help="what takes the abundance steps; gpu needs CuPy, and last bits then depend on the tile (cpu)",
    )
    room = p.add_argument_group("with what it is solved; the result does not depend on it")
    room.add_argument(
        "--memory",
        type=amount_of_bytes,
        metavar="SIZE",
        help="what all tasks may need together, such as 512MB or 4GB (512MB)",
    )
    room.add_argument(
        "--workers",
        metavar="N",
        type=int,
        help="tasks at once (one per core, or as many as --memory has room for)",
    )
    room.add_argument("--processes", action="store_true", help="run tasks in processes rather than threads")
    room.add_argument(
        "--scheduler", metavar="ADDRESS", help="run tasks on a Dask cluster, such as tls://head:8786"
    )
    room.add_argument(
        "--tile",
        metavar="N",
        type=int,
        help="side of the squares that the painting is solved in, px (the largest that fits the memory and "
        "leaves work for all)",
    )


def solve_options(args: argparse.Namespace) -> Any:
    return SolveOptions(
        method=getattr(args, "method", SolveOptions.method),
        atoms=args.atoms,
        hidden_atoms=args.hidden_atoms,
        smoothness=args.smoothness,
        iterations=args.iterations,
        steps=args.steps,
        prox=args.prox,
        device=args.device,
        tolerance=args.tolerance,
        seed=args.seed,
    )


def run_options(args: argparse.Namespace) -> Any:
    return RunOptions(
        tile=args.tile,
        memory=RunOptions.memory if args.memory is None else args.memory,
        workers=args.workers,
        processes=args.processes,
        scheduler=args.scheduler,
    )


def amount_of_bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([KMGT]?)i?B?", text.strip(), re.IGNORECASE)
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}' is not an amount of memory such as 512MB or 4GB")
    amount = float(match[1]) * _UNITS[match[2].upper()]
    if amount >= 2**63:
        raise argparse.ArgumentTypeError(f"'{text[:20]}…' is more memory than a machine can have")
    return int(amount)


def pair(text: str) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not X,Y in mm, such as 120.5,40") from None
    return x, y


def bounds(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not FROM:TO, such as 5.2:5.6") from None
    return low, high


def region(text: str) -> tuple[tuple[float, float], tuple[float, float]]:
    try:
        y, x = (bounds(part) for part in text.split(","))
    except (ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(f"'{text}' is not Y0:Y1,X0:X1 in mm, such as 20:60,0:80.5") from None
    return y, x


@contextlib.contextmanager
def bar_of(args: argparse.Namespace, label: str, unit: str = "task") -> Iterator[Progress]:
    if args.quiet or args.json or sys.stderr is None or not sys.stderr.isatty():
        yield Silent()
    else:
        with Bar(label, unit) as bar:
            yield bar


def say(args: argparse.Namespace, found: dict[str, Any], text: str) -> None:
    from xrfsr_dask.view.table import as_json

    try:
        print(as_json(found) if args.json else text, flush=True)
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # or Python would try again at its end
        os.close(nowhere)
        if isinstance(error, BrokenPipeError):
            raise
        raise XrfsrError(f"the answer could not be printed ({error.strerror}); all else was done.") from error
