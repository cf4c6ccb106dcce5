"""Words that several commands share: what they mean, and how answers are printed."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from xrfsr_dask.progress import Bar, Progress, Silent

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def printable(text: str) -> str:
    """Control characters of names and paths as escapes: they neither break the line nor steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Parser(argparse.ArgumentParser):
    """Takes options by their whole names only, and says in one sentence what is wrong with the words."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {printable(message)}; see `{self.prog} --help`.\n")


def command(commands: Any, name: str, run: Callable[[argparse.Namespace], int | None], text: str) -> Any:
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def solver_words(p: Any) -> None:
    from xrfsr_dask.options import METHODS, SolveOptions

    o = SolveOptions()
    p.add_argument("--method", choices=METHODS, default=o.method)
    p.add_argument("--atoms", type=int, default=o.atoms, help=f"endmembers of each layer ({o.atoms})")
    p.add_argument(
        "--hidden-atoms",
        type=int,
        default=o.hidden_atoms,
        help=f"hidden endmembers of joint, at most ({o.hidden_atoms})",
    )
    p.add_argument(
        "--smoothness", type=float, default=o.smoothness, help=f"weight of the smoothness term ({o.smoothness})"
    )
    p.add_argument(
        "--iterations", type=int, default=o.iterations, help=f"outer iterations at most ({o.iterations})"
    )
    p.add_argument("--steps", type=int, default=o.steps, help=f"abundance steps in each ({o.steps})")
    p.add_argument("--prox", choices=("paper", "simplex"), default=o.prox, help="projection of abundances")
    p.add_argument(
        "--tolerance", type=float, default=o.tolerance, help=f"stop below this relative change ({o.tolerance})"
    )
    p.add_argument("--tile", type=int, help="side of a tile, px (the largest that fits the memory)")
    p.add_argument(
        "--memory", type=amount_of_bytes, help="what all tasks may need together, such as 512MB or 4GB (512MB)"
    )
    p.add_argument("--workers", type=int, help="tasks at once (one per core)")
    p.add_argument("--processes", action="store_true", help="worker processes in place of threads")
    p.add_argument("--scheduler", metavar="ADDRESS", help="use a running Dask scheduler")


def solve_options(args: argparse.Namespace) -> Any:
    from xrfsr_dask.options import SolveOptions

    return SolveOptions(
        method=args.method,
        atoms=args.atoms,
        hidden_atoms=args.hidden_atoms,
        smoothness=args.smoothness,
        iterations=args.iterations,
        steps=args.steps,
        prox=args.prox,
        tolerance=args.tolerance,
        seed=args.seed,
    )


def run_options(args: argparse.Namespace) -> Any:
    from xrfsr_dask.options import RunOptions

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

    print(as_json(found) if args.json else text)
