import numpy as np
import pytest
from helpers import counts_of_m6

from xrfsr_dask.phantom.instrument import energy_axis, resolution_kev
from xrfsr_dask.phantom.pigments import COVER, HIDDEN, VISIBLE
from xrfsr_dask.phantom.spectra import (
    endmembers,
    film_spectrum,
    mass_fractions,
)

ENERGY = energy_axis(4096)
MAIN_LINES = {  # keV, from tables
    "lead white": (10.55, 12.61),
    "zinc white": (8.63, 9.57),
    "chrome yellow": (5.41, 10.55),
    "vermilion": (9.99, 11.82),
    "red ochre": (6.40, 7.06),
    "umber": (6.40, 5.90),
    "emerald green": (8.04, 10.53),
    "viridian": (5.41, 5.95),
    "cobalt blue": (6.93, 7.65),
    "cadmium yellow": (3.13, 4.47),
    "bone black": (3.69, 2.01),
    "ultramarine": (1.74, 2.31),
}


def near(spectrum: np.ndarray, kev: float, half: float = 0.1) -> float:
    return float(spectrum[abs(ENERGY - kev) < half].sum())


def test_the_axis_of_4096_channels_is_the_m6s():
    assert ENERGY[0] == pytest.approx(-0.9555)
    assert ENERGY[636] == pytest.approx(5.404, abs=1e-3)


@pytest.mark.parametrize("n_channel", [256, 1024, 2048])
def test_fewer_channels_still_hold_the_tubes_lines(n_channel):
    assert energy_axis(n_channel)[-1] > 23.5


def test_the_resolution_is_142_ev_at_mn_ka():
    assert 2.3548 * float(resolution_kev(np.array(5.895))) == pytest.approx(0.142, abs=0.0015)


@pytest.mark.parametrize("name", VISIBLE)
def test_every_paint_shows_the_lines_of_its_elements(name):
    spectrum = film_spectrum(VISIBLE[name], ENERGY)
    for kev in MAIN_LINES[name]:
        peak, beside = near(spectrum, kev, 0.03), near(spectrum, kev - 0.35, 0.03)
        assert peak > 1.5 * beside


def test_mass_fractions_are_the_formulas():
    fractions = mass_fractions(VISIBLE["zinc white"])
    assert sum(fractions.values()) == pytest.approx(1)
    assert fractions[30] == pytest.approx(0.75 * 65.38 / 81.38, rel=1e-3)


def test_paint_above_takes_soft_lines_and_lets_hard_ones_pass():
    paint, lid = VISIBLE["chrome yellow"], VISIBLE["zinc white"]
    bare, covered = film_spectrum(paint, ENERGY), film_spectrum(paint, ENERGY, cover=lid)
    left = {kev: near(covered, kev) / near(bare, kev) for kev in (2.35, 5.41, 12.61)}
    assert left[2.35] < 0.02 < left[5.41] < left[12.61]
    assert left[12.61] > 0.3


def test_counts_do_not_depend_on_the_number_of_channels():
    coarse = energy_axis(1024)
    paint = VISIBLE["emerald green"]
    fine_counts = film_spectrum(paint, ENERGY)[(ENERGY > 7.5) & (ENERGY < 12.5)].sum()
    coarse_counts = film_spectrum(paint, coarse)[(coarse > 7.5) & (coarse < 12.5)].sum()
    assert coarse_counts == pytest.approx(fine_counts, rel=0.01)


def test_an_average_colour_has_the_counts_asked_for_and_blue_earths_are_faint():
    mixtures = np.eye(len(VISIBLE))
    D = endmembers(ENERGY, 6000.0, mixtures)
    totals = dict(zip([*VISIBLE, *HIDDEN], D.sum(axis=1), strict=True))
    typical = np.mean([totals[name] for name in VISIBLE]) + totals["ground"]
    assert typical == pytest.approx(6000, rel=1e-4)
    assert totals["ultramarine"] < 0.2 * totals["cobalt blue"]
    assert (D >= 0).all()
    assert set(COVER) == set(HIDDEN)


def test_the_rhodium_peaks_lie_where_the_instrument_has_them():
    spectrum = film_spectrum(HIDDEN["stretcher bar"], ENERGY)
    compton = ENERGY[np.argmax(np.where((ENERGY > 17.5) & (ENERGY < 19.5), spectrum, 0))]
    rayleigh = ENERGY[np.argmax(np.where((ENERGY > 19.8) & (ENERGY < 20.5), spectrum, 0))]
    assert compton == pytest.approx(18.73, abs=0.06)
    assert rayleigh == pytest.approx(20.17, abs=0.03)


def test_the_background_of_bone_follows_a_measured_m6_spectrum():
    """Counts in wide windows free of strong lines, against the Ca K lines, within a third."""
    from xrfsr_dask.phantom.pigments import Paint

    measured = counts_of_m6()
    bone = Paint({"Ca5P3O13H": 0.68, "C6H10O5": 0.32}, 1.0, 600.0)
    model = film_spectrum(bone, ENERGY)
    windows = [
        (4.6, 6.0),
        (6.7, 8.3),
        (9, 10.2),
        (10.8, 13.8),
        (14.6, 16),
        (16, 18),
        (18.2, 19.3),
        (19.9, 20.4),
    ]
    for low, high in windows:
        inside = slice(*np.searchsorted(ENERGY, (low, high)))
        share = model[inside].sum() / near(model, 3.69)
        assert share == pytest.approx(measured[inside].sum() / near(measured, 3.69), rel=0.34)
