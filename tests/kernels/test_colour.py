import numpy as np

from xrfsr_dask.kernels.colour import learn_colours, perceptual


def likeness(P, Q):
    """The mixture of Gaussians as it is written."""
    square = np.square(perceptual(P)[:, None].astype(float) - perceptual(Q)).sum(axis=2)
    return np.mean([np.exp(-square / (2 * width**2)) for width in (0.06, 0.12, 0.3)], axis=0)


def test_products_of_features_are_the_likeness_of_colours():
    photo = np.random.default_rng(0).random((3000, 3)).astype("f4") * 0.3
    colours = learn_colours(photo, seed=0)
    some = photo[:50]
    phi = colours.features(some)
    assert np.abs(phi @ phi.T - likeness(some, some)).mean() < 0.01
    assert np.linalg.norm(phi, axis=1).max() <= 1 + 1e-3


def test_few_colours_are_all_centres():
    photo = np.array([[0, 0, 1.0], [1, 1, 0]], "f4").repeat(100, axis=0)
    colours = learn_colours(photo, seed=0)
    assert len(colours.centres) == 2
    phi = colours.features(photo[[0, 150]])
    np.testing.assert_allclose(phi @ phi.T, likeness(photo[[0, 150]], photo[[0, 150]]), atol=1e-4)


def test_one_colour_and_one_band_are_no_trouble():
    assert learn_colours(np.full((9, 3), 0.5, "f4"), seed=0).n == 1
    grey = learn_colours(np.linspace(0, 1, 500, dtype="f4")[:, None], seed=0)
    assert np.isfinite(grey.features(np.zeros((4, 5, 1), "f4"))).all()
    assert grey.features(np.zeros((4, 5, 1), "f4")).shape == (4, 5, grey.n)


def test_the_seed_decides_and_nothing_else():
    photo = np.random.default_rng(1).random((2000, 3)).astype("f4")
    a, b, c = (learn_colours(photo, seed=seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(a.centres, b.centres)
    assert not np.array_equal(a.centres, c.centres)
