"""Words and calls of the commands that solve: demo, solve, evaluate."""

from __future__ import annotations

import argparse
from typing import Any

from xrfsr_dask.cli.words import bar_of, command, run_options, say, solve_options, solver_words


def demo_words(commands: Any) -> None:
    p = command(commands, "demo", _run_demo, "paint a phantom with known truth, solve it, compare and report")
    p.add_argument("folder", nargs="?", default="demo", help="where to put painting.zarr and report/ (demo)")
    p.add_argument("--size", choices=("small", "bedroom"), default="small")
    p.add_argument("--rgb", metavar="PHOTO", help="paint from this photograph in place of our own picture")
    p.add_argument("--seed", type=int, default=0)
    solver_words(p)


def _run_demo(args: argparse.Namespace) -> None:
    from xrfsr_dask.commands.demo import demo

    with bar_of(args, "demo") as bar:
        found = demo(
            args.folder,
            size=args.size,
            photo=args.rgb,
            seed=args.seed,
            options=solve_options(args),
            resources=run_options(args),
            progress=bar,
        )
    say(args, found, found.pop("text"))


def solve_words(commands: Any) -> None:
    p = command(commands, "solve", _run_solve, "super-resolve a painting from all its patches")
    p.add_argument("store", metavar="P.zarr")
    p.add_argument("--name", help="name of the result (the method)")
    p.add_argument("--resume", action="store_true", help="insist on going on with an unfinished run")
    p.add_argument("--restart", action="store_true", help="discard an unfinished run")
    p.add_argument("--dry-run", action="store_true", help="print tiles, tasks, memory and disk; do nothing")
    p.add_argument("--seed", type=int, default=0)
    solver_words(p)


def _run_solve(args: argparse.Namespace) -> None:
    from xrfsr_dask.commands.solve import dry_run, in_words, solve_painting

    options, resources = solve_options(args), run_options(args)
    if args.dry_run:
        found = dry_run(args.store, name=args.name, options=options, resources=resources)
        text = in_words(found)
    else:
        with bar_of(args, "solve") as bar:
            found = solve_painting(
                args.store,
                name=args.name,
                options=options,
                resources=resources,
                progress=bar,
                resume=args.resume,
                restart=args.restart,
            )
        text = "\n".join(f"{key:<28}{value}" for key, value in found.items())
    say(args, found, text)


def evaluate_words(commands: Any) -> None:
    p = command(
        commands, "evaluate", _run_evaluate, "split a scan's counts in two halves, super-resolve one, compare"
    )
    p.add_argument("scan", help="a scan whose grid is fine enough to be binned")
    p.add_argument("--photo", required=True, metavar="FILE|embedded", help="photograph on the scan's own grid")
    p.add_argument("--factor", type=int, required=True, help="spots binned together along each axis")
    p.add_argument("--methods", default="cubic,paper,joint", help="comma-separated, or all")
    p.add_argument("--elements", help="comma-separated; as the file lists them where not given")
    p.add_argument("--out", default="evaluate", help="folder for table and figure (evaluate)")
    p.add_argument("--inside", metavar="PATH", help="path of the cube inside an HDF5 file")
    p.add_argument("--calibration", metavar="OFFSET,GAIN|FILE.spx")
    p.add_argument("--seed", type=int, default=0)
    solver_words(p)


def _run_evaluate(args: argparse.Namespace) -> None:
    from xrfsr_dask.commands.evaluate import evaluate
    from xrfsr_dask.options import EvaluateOptions

    options = EvaluateOptions(
        factor=args.factor,
        methods=tuple(args.methods.split(",")),
        elements=tuple(args.elements.split(",")) if args.elements else (),
        seed=args.seed,
    )
    with bar_of(args, "evaluate") as bar:
        found = evaluate(
            args.scan,
            photo=args.photo,
            out=args.out,
            options=options,
            solve=solve_options(args),
            resources=run_options(args),
            inside=args.inside,
            calibration=args.calibration,
            progress=bar,
        )
    say(args, found, found.pop("text"))
