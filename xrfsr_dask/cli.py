"""The command line: words -> options -> one call per command."""

from __future__ import annotations

import argparse
import contextlib
import errno
import logging
import os
import re
import shlex
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from xrfsr_dask import __version__, interrupts
from xrfsr_dask.errors import ClusterError, XrfsrError
from xrfsr_dask.progress import Bar, Progress, Silent
from xrfsr_dask.tiling.budget import one_heap

DEBUG = bool(os.environ.get("XRFSR_DEBUG"))
"""Whether tracebacks, warnings and logs are wanted."""

_PLACES = ("store", "folder", "out")  # words that say where a command writes
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 the user's input is wrong, 2 usage."""
    if argv is not None:
        return _run(argv)
    interrupts.hear()
    try:
        _say_one_sentence_only()
        one_heap()
        return _run(sys.argv[1:])
    finally:
        interrupts.ignore()


def _run(words: Sequence[str]) -> int:
    args = argparse.Namespace()
    try:
        _parser().parse_args(_joined(words), args)
        return int(args.run(args) or 0)
    except ClusterError as error:
        return _fail(str(error) + (_way_on(args, words) or ""))
    except XrfsrError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return _fail(_interrupted(args, words))
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
    except Exception as error:
        if interrupts.heard:  # within an import, which made something else of it
            return _fail(_interrupted(args, words))
        if DEBUG:
            raise
        found = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        return _fail(f"something unforeseen happened ({found}); please report it, with XRFSR_DEBUG=1 set.")


def _interrupted(args: argparse.Namespace, words: Sequence[str]) -> str:
    way_on = _way_on(args, words)
    return "interrupted; nothing is lost" + (f".{way_on}" if way_on else ": repeat the same command.")


def _way_on(args: argparse.Namespace, words: Sequence[str]) -> str | None:
    """The command that goes on with an unfinished solve, if there is one."""
    arrays = sys.modules.get("xrfsr_dask.store.arrays")  # not imported for this: there may be an interrupt
    if getattr(args, "command", None) != "solve" or arrays is None:
        return None
    run = arrays.work_area(args.store) / (args.name or args.method)
    if not (run / "checkpoint.json").exists():
        return None
    same = [word for word in words if word not in ("--restart", "--resume")]
    return f" Go on with: {shlex.join(['xrfsr', *same, '--resume'])}"


def _joined(words: Sequence[str]) -> list[str]:
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
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = lambda _: None
    threading.excepthook = lambda _: None


def _fail(message: str) -> int:
    if sys.stderr is not None:
        print(f"xrfsr: {_printable(message)}", file=sys.stderr)
    return 1


