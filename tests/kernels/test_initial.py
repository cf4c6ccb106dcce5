import numpy as np
from scipy.optimize import nnls

from xrfsr_dask.kernels.initial import codes, interpolate, learn_coupled


def test_codes_without_sparsity_are_non_negative_least_squares():
    rng = np.random.default_rng(0)
    D, Z = rng.random((4, 30)), rng.random((6, 30))
    expected = np.array([nnls(D.T, z)[0] for z in Z])
    np.testing.assert_allclose(codes(Z, D, beta=0.0), expected, atol=2e-3)


def test_sparsity_shrinks_the_codes():
    rng = np.random.default_rng(0)
    D, Z = rng.random((8, 30)), rng.random((6, 30))
    assert codes(Z, D, beta=2.0).sum() < codes(Z, D, beta=0.0).sum()


def test_the_coupled_dictionary_explains_mixtures_it_was_learned_on():
    rng = np.random.default_rng(0)
    colours, spectra = rng.random((5, 3)), rng.random((5, 40)) ** 4
    A = rng.dirichlet(0.3 * np.ones(5), 600)
    Drgb, Dv = learn_coupled((A @ colours).astype("f4"), (A @ spectra).astype("f4"), atoms=8, beta=0.02, seed=0)
    assert Drgb.shape == (8, 3)
    assert Dv.shape == (8, 40)
    for part in (Drgb, Dv):
        assert part.min() >= 0
        assert part.max() <= 1
    Z, D = np.hstack([A @ colours, A @ spectra]), np.hstack([Drgb, Dv])
    found = codes(Z, D, beta=0.0)
    assert np.linalg.norm(Z - found @ D) < 0.05 * np.linalg.norm(Z)
    assert 0.7 < np.median(found.sum(axis=1)) < 1.4  # on the scale where a pixel's codes sum to one


def test_more_atoms_than_samples_still_gives_a_dictionary():
    rng = np.random.default_rng(0)
    Drgb, Dv = learn_coupled(rng.random((3, 3)), rng.random((3, 9)), atoms=10, beta=0.02, seed=0)
    assert np.isfinite(Drgb).all()
    assert np.isfinite(Dv).all()


def test_interpolation_is_exact_on_planes_and_clamped_outside():
    y, x = np.mgrid[:5, :7].astype(float)
    grid = np.stack([2 * y - x, y + 3 * x], axis=-1)
    rows, columns = np.array([0.5, 3.25, -1.0, 9.0]), np.array([1.5, 6.0, 2.0, 9.0])
    r, c = np.clip(rows, 0, 4), np.clip(columns, 0, 6)
    np.testing.assert_allclose(
        interpolate(grid, rows, columns), np.stack([2 * r - c, r + 3 * c], -1), atol=1e-5
    )


def test_a_grid_of_one_spot_is_constant():
    np.testing.assert_allclose(interpolate(np.full((1, 1, 2), 3.0), np.arange(3.0), np.arange(3.0)), 3.0)
