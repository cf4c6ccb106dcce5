"""The drawing of the rooms: which module may import which. Reads the source, runs nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "xrfsr_dask"

# Higher floors may import lower ones, never the other way; rooms on one floor do not know each other,
# except those named in MAY_SERVE.
FLOORS = [
    {"errors"},
    {"options", "progress", "interrupts"},
    {"store"},
    {"kernels", "tiling"},
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
    return parts[1] if len(parts) > 1 else "__init__"


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {name for name in found if name.split(".")[0] == "xrfsr_dask"}


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
            if floor[other] >= floor[room]:
                wrong.append(f"{inside} imports {name}")
    return wrong


def test_every_room_has_a_floor():
    rooms = {p.relative_to(PACKAGE).with_suffix("").parts[0] for p in modules()}
    assert rooms <= set.union(*FLOORS) | ANYONE


def test_no_arrow_runs_against_the_drawing():
    assert wrong_arrows() == []


def test_an_arrow_that_runs_the_wrong_way_is_named(tmp_path, monkeypatch):
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "bad.py").write_text("from xrfsr_dask.solver import solve\n")
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    assert wrong_arrows() == ["kernels/bad imports xrfsr_dask.solver"]


def test_only_cluster_imports_distributed():
    users = [p.relative_to(PACKAGE).name for p in modules() if "distributed" in all_imports(p)]
    assert users == ["cluster.py"]


def test_only_tiling_and_cluster_import_dask_for_tasks():
    users = {p.relative_to(PACKAGE).parts[0] for p in modules() if "dask" in all_imports(p)}
    assert users <= {"tiling", "cluster.py", "result"}  # result wraps the lazy cube for xarray


def all_imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("heavy", ["numba", "dask", "xarray", "zarr", "matplotlib", "distributed"])
def test_importing_the_package_is_cheap(heavy):
    code = f"import sys, xrfsr_dask; sys.exit('{heavy}' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
