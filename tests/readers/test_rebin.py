"""Counts shared out by the overlap of channels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrfsr_dask.errors import InputError
from xrfsr_dask.readers import rebinning
from xrfsr_dask.readers.protocol import linear_axis


def brute_force(old, new, counts):
    """Overlap of every old channel with every new one, one pair at a time; channels of one width each."""
    w_old, w_new = old[1] - old[0], new[1] - new[0]
    out = np.zeros(len(new))
    for e, n in zip(old, counts, strict=True):
        for j, f in enumerate(new):
            out[j] += (
                n / w_old * max(0.0, min(e + w_old / 2, f + w_new / 2) - max(e - w_old / 2, f - w_new / 2))
            )
    return out


@settings(deadline=None, max_examples=50)
@given(st.floats(-3, 3), st.floats(0.2, 3), st.integers(2, 12), st.integers(2, 12))
def test_counts_pass_by_overlap_and_are_conserved(offset, gain, n_old, n_new):
    old, new = linear_axis(offset, gain, n_old), linear_axis(0.0, 1.0, n_new)
    counts = np.random.default_rng(0).integers(1, 100, (2, 3, n_old)).astype("u2")
    if offset + gain * (n_old - 0.5) <= -0.5 or offset - gain / 2 >= n_new - 0.5:
        with pytest.raises(InputError, match="no energy in common"):
            rebinning(old, new)
        return
    rebin = rebinning(old, new)
    out = rebin.apply(counts)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out[1, 2], brute_force(old, new, counts[1, 2]), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(out.sum(dtype=float) + rebin.dropped(counts), counts.sum(), rtol=1e-5)


def test_an_equal_axis_changes_nothing():
    axis, counts = linear_axis(-0.96, 0.01, 50), np.arange(100, dtype="u2").reshape(1, 2, 50)
    rebin = rebinning(axis, axis.copy())
    np.testing.assert_allclose(rebin.apply(counts), counts, rtol=1e-6)
    assert rebin.dropped(counts) == pytest.approx(0, abs=1e-6)
    assert rebin.n_empty == 0


def test_new_channels_without_any_counts_are_counted():
    assert rebinning(linear_axis(0, 1, 4), linear_axis(0, 1, 9)).n_empty == 5


@pytest.mark.parametrize("axis", [np.array([1.0]), np.array([1.0, 1.0]), np.array([2.0, 1.0])])
def test_an_axis_that_does_not_rise_is_refused(axis):
    with pytest.raises(InputError, match=r"axis of s\.h5 does not rise"):
        rebinning(axis, linear_axis(0, 1, 4), source="s.h5")
