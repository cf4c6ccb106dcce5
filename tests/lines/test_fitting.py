"""Lines are fitted as fast where all cores are busy: what that takes gives the same as the plain way."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import subprocess
import sys

import numpy as np
import pytest
import xraylib
from helpers import M6_SPECTRUM, counts_of_m6
from scipy.optimize import nnls

from xrfsr_dask.errors import InputError
from xrfsr_dask.lines.axis import Axis
from xrfsr_dask.lines.fitting import fit_lines, systems, weights_of
from xrfsr_dask.lines.peaks import shapes, shells_on
from xrfsr_dask.lines.pivoting import nonnegative
from xrfsr_dask.lines.recognition import _left as left
from xrfsr_dask.lines.recognition import axis_for, usual_axis
from xrfsr_dask.lines.tables import M6_NOISE_KEV2
from xrfsr_dask.phantom import instrument
from xrfsr_dask.phantom import spectra as phantom_spectra
from xrfsr_dask.phantom.instrument import energy_axis
from xrfsr_dask.phantom.pigments import VISIBLE
from xrfsr_dask.phantom.spectra import film_spectrum
from xrfsr_dask.readers.calibration import read_calibration
from xrfsr_dask.result.spotwise import shown


@pytest.mark.parametrize("k", [1, 7, 60])
def test_non_negative_least_squares_agrees_with_lawson_and_hanson(k):
    rng = np.random.default_rng(k)
    for alike in (0.0, 0.9, 0.999):
        P = (1 - alike) * rng.standard_normal((90, k)) + alike * rng.random((90, 1))
        P *= np.geomspace(0.1, 10.0, k)
        for y in (rng.standard_normal(90), P @ rng.random(k), np.zeros(90)):
            mine, least = P @ nonnegative(P.T @ P, P.T @ y), nnls(P, y)[1]
            assert np.linalg.norm(y - mine) == pytest.approx(least, rel=1e-6, abs=1e-4 * np.linalg.norm(y))


@pytest.mark.parametrize("seed", range(1, 5))
def test_non_negative_least_squares_of_lines_upon_lines_does_not_go_in_circles(seed):
    rng = np.random.default_rng(seed)
    P = np.exp(-0.5 * ((np.arange(60)[:, None] - rng.uniform(0, 60, 30)) / 3) ** 2)
    y = rng.random(60)
    assert np.linalg.norm(y - P @ nonnegative(P.T @ P, P.T @ y)) == pytest.approx(nnls(P, y)[1], rel=1e-6)


def test_non_negative_least_squares_does_not_mind_units():
    rng = np.random.default_rng(0)
    P = rng.random((90, 12)) * np.geomspace(1e-3, 1e6, 12)  # a shape beside a background of many
    y = P @ rng.random(12) + rng.random(90)
    np.testing.assert_allclose(nonnegative(P.T @ P, P.T @ y), nnls(P, y)[0], rtol=1e-2)


@functools.cache
def some_axis() -> tuple[np.ndarray, Axis]:
    """Noisy spectra, more than are fitted together, on channels that do not fall into whole strips."""
    kev = energy_axis(1001)
    axis = axis_for(6000.0 * film_spectrum(VISIBLE["lead white"], kev), kev)
    photons = np.random.default_rng(0).random((70, len(axis.drawn)))
    return np.random.default_rng(1).poisson(photons @ axis.drawn).astype(float), axis


def test_the_matrices_of_a_fit_are_those_of_the_whole_axis():
    spectra, axis = some_axis()
    found = list(systems(spectra, axis, 30.0))
    assert len(found) == len(spectra)
    for s, w, (G, c) in zip(spectra, weights_of(spectra, axis, 30.0), found, strict=True):
        weighted = axis.drawn * w
        np.testing.assert_allclose(G, weighted @ axis.drawn.T, rtol=1e-9, atol=1e-12 * abs(G).max())
        np.testing.assert_allclose(axis.gram(w), G, rtol=1e-9, atol=1e-12 * abs(G).max())
        np.testing.assert_allclose(c, weighted @ s, rtol=1e-9, atol=1e-12 * abs(c).max())


def test_what_a_fit_leaves_is_the_least_of_all_mixtures():
    spectra, axis = some_axis()
    weights = weights_of(spectra[:1], axis)[0]
    root = np.sqrt(weights)
    least = nnls((axis.drawn * root).T, spectra[0] * root)[1] ** 2
    assert left(spectra[0], axis, weights) == pytest.approx(least)


def test_errors_are_those_of_repeated_counts_and_do_not_vanish_with_them():
    _, axis = some_axis()
    mean = 6000.0 * film_spectrum(VISIBLE["lead white"], energy_axis(1001))
    lead = [s.name for s in axis.shells].index("Pb La")
    counted = np.random.default_rng(2).poisson(np.broadcast_to(mean, (200, len(mean)))).astype(float)
    fits = fit_lines(counted, axis, 1.0)
    assert fits.photons[:, lead].std() < np.median(fits.error[:, lead])
    many = fit_lines(mean[None], axis)
    assert 0.005 < float(many.error[0, lead] / many.photons[0, lead]) < 0.04  # its shape may be off


def test_spectra_that_are_no_numbers_are_not_fitted():
    spectra, axis = some_axis()
    with pytest.raises(InputError, match="not finite"):
        fit_lines(np.where(np.arange(spectra.shape[1]) == 700, np.nan, spectra), axis)


def test_lines_of_a_measured_m6_spectrum_of_a_million_counts():
    """Bone: what a Bruker M6 counted, its detector's noise as its file says, no peak taken for a neighbour."""
    counts = counts_of_m6()
    offset, gain = read_calibration(str(M6_SPECTRUM))
    axis = usual_axis(counts, offset + gain * np.arange(len(counts)), spots=1.0)
    assert axis.noise_kev2 == pytest.approx(9.893e-4)
    fit = fit_lines(counts[None], axis, 1.0)
    sure = fit.photons[0] / np.maximum(fit.error[0], 1e-30)
    found = {s.element for s, n in zip(axis.shells, sure, strict=True) if n >= 5 and s.element != "tube"}
    assert found == {"Ca", "P", "Ar", "Sr", "K"}
    peak = (axis.energy_kev > 3.3) & (axis.energy_kev < 4.3)
    assert fit.counts_of("Ca", "Ka") + fit.counts_of("Ca", "Kb") == pytest.approx(counts[peak].sum(), rel=0.05)


