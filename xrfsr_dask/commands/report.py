"""`xrfsr report`: all there is to say of a result on one page of HTML."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xrfsr_dask.commands.elements import MOST_ELEMENTS, elements_of, named_line, names_of
from xrfsr_dask.commands.output import check_pictures, here, output_folder
from xrfsr_dask.commands.pictures import map_panel, photograph_panel, preview_step
from xrfsr_dask.errors import OptionError
from xrfsr_dask.lines.tables import usual_line
from xrfsr_dask.progress import Progress, Silent
from xrfsr_dask.result import line_kev, open_patch, open_result
from xrfsr_dask.store import Painting, Patch, open_painting
from xrfsr_dask.store.arrays import holds, open_array, open_group, read_finite
from xrfsr_dask.store.patches import apply_transform
from xrfsr_dask.store.places import replace_text
from xrfsr_dask.store.remarks import remarks
from xrfsr_dask.store.results import history_of
from xrfsr_dask.view.page import Section, as_html
from xrfsr_dask.view.panels import Panel, Spot, colour_limits, greek, turned_corners
from xrfsr_dask.view.sheets import Column, beside, curves, spectra

Row = dict[str, Any]
"""What is known of an element, by `elements_of`."""

_NAMED = 14  # elements in a spectrum


def report(
    path: str | Path,
    *,
    name: str | None = None,
    out: str | Path | None = None,
    elements: tuple[str, ...] = (),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the page of a result and say where.

    Parameters
    ----------
    path : str or Path
        A painting store with a result.
    name : str, optional
        The result; the newest where not given.
    out : str or Path, optional
        File to write; ``<store>-<result>.html`` beside the store where not given, in the current folder
        where that is on an object store.
    elements : tuple of str
        What to draw, most important first, ``"Pb"`` or ``"Pb-Ma"``; the elements with most counts where empty.
    progress : Progress, optional
    """
    bar = progress or Silent()
    painting, ds = open_painting(path), open_result(path, name)
    store = painting.place
    beside = store.parent if isinstance(store, Path) else Path()
    target = beside / f"{Path(store.name).stem}-{ds.attrs['result']}.html" if out is None else here(out)
    if target.suffix.lower() not in (".html", ".htm"):
        raise OptionError(f"{target} is to be a page of HTML; give --out a name that ends in .html.")
    check_pictures()
    asked = [named_line(ds, element) for element in elements]
    with output_folder(target.parent):
        bar.note("elements")
        found, hidden = elements_of(ds), elements_of(ds, "hidden")
        most = [row["element"] for rows in (found, hidden) for row in rows[:MOST_ELEMENTS]]
        shown = list(dict.fromkeys(asked or (named_line(ds, element) for element in most)))
        bar.expect(5 + len(shown))
        bar.advance()
        sections = [_overview(painting, ds)]
        bar.advance()
        sections.append(_maps(painting, ds, shown, bar))
        sections.append(Section("Elements", _ELEMENTS_TEXT, rows=found))
        if hidden:
            sections.append(Section("Elements of the hidden layer", _HIDDEN_TEXT, rows=hidden))
        bar.note("spectra")
        sections += [_spectra(painting, ds, found, hidden), *_trust(painting, ds)]
        bar.advance(2)
        sections.append(_made_of(painting, ds))
        (ny, nx), n = painting.shape, len(painting.patches)
        lead = (
            f"Result '{ds.attrs['result']}' of {store.name}: {nx} x {ny} px, {nx * painting.pitch_mm:.0f} x "
            f"{ny * painting.pitch_mm:.0f} mm, from {n} measured {'patch' if n == 1 else 'patches'}."
        )
        title = f"X-ray fluorescence of {Path(store.name).stem}, super-resolved"
        replace_text(target, as_html(title, lead, sections))
        bar.advance()
        return {
            "report": str(target),
            "result": ds.attrs["result"],
            "elements": names_of(shown),
        }


_ELEMENTS_TEXT = (
    "Net counts per spot of each element's line in the mean spectrum of the result, and how many standard "
    "errors it stands above nothing in the measured patches, all lines fitted together."
)


_HIDDEN_TEXT = (
    "The same of the hidden layer, and which share of the counts of both layers lies in it; elements of which "
    "it has less than 4 % come last, as a hundredth or two of everything stray from one layer into the other. "
    "How sure an element is says that the spectra of this layer, which the method made, show it, not that the "
    "painter put it there: see whether its map repeats the photograph, or another element's, and what was "
    "measured."
)


def _overview(painting: Painting, ds: xr.Dataset) -> Section:
    photograph = photograph_panel(painting)
    corners = [(-0.5, -0.5), (-0.5, 1.0), (1.0, 1.0), (1.0, -0.5)]
    outlines = []
    for patch in painting.patches:
        ny, nx = patch.shape[:2]
        ends = np.array([(r if r < 0 else ny - 0.5, c if c < 0 else nx - 0.5) for r, c in corners])
        y, x = apply_transform(patch.transform, ends).T
        outlines.append((patch.name, y, x))
    covered = map_panel(ds.coverage, "", preview_step(painting.shape))
    columns = [
        Column(title="photograph and patches", panels=[photograph], outlines=outlines),
        Column(title="coverage", panels=[covered], unit="measured spots over a pixel"),
    ]
    drawn = beside(columns, photograph)
    return Section("The painting", figures=[("photograph with patches, and coverage", drawn)])


