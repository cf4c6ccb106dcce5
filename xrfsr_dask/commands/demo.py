"""`xrfsr demo`: a phantom with known truth -> solve -> judge -> report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy.ndimage import uniform_filter

from xrfsr_dask.cluster import cores, executor_for
from xrfsr_dask.commands.judge import CUBIC, comparing, judge
from xrfsr_dask.commands.output import check_pictures, output_folder, report_in
from xrfsr_dask.commands.pictures import photograph_panel, preview_step
from xrfsr_dask.commands.solve import check_room, solve_painting
from xrfsr_dask.errors import InputError, StoreError
from xrfsr_dask.options import BedroomOptions, RunOptions, SolveOptions, as_attributes
from xrfsr_dask.phantom import OWN_PICTURE, unpainted, write_painting
from xrfsr_dask.progress import Progress, Silent
from xrfsr_dask.readers import read_photograph
from xrfsr_dask.result import TRUTH, line_kev, line_weights, open_result
from xrfsr_dask.store import Painting, open_painting
from xrfsr_dask.store.arrays import open_array, open_group, read
from xrfsr_dask.view import figures, table
from xrfsr_dask.view.panels import Panel, Spot, turned_corners

SHOWN = ("Cr", "Ka")
"""The element of the paper's Fig. 1: chrome yellow and viridian."""
BENEATH = ("Cu", "Ka")
"""The overpainted figure wears a coat of emerald green."""

_LEAST_PX = 100  # of a photograph, along each side

PAPER = "paper"
"""Dai et al.'s own method, solved beside ours where the painting is small."""

_LABELLED = (("Ca", "Ka"), ("Cr", "Ka"), ("Fe", "Ka"), ("Cu", "Ka"), ("Zn", "Ka"), ("Pb", "La"), ("Hg", "La"))


