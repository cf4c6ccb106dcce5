import numpy as np
import pytest

from xrfsr_dask.kernels.spectral import (
    choose_basis,
    gaussian_whitening,
    leading_directions,
    pair_sums,
    poisson_whitening,
)


def scene(signal, n_channel=200, side=60, seed=0):
    """White unit noise, a smooth map of two broad spectra, and one channel whose map is smooth but weak."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    maps = np.stack(
        [np.sin(4 * y + 1), np.cos(5 * x), (np.hypot(y - 0.5, x - 0.5) < 0.25).astype(float)], axis=-1
    )
    c = np.arange(n_channel)
    spectra = np.stack(
        [np.exp(-0.5 * ((c - 60) / 20) ** 2), np.exp(-0.5 * ((c - 130) / 15) ** 2), (c == 180).astype(float)]
    )
    strength = np.array([8.0, 5.0, signal])
    return maps * strength @ spectra + rng.normal(size=(side, side, n_channel)), spectra


def chosen(T, spectra):
    flat = T.reshape(-1, T.shape[2]).astype("f4")
    leading, strength = leading_directions(flat, seed=0, most=10)
    mean = flat.mean(axis=0)
    W = np.column_stack([mean / np.linalg.norm(mean), leading, spectra[2]])
    return choose_basis(W, strength, pair_sums(T @ W), len(strength))


def test_whitening_gives_noise_of_unit_variance():
    rng = np.random.default_rng(0)
    mean = np.geomspace(200, 2, 50)
    X = rng.poisson(mean, (4000, 50))
    np.testing.assert_allclose((X * poisson_whitening(mean)).var(axis=0), 1.0, atol=0.12)
    Z = 5 + 3 * rng.normal(size=(300, 400))
    np.testing.assert_allclose(gaussian_whitening(Z), 1 / 3, rtol=0.02)


def test_channels_without_counts_are_not_blown_up():
    weights = poisson_whitening(np.array([100.0, 100.0, 0.0]))
    assert weights[2] / weights[0] < 6
    assert np.isfinite(poisson_whitening(np.zeros(4))).all()
    assert np.isfinite(gaussian_whitening(np.zeros((3, 5)))).all()


def test_leading_directions_are_the_singular_vectors_and_noise_is_known_as_noise():
    T, _ = scene(0.0)
    flat = T.reshape(-1, 200).astype("f4")
    found, strength = leading_directions(flat, seed=3, most=6)
    _, s, Vt = np.linalg.svd(flat, full_matrices=False)
    overlap = np.linalg.svd(Vt[:2] @ found[:, :2], compute_uv=False)
    assert overlap.min() > 0.999
    edge = (np.sqrt(3600) + np.sqrt(200)) ** 2
    np.testing.assert_allclose(strength[:2], s[:2] ** 2 / edge, rtol=1e-3)
    assert strength[2:].max() < 1.1
    np.testing.assert_allclose(found.T @ found, np.eye(6), atol=1e-8)


def test_the_basis_holds_what_has_a_picture_and_no_noise():
    T, spectra = scene(0.0)
    V = chosen(T, spectra)
    assert V.shape[1] <= 4
    for spectrum in spectra[:2]:
        assert np.linalg.norm(V.T @ spectrum) > 0.98 * np.linalg.norm(spectrum)


def test_a_weak_line_with_a_picture_is_kept_and_one_without_is_not():
    """The line is far below the largest noise eigenvalue, so no singular vector holds it."""
    T, spectra = scene(1.0)
    assert np.linalg.norm(chosen(T, spectra).T @ spectra[2]) > 0.9
    T, spectra = scene(0.0)
    assert np.linalg.norm(chosen(T, spectra).T @ spectra[2]) < 0.5


def test_pair_sums_count_every_pair_of_neighbours_once():
    T = np.random.default_rng(1).normal(size=(4, 5, 3))
    p = pair_sums(T)
    pairs = [(T[y, x], T[y + 1, x]) for y in range(3) for x in range(5)]
    pairs += [(T[y, x], T[y, x + 1]) for y in range(4) for x in range(4)]
    assert p.n == 20
    assert p.n_pair == len(pairs)
    np.testing.assert_allclose(p.pair_first, sum(0.5 * (a + b) for a, b in pairs))
    np.testing.assert_allclose(p.pair_second, sum(0.5 * (np.outer(a, b) + np.outer(b, a)) for a, b in pairs))


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1)])
def test_scans_of_one_row_or_one_spot_have_a_basis(shape):
    T = np.random.default_rng(2).normal(5, 1, (*shape, 20))
    W = np.linalg.qr(np.random.default_rng(3).normal(size=(20, 4)))[0]
    V = choose_basis(W, np.ones(3), pair_sums(T @ W), 3)
    assert 1 <= V.shape[1] <= 4
    np.testing.assert_allclose(V.T @ V, np.eye(V.shape[1]), atol=1e-8)
