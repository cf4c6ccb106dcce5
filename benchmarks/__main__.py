"""``make bench``: one JSON line per figure, most of them ratios taken in the same run, medians where quick."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from functools import partial

from threadpoolctl import threadpool_limits

from benchmarks import convergence, engine, joint, panning, scaling, seeing, startup, steps

DEFAULT: dict[str, Callable[[], None]] = {
    "startup": startup.startup,
    "steps": steps.steps,
    "gpu": steps.gpu,
    "plain": engine.against_plain,
    "overhead": engine.overhead,
    "convergence": convergence.convergence,
    "patch": joint.patch,
    "profile": joint.profile,
    "scaling": scaling.scaling,
    "workers": scaling.workers,
    "seeing": lambda: _in_a_folder(seeing.seeing),
}
"""What runs where nothing is named, in this order."""

LONG: dict[str, Callable[[], None]] = {
    "bedroom": joint.bedroom,
    "bedroom-200": partial(joint.bedroom, atoms=200),
    "bedroom-paper": partial(joint.bedroom, method="paper"),
    "panning": lambda: _in_a_folder(panning.panning),
}
"""What runs only when named: many minutes each, on a machine that does nothing else, or 11 GB of disk."""


def main(words: list[str]) -> int:
    """Run what is named, or all that is not long; the exit status."""
    known = DEFAULT | LONG
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(known)}")
    parser.add_argument(
        "--largest",
        type=float,
        default=scaling.LARGEST,
        metavar="PX",
        help="of the painting in `scaling`, 50e6 at most",
    )
    asked = parser.parse_args(words)
    for name in asked.names:
        if name not in known:
            print(f"unknown benchmark '{name}'; choose among: {', '.join(known)}.", file=sys.stderr)
            return 2
    known["scaling"] = partial(scaling.scaling, asked.largest)
    with threadpool_limits(1):
        for name in asked.names or DEFAULT:
            known[name]()
    return 0


def _in_a_folder(measure: Callable[[str], None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        measure(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
