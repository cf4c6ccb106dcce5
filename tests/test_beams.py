"""Patches on the HR grid: what covers a pixel, how far spots lie apart."""

from __future__ import annotations

import numpy as np
import pytest

from xrfsr_dask.beams import coverage
from xrfsr_dask.store.patches import Patch, placement, spot_areas, step_of

PERSPECTIVE = np.array([[9.0, 0.0, 7.0], [0.0, 9.0, 7.0], [0.05, 0.0, 1.0]])


def patch_of(transform, footprint="box"):
    return Patch("", "p", (12, 10, 4), transform, None, footprint, 1.0, "poisson", 1.0, 1.0)


@pytest.mark.parametrize("transform", [placement(at_mm=(7, 7), step_mm=6.0, rotation_deg=3.0), PERSPECTIVE])
def test_what_one_patch_covers_is_covered_once(transform):
    shape = (100, 120)
    found = coverage([patch_of(transform)], (0, 100, 0, 120), shape, 1.0)
    inside = found[found > 0.2]
    assert np.median(inside) == pytest.approx(1.0, abs=0.03)
    assert np.percentile(inside, 95) < 1.3


def test_the_area_of_a_spot_is_that_between_its_neighbours():
    spots = np.array([[0.0, 0.0], [3.0, 7.0], [11.0, 2.0]])
    corners = [
        spots + 1e-4 * np.array(offset) for offset in ((-0.5, -0.5), (-0.5, 0.5), (0.5, 0.5), (0.5, -0.5))
    ]
    placed = [np.column_stack([c, np.ones(3)]) @ PERSPECTIVE.T for c in corners]
    (a, b, c, d) = (p[:, :2] / p[:, 2:] for p in placed)
    (uy, ux), (vy, vx) = (c - a).T, (d - b).T
    np.testing.assert_allclose(spot_areas(PERSPECTIVE, spots), np.abs(uy * vx - ux * vy) / 2 / 1e-8, rtol=1e-4)
    assert step_of(np.diag([3.0, 3.0, 1.0]), (5, 5)) == pytest.approx(3.0, rel=1e-12)
