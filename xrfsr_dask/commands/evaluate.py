"""`xrfsr evaluate`: real counts split in two halves; one is binned and super-resolved, the other judges.

The paper's section V-D, with independent noise in input and reference (METHOD, section 8).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from xrfsr_dask.cluster import executor_for
from xrfsr_dask.commands.fuse import Aligned, require_plans, solve_arrays
from xrfsr_dask.commands.halves import Halves, binned, prepare
from xrfsr_dask.commands.output import check_pictures, output_folder, report_in
from xrfsr_dask.errors import InputError, MemoryBudgetError
from xrfsr_dask.kernels.fit import channel_groups, chi_square_poisson
from xrfsr_dask.methods import require_room, super_resolve
from xrfsr_dask.methods.protocol import Scene
from xrfsr_dask.metrics import WHOLE, added, correlation, row_sums
from xrfsr_dask.options import EVALUATED, METHODS, EvaluateOptions, RunOptions, SolveOptions
from xrfsr_dask.progress import Progress
from xrfsr_dask.readers import Scan, open_scan, read_calibration
from xrfsr_dask.result import atomic_number, best_line, line_weights
from xrfsr_dask.store.painting import linear_light
from xrfsr_dask.tiling.grid import CELL, plan_tiles
from xrfsr_dask.view import figures, table
from xrfsr_dask.view.panels import Panel, displayed

Rows = Callable[[slice], np.ndarray]
"""Some rows of HR pixels -> expected counts of each, (ny, nx, n_channel)."""

_BLOCK_ROWS = 16


def evaluate(
    scan_path: str | Path,
    *,
    photo: str,
    out: str | Path,
    options: EvaluateOptions,
    solve: SolveOptions,
    resources: RunOptions,
    inside: str | None = None,
    calibration: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Compare methods on one real scan and leave tables and a figure in `out`.

    Parameters
    ----------
    scan_path : str or Path
        An instrument file; counts are held in memory.
    photo : str
        A photograph with one pixel per spot, or ``"embedded"`` for the image in the file.
    out : str or Path
        Folder for ``evaluate.txt``, ``.csv``, ``.json`` and ``.png``; made where it is missing.
    options : EvaluateOptions
    solve, resources : SolveOptions, RunOptions
        For the methods that run on the engine; the others take the number of atoms, the seed and the memory.
    inside, calibration : str, optional
        As for `xrfsr add`.

    Raises
    ------
    InputError
        The photograph has another grid, there is no embedded image, or the scan is smaller than one bin.
    MemoryBudgetError
        A method asked for by name does not fit; with ``"all"``, it is left out and a note says so.
    """
    check_pictures()
    with output_folder(out) as folder:
        return _in_folder(folder, scan_path, photo, options, solve, resources, (inside, calibration), progress)


def _in_folder(
    out: Path,
    scan_path: str | Path,
    photo: str,
    options: EvaluateOptions,
    solve: SolveOptions,
    resources: RunOptions,
    about: tuple[str | None, str | None],
    progress: Progress | None,
) -> dict[str, Any]:
    inside, calibration = about
    given = None if calibration is None else read_calibration(calibration)
    scan = open_scan(scan_path, inside=inside)
    _check_asked(scan, options, resources)
    halves = prepare(scan, photo, given, factor=options.factor, seed=options.seed)
    lines = _lines(options.elements or scan.elements, halves.energy_kev, asked=bool(options.elements))
    names = EVALUATED if "all" in options.methods else options.methods
    given_low = _aligned(halves, options.factor)
    if "all" not in options.methods:
        _require_room(names, given_low, options.factor, solve, resources)
    metrics, maps, left_out = {}, {}, []
    for name in names:
        try:
            rows = _rows(name, given_low, options.factor, solve, resources, progress)
        except MemoryBudgetError as error:
            if "all" not in options.methods:
                raise
            left_out.append(f"left out: {error}")
        else:
            metrics[name], maps[name] = _compared(rows, halves, lines)
            metrics[name][0]["chi_square"] = _chi_square(rows, halves, options.factor)
    names = tuple(metrics)
    maps["reference"] = _maps_of(lambda part: halves.reference[part], halves, lines)
    correlations = _correlations(maps, lines, options.map_bin)
    found: dict[str, Any] = {
        "scan": str(scan_path),
        "factor": options.factor,
        "seed": options.seed,
        "counts_per_spot": round(float(halves.reference.sum(axis=2, dtype=np.float64).mean()), 2),
        "notes": [*halves.notes, *left_out],
        "metrics": table.metric_rows(metrics),
        "correlation": correlations,
    }
    as_json, found["text"] = table.as_json(found), _text(found, options)
    with report_in(out) as folder:
        (folder / "evaluate.txt").write_text(f"{found['text']}\n", encoding="utf-8")
        (folder / "evaluate.csv").write_text(table.as_csv(correlations), encoding="utf-8")
        (folder / "evaluate.json").write_text(as_json + "\n", encoding="utf-8")
        if lines:
            figures.save(_figure(halves, maps, lines, names, options), folder / "evaluate.png")
    return found


