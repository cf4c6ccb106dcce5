"""The notebooks run from a fresh folder and leave the figures they promise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))


def test_there_are_notebooks_and_they_hold_no_output():
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        assert "# %% [markdown]" in path.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_leaves_its_figures(path, tmp_path):
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(path)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    promised = re.findall(r'savefig\(folder / "([^"]+)"', path.read_text())
    assert promised
    for name in promised:
        with Image.open(tmp_path / "figures" / name) as picture:
            assert np.asarray(picture.convert("L"), float).std() > 10
