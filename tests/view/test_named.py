"""Names of lines: those of what a spectrum is made of, and of nothing that only lies on the same peak."""

from __future__ import annotations

import numpy as np
import pytest

from xrfsr_dask.lines.recognition import axis_for
from xrfsr_dask.phantom.instrument import energy_axis
from xrfsr_dask.phantom.pigments import VISIBLE
from xrfsr_dask.phantom.spectra import film_spectrum
from xrfsr_dask.view.named import Named, named_lines, tops

ENERGY = energy_axis(2048)


@pytest.fixture(scope="module")
def paints():
    return {
        name: 5000 * film_spectrum(VISIBLE[name], ENERGY)
        for name in ("lead white", "emerald green", "viridian", "vermilion")
    }


@pytest.fixture(scope="module")
def axis(paints):
    return axis_for(np.mean(list(paints.values()), axis=0), ENERGY)


def names(spectrum, axis, **words) -> set[str]:
    return {line.element for line in named_lines(spectrum, axis, **words)}


def test_lead_alone_is_not_called_arsenic_nor_sulphur(paints, axis):
    found = names(paints["lead white"], axis)
    assert "Pb" in found
    assert not found & {"As", "S", "Br", "Cd", "Co", "Se", "Bi", "Hg", "Au"}


def test_arsenic_is_named_where_it_is_beside_lead(paints, axis):
    assert names(paints["lead white"] + paints["emerald green"], axis) >= {"Pb", "As", "Cu"}


def test_chromium_is_named_by_its_main_line(paints, axis):
    line = next(line for line in named_lines(paints["viridian"], axis) if line.element == "Cr")
    assert line.kev == pytest.approx(5.41, abs=0.02)
    assert line.height == pytest.approx(np.interp(line.kev, axis.energy_kev, paints["viridian"]))


def test_few_counts_name_less_than_many(paints, axis):
    spectrum = 2e-3 * (paints["lead white"] + 0.01 * paints["viridian"])
    assert "Cr" not in names(spectrum, axis)
    assert "Cr" in names(spectrum, axis, spots=1e5)


def test_the_highest_are_named_and_their_names_do_not_lie_on_each_other(paints, axis):
    spectrum = sum(paints.values())
    lines = named_lines(spectrum, axis, most=4)
    assert len(lines) == 4
    assert [line.kev for line in lines] == sorted(line.kev for line in lines)
    close = [Named("Fe", 6.4, 100.0), Named("Mn", 5.9, 110.0)]
    first, second = tops(close, 1000.0)
    assert abs(np.log(first / second)) >= 0.5


def test_an_empty_spectrum_names_nothing(axis):
    assert named_lines(np.zeros(len(ENERGY)), axis) == []
