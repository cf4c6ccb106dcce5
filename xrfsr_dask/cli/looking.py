"""Words and calls of the commands that look at a result: browse, maps, report, export."""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import Any

from xrfsr_dask.cli.words import bar_of, bounds, command, region, result_words, say, store_word


def browse_words(commands: Any) -> None:
    p = command(
        commands,
        "browse",
        _run_browse,
        "look at a result: photograph, element maps, click for a spectrum",
        more="A page in your browser, served by this machine until you press Ctrl-C.",
        example="xrfsr browse painting.zarr",
    )
    store_word(p)
    result_words(p, layer=False)
    p.add_argument("--port", metavar="N", type=int, default=0, help="port to listen on (any free one)")
    p.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1: this machine only)")
    p.add_argument(
        "--everyone", action="store_true", help="allow a --host that others can reach: they see it all"
    )
    p.add_argument("--no-show", action="store_true", help="print the page's address, do not open the browser")


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
    p = command(
        commands,
        "maps",
        _run_maps,
        "write element maps as TIFF, 16-bit PNG and pictures in mm",
        more="Net counts per measured spot, lines that overlap told apart.",
        example="xrfsr maps painting.zarr --elements Cr,Pb,As --layer hidden",
    )
    store_word(p)
    p.add_argument(
        "--elements",
        metavar="A,B,…",
        help="such as Cr,Pb,As; Pb-Ma for a line but the usual one (those with most counts)",
    )
    result_words(p)
    p.add_argument("--out", metavar="FOLDER", default="maps", help="folder for the files (maps)")
    p.add_argument("--pyramid", action="store_true", help="also maps.ome.zarr, for viewers of huge images")
    p.add_argument("--table", action="store_true", help="also maps.csv, which XRF Explorer imports")


def _run_maps(args: argparse.Namespace) -> None:
    from xrfsr_dask.commands.maps import maps
    from xrfsr_dask.options import MapOptions

    options = MapOptions(
        elements=_named(args.elements),
        layer=args.layer,
        name=args.name,
        pyramid=args.pyramid,
        table=args.table,
    )
    with bar_of(args, "maps", "map") as bar:
        found = maps(args.store, args.out, options, progress=bar)
    say(args, found, "\n".join(found["files"]))


def _named(elements: str | None) -> tuple[str, ...]:
    """What --elements names; nothing where it was not given."""
    return () if elements is None else tuple(elements.split(","))


def report_words(commands: Any) -> None:
    p = command(
        commands,
        "report",
        _run_report,
        "write one HTML page with maps, spectra and how far to trust",
        more="It holds its pictures itself and can be sent as it is.",
        example="xrfsr report painting.zarr --elements Cr,Pb,As",
    )
    store_word(p)
    result_words(p, layer=False)
    p.add_argument("--out", metavar="FILE.html", help="the page (P-NAME.html beside the store)")
    p.add_argument(
        "--elements", metavar="A,B,…", help="whose maps are drawn, as in maps (those with most counts)"
    )


def _run_report(args: argparse.Namespace) -> None:
    from xrfsr_dask.commands.report import report

    with bar_of(args, "report", "part") as bar:
        found = report(
            args.store,
            name=args.name,
            out=args.out,
            elements=_named(args.elements),
            progress=bar,
        )
    say(args, found, found["report"])


def export_words(commands: Any) -> None:
    p = command(
        commands,
        "export",
        _run_export,
        "write the cube, or a part of it, for another program",
        more="Counts per measured spot. Stop it whenever you like: the same command goes on.",
        example="xrfsr export painting.zarr --to part.rpl --region 20:60,40:90",
    )
    store_word(p)
    p.add_argument(
        "--to",
        required=True,
        metavar="FILE",
        help="its suffix says how: .rpl for PyMca and most others, .zspy for HyperSpy, .h5 or .nxs, .zarr",
    )
    result_words(p)
    p.add_argument("--energy", metavar="FROM:TO", type=bounds, help="keV, such as 5.2:5.6 (all channels)")
    p.add_argument(
        "--region",
        metavar="Y0:Y1,X0:X1",
        type=region,
        help="mm below and to the right of the top left corner, such as 20:60,40:90 (the whole painting)",
    )


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
