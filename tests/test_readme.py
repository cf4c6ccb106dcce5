"""What the README shows can be done, and stands upright."""

import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from helpers import small_truth

from xrfsr_dask.result import from_factors

ROOT = Path(__file__).resolve().parents[1]
PICTURES = re.findall(r"^(ds\..*\.plot\(.*?\))", (ROOT / "README.md").read_text(), re.MULTILINE)
UPRIGHT = re.search(r"^upright = (.*?)  #", (ROOT / "README.md").read_text(), re.MULTILINE)


@pytest.fixture
def ds():
    A, D, _ = small_truth(n_channel=1200)
    axes = {"y_mm": np.arange(len(A)) + 0.5, "x_mm": np.arange(A.shape[1]) + 0.5}
    ds = from_factors(A, D, [0, 0, 1, 1], energy_kev=0.01 * np.arange(1200), **axes)
    return ds.assign(evidence=ds.coverage)


@pytest.mark.parametrize("line", PICTURES)
def test_maps_are_drawn_with_the_top_of_the_painting_on_top(ds, line):
    matplotlib.use("agg")
    from matplotlib import pyplot

    drawn = eval(line, {"ds": ds, "upright": eval(UPRIGHT[1])})
    bottom, top = drawn.axes.get_ylim()
    pyplot.close("all")
    assert top < bottom  # y = 0 mm is the upper edge


def test_the_readme_draws_maps():
    assert len(PICTURES) >= 3
