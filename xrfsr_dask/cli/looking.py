"""Words and calls of the commands that look at a result: browse, maps, report, export."""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import Any

from xrfsr_dask.cli.words import bar_of, bounds, command, region, say


def browse_words(commands: Any) -> None:
    p = command(
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
    say(args, {"address": where}, f"{where}  (Ctrl-C ends it)")
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        server.io_loop.start()


def maps_words(commands: Any) -> None:
    p = command(commands, "maps", _run_maps, "write element maps as TIFF, 16-bit PNG and pictures in mm")
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
    with bar_of(args, "maps", "map") as bar:
        found = maps(args.store, args.out, options, progress=bar)
    say(args, found, "\n".join(found["files"]))


def report_words(commands: Any) -> None:
    p = command(commands, "report", _run_report, "write one HTML page with maps, spectra and how far to trust")
    p.add_argument("store", metavar="P.zarr")
    p.add_argument("--name", help="name of the result (the newest)")
    p.add_argument("--out", metavar="FILE.html", help="the page (beside the store)")
    p.add_argument("--elements", help="comma-separated, such as Cr,Pb,As (those with most counts)")


def _run_report(args: argparse.Namespace) -> None:
    from xrfsr_dask.commands.report import report

    with bar_of(args, "report", "part") as bar:
        found = report(
            args.store,
            name=args.name,
            out=args.out,
            elements=tuple(args.elements.split(",")) if args.elements else (),
            progress=bar,
        )
    say(args, found, found["report"])


def export_words(commands: Any) -> None:
    p = command(commands, "export", _run_export, "write the cube, or a part, for another program; goes on")
    p.add_argument("store", metavar="P.zarr")
    p.add_argument("--to", required=True, metavar="FILE", help="its suffix says how: .zarr .rpl .h5 .nxs .zspy")
    p.add_argument("--name", help="name of the result (the newest)")
    p.add_argument("--layer", choices=("all", "visible", "hidden"), default="all")
    p.add_argument("--energy", metavar="FROM:TO", type=bounds, help="keV, such as 5.2:5.6 (all channels)")
    p.add_argument("--region", metavar="Y0:Y1,X0:X1", type=region, help="mm (the whole painting)")


def _run_export(args: argparse.Namespace) -> None:
    from xrfsr_dask.commands.export import export
    from xrfsr_dask.options import ExportOptions

    y, x = args.region or (None, None)
    options = ExportOptions(name=args.name, layer=args.layer, energy_kev=args.energy, y_mm=y, x_mm=x)
    with bar_of(args, "export", "block") as bar:
        found = export(args.store, args.to, options, progress=bar)
    ny, nx, n_channel = found["shape"]
    text = f"{found['written']}: {nx} x {ny} px, {n_channel} channels, {found['bytes'] / 1e9:.3f} GB"
    say(args, found, f"{text}, {found['format']}")