def _check_asked(scan: Scan, options: EvaluateOptions, resources: RunOptions) -> None:
    """Refuse before the counts are read what would be refused after: elements, tile, scheduler."""
    for element in options.elements:
        atomic_number(element)
    plan_tiles(scan.shape[:2], tile=resources.tile or CELL)
    if resources.scheduler:
        with executor_for(resources):
            pass


def _lines(elements: tuple[str, ...], energy: np.ndarray, *, asked: bool) -> dict[str, np.ndarray]:
    """Weights of one line of each element; one the file lists but the axis cannot show is passed over."""
    out = {}
    for element in elements:
        line = best_line(energy, element)
        if line is not None:
            out[f"{element} {line}"] = line_weights(energy, element, line)
        elif asked:
            raise InputError(
                f"'{element}' has no line with room for its background between {energy[0]:.3f} and "
                f"{energy[-1]:.3f} keV; leave it out of --elements, or check the calibration."
            )
    return out


# Methods: a binned half -> expected counts of each HR pixel


def _aligned(halves: Halves, factor: int) -> Aligned:
    """What every method is given: the binned half and the image."""
    return Aligned(
        counts=halves.low,
        image=halves.image,
        transfer=halves.transfer,
        energy_kev=halves.energy_kev,
        has_energy=True,
        noise="poisson",
        step_mm=factor * halves.step_mm,
    )


def _scene(arrays: Aligned, factor: int) -> Scene:
    return Scene(arrays.counts, linear_light(arrays.image, arrays.transfer), factor, "poisson")


def _require_room(
    names: tuple[str, ...], arrays: Aligned, factor: int, solve: SolveOptions, resources: RunOptions
) -> None:
    """`MemoryBudgetError` before any method runs, where one of them would raise it."""
    for name in names:
        if name not in METHODS:
            require_room(name, _scene(arrays, factor), atoms=solve.atoms, memory=resources.memory)
    require_plans(arrays, [replace(solve, method=name) for name in names if name in METHODS], resources)


def _rows(
    method: str,
    arrays: Aligned,
    factor: int,
    solve: SolveOptions,
    resources: RunOptions,
    progress: Progress | None,
) -> Rows:
    """Run one method; what it gives per measured (binned) spot is shared out among the spots of a bin."""
    share = np.float32(1 / factor**2)
    if method in METHODS:
        ds = solve_arrays(arrays, options=replace(solve, method=method), resources=resources, progress=progress)
        abundance, endmember = ds.abundance.values, ds.endmember.values * share
        return lambda part: abundance[part] @ endmember
    estimate = super_resolve(
        method, _scene(arrays, factor), atoms=solve.atoms, seed=solve.seed, memory=resources.memory
    )
    return lambda part: estimate.rows(part) * share


# Comparison


def _compared(
    rows: Rows, halves: Halves, lines: dict[str, np.ndarray]
) -> tuple[list[Any], dict[str, np.ndarray]]:
    n_channel = len(halves.energy_kev)
    sums = added(
        row_sums(
            rows(part).reshape(-1, n_channel), halves.reference[part].reshape(-1, n_channel), regions=(WHOLE,)
        )
        for part in _parts(len(halves.reference))
    )
    return sums.table(), _maps_of(rows, halves, lines)