ONE_THREAD = """
import time
import numpy as np
from threadpoolctl import threadpool_limits
from xrfsr_dask.phantom.instrument import energy_axis
from xrfsr_dask.lines.fitting import fit_lines
from xrfsr_dask.lines.recognition import axis_for

kev = energy_axis(4096)
spectra = np.random.default_rng(0).poisson(5.0, (20, 4096))
axis_for(spectra[0], kev)  # imports
threadpool_limits(2, user_api="blas")
time.sleep(0.3)  # until threads that were woken at the start sleep again
process, own = time.process_time(), time.thread_time()
fit_lines(spectra, axis_for(spectra.mean(axis=0), kev))
own = time.thread_time() - own
print((time.process_time() - process) / own)
"""


def test_lines_are_fitted_by_the_thread_that_asks():
    """BLAS threads wait for each other where the cores are busy: all of the time is the caller's own."""
    run = subprocess.run([sys.executable, "-c", ONE_THREAD], capture_output=True, text=True, check=True)
    assert float(run.stdout) < 1.1


@pytest.mark.parametrize(
    ("anode", "kev"), [("Rh", (20.165, 22.75)), ("Mo", (17.44, 19.61)), ("Ag", (22.1, 24.94))]
)
def test_the_tubes_own_light_is_no_element_of_the_painting(anode, kev, monkeypatch):
    for module in (instrument, phantom_spectra):
        monkeypatch.setattr(module, "RH_LINES", tuple(zip(kev, (1.0, 0.12), strict=True)))
    energy = np.arange(1024) * 0.03 - 0.5
    paints = sum(film_spectrum(VISIBLE[name], energy) for name in ("lead white", "umber", "ultramarine"))
    mean = np.random.default_rng(0).poisson(1500 * 6000 * paints / paints.sum()) / 1500
    axis = usual_axis(mean, energy, spots=1500)
    assert axis.anode == anode
    told = shown(fit_lines(mean[None], axis, 1500))
    assert {"Pb", "Fe", "Mn", "Ca"} <= set(told)
    assert not {"Rh", "Mo", "Nb", "Ag", "Pd", "Tc", "Ru"} & set(told)
    assert anode in {shell.element for shell in usual_axis(mean, energy, (anode,), 1500).shells}