def _maps(painting: Painting, ds: xr.Dataset, shown: list[tuple[str, str]], bar: Progress) -> Section:
    figures, step = [], preview_step(painting.shape)
    patches = [(open_patch(painting.path, patch.name), patch) for patch in painting.patches]
    measured = ds.coverage > 0
    for element, line in shown:
        bar.note(element)
        what = f"{element} {line}"
        whole, hidden = (
            map_panel(ds.xrf.element(element, line, layer=layer).where(measured), "", step)
            for layer in ("all", "hidden")
        )
        low = [
            Panel(
                values=opened.xrf.element(element, line).values / patch.gain,
                **dict(zip(("y_mm", "x_mm"), turned_corners(patch.transform, patch.shape[:2]), strict=True)),
                title="",
            )
            for opened, patch in patches
        ]
        limits = colour_limits(whole.values)
        columns = [
            Column(title=f"{greek(what)} as measured", panels=low, limits=limits),
            Column(title="super-resolved, both layers", panels=[whole], limits=limits),
            Column(title="hidden layer", panels=[hidden]),
        ][not low :]  # a result may stand without what it was made of
        drawn = "measured, super-resolved, hidden" if low else "super-resolved, hidden"
        figures.append((f"{what}: {drawn}", beside(columns, whole)))
        bar.advance()
    first = "what the instrument measured, then the super-resolved map on the same scale"
    text = (
        f"Net counts per spot, each patch divided by its gain. First {first if patches else 'both layers'}, "
        "last the part that the photograph does not show, on a scale of its own. Grey: not measured."
    )
    none = "The channels are too wide to tell lines apart; name the elements to be drawn with --elements."
    return Section("Element maps", text if shown else none, figures=figures)


def _spectra(painting: Painting, ds: xr.Dataset, found: list[Row], hidden: list[Row]) -> Section:
    energy = ds.energy.values
    spots = [patch.shape[0] * patch.shape[1] for patch in painting.patches]
    mean = [patch.mean_spectrum() / patch.gain for patch in painting.patches]
    measured = np.average(mean, axis=0, weights=spots) if mean else np.zeros(len(energy))
    drawn = [
        Spot(y_mm=0, x_mm=0, title=title, energy_kev=energy, spectra=spectra_, lines=_lines(energy, rows))
        for title, spectra_, rows in (
            ("mean of all measured spots", {"measured": measured}, found),
            ("mean of all pixels, both layers", {"super-resolved": ds.xrf.mean_spectrum().values}, found),
            (
                "mean of all pixels, hidden layer",
                {"super-resolved": ds.xrf.mean_spectrum("hidden").values},
                hidden,
            ),
        )
        if max(float(values.max()) for values in spectra_.values()) > 0
    ]
    return Section("Mean spectra", figures=[("mean spectra with their lines", spectra(drawn))])


def _lines(energy_kev: np.ndarray, elements: list[Row]) -> dict[str, float]:
    """Names of the elements with most counts, and where they stand in a spectrum."""
    named = [(row["element"], usual_line(energy_kev, row["element"])) for row in elements[:_NAMED]]
    return {f"{element} {line}": line_kev(element, line) for element, line in named}


def _trust(painting: Painting, ds: xr.Dataset) -> list[Section]:
    """Convergence, chi-square and evidence, as far as the method left them."""
    group = open_group(painting.place / "results" / str(ds.attrs["result"]))
    out = []
    if series := {key: values for key, values in history_of(group).items() if len(values)}:
        drawn = curves(series, xlabel="iteration", ylabel="objective and its parts")
        out.append(Section("Convergence", figures=[("objective by iteration", drawn)]))
    columns, rows, view = [], [], photograph_panel(painting)
    if holds(group, "fit"):
        panels = []
        for patch in painting.patches:
            if not holds(group, f"fit/{patch.name}"):
                continue
            values = read_finite(open_array(group, f"fit/{patch.name}/chi_square", patch.shape[:2]))
            y, x = turned_corners(patch.transform, patch.shape[:2])
            panels.append(Panel(values=values, y_mm=y, x_mm=x, title=""))
            quantiles = [float(q) for q in np.percentile(values, [5, 50, 95])]
            rows.append({"patch": patch.name} | dict(zip(("5 %", "median", "95 %"), quantiles, strict=True)))
        if panels:
            look: Any = {"unit": "chi-square", "limits": (0.0, 3.0)}
            columns.append(Column(title="chi-square of each spot", panels=panels, **look))
    if "evidence" in ds:
        panel = map_panel(ds.evidence.where(ds.coverage > 0), "", preview_step(painting.shape))
        look = {"unit": "share of uncertainty removed", "limits": (0.0, 1.0)}
        columns.append(Column(title="evidence", panels=[panel], **look))
    if columns:
        text = (
            "Chi-square per degree of freedom: 1 where the model explains the counts as well as their noise "
            "allows, more where it misses something. Evidence: the share of a pixel's uncertainty that the "
            "counts take away; where it is low, the photograph speaks."
        )
        text = " ".join([text, *itertools.chain(*remarks(group, painting.pitch_mm).values())])
        drawn = beside(columns, view)
        out.append(Section("How far to trust it", text, [("chi-square and evidence", drawn)], rows))
    return out


def _made_of(painting: Painting, ds: xr.Dataset) -> Section:
    rows = [{"": f"patch {patch.name}", "value": _described(patch)} for patch in painting.patches]
    for key in ("options", "versions"):
        told = ds.attrs.get(key, {})
        named = told.items() if isinstance(told, dict) else [("", told)]
        rows += [{"": f"{key[:-1]} {name}", "value": value} for name, value in named]
    return Section("Made of", rows=[{"": "store", "value": Path(painting.path).name}, *rows])


def _described(patch: Patch) -> str:
    ny, nx, n_channel = patch.shape
    return (
        f"{nx} x {ny} spots, {n_channel} channels, step {patch.step_mm:.3g} mm, gain {patch.gain:.3g}, "
        f"{patch.total_counts:,.0f} counts"
    )