def demo(
    folder: str | Path,
    *,
    size: str,
    photo: str | None,
    seed: int,
    options: SolveOptions,
    resources: RunOptions,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Paint, scan, solve, compare with the truth, and leave ``painting.zarr`` and ``report/`` in `folder`.

    What an earlier, interrupted demo finished in the same folder with the same options is kept.

    Parameters
    ----------
    folder : str or Path
        Made where it is missing.
    size : {"small", "bedroom"}
    photo : str, optional
        File of a photograph to paint from; our own picture of a room where not given.
    seed : int
    options, resources, progress
        As for `solve_painting`.
    """
    bar = progress or Silent()
    scene = BedroomOptions.bedroom(seed=seed) if size == "bedroom" else BedroomOptions.small(seed=seed)
    image = None if photo is None else _colour_picture(photo, scene.shape)
    methods = [options.method]
    if size != "bedroom" and options.method != PAPER:
        methods.insert(0, PAPER)
    check_pictures()
    for method in methods:  # before painting
        check_room(unpainted(scene), replace(options, method=method), resources)
    with output_folder(folder) as root:
        if (root / "report").exists() and not (root / "report").is_dir():
            raise InputError(f"{root / 'report'} is a file, where the report is to lie; move it away.")
        return _in_folder(root, scene, image, methods, options, resources, bar)


def _in_folder(
    root: Path,
    scene: BedroomOptions,
    image: np.ndarray | None,
    methods: list[str],
    options: SolveOptions,
    resources: RunOptions,
    bar: Progress,
) -> dict[str, Any]:
    path = root / "painting.zarr"
    bar.note("painting")
    if path.exists():
        _check_same(path, scene, image)
    else:
        write_painting(path, scene, photo=image, progress=bar)
    for other in methods[:-1]:  # ours is the newest then, which is what opens without a name
        _solved(path, replace(options, method=other), resources, bar)
    solved = _solved(path, options, resources, bar)
    bar.note("comparing with the truth")
    with executor_for(comparing(open_painting(path), resources, cores())) as executor:
        tables = judge(path, [CUBIC, *methods], executor, bar)
    rows = table.metric_rows(tables)
    report = root / "report"
    text = "counts per spot against the truth, where spots were measured:\n" + table.as_text(rows)
    found = {"store": str(path), "report": str(report), "solve": solved, "metrics": rows}
    with report_in(report) as folder:
        figures.save(overview(open_painting(path), options.method), folder / "overview.png")
        (folder / "metrics.txt").write_text(text + "\n", encoding="utf-8")
        (folder / "metrics.csv").write_text(table.as_csv(rows), encoding="utf-8")
        (folder / "metrics.json").write_text(table.as_json(found) + "\n", encoding="utf-8")
    return found | {"text": f"{text}\n\n{path}\n{report / 'overview.png'}"}


def overview(painting: Painting, method: str) -> Any:
    """The picture of the report: photograph, a patch, super-resolved map, truth, hidden layer, two spectra."""
    result, truth = open_result(painting.path, method), open_result(painting.path, TRUTH)
    (element, line), (deep, deep_line) = SHOWN, BENEATH
    step = preview_step(painting.shape)
    maps = {
        "resolved": (
            _map(result, element, line, "all", step),
            f"{element} {line}, both layers, by {method}",
        ),
        "truth": (_map(truth, element, line, "all", step), f"{element} {line}, both layers, truth"),
        "hidden": (_map(result, deep, deep_line, "hidden", step), f"{deep} {deep_line}, hidden layer"),
        "hidden_truth": (
            _map(truth, deep, deep_line, "hidden", step),
            f"{deep} {deep_line}, hidden layer, truth",
        ),
    }
    return figures.overview(
        photograph=photograph_panel(painting),
        patch=_patch(painting, element, line),
        **{name: _panel(values, title) for name, (values, title) in maps.items()},
        spots=_spots(result, truth, maps["truth"][0], maps["hidden_truth"][0]),
        title=f"{painting.shape[1]} x {painting.shape[0]} px from {len(painting.patches)} scans of "
        f"{painting.patches[0].shape[1]} x {painting.patches[0].shape[0]} spots",
    )


def _solved(path: Path, options: SolveOptions, resources: RunOptions, bar: Progress) -> dict[str, Any]:
    """Solve, or find solved what an earlier demo left with the same options."""
    there = path / "results" / options.method
    if not there.exists():
        return solve_painting(path, options=options, resources=resources, progress=bar)
    if dict(open_group(there).attrs).get("options") != as_attributes(options):
        raise StoreError(f"{path} was solved with other options; choose another folder or remove it.")
    return {"result": options.method}


def _check_same(path: Path, scene: BedroomOptions, image: np.ndarray | None) -> None:
    """The phantom that is already there must be the one asked for."""
    painting = open_painting(path)
    truth = path / "results" / TRUTH
    if not truth.is_dir():
        raise StoreError(f"{path} is no demo's: it holds no known truth; choose another folder.")
    options: Any = dict(open_group(truth).attrs).get("options")
    asked = table.plain(as_attributes(scene))
    if table.plain(options) != asked or not _is_of(painting, image):
        raise StoreError(f"{path} is another painting; choose another folder or remove it.")


def _is_of(painting: Painting, image: np.ndarray | None) -> bool:
    """Whether a phantom was painted from this photograph; from our own picture, where there is none."""
    level = open_group(painting.place / "rgb" / "0")
    if image is None:
        return level.attrs.get("source") == OWN_PICTURE
    stored = open_array(level, "image")
    return stored.shape == image.shape and np.array_equal(read(stored), image)


def _colour_picture(photo: str, shape: tuple[int, int]) -> np.ndarray:
    """A photograph in colour, made smaller where it has many more pixels than a picture of `shape`."""
    image = read_photograph(photo).image
    if image.shape[2] == 1:
        raise InputError(
            f"photograph {photo} is grey; the phantom's paints are chosen by colour, give one in colour."
        )
    if min(image.shape[:2]) < _LEAST_PX:
        raise InputError(
            f"photograph {photo} has {image.shape[1]} x {image.shape[0]} px, which is too small to paint from; "
            f"{_LEAST_PX} along each side are needed."
        )
    ratio = float(np.sqrt(shape[0] * shape[1] / (image.shape[0] * image.shape[1])))
    if ratio > 0.95:
        return image
    from skimage.transform import resize

    size = [max(1, round(n * ratio)) for n in image.shape[:2]]
    return np.rint(resize(image, size, anti_aliasing=True, preserve_range=True)).astype(image.dtype)


def _map(ds: xr.Dataset, element: str, line: str, layer: Any, step: int) -> xr.DataArray:
    """An element map, NaN where nothing was measured, by block means of `step` px."""
    values = ds.xrf.element(element, line, layer=layer, background="linear").where(ds.coverage > 0)
    return values.coarsen(y=step, x=step, boundary="trim").mean().compute()


def _panel(values: xr.DataArray, title: str) -> Panel:
    return Panel(values=values.values, y_mm=values.y.values, x_mm=values.x.values, title=title)


def _patch(painting: Painting, element: str, line: str) -> Panel:
    """The patch that holds most of the element, as measured."""
    weights = line_weights(painting.energy_kev, element, line)
    best = max(painting.patches, key=lambda patch: float(patch.mean_spectrum() @ weights))
    counts = best.counts()
    rows = range(0, best.shape[0], counts.chunks[0])
    values = np.concatenate([read(counts, (slice(r, r + counts.chunks[0]),)) @ weights for r in rows])
    y, x = turned_corners(best.transform, best.shape[:2])
    return Panel(values=values, y_mm=y, x_mm=x, title=f"{element} {line}, patch {best.name} as measured")


def _spots(result: xr.Dataset, truth: xr.Dataset, shown: xr.DataArray, beneath: xr.DataArray) -> list[Spot]:
    """A place where the shown element is strong and one where the hidden layer is, with their spectra."""
    lines = {f"{e} {line}": line_kev(e, line) for e, line in _LABELLED}
    out = []
    for name, values in (("visible", shown), ("hidden", beneath)):
        at = _typical_bright(values)
        y, x = float(at.y), float(at.x)
        spectra = {
            "truth": truth.xrf.spectrum(y=y, x=x).values,
            "super-resolved": result.xrf.spectrum(y=y, x=x).values,
        }
        energy = result.energy.values
        out.append(
            Spot(
                y_mm=y,
                x_mm=x,
                title=f"over {'the hidden figure' if name == 'hidden' else 'the visible paint'}",
                energy_kev=energy,
                spectra=spectra,
                lines=lines,
            )
        )
    return out


def _typical_bright(values: xr.DataArray) -> xr.DataArray:
    """A bright place amid bright ones: the pixel at the 97th percentile of the map smoothed over some spots."""
    known = np.nan_to_num(values.values)
    smooth = uniform_filter(known, size=max(3, min(known.shape) // 20))
    at = np.unravel_index(int(np.abs(smooth - np.percentile(smooth, 97)).argmin()), known.shape)
    return values[at]