@pytest.mark.parametrize(
    ("anode", "kev"), [("Mo", (17.44, 19.61)), ("Ag", (22.1, 24.94)), ("Rh", (20.165, 22.72))]
)
def test_a_tube_behind_lead_that_throws_back_little_is_no_element(anode, kev):
    """Its lines then have no Compton peaks beside them, and an element's would explain them as well."""
    energy = np.arange(2048) * 0.02
    lead = film_spectrum(VISIBLE["lead white"], energy)
    lead[energy > 16.0] *= 0.02
    peaks = sum(s * np.exp(-0.5 * ((energy - e) / 0.07) ** 2) for e, s in zip(kev, (1.0, 0.19), strict=True))
    mean = 8000 * lead / lead.sum() + 25 * peaks / peaks.sum()
    mean = np.random.default_rng(1).poisson(800 * mean) / 800
    axis = usual_axis(mean, energy, spots=800)
    assert axis.anode == anode
    assert not {"Mo", "Ag", "Rh", "Pd"} & set(shown(fit_lines(mean[None], axis, 800)))


def lead_with_all_lines_of_its_l1_shell(kev: np.ndarray) -> np.ndarray:
    """Counts (n_channel,) of one photon, L1 lines by their radiative rates."""
    (shell,) = (s for s in shells_on(kev, ["Pb"], "", 50.0) if s.shell == "L")
    of_l1 = {name: share for name, _, share in shell.lines if name.startswith("L1")}
    rate = {name: xraylib.RadRate(82, getattr(xraylib, f"{name}_LINE")) for name in of_l1}
    for name in ("L1M1", "L1M4", "L1M5", "L1N4", "L1N5", "L1O2", "L1O3"):
        with contextlib.suppress(ValueError):  # not in the tables
            rate[name] = xraylib.RadRate(82, getattr(xraylib, f"{name}_LINE"))
    lines = [line for line in shell.lines if not line[0].startswith("L1")]
    lines += [
        (name, xraylib.LineEnergy(82, getattr(xraylib, f"{name}_LINE")), of_l1["L1M3"] * r / rate["L1M3"])
        for name, r in rate.items()
    ]
    return shapes([dataclasses.replace(shell, lines=tuple(lines))], kev, M6_NOISE_KEV2)[0]


@pytest.mark.parametrize("counts", [3000.0, 200_000.0])
def test_weak_lines_of_lead_are_no_other_elements(counts):
    # L1-O2 and L1-O3 lie on Zr Ka, L1-M4 and L1-M5 on Rb Ka
    kev = energy_axis(4096)
    film = film_spectrum(VISIBLE["lead white"], kev)
    lead = counts * (0.2 * film / film.sum() + 0.8 * lead_with_all_lines_of_its_l1_shell(kev))
    mean = np.random.default_rng(0).poisson(lead * 2000) / 2000
    told = shown(fit_lines(mean[None], usual_axis(mean, kev, spots=2000), 2000))
    assert "Pb" in told
    assert not {"Zr", "Rb", "Sr", "Y"} & set(told)
