"""Words and calls of the commands that solve: demo, solve, evaluate."""

from __future__ import annotations

import argparse
from typing import Any

from xrfsr_dask.cli.words import (
    bar_of,
    calibration_word,
    command,
    inside_word,
    run_options,
    say,
    seed_word,
    solve_options,
    solver_words,
    store_word,
)
from xrfsr_dask.options import EVALUATED
from xrfsr_dask.values import require


def demo_words(commands: Any) -> None:
    p = command(
        commands,
        "demo",
        _run_demo,
        "paint a phantom with known truth, solve it, compare and report",
        more="A phantom is a painting made by the program over a hidden figure, and scanned with the noise of "
        "a real instrument. The small one takes two minutes.",
        example="xrfsr demo bedroom --size bedroom --rgb photo.jpg",
    )
    p.add_argument("folder", nargs="?", default="demo", help="where to put painting.zarr and report/ (demo)")
    p.add_argument(
        "--size",
        choices=("small", "bedroom"),
        default="small",
        help="four scans of 40 x 34 spots and 1024 channels, or ten of 85 x 96 and 4096 (small)",
    )
    p.add_argument("--rgb", metavar="PHOTO", help="paint from this photograph in place of our own picture")
    seed_word(p, "the picture, its hidden layer and the noise")
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
    p = command(
        commands,
        "solve",
        _run_solve,
        "super-resolve a painting from all its patches",
        more="The result is kept in the store. Stop it whenever you like: the same command goes on.",
        example="xrfsr solve painting.zarr --memory 2GB",
    )
    store_word(p)
    p.add_argument("--name", help="name that the result is to have (the method)")
    p.add_argument(
        "--resume", action="store_true", help="go on with an unfinished run; an error if there is none"
    )
    p.add_argument("--restart", action="store_true", help="discard an unfinished run and begin anew")
    p.add_argument("--dry-run", action="store_true", help="only say what it would take: tasks, memory, disk")
    seed_word(p, "which spots are sampled")
    solver_words(p)


def _run_solve(args: argparse.Namespace) -> None:
    from xrfsr_dask.commands.solve import dry_run, in_words, solve_painting, summary

    options, resources = solve_options(args), run_options(args)
    if args.dry_run:
        require(
            not (args.resume or args.restart),
            "--dry-run says what a new run would take; leave out --resume and --restart.",
        )
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
        text = summary(args.store, found)
    say(args, found, text)


def evaluate_words(commands: Any) -> None:
    p = command(
        commands,
        "evaluate",
        _run_evaluate,
        "split a scan's counts in two halves, super-resolve one, compare",
        more="The first half is binned to coarse spots and super-resolved by each method; the other, which "
        "none of them saw, says how well.",
        example="xrfsr evaluate map.bcf --photo embedded --factor 8",
    )
    p.add_argument("scan", help="a scan whose grid is fine enough to be binned: .bcf, .rpl, .h5, .npy, …")
    p.add_argument(
        "--photo",
        required=True,
        metavar="FILE|embedded",
        help="photograph with one pixel for each spot, or the image that the instrument recorded",
    )
    p.add_argument(
        "--factor", metavar="N", type=int, required=True, help="spots binned together along each axis"
    )
    p.add_argument(
        "--methods",
        metavar="A,B,…",
        default="cubic,paper,joint",
        help=f"of {', '.join(EVALUATED)}; or all (cubic,paper,joint)",
    )
    p.add_argument("--elements", metavar="A,B,…", help="whose maps are compared (those that the file lists)")
    p.add_argument("--out", metavar="FOLDER", default="evaluate", help="folder for table and figure (evaluate)")
    inside_word(p)
    calibration_word(p)
    seed_word(p, "which counts go to which half")
    solver_words(p, method=False)


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
