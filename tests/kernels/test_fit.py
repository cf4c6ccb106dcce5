import numpy as np
import pytest

from xrfsr_dask.kernels.fit import channel_groups, chi_square_gaussian, chi_square_poisson


def test_poisson_counts_about_their_mean_have_chi_square_one():
    rng = np.random.default_rng(0)
    mean = np.exp(-((np.arange(300) - 80.0) ** 2) / 200) * 40 + 0.05
    X = rng.poisson(np.tile(mean, (500, 1)))
    chi = chi_square_poisson(X, np.tile(mean, (500, 1)), channel_groups(mean))
    assert abs(chi.mean() - 1) < 0.03


def test_a_model_that_is_wrong_shows():
    rng = np.random.default_rng(0)
    mean = np.full((50, 100), 20.0)
    assert chi_square_poisson(rng.poisson(mean), 1.5 * mean, channel_groups(mean[0])).mean() > 3


def test_every_group_holds_counts_enough_or_is_the_whole():
    mean = np.random.default_rng(0).random(200) ** 8
    groups = channel_groups(mean)
    assert np.add.reduceat(mean, groups).min() >= 5
    assert list(channel_groups(np.full(10, 0.1))) == [0]


@pytest.mark.parametrize("dtype", ["u2", "u4", "f4"])
@pytest.mark.parametrize("n_channel", [2, 300])
def test_counts_of_any_type_have_the_chi_square_of_real_numbers(dtype, n_channel):
    """Unsigned counts fall as well as rise, and lie below the model as well as above."""
    rng = np.random.default_rng(0)
    X, model = (rng.poisson(40, (20, n_channel)).astype(dtype) for _ in range(2))
    found = chi_square_gaussian(X, model)
    np.testing.assert_allclose(found, chi_square_gaussian(X.astype(float), model.astype(float)), rtol=1e-5)


def test_gaussian_noise_about_its_mean_has_chi_square_one_at_any_level():
    rng = np.random.default_rng(0)
    mean = np.sin(np.arange(400) / 30)
    for sigma in (0.01, 5.0):
        X = mean + sigma * rng.standard_normal((60, 400))
        assert abs(chi_square_gaussian(X, np.tile(mean, (60, 1))).mean() - 1) < 0.05
