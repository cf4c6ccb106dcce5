"""Words and calls of the commands on a store: new, add, info, check."""

from __future__ import annotations

import argparse
from typing import Any

from xrfsr_dask.cli.words import bar_of, calibration_word, command, inside_word, pair, say, store_word


def new_words(commands: Any) -> None:
    p = command(
        commands,
        "new",
        _run_new,
        "create a painting store around a photograph",
        more="Its pixels become the pixels of the result, so make it as large as you want that to be.",
        example="xrfsr new painting.zarr --rgb photo.tif --width-mm 923",
    )
    p.add_argument("store", metavar="P.zarr", help="the folder to be made; nothing may be there yet")
    p.add_argument("--rgb", metavar="PHOTO", required=True, help="photograph: TIFF, PNG or JPEG, 8 or 16 bit")
    p.add_argument(
        "--width-mm", metavar="MM", type=float, required=True, help="width of what the photograph shows"
    )


def _run_new(args: argparse.Namespace) -> None:
    from xrfsr_dask.commands.info import as_text, describe
    from xrfsr_dask.commands.new import new

    _, notes = new(args.store, args.rgb, width_mm=args.width_mm)
    found = describe(args.store) | {"notes": list(notes)}
    say(args, found, "\n".join([*notes, as_text(found)]))


def add_words(commands: Any) -> None:
    p = command(
        commands,
        "add",
        _run_add,
        "add a scan (patch) to a painting",
        more="Where it lies on the painting is said by --at, or by --transform.",
        example="xrfsr add painting.zarr scan1.rpl --at 12.0,30.5 --step-mm 2.6",
    )
    store_word(p)
    p.add_argument("scan", help="file of the instrument: .rpl, .bcf, .h5, .nxs, .hspy, .npy, …")
    p.add_argument("--name", help="name of the patch (the next free of p01, p02, …)")
    inside_word(p)
    calibration_word(p)
    place = p.add_argument_group("where it lies")
    place.add_argument(
        "--at",
        metavar="X,Y",
        type=pair,
        help="place of the patch's top left corner, mm to the right of and below the photograph's",
    )
    place.add_argument(
        "--step-mm", metavar="MM", type=float, help="distance between spots (what the file says)"
    )
    place.add_argument(
        "--rotation", metavar="DEGREES", type=float, default=0.0, help="turn about that corner, clockwise (0)"
    )
    place.add_argument(
        "--transform",
        metavar="FILE",
        help="in place of these three: a 3x3 matrix (column, row, 1) -> (x mm, y mm, 1) as text, .json or .npy",
    )
    beam = p.add_argument_group("beam and counts")
    beam.add_argument(
        "--spot-mm", metavar="MM", type=float, help="width of the beam on the painting (one step)"
    )
    beam.add_argument(
        "--footprint",
        choices=("box", "gaussian"),
        default="box",
        help="shape of the beam: even over a square, or falling off from its middle (box)",
    )
    beam.add_argument(
        "--gain",
        metavar="X",
        type=float,
        default=1.0,
        help="its counts over those of the other patches on the same paint: dwell, current, distance (1)",
    )
    beam.add_argument("--dwell-s", metavar="S", type=float, help="seconds per spot, kept as a note")
    beam.add_argument(
        "--noise",
        choices=("poisson", "gaussian"),
        default="poisson",
        help="poisson: whole counts; gaussian: values that were worked on and may be negative (poisson)",
    )
    beam.add_argument(
        "--resample", action="store_true", help="rebin onto the energy axis of the first patch, if it differs"
    )


def _run_add(args: argparse.Namespace) -> None:
    from xrfsr_dask.commands.add import about, add, name_for, notes_of
    from xrfsr_dask.commands.info import patch_figures
    from xrfsr_dask.options import AddOptions

    with about(args.scan, name_for(args.store, args.scan, args.name)):
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
    p = command(
        commands,
        "info",
        _run_info,
        "say what is in a painting store",
        more="Its photograph, patches, results and unfinished runs.",
        example="xrfsr info painting.zarr",
    )
    store_word(p)


def _run_info(args: argparse.Namespace) -> None:
    from xrfsr_dask.commands.info import as_text, describe

    found = describe(args.store)
    say(args, found, as_text(found))


def check_words(commands: Any) -> None:
    p = command(
        commands,
        "check",
        _run_check,
        "read and verify everything in a painting store",
        more="What is damaged is named; the exit status is then 1.",
        example="xrfsr check painting.zarr",
    )
    store_word(p)


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