def _chi_square(rows: Rows, halves: Halves, factor: int) -> float:
    """Mean chi-square per spot: the estimate as the binned spots would see it, against the given counts."""
    groups = channel_groups(halves.low.mean(axis=(0, 1)))
    n_channel, found = len(halves.energy_kev), []
    for row, counts in enumerate(halves.low):
        model = binned(rows(slice(row * factor, (row + 1) * factor)), factor)
        found.append(chi_square_poisson(counts, model.reshape(-1, n_channel), groups))
    return float(np.mean(found))


def _maps_of(rows: Rows, halves: Halves, lines: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Net counts (ny, nx) of every line."""
    if not lines:
        return {}
    weights = np.stack(list(lines.values()), axis=1)
    stack = np.concatenate([rows(part) @ weights for part in _parts(len(halves.reference))])
    return {name: stack[..., i] for i, name in enumerate(lines)}


def _parts(n: int) -> list[slice]:
    return [slice(first, min(first + _BLOCK_ROWS, n)) for first in range(0, n, _BLOCK_ROWS)]


def _correlations(
    maps: dict[str, dict[str, np.ndarray]], lines: dict[str, np.ndarray], bin_px: int
) -> list[dict[str, Any]]:
    """Correlation of each line's map with the reference's, one row per line, one column per method."""
    coarse = {
        method: {name: _coarse(values, bin_px) for name, values in found.items()}
        for method, found in maps.items()
    }
    reference = coarse.pop("reference")
    return [
        {"element": name}
        | {method: correlation(found[name], reference[name]) for method, found in coarse.items()}
        for name in lines
    ]


def _coarse(values: np.ndarray, bin_px: int) -> np.ndarray:
    return binned(values, min(bin_px, *values.shape))


def _text(found: dict[str, Any], options: EvaluateOptions) -> str:
    n = options.map_bin
    per_spot = found["counts_per_spot"]
    parts = [
        *found["notes"],
        f"against the other half of the counts, per spot; its noise ({per_spot:g} counts in a spot) is in the\n"
        "RMSE, PSNR and SAM of every method alike; chi-square is against the counts that were given,\n"
        "1 where only noise is left:",
        table.as_text(found["metrics"]),
    ]
    if found["correlation"]:
        parts += [
            "",
            f"correlation of element maps with the other half, {n} x {n} binned:",
            table.as_text(found["correlation"]),
        ]
    return "\n".join(parts)


def _figure(
    halves: Halves,
    maps: dict[str, dict[str, np.ndarray]],
    lines: dict[str, np.ndarray],
    names: tuple[str, ...],
    options: EvaluateOptions,
) -> Any:
    """Like the paper's Fig. 10: the line whose map has most structure above its noise, by every method."""
    line = max(lines, key=lambda name: _structure(maps["reference"][name]))
    ny, nx = halves.reference.shape[:2]
    unit, per_mm = ("mm", 1.0) if max(ny, nx) * halves.step_mm > 0.5 else ("µm", 1e3)
    y, x = ((np.arange(n) + 0.5) * halves.step_mm * per_mm for n in (ny, nx))
    f = options.factor
    low = halves.low @ lines[line] / f**2
    y_low, x_low = y.reshape(-1, f).mean(axis=1), x.reshape(-1, f).mean(axis=1)
    photo = halves.image / np.iinfo(halves.image.dtype).max
    shown = displayed(photo) if halves.transfer == "linear" else np.broadcast_to(photo, (ny, nx, 3))
    panels = [
        Panel(values=low, y_mm=y_low, x_mm=x_low, title=f"one half, binned {f} x {f}"),
        Panel(values=shown, y_mm=y, x_mm=x, title="image"),
        *(Panel(values=maps[name][line], y_mm=y, x_mm=x, title=name) for name in names),
        Panel(values=maps["reference"][line], y_mm=y, x_mm=x, title="the other half, as measured"),
    ]
    return figures.comparison(panels, title=f"{line}, net counts per spot", columns=5, scale_by=0, unit=unit)


def _structure(values: np.ndarray) -> float:
    """How far a map of counts varies beyond its noise."""
    coarse = _coarse(values, 8)
    return float(coarse.std() / np.sqrt(np.abs(coarse).mean() + 1e-9))
