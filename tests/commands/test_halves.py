import numpy as np
import pytest

from xrfsr_dask.commands.halves import EMBEDDED, binned, prepare, split_counts
from xrfsr_dask.errors import InputError
from xrfsr_dask.readers import Scan

KEV = 0.1 * np.arange(3)


def test_the_halves_add_up_and_are_independent_poisson_counts():
    counts = np.random.default_rng(0).poisson(6.0, (60, 50, 20)).astype("u2")
    a, b = split_counts(counts, seed=1)
    np.testing.assert_array_equal(a + b, counts)
    for half in (a, b):
        assert abs(half.mean() - 3) < 0.03
        assert abs(half.var() - 3) < 0.06
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.015


def test_the_split_is_fixed_by_its_seed():
    counts = np.full((4, 3, 5), 100, "u2")
    np.testing.assert_array_equal(split_counts(counts, seed=1)[0], split_counts(counts, seed=1)[0])
    assert (split_counts(counts, seed=1)[0] != split_counts(counts, seed=2)[0]).any()


def test_binning_adds_blocks():
    values = np.arange(24).reshape(4, 6)
    np.testing.assert_array_equal(binned(values, 2), [[14, 22, 30], [62, 70, 78]])


def test_a_scan_read_some_rows_at_a_time_is_split_as_a_whole():
    counts = np.random.default_rng(3).poisson(4.0, (75, 22, 6)).astype("f4")
    scan = Scan(source="a", shape=counts.shape, dtype=counts.dtype, read=lambda y, x: counts[y, x],
                energy_kev=np.arange(6) * 0.1, image=np.arange(75 * 22).reshape(75, 22))  # fmt: skip
    for factor in (2, 7, 8, 20):
        ny, nx = 75 // factor * factor, 22 // factor * factor
        halves = prepare(scan, EMBEDDED, None, factor=factor, seed=5)
        first, other = split_counts(counts[:ny, :nx].astype("u4"), seed=5)
        np.testing.assert_array_equal(halves.reference, other)
        np.testing.assert_array_equal(halves.low, binned(first, factor))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e308, 1j])
def test_an_embedded_image_that_is_none_is_refused(value):
    counts, image = np.ones((4, 4, 3), "u2"), np.arange(16).reshape(4, 4) * (1 + 0 * value)
    image[1, 2], image[2, 2] = value, -value
    scan = Scan(source="a.hspy", shape=counts.shape, dtype=counts.dtype, read=lambda y, x: counts[y, x],
                energy_kev=KEV, image=image)  # fmt: skip
    with pytest.raises(InputError, match=r"the image in a\.hspy, of type .* not finite and real"):
        prepare(scan, EMBEDDED, None, factor=2, seed=0)


def test_what_was_assumed_about_the_energies_is_told():
    counts = np.ones((4, 4, 3), "u2")
    scan = Scan(source="a", shape=counts.shape, dtype=counts.dtype, read=lambda y, x: counts[y, x],
                energy_kev=KEV, image=counts[..., 0], calibration_notes=("no offset",))  # fmt: skip
    assert prepare(scan, EMBEDDED, None, factor=2, seed=0).notes == ("no offset",)
    assert prepare(scan, EMBEDDED, (0.0, 0.1), factor=2, seed=0).notes == ()


@pytest.mark.parametrize(
    ("counts", "energy", "words"),
    [
        (
            np.full((4, 4, 3), 2**32 + 3, "u8"),
            KEV,
            "row 0, column 0, channel 0 is 4294967299; only whole",
        ),
        (np.full((4, 4, 3), 1e300), KEV, r"is 1e\+300; only whole counts from 0 to 4294967295"),
        (np.zeros((4, 4, 3), "u2"), KEV, "all counts are 0"),
        (np.ones((4, 4, 3), "u2"), KEV[::-1], "energy axis does not rise over its 3 channels"),
        (np.ones((4, 4, 3), "u2"), np.full(3, np.nan), "not all of its channels have a finite energy"),
        (
            np.ones((4, 4, 3), "u2"),
            KEV - 955.5,
            "its channels lie from -955.5 to -955.3 keV, 0.1 keV apart, which cannot",
        ),
        (np.ones((4, 4, 3), "u2"), np.arange(3), r"1 keV apart, which cannot be \(they seem to be counted\)"),
    ],
)
def test_counts_and_axes_that_cannot_be_compared_are_refused(counts, energy, words):
    scan = Scan(source="a", shape=counts.shape, dtype=counts.dtype, read=lambda y, x: counts[y, x],
                energy_kev=energy.astype(float), image=np.arange(16).reshape(4, 4))  # fmt: skip
    with pytest.raises(InputError, match=words):
        prepare(scan, EMBEDDED, None, factor=2, seed=0)
