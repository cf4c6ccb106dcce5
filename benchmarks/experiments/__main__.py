"""``python -m benchmarks.experiments [name …]``: run what is not yet kept, and write tables and pictures.

Figures are kept one by one in ``--work`` (removing a file runs it anew); pages go to ``--docs``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from benchmarks.experiments.ablations import ablation_table
from benchmarks.experiments.adverse import adverse_table
from benchmarks.experiments.layers import layer_table
from benchmarks.experiments.pictures import draw
from benchmarks.experiments.real import MAPS, real_table
from benchmarks.experiments.road import road_table
from benchmarks.experiments.scenes import SCENES
from benchmarks.experiments.tables import table

NAMES = ("chart", "painting", "layers", "road", "adverse", "ablations", "real", "pictures")


def main() -> None:
    """Run the experiments named, all where none is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.experiments", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of: {', '.join(NAMES)}")
    parser.add_argument("--work", type=Path, default=Path("experiments"), help="where figures are kept")
    parser.add_argument("--docs", type=Path, default=Path("docs/experiments"), help="where pages are written")
    given = parser.parse_args()
    unknown = set(given.names) - set(NAMES)
    if unknown:
        parser.error(f"unknown experiment {sorted(unknown)[0]!r}; choose among: {', '.join(NAMES)}")
    given.docs.mkdir(parents=True, exist_ok=True)
    pages: dict[str, Callable[[], str]] = {
        **{name: lambda n=name: table(given.work, n) for name in SCENES},  # type: ignore[misc]
        "layers": lambda: layer_table(given.work, given.docs),
        "road": lambda: road_table(given.work),
        "adverse": lambda: adverse_table(given.work),
        "ablations": lambda: ablation_table(given.work),
        "real": lambda: "\n\n".join(f"### {name}\n\n{real_table(given.work, name)}" for name in MAPS),
        "pictures": lambda: "\n\n".join(
            f"![{path.stem}]({path.name})" for name in SCENES for path in draw(given.work, given.docs, name)
        ),
    }
    for name in given.names or NAMES:
        (given.docs / f"{name}.md").write_text(f"{pages[name]()}\n")
        print(f"{given.docs / name}.md", flush=True)


if __name__ == "__main__":
    main()
