"""RMSE, PSNR and SAM against formulas written out, tiles against the whole, factors against products."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xrfsr_dask.errors import InputError
from xrfsr_dask.metrics import (
    added,
    correlation,
    factor_peak,
    factor_sums,
    no_sums,
    row_sums,
    spectral_angles,
)

REGIONS = ("elsewhere", "hidden", "metamer")


def factors(n=317, n_channel=41, seed=0):
    rng = np.random.default_rng(seed)
    A, B = rng.random((n, 6), np.float32), rng.dirichlet(np.ones(4), n).astype(np.float32)
    D, T = rng.random((6, n_channel), np.float32), 20 * rng.random((4, n_channel), np.float32)
    return A, D, B, T, rng.integers(0, 3, n)


def test_the_three_figures_are_those_of_the_paper():
    A, D, B, T, _ = factors()
    Y, truth = (A @ D).astype(float), (B @ T).astype(float)
    row = row_sums(Y, truth).table()[0]
    rmse = np.linalg.norm(Y - truth) / np.sqrt(Y.size)
    angles = [
        np.degrees(np.arccos(y @ t / np.linalg.norm(y) / np.linalg.norm(t)))
        for y, t in zip(Y, truth, strict=True)
    ]
    assert row["pixels"] == 317
    assert row["rmse"] == pytest.approx(rmse, rel=1e-12)
    assert row["psnr_db"] == pytest.approx(20 * np.log10(truth.max() / rmse), rel=1e-12)
    assert row["sam_deg"] == pytest.approx(np.mean(angles), rel=1e-9)


def test_each_region_is_compared_alone_but_against_the_peak_of_the_whole():
    A, D, B, T, labels = factors()
    Y, truth = A @ D, B @ T
    table = {row["region"]: row for row in row_sums(Y, truth, labels, REGIONS).table()}
    assert list(table) == ["whole", *REGIONS]
    hidden = labels == 1
    alone = row_sums(Y[hidden], truth[hidden]).table()[0]
    assert table["hidden"]["rmse"] == pytest.approx(alone["rmse"], rel=1e-12)
    assert table["hidden"]["sam_deg"] == pytest.approx(alone["sam_deg"], rel=1e-12)
    expected = 20 * np.log10(truth.max() / alone["rmse"])
    assert table["hidden"]["psnr_db"] == pytest.approx(expected, rel=1e-6)


def test_sums_of_tiles_add_up_to_the_sums_of_the_whole():
    A, D, B, T, labels = factors()
    Y, truth = A @ D, B @ T
    tiles = [slice(0, 100), slice(100, 101), slice(101, 317)]
    parts = [row_sums(Y[t], truth[t], labels[t], REGIONS) for t in tiles]
    assert_same(added([no_sums(REGIONS, 41), *parts]), row_sums(Y, truth, labels, REGIONS), rtol=1e-12)


def test_blocks_of_rows_do_not_change_the_sums(monkeypatch):
    A, D, B, T, labels = factors()
    whole = row_sums(A @ D, B @ T, labels, REGIONS)
    monkeypatch.setattr("xrfsr_dask.metrics._BLOCK", 41 * 7)
    assert_same(row_sums(A @ D, B @ T, labels, REGIONS), whole, rtol=1e-12)


@pytest.mark.parametrize("block", [2**21, 70])
def test_factors_give_the_figures_of_their_products(block, monkeypatch):
    monkeypatch.setattr("xrfsr_dask.metrics._BLOCK", block)
    A, D, B, T, labels = factors()
    labels[::7] = -1
    products = row_sums(A.astype(float) @ D.astype(float), B.astype(float) @ T.astype(float), labels, REGIONS)
    assert_same(factor_sums(A, D, B, T, labels, REGIONS), products, rtol=1e-9)


def test_a_perfect_estimate_from_factors_has_almost_no_error():
    _, _, B, T, labels = factors()
    row = factor_sums(B, T, B, T, labels, REGIONS).table()[0]
    assert row["rmse"] < 1e-6 * (B @ T).max()
    assert row["sam_deg"] < 1e-5


def test_a_perfect_estimate_has_an_infinite_psnr():
    _, _, B, T, _ = factors()
    row = row_sums(B @ T, B @ T).table()[0]
    assert (row["rmse"], row["psnr_db"]) == (0.0, np.inf)


def test_rmse_per_channel_squares_up_to_the_rmse():
    A, D, B, T, labels = factors()
    sums = row_sums(A @ D, B @ T, labels, REGIONS)
    channels = sums.rmse_per_channel()
    difference = (A @ D).astype(float) - B @ T
    np.testing.assert_allclose(channels, np.sqrt((difference**2).mean(axis=0)), rtol=1e-6)
    assert np.sqrt((channels**2).mean()) == pytest.approx(sums.table()[0]["rmse"])
    hidden = np.sqrt((difference[labels == 1] ** 2).mean(axis=0))
    np.testing.assert_allclose(sums.rmse_per_channel("hidden"), hidden, rtol=1e-6)
    np.testing.assert_allclose(sums.psnr_per_channel(), 20 * np.log10(sums.peak / channels), rtol=1e-12)


def test_zero_spectra_agree_with_each_other_and_are_at_right_angles_to_the_rest():
    zero, one = np.zeros(3), np.array([1.0, 2.0, 0.0])
    estimate, truth = np.array([zero, zero, one, 5 * one]), np.array([zero, one, zero, one])
    np.testing.assert_allclose(spectral_angles(estimate, truth), [0, 90, 90, 0], atol=1e-5)


def test_pixels_with_a_negative_label_are_left_out_even_where_not_finite():
    A, D, B, T, _ = factors()
    Y, labels = A @ D, np.zeros(317, int)
    Y[5], labels[5] = np.nan, -1
    kept = labels >= 0
    assert_same(row_sums(Y, B @ T, labels), row_sums(Y[kept], (B @ T)[kept]), rtol=1e-12)
    with pytest.raises(InputError, match="not finite; give such pixels a negative label"):
        row_sums(Y, B @ T)


def test_the_peak_is_found_without_trying_every_channel():
    rng = np.random.default_rng(3)
    A, D = rng.dirichlet(np.ones(5), 200), rng.random((5, 300)) ** 8
    assert factor_peak(A, D) == pytest.approx((A @ D).max(), rel=1e-12)
    assert factor_peak(-A, D) == pytest.approx((-A @ D).max(), rel=1e-12)


def test_mismatched_inputs_are_refused_in_words():
    A, D, B, T, labels = factors()
    with pytest.raises(InputError, match=r"estimate has shape \(317, 41\), the truth \(317, 40\)"):
        row_sums(A @ D, (B @ T)[:, :40])
    with pytest.raises(InputError, match="integers below 2"):
        row_sums(A @ D, B @ T, labels, ("a", "b"))
    with pytest.raises(InputError, match="cannot be compared with 300 pixels"):
        factor_sums(A, D, B[:300], T)
    with pytest.raises(InputError, match="other regions"):
        no_sums(("a",), 3) + no_sums(("b",), 3)


def test_correlation_is_pearsons_and_leaves_out_what_was_not_measured():
    rng = np.random.default_rng(1)
    a = rng.random((9, 7))
    b = a + 0.3 * rng.random((9, 7))
    assert correlation(a, b) == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    assert correlation(a, -2 * a + 1) == pytest.approx(-1)
    holes = b.copy()
    holes[0] = np.nan
    assert correlation(a, holes) == pytest.approx(correlation(a[1:], b[1:]))
    assert np.isnan(correlation(a, np.ones((9, 7))))
    with pytest.raises(InputError, match="maps of one shape"):
        correlation(a, b[1:])


def assert_same(left, right, rtol):
    for field in dataclasses.fields(left):
        a, b = getattr(left, field.name), getattr(right, field.name)
        if field.name == "regions":
            assert a == b
        else:
            np.testing.assert_allclose(a, b, rtol=rtol)