def _printable(text: str) -> str:
    """Control characters of names and paths as escapes: they neither break the line nor steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class _Parser(argparse.ArgumentParser):
    """Takes options by their whole names only, and says in one sentence what is wrong with the words."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {_printable(message)}; see `{self.prog} --help`.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="xrfsr",
        description="Super-resolve X-ray fluorescence scans of whole paintings.",
        epilog="Begin with `xrfsr demo`. Each command explains itself: `xrfsr COMMAND --help`.",
    )
    parser.add_argument("--version", action="version", version=f"xrfsr {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_demo, _new, _add, _solve, _browse, _maps, _report, _export, _evaluate, _info, _check):
        add(commands)
    return parser


def _command(commands: Any, name: str, run: Callable[[argparse.Namespace], int | None], text: str) -> Any:
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


# One pair of functions per command: its words, and its call


def _demo(commands: Any) -> None:
    p = _command(commands, "demo", _run_demo, "paint a phantom with known truth, solve it, compare and report")
    p.add_argument("folder", nargs="?", default="demo", help="where to put painting.zarr and report/ (demo)")
    p.add_argument("--size", choices=("small", "bedroom"), default="small")
    p.add_argument("--rgb", metavar="PHOTO", help="paint from this photograph in place of our own picture")
    p.add_argument("--seed", type=int, default=0)
    _solver_words(p)


def _run_demo(args: argparse.Namespace) -> None:
    from xrfsr_dask.commands.demo import demo

    with _bar(args, "demo") as bar:
        found = demo(
            args.folder,
            size=args.size,
            photo=args.rgb,
            seed=args.seed,
            options=_solve_options(args),
            resources=_resources(args),
            progress=bar,
        )
    _say(args, found, found.pop("text"))


def _new(commands: Any) -> None:
    p = _command(commands, "new", _run_new, "create a painting store around a photograph")
    p.add_argument("store", metavar="P.zarr")
    p.add_argument("--rgb", metavar="PHOTO", required=True, help="photograph: TIFF, PNG or JPEG")
    p.add_argument("--width-mm", type=float, required=True, help="width of what the photograph shows, mm")


def _run_new(args: argparse.Namespace) -> None:
    from xrfsr_dask.commands.info import as_text, describe
    from xrfsr_dask.commands.new import new

    _, notes = new(args.store, args.rgb, width_mm=args.width_mm)
    found = describe(args.store) | {"notes": list(notes)}
    _say(args, found, "\n".join([*notes, as_text(found)]))


def _add(commands: Any) -> None:
    p = _command(commands, "add", _run_add, "add a scan (patch) to a painting")
    p.add_argument("store", metavar="P.zarr")
    p.add_argument("scan", help=".rpl, .bcf, .h5, .nxs, .hspy, .npy, …")
    p.add_argument("--name", help="name of the patch (next free: p01, p02, …)")
    p.add_argument("--inside", metavar="PATH", help="path of the cube inside an HDF5 file")
    p.add_argument("--calibration", metavar="OFFSET,GAIN|FILE.spx", help="keV of channel 0 and keV per channel")
    p.add_argument(
        "--at", metavar="X,Y", type=_pair, help="mm of the patch's top left corner on the photograph"
    )
    p.add_argument("--step-mm", type=float, help="distance between spots, mm")
    p.add_argument("--rotation", type=float, default=0.0, help="turn about that corner, degrees clockwise")
    p.add_argument("--transform", metavar="FILE", help="3x3 matrix (column, row, 1) -> (x mm, y mm, 1)")
    p.add_argument("--spot-mm", type=float, help="beam on the painting, mm (one step)")
    p.add_argument("--footprint", choices=("box", "gaussian"), default="box")
    p.add_argument("--gain", type=float, default=1.0, help="counts relative to other patches (dwell, current)")
    p.add_argument("--dwell-s", type=float, help="time per spot, s, kept as a note")
    p.add_argument("--noise", choices=("poisson", "gaussian"), default="poisson")
    p.add_argument("--resample", action="store_true", help="rebin onto the energy axis of the first patch")


def _run_add(args: argparse.Namespace) -> None:
    from xrfsr_dask.commands.add import add, notes_of
    from xrfsr_dask.commands.info import patch_figures
    from xrfsr_dask.options import AddOptions

    options = AddOptions(
        name=args.name,
        at_mm=None if args.at is None else (args.at[1], args.at[0]),
        step_mm=args.step_mm,
        rotation_deg=args.rotation,
        transform_file=args.transform,
        calibration=args.calibration,
        inside=args.inside,
        spot_mm=args.spot_mm,
        footprint=args.footprint,
        gain=args.gain,
        dwell_s=args.dwell_s,
        noise=args.noise,
        resample=args.resample,
    )
    with _bar(args, "add", "row") as bar:
        patch = add(args.store, args.scan, options, progress=bar)
    found = patch_figures(patch) | {"notes": list(notes_of(patch))}
    text = f"added patch '{patch.name}': {found['spots'][1]} x {found['spots'][0]} spots"
    text += f", {found['counts_per_spot']:.0f} counts a spot"
    _say(args, found, "\n".join([text, *found["notes"]]))


def _solve(commands: Any) -> None:
    p = _command(commands, "solve", _run_solve, "super-resolve a painting from all its patches")
    p.add_argument("store", metavar="P.zarr")
    p.add_argument("--name", help="name of the result (the method)")
    p.add_argument("--resume", action="store_true", help="insist on going on with an unfinished run")
    p.add_argument("--restart", action="store_true", help="discard an unfinished run")
    p.add_argument("--dry-run", action="store_true", help="print tiles, tasks, memory and disk; do nothing")
    p.add_argument("--seed", type=int, default=0)
    _solver_words(p)


def _run_solve(args: argparse.Namespace) -> None:
    from xrfsr_dask.commands.solve import dry_run, in_words, solve_painting

    options, resources = _solve_options(args), _resources(args)
    if args.dry_run:
        found = dry_run(args.store, name=args.name, options=options, resources=resources)
        text = in_words(found)
    else:
        with _bar(args, "solve") as bar:
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
    _say(args, found, text)


def _evaluate(commands: Any) -> None:
    p = _command(
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
    _solver_words(p)


def _run_evaluate(args: argparse.Namespace) -> None:
    from xrfsr_dask.commands.evaluate import evaluate
    from xrfsr_dask.options import EvaluateOptions

    options = EvaluateOptions(
        factor=args.factor,
        methods=tuple(args.methods.split(",")),
        elements=tuple(args.elements.split(",")) if args.elements else (),
        seed=args.seed,
    )
    with _bar(args, "evaluate") as bar:
        found = evaluate(
            args.scan,
            photo=args.photo,
            out=args.out,
            options=options,
            solve=_solve_options(args),
            resources=_resources(args),
            inside=args.inside,
            calibration=args.calibration,
            progress=bar,
        )
    _say(args, found, found.pop("text"))


def _browse(commands: Any) -> None:
    p = _command(
        commands, "browse", _run_browse, "look at a result: photograph, element maps, click for a spectrum"
    )
    p.add_argument("store", metavar="P.zarr")
    p.add_argument("--name", help="name of the result (the newest)")
    p.add_argument("--port", type=int, default=0, help="where to listen on this machine (any free one)")
    p.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1: this machine only)")
    p.add_argument("--everyone", action="store_true", help="allow a --host that others can reach")
    p.add_argument("--no-show", action="store_true", help="do not open the browser")


def _run_browse(args: argparse.Namespace) -> None:
    from xrfsr_dask.commands.browse import address_of, browse

    server = browse(
        args.store,
        name=args.name,
        host=args.host,
        port=args.port,
        everyone=args.everyone,
        show=not args.no_show,
    )
    where = address_of(server)
    _say(args, {"address": where}, f"{where}  (Ctrl-C ends it)")
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        server.io_loop.start()


def _maps(commands: Any) -> None:
    p = _command(commands, "maps", _run_maps, "write element maps as TIFF, 16-bit PNG and pictures in mm")
    p.add_argument("store", metavar="P.zarr")
    p.add_argument(
        "--elements", required=True, help="comma-separated, such as Cr,Pb,As; Pb-Ma for another line"
    )
    p.add_argument("--layer", choices=("all", "visible", "hidden"), default="all")
    p.add_argument("--name", help="name of the result (the newest)")
    p.add_argument("--out", default="maps", help="folder for the files (maps)")
    p.add_argument("--pyramid", action="store_true", help="also maps.ome.zarr, for viewers of huge images")
    p.add_argument("--table", action="store_true", help="also maps.csv, which XRF Explorer imports")


def _run_maps(args: argparse.Namespace) -> None:
    from xrfsr_dask.commands.maps import maps
    from xrfsr_dask.options import MapOptions

    options = MapOptions(
        elements=tuple(args.elements.split(",")),
        layer=args.layer,
        name=args.name,
        pyramid=args.pyramid,
        table=args.table,
    )
    with _bar(args, "maps", "map") as bar:
        found = maps(args.store, args.out, options, progress=bar)
    _say(args, found, "\n".join(found["files"]))


def _report(commands: Any) -> None:
    p = _command(commands, "report", _run_report, "write one HTML page with maps, spectra and how far to trust")
    p.add_argument("store", metavar="P.zarr")
    p.add_argument("--name", help="name of the result (the newest)")
    p.add_argument("--out", metavar="FILE.html", help="the page (beside the store)")
    p.add_argument("--elements", help="comma-separated, such as Cr,Pb,As (those with most counts)")


def _run_report(args: argparse.Namespace) -> None:
    from xrfsr_dask.commands.report import report

    with _bar(args, "report", "part") as bar:
        found = report(
            args.store,
            name=args.name,
            out=args.out,
            elements=tuple(args.elements.split(",")) if args.elements else (),
            progress=bar,
        )
    _say(args, found, found["report"])


def _export(commands: Any) -> None:
    p = _command(commands, "export", _run_export, "write the cube, or a part, for another program; goes on")
    p.add_argument("store", metavar="P.zarr")
    p.add_argument("--to", required=True, metavar="FILE", help="its suffix says how: .zarr .rpl .h5 .nxs .zspy")
    p.add_argument("--name", help="name of the result (the newest)")
    p.add_argument("--layer", choices=("all", "visible", "hidden"), default="all")
    p.add_argument("--energy", metavar="FROM:TO", type=_bounds, help="keV, such as 5.2:5.6 (all channels)")
    p.add_argument("--region", metavar="Y0:Y1,X0:X1", type=_region, help="mm (the whole painting)")


def _run_export(args: argparse.Namespace) -> None:
    from xrfsr_dask.commands.export import export
    from xrfsr_dask.options import ExportOptions

    y, x = args.region or (None, None)
    options = ExportOptions(name=args.name, layer=args.layer, energy_kev=args.energy, y_mm=y, x_mm=x)
    with _bar(args, "export", "block") as bar:
        found = export(args.store, args.to, options, progress=bar)
    ny, nx, n_channel = found["shape"]
    text = f"{found['written']}: {nx} x {ny} px, {n_channel} channels, {found['bytes'] / 1e9:.3f} GB"
    _say(args, found, f"{text}, {found['format']}")


def _info(commands: Any) -> None:
    p = _command(commands, "info", _run_info, "say what is in a painting store")
    p.add_argument("store", metavar="P.zarr")


def _run_info(args: argparse.Namespace) -> None:
    from xrfsr_dask.commands.info import as_text, describe

    found = describe(args.store)
    _say(args, found, as_text(found))


def _check(commands: Any) -> None:
    p = _command(commands, "check", _run_check, "read and verify every chunk (exit status 1 on damage)")
    p.add_argument("store", metavar="P.zarr")


def _run_check(args: argparse.Namespace) -> int:
    from xrfsr_dask.store.check import check_store

    with _bar(args, "check", "chunk") as bar:
        report = check_store(args.store, bar)
    damage = [{"place": d.place, "what": d.what} for d in report.damage]
    found = {"arrays": report.arrays, "chunks": report.chunks, "damage": damage}
    lines = [f"{d['place']}: {d['what']}" for d in damage]
    lines.append(f"{report.chunks} chunks of {report.arrays} arrays read, {len(damage)} damaged")
    _say(args, found, "\n".join(lines))
    return 1 if damage else 0


# Words that several commands share


def _solver_words(p: Any) -> None:
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
        "--memory", type=_bytes, help="what all tasks may need together, such as 512MB or 4GB (512MB)"
    )
    p.add_argument("--workers", type=int, help="tasks at once (one per core)")
    p.add_argument("--processes", action="store_true", help="worker processes in place of threads")
    p.add_argument("--scheduler", metavar="ADDRESS", help="use a running Dask scheduler")


