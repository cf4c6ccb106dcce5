import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from xrfsr_dask.kernels import edges
from xrfsr_dask.kernels.edges import sharpened
from xrfsr_dask.kernels.sampling import Footprints, downsample


def tiled(ny, nx, f):
    """Every f x f square is a spot."""
    origin = np.array([(y, x) for y in range(0, ny, f) for x in range(0, nx, f)], np.int32)
    return Footprints(origin, np.full((len(origin), f, f), 1 / f**2, np.float32))


def objective(d, e, variance, footprints, eps2):
    """(J3) as it is written."""
    fit = (np.square(downsample(d, footprints).astype(float) - e).sum(axis=1) / variance).sum()
    jumps = [np.square(np.diff(d.astype(float), axis=axis)).sum(axis=2) for axis in (0, 1)]
    return fit + sum(np.log1p(j / eps2).sum() for j in jumps)


def test_a_step_between_two_flat_fields_is_found_to_the_pixel():
    truth = np.zeros((40, 40, 2))
    truth[:, 17:] = (60.0, -40.0)  # cuts through a column of spots
    footprints = tiled(40, 40, 5)
    e = downsample(truth.astype("f4"), footprints) + np.random.default_rng(0).normal(0, 1, (64, 2))
    start = gaussian_filter1d(truth, 2.5, axis=1)
    found = sharpened(e, np.ones(64), footprints, start)
    assert np.abs(found - truth).max() < 6.0
    assert np.sqrt(np.mean((found - truth) ** 2)) < 0.1 * np.sqrt(np.mean((start - truth) ** 2))


def test_every_round_descends_and_the_start_is_improved_on():
    rng = np.random.default_rng(1)
    footprints = tiled(20, 30, 5)
    e = rng.normal(0, 20, (24, 3))
    start = rng.normal(0, 5, (20, 30, 3))
    found = sharpened(e, np.ones(24), footprints, start)
    before, after = (objective(d, e, np.ones(24), footprints, 1.0) for d in (start, found))
    assert after < 0.5 * before


def test_normal_equations_are_those_of_the_dense_matrices():
    """(S^T W S + G^T diag G), built column by column from the sampling operator and first differences."""
    rng = np.random.default_rng(2)
    footprints = tiled(6, 9, 3)
    certainty, down, across = rng.random(6), rng.random((5, 9)), rng.random((6, 8))
    dense = np.empty((54, 54))
    for i in range(54):
        unit = np.zeros((6, 9))
        unit.flat[i] = 1.0
        out = np.empty_like(unit)
        edges._normal(unit, certainty, *edges._runs(footprints, 9), down, across, out)
        dense[:, i] = out.ravel()
    S = np.stack([downsample(u.reshape(6, 9, 1).astype("f4"), footprints).ravel() for u in np.eye(54)], axis=1)
    Gy = np.diff(np.eye(54).reshape(6, 9, 54), axis=0).reshape(-1, 54)
    Gx = np.diff(np.eye(54).reshape(6, 9, 54), axis=1).reshape(-1, 54)
    wanted = S.T @ (certainty[:, None] * S)
    wanted += Gy.T @ (down.reshape(-1, 1) * Gy) + Gx.T @ (across.reshape(-1, 1) * Gx)
    np.testing.assert_allclose(dense, wanted, atol=1e-6)
    np.testing.assert_allclose(dense, dense.T, atol=1e-12)


def test_spread_is_the_adjoint_of_downsample():
    rng = np.random.default_rng(3)
    weight = rng.random((10, 4, 3)).astype("f4")
    weight[rng.random(weight.shape) < 0.4] = 0.0  # rows that see nothing, and gaps
    footprints = Footprints(rng.integers(0, 8, (10, 2)).astype("i4"), weight)
    d, e = rng.normal(size=(12, 12)), rng.normal(size=10)
    out = np.zeros_like(d)
    edges._spread(e, *edges._runs(footprints, 12), out.reshape(-1))
    seen = downsample(d[..., None].astype("f4"), footprints)[:, 0]
    assert (out * d).sum() == pytest.approx((e * seen).sum(), rel=1e-5)


def test_a_dearer_edge_leaves_fewer():
    rng = np.random.default_rng(4)
    footprints = tiled(30, 30, 5)
    e = np.repeat(rng.normal(0, 4, (6, 6)), 1).reshape(36, 1)
    start = np.kron(e.reshape(6, 6), np.ones((5, 5)))[..., None]
    rough = [
        np.abs(np.diff(sharpened(e, np.ones(36), footprints, start, lam=lam), axis=0)).sum()
        for lam in (0.1, 10)
    ]
    assert rough[1] < 0.8 * rough[0]


@pytest.mark.parametrize(("enough", "tolerance"), [(1e-24, 1e-8), (edges._ENOUGH, 0.2)])
def test_conjugate_gradients_end_at_the_solution_of_the_dense_system(enough, tolerance):
    rng = np.random.default_rng(3)
    footprints = tiled(6, 9, 3)
    certainty, seen = rng.random(6) + 0.5, edges._runs(footprints, 9)
    down, across, right = rng.random((5, 9)), rng.random((6, 8)), rng.normal(size=(2, 6, 9))
    dense = np.empty((54, 54))
    for i, unit in enumerate(np.eye(54)):
        out = np.empty((6, 9))
        edges._normal(unit.reshape(6, 9), certainty, *seen, down, across, out)
        dense[:, i] = out.ravel()
    start = rng.normal(size=right.shape)
    found = edges._conjugate_gradients(start, right, certainty, seen, down, across, np.ones((6, 9)), enough)
    solution = np.linalg.solve(dense, right.reshape(2, 54).T).T
    np.testing.assert_allclose(found.reshape(2, 54), solution, atol=tolerance)
