"""Places and areas in words: as fine as the painting is sampled."""

from __future__ import annotations

import numpy as np
import pytest

from xrfsr_dask.view.words import area, named_by_place, place


@pytest.mark.parametrize("pitch", [0.547, 0.2, 0.1, 0.05, 0.0213, 0.003])
def test_every_pixel_has_words_and_a_name_of_its_own(pitch):
    centres = [(0.3, float(x)) for x in (np.arange(500) + 0.5) * pitch]
    for told in ([place(at, pitch) for at in centres], [named_by_place("r", at, (), pitch) for at in centres]):
        assert len(set(told)) == 500


def test_a_place_has_one_decimal_at_least():
    assert place((1.0, 28.04), 3.0) == "x 28.0 mm, y 1.0 mm"
    assert place((1.72, 28.041), 0.05) == "x 28.04 mm, y 1.72 mm"


@pytest.mark.parametrize(
    ("mm2", "told"),
    [(11736.2, "11,736"), (10.4, "10"), (9.96, "10"), (3.14, "3.1"), (0.5, "0.5"), (2.5e-5, "0.000025")],
)
def test_a_small_region_has_an_area_too(mm2, told):
    assert area(mm2) == f"{told} mm²"


def test_names_tell_regions_apart():
    corners = [(10, 9), (10, 40), (40, 9)]
    assert named_by_place("joint", None, corners, 0.5) == "joint-region-x9.0-40.0-y10.0-40.0mm"
    assert named_by_place("joint", (70, 60), (), 0.5) == "joint-x60.0-y70.0mm"
    assert named_by_place("joint", None, (), 0.5) == "joint"