def _solve_options(args: argparse.Namespace) -> Any:
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


def _resources(args: argparse.Namespace) -> Any:
    from xrfsr_dask.options import RunOptions

    return RunOptions(
        tile=args.tile,
        memory=RunOptions.memory if args.memory is None else args.memory,
        workers=args.workers,
        processes=args.processes,
        scheduler=args.scheduler,
    )


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([KMGT]?)i?B?", text.strip(), re.IGNORECASE)
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}' is not an amount of memory such as 512MB or 4GB")
    amount = float(match[1]) * _UNITS[match[2].upper()]
    if amount >= 2**63:
        raise argparse.ArgumentTypeError(f"'{text[:20]}…' is more memory than a machine can have")
    return int(amount)


def _pair(text: str) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not X,Y in mm, such as 120.5,40") from None
    return x, y


def _bounds(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not FROM:TO, such as 5.2:5.6") from None
    return low, high


def _region(text: str) -> tuple[tuple[float, float], tuple[float, float]]:
    try:
        y, x = (_bounds(part) for part in text.split(","))
    except (ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(f"'{text}' is not Y0:Y1,X0:X1 in mm, such as 20:60,0:80.5") from None
    return y, x


@contextlib.contextmanager
def _bar(args: argparse.Namespace, label: str, unit: str = "task") -> Iterator[Progress]:
    if args.quiet or args.json or sys.stderr is None or not sys.stderr.isatty():
        yield Silent()
    else:
        with Bar(label, unit) as bar:
            yield bar


def _say(args: argparse.Namespace, found: dict[str, Any], text: str) -> None:
    from xrfsr_dask.view.table import as_json

    print(as_json(found) if args.json else text)


if __name__ == "__main__":
    sys.exit(main())
