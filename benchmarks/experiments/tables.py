"""Table I of the paper and its sister on the painting: every method, three seeds, the same data for all."""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.experiments.runs import figures_of
from xrfsr_dask.options import EVALUATED
from xrfsr_dask.view.table import as_markdown

SEEDS = (0, 1, 2)
PAPER_ORDER = ("paper", "baseline2", "csusr", "baseline1", "cubic", "gsomp", "nssr")
"""The paper's Table I, best PSNR first."""


def table(folder: Path, scene: str, methods: tuple[str, ...] = EVALUATED) -> str:
    """Means over the seeds, the best PSNR first, and how far the seeds lie apart."""
    for seed in SEEDS:
        for method in methods:
            figures_of(folder, scene, seed, method)
    found = {m: [figures_of(folder, scene, seed, m) for seed in SEEDS] for m in methods}
    ran = {m: runs for m, runs in found.items() if not any("left_out" in run for run in runs)}
    rows = [_row(method, runs) for method, runs in ran.items()]
    rows.sort(key=lambda row: -row["PSNR (dB)"])
    regions = [row["region"] for row in next(iter(ran.values()))[0]["figures"]]
    by_region = [_regions(row["method"], ran[row["method"]], regions) for row in rows]
    reasons = [
        f"`{m}`: {run['left_out']}" for m, runs in found.items() for run in runs[:1] if "left_out" in run
    ]
    return "\n\n".join([as_markdown(rows), "By region, RMSE / PSNR / SAM:", as_markdown(by_region), *reasons])


def _whole(run: dict[str, Any]) -> dict[str, Any]:
    return dict(run["figures"][0])


def _row(method: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    psnr = [_whole(run)["psnr_db"] for run in runs]
    return {
        "method": method,
        "RMSE (counts)": round(mean(_whole(run)["rmse"] for run in runs), 4),
        "PSNR (dB)": round(mean(psnr), 2),
        "least and most of three seeds": f"{min(psnr):.2f} to {max(psnr):.2f}",
        "SAM (deg)": round(mean(_whole(run)["sam_deg"] for run in runs), 3),
        "s": round(mean(run["seconds"] for run in runs)),
    }


def _regions(method: str, runs: list[dict[str, Any]], regions: list[str]) -> dict[str, Any]:
    out: dict[str, Any] = {"method": method}
    for i, region in enumerate(regions):
        rmse, psnr, sam = (
            mean(run["figures"][i][key] for run in runs) for key in ("rmse", "psnr_db", "sam_deg")
        )
        out[region] = f"{rmse:.3g} / {psnr:.1f} / {sam:.2f}"
    return out
