"""Words and calls of the commands on a store: new, add, info, check."""

from __future__ import annotations

import argparse
from typing import Any

from xrfsr_dask.cli.words import bar_of, command, pair, say


def new_words(commands: Any) -> None:
    p = command(commands, "new", _run_new, "create a painting store around a photograph")
    p.add_argument("store", metavar="P.zarr")
    p.add_argument("--rgb", metavar="PHOTO", required=True, help="photograph: TIFF, PNG or JPEG")
    p.add_argument("--width-mm", type=float, required=True, help="width of what the photograph shows, mm")


def _run_new(args: argparse.Namespace) -> None:
    from xrfsr_dask.commands.info import as_text, describe
    from xrfsr_dask.commands.new import new

    _, notes = new(args.store, args.rgb, width_mm=args.width_mm)
    found = describe(args.store) | {"notes": list(notes)}
    say(args, found, "\n".join([*notes, as_text(found)]))


def add_words(commands: Any) -> None:
    p = command(commands, "add", _run_add, "add a scan (patch) to a painting")
    p.add_argument("store", metavar="P.zarr")
    p.add_argument("scan", help=".rpl, .bcf, .h5, .nxs, .hspy, .npy, …")
    p.add_argument("--name", help="name of the patch (next free: p01, p02, …)")
    p.add_argument("--inside", metavar="PATH", help="path of the cube inside an HDF5 file")
    p.add_argument("--calibration", metavar="OFFSET,GAIN|FILE.spx", help="keV of channel 0 and keV per channel")
    p.add_argument("--at", metavar="X,Y", type=pair, help="mm of the patch's top left corner on the photograph")
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
    with bar_of(args, "add", "row") as bar:
        patch = add(args.store, args.scan, options, progress=bar)
    found = patch_figures(patch) | {"notes": list(notes_of(patch))}
    text = f"added patch '{patch.name}': {found['spots'][1]} x {found['spots'][0]} spots"
    text += f", {found['counts_per_spot']:.0f} counts a spot"
    say(args, found, "\n".join([text, *found["notes"]]))


def info_words(commands: Any) -> None:
    p = command(commands, "info", _run_info, "say what is in a painting store")
    p.add_argument("store", metavar="P.zarr")


def _run_info(args: argparse.Namespace) -> None:
    from xrfsr_dask.commands.info import as_text, describe

    found = describe(args.store)
    say(args, found, as_text(found))


def check_words(commands: Any) -> None:
    p = command(commands, "check", _run_check, "read and verify every chunk (exit status 1 on damage)")
    p.add_argument("store", metavar="P.zarr")


def _run_check(args: argparse.Namespace) -> int:
    from xrfsr_dask.store.check import check_store

    with bar_of(args, "check", "chunk") as bar:
        report = check_store(args.store, bar)
    damage = [{"place": d.place, "what": d.what} for d in report.damage]
    found = {"arrays": report.arrays, "chunks": report.chunks, "damage": damage}
    lines = [f"{d['place']}: {d['what']}" for d in damage]
    lines.append(f"{report.chunks} chunks of {report.arrays} arrays read, {len(damage)} damaged")
    say(args, found, "\n".join(lines))
    return 1 if damage else 0
