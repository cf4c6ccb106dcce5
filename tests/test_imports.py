"""The drawing of the rooms: which module may import which. Reads the source, runs nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from xrfsr_dask import _HOMES

PACKAGE = Path(__file__).resolve().parents[1] / "xrfsr_dask"

# Higher floors may import lower ones, never the other way; rooms on one floor do not know each other,
# except those named in MAY_SERVE.
FLOORS = [
    {"errors"},
    {"values"},
    {"options", "progress", "interrupts"},
    {"store"},
    {"kernels", "tiling", "lines"},
    {"beams"},
    {"result"},
    {"readers", "registration", "solver", "methods", "metrics", "phantom", "view", "writers"},
    {"cluster"},
    {"commands"},
    {"api"},
    {"cli"},
    {"__main__"},
]
MAY_SERVE = {("view", "metrics"), ("view", "methods"), ("view", "phantom")}
ANYONE = {"__init__"}  # holds the version and lazily found public names, imports nothing


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(dotted: str) -> str:
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 and parts[1] != "__version__" else "__init__"


def all_imports(path: Path) -> set[str]:
    """Dotted names of all that a module imports, however it says it: relative forms made whole."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            home = (PACKAGE.name, *path.relative_to(PACKAGE).parts)[: -node.level] if node.level else ()
            source = ".".join([*map(str, home), *([node.module] if node.module else [])])
            if source == PACKAGE.name:  # `from xrfsr_dask import cluster`, or one of its public names
                found |= {_HOMES.get(alias.name, f"{source}.{alias.name}") for alias in node.names}
            else:
                found.add(source)
    return found


def imported(path: Path) -> set[str]:
    return {name for name in all_imports(path) if name.split(".")[0] == PACKAGE.name}


def wrong_arrows() -> list[str]:
    floor = {room: i for i, rooms in enumerate(FLOORS) for room in rooms}
    wrong = []
    for path in modules():
        inside = path.relative_to(PACKAGE).with_suffix("")
        room = inside.parts[0]
        if room in ANYONE:
            continue
        for name in imported(path):
            other = room_of(name)
            if other in ANYONE or other == room or (room, other) in MAY_SERVE:
                continue
            if floor.get(other, len(FLOORS)) >= floor[room]:
                wrong.append(f"{inside} imports {name}")
    return wrong


def test_every_room_has_a_floor():
    rooms = {p.relative_to(PACKAGE).with_suffix("").parts[0] for p in modules()}
    assert rooms <= set.union(*FLOORS) | ANYONE


def test_no_arrow_runs_against_the_drawing():
    assert wrong_arrows() == []


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("from xrfsr_dask.solver import solve", "xrfsr_dask.solver"),
        ("import xrfsr_dask.solver.outer", "xrfsr_dask.solver.outer"),
        ("import numpy, xrfsr_dask.cli as door", "xrfsr_dask.cli"),
        ("from xrfsr_dask import cluster", "xrfsr_dask.cluster"),
        ("from xrfsr_dask import cluster as c, errors", "xrfsr_dask.cluster"),
        ("from xrfsr_dask import fuse", "xrfsr_dask.api"),
        ("from xrfsr_dask import no_room", "xrfsr_dask.no_room"),
        ("from .. import cluster", "xrfsr_dask.cluster"),
        ("from ..cluster import executor_for", "xrfsr_dask.cluster"),
        ("from ..solver.outer import solve", "xrfsr_dask.solver.outer"),
        ("from .. import open_result", "xrfsr_dask.result"),
        ("def late():\n    from .. import api", "xrfsr_dask.api"),
    ],
)
def test_an_arrow_that_runs_the_wrong_way_is_named(tmp_path, monkeypatch, line, named):
    plant(tmp_path, monkeypatch, line)
    assert wrong_arrows() == [f"kernels/bad imports {named}"]


@pytest.mark.parametrize(
    "line",
    [
        "from . import sampling",
        "from .sampling import window",
        "from .. import errors, __version__",
        "from ..store.patches import Patch",
        "from xrfsr_dask import options",
        "from xrfsr_dask import open_painting",
        "import xrfsr_dask",
    ],
)
def test_an_arrow_that_runs_the_right_way_is_not(tmp_path, monkeypatch, line):
    plant(tmp_path, monkeypatch, line)
    assert wrong_arrows() == []


def plant(folder, monkeypatch, line):
    """A package of one module in the room of kernels, in place of ours."""
    package = folder / "xrfsr_dask"
    (package / "kernels").mkdir(parents=True)
    (package / "kernels" / "bad.py").write_text(f"{line}\n")
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", package)


def test_only_cluster_imports_distributed():
    users = [p.relative_to(PACKAGE).name for p in modules() if "distributed" in roots(p)]
    assert users == ["cluster.py"]


def test_only_tiling_and_cluster_import_dask_for_tasks():
    users = {p.relative_to(PACKAGE).parts[0] for p in modules() if "dask" in roots(p)}
    assert users <= {"tiling", "cluster.py", "result"}  # result wraps the lazy cube for xarray


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in all_imports(path)}


@pytest.mark.parametrize("heavy", ["numba", "dask", "xarray", "zarr", "matplotlib", "distributed"])
def test_importing_the_package_is_cheap(heavy):
    code = f"import sys, xrfsr_dask; sys.exit('{heavy}' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
