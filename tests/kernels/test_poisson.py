import numpy as np
import pytest

from xrfsr_dask.kernels.poisson import CountSums, count_sums, poisson_step, prior_loss

HOLD = 5.0


def problem(seed=0):
    rng = np.random.default_rng(seed)
    D = rng.random((4, 25)).astype("f4")
    SA = rng.random((60, 4)).astype("f4") * 20
    X = rng.poisson(SA @ D).astype("f4")
    return SA, X, (D * rng.uniform(0.5, 2, D.shape)).astype("f4")


def loss(SA, X, D, start):
    """(J4) as it is written, float64."""
    m = SA.astype(float) @ D
    with np.errstate(divide="ignore", invalid="ignore"):
        data = 2 * np.where(X > 0, X * np.log(X / m) - X + m, m).sum()
    return data + 2 * HOLD * (D - start - start * np.log(D / start)).sum()


def test_every_step_descends_to_where_the_gradient_is_nought():
    SA, X, start = problem()
    D, losses = start.astype(float), []
    for _ in range(400):
        sums = count_sums(SA, X, D.astype("f4"))
        losses.append(loss(SA, X, D, start.astype(float)))
        D = poisson_step(sums, start, hold=HOLD)
    assert (np.diff(losses) < 1e-4).all()
    gradient = SA.T.astype(float) @ (1 - X / (SA @ D)) + HOLD * (1 - start / D)
    assert np.abs(gradient).max() < 1e-2 * (SA.sum(axis=0).max() + HOLD)
    for i, j in ((0, 0), (1, 7), (3, 24)):  # finite differences say so too
        for step in (-1e-2, 1e-2):
            other = D.copy()
            other[i, j] *= 1 + step
            assert loss(SA, X, other, start) >= losses[-1] - 1e-6


def test_the_deviance_and_the_prior_are_those_written():
    SA, X, D = problem(1)
    start = (D * 1.3).astype(float)
    found = count_sums(SA, X, D).deviance + prior_loss(D.astype(float), start, hold=HOLD)
    assert found == pytest.approx(loss(SA, X, D.astype(float), start), rel=1e-5)


def test_sums_of_parts_are_the_sums_of_the_whole():
    SA, X, D = problem(2)
    whole, parts = count_sums(SA, X, D), [count_sums(SA[p], X[p], D) for p in (slice(0, 23), slice(23, None))]
    np.testing.assert_allclose(whole.pull, sum(p.pull for p in parts), rtol=1e-4)
    np.testing.assert_allclose(whole.seen, sum(p.seen for p in parts), rtol=1e-6)
    assert whole.deviance == pytest.approx(sum(p.deviance for p in parts), rel=1e-4)


def test_an_endmember_that_no_spot_sees_stays_as_it_was():
    SA, X, D = problem(3)
    SA[:, 2] = 0
    new = poisson_step(count_sums(SA, X, D), D.astype(float), hold=HOLD)
    np.testing.assert_allclose(new[2], D[2], rtol=1e-6)


def test_channels_without_counts_and_spots_without_abundance_are_finite():
    sums = count_sums(np.zeros((3, 2), "f4"), np.zeros((3, 5), "f4"), np.zeros((2, 5), "f4"))
    assert isinstance(sums, CountSums)
    assert np.isfinite(sums.deviance)
    assert np.isfinite(poisson_step(sums, np.zeros((2, 5)), hold=HOLD)).all()
    assert np.isfinite(prior_loss(np.zeros((2, 5)), np.zeros((2, 5)), hold=HOLD))
