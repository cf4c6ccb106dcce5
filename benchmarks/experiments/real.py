"""The paper's Table II: real maps, their counts split in two halves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.experiments.runs import MEMORY, kept
from xrfsr_dask.commands.evaluate import evaluate
from xrfsr_dask.options import EVALUATED, EvaluateOptions, RunOptions, SolveOptions
from xrfsr_dask.view.table import as_markdown

_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MAPS: dict[str, tuple[Path, int]] = {
    "eds-0": (_DATA / "eds" / "0.bcf", 8),
    "eds-20": (_DATA / "eds" / "20.bcf", 8),
    "sem-eds": (_DATA / "sem_eds" / "30x30_instructively_packed_16bit_compressed.bcf", 3),
}
"""File and factor of each map."""


def real_table(folder: Path, name: str, methods: tuple[str, ...] = EVALUATED) -> str:
    """The tables of `xrfsr evaluate`, or why there is none."""
    path, factor = MAPS[name]
    if not path.exists():
        return f"{path.name}: not on this machine."

    def make() -> dict[str, Any]:
        found = evaluate(
            path,
            photo="embedded",
            out=folder / name,
            options=EvaluateOptions(factor=factor, methods=("all",) if methods == EVALUATED else methods),
            solve=SolveOptions(),
            resources=RunOptions(memory=MEMORY),
        )
        return {key: found[key] for key in ("notes", "counts_per_spot", "metrics", "correlation")}

    found = kept(folder, f"real-{name}", make)
    whole = [
        {k: v for k, v in row.items() if k not in ("region", "pixels")} for row in found["metrics"]
    ]  # fmt: skip
    parts = [f"{found['counts_per_spot']:g} counts a spot in each half.", as_markdown(whole)]
    if found["correlation"]:
        parts += [
            "Correlation of element maps with the other half, 4 x 4 binned:",
            as_markdown(found["correlation"]),
        ]
    return "\n\n".join([*parts, *found["notes"]])
