"""What every comparison method owes: a sane answer on any scene, and a word before work that does not fit."""

import tracemalloc

import numpy as np
import pytest
from helpers import small_truth

from xrfsr_dask.errors import InputError, MemoryBudgetError
from xrfsr_dask.methods import super_resolve
from xrfsr_dask.methods.blocks import block_mean
from xrfsr_dask.methods.protocol import Scene
from xrfsr_dask.options import IN_MEMORY

SHARP = ("csusr", "nssr", "hysure", "cnmf", "guided", "palette")
"""Methods that use both images; GSOMP sees the photograph alone, cubic the spots alone."""
MEMORY = 2**30


def scene(factor=5, ny=20, nx=17, n_channel=48, *, band=3, noise="poisson", counts=1.0, seed=0):
    """A scene whose colours are linear in its spectra, with the truth."""
    A, D, _ = small_truth(n_channel=n_channel)
    A = np.tile(A, (1, 2, 1))[: factor * ny, : factor * nx]
    colours = np.array([[0.9, 0.2, 0.1], [0.1, 0.8, 0.2], [0.2, 0.1, 0.9], [0.6, 0.6, 0.5]])
    photo = (A @ colours)[..., :band].astype("f4")
    mean = counts * block_mean(A, factor) @ D
    rng = np.random.default_rng(seed)
    low = rng.poisson(mean) if noise == "poisson" else mean
    return Scene(low.astype("f4"), photo, factor, noise), counts * A @ D


def run(method, given, atoms=12, memory=MEMORY, **options):
    return super_resolve(method, given, atoms=atoms, seed=0, memory=memory, **options)


def error(method, given, truth, **options):
    return float(np.sqrt(np.mean((run(method, given, **options).rows(slice(None)) - truth) ** 2)))


@pytest.fixture(scope="module")
def poisson():
    return scene(counts=20.0)


@pytest.fixture(scope="module")
def clean():
    return scene(noise="gaussian")


@pytest.fixture(scope="module")
def cubic(poisson, clean):
    return {"poisson": error("cubic", *poisson), "clean": error("cubic", *clean)}


@pytest.mark.parametrize("method", SHARP)
def test_a_photograph_that_is_linear_in_the_spectra_sharpens_them(method, poisson, cubic):
    assert error(method, *poisson) < 0.6 * cubic["poisson"]


@pytest.mark.parametrize(("method", "share"), [("hysure", 0.03), ("palette", 0.7), ("guided", 0.9)])
def test_a_scene_of_low_rank_without_noise_comes_out_close_to_the_truth(method, share, clean, cubic):
    assert error(method, *clean) < share * cubic["clean"]


@pytest.mark.parametrize("method", ["guided", "palette"])
def test_methods_that_put_the_residual_back_agree_with_the_spots(method, clean):
    given, _ = clean
    low = block_mean(run(method, given).rows(slice(None)), given.factor)
    assert np.sqrt(np.mean((low - given.counts) ** 2)) < 0.02 * given.counts.std()


@pytest.mark.parametrize("method", IN_MEMORY)
def test_rows_are_those_of_the_whole_and_the_same_twice(method):
    given, _ = scene(factor=3, ny=8, nx=9)
    first, again = run(method, given), run(method, given)
    whole = first.rows(slice(None))
    assert first.shape == whole.shape == (24, 27, 48)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(first.rows(slice(5, 11)), whole[5:11], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(again.rows(slice(None)), whole)


@pytest.mark.parametrize("method", IN_MEMORY)
@pytest.mark.parametrize(
    "change",
    [
        {"factor": 2},
        {"factor": 3, "band": 1},
        {"factor": 8},
        {"factor": 5, "counts": 0.01},
        {"factor": 5, "noise": "gaussian"},
    ],
)
def test_few_spots_any_factor_one_band_and_hardly_any_counts_give_finite_values(method, change):
    given, truth = scene(**({"ny": 5, "nx": 7} | change))
    out = run(method, given, atoms=50).rows(slice(None))  # more atoms than the 35 spots
    assert out.shape == truth.shape
    assert np.isfinite(out).all()
    assert out.mean() < 5 * max(given.counts.mean(), 1e-6) + 1e-3
    if given.noise == "poisson":
        assert out.min() >= 0


@pytest.mark.parametrize("method", IN_MEMORY)
@pytest.mark.parametrize("what", ["dark", "black", "one atom"])
def test_nothing_to_see_gives_finite_values(method, what):
    given, _ = scene(ny=5, nx=7)
    counts = np.zeros_like(given.counts) if what == "dark" else given.counts
    photo = np.zeros_like(given.photo) if what == "black" else given.photo
    out = run(method, Scene(counts, photo, 5), atoms=1 if what == "one atom" else 10)
    assert np.isfinite(out.rows(slice(None))).all()


@pytest.mark.parametrize("method", IN_MEMORY)
def test_what_would_not_fit_is_refused_before_any_work(method):
    given, _ = scene()
    with pytest.raises(MemoryBudgetError, match=rf"method '{method}' .* needs .*B for 100 x 85 px .* limit is"):
        run(method, given, memory=10_000)


@pytest.mark.parametrize("method", IN_MEMORY)
def test_a_method_keeps_to_the_memory_it_names(method):
    given, _ = scene(ny=28, nx=30, n_channel=128)
    with pytest.raises(MemoryBudgetError) as refused:
        run(method, given, atoms=20, memory=1)
    words = str(refused.value).split("needs ")[1].split()
    named = float(words[0]) * {"MB": 1e6, "GB": 1e9}[words[1]]
    run(method, given, atoms=20)  # imports and compilation
    tracemalloc.start()
    run(method, given, atoms=20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.05 * named + 1e6


@pytest.mark.parametrize("method", ["gsomp", "csusr", "nssr", "hysure"])
def test_p_is_bounded_or_not_as_asked(method):
    given, _ = scene(ny=8, nx=9)
    bounded, free = (run(method, given, bounded=b).rows(slice(None)) for b in (True, False))
    assert not np.array_equal(bounded, free)


def test_a_photograph_of_another_size_is_refused():
    given, _ = scene(ny=5, nx=7)
    with pytest.raises(
        InputError, match="5 x 7 spots and a factor of 4 need a photograph of 20 x 28 px, got 25 x 35"
    ):
        Scene(given.counts, given.photo, 4)


@pytest.mark.parametrize(
    ("counts", "noise", "words"),
    [
        (-1.0, "poisson", "a Poisson count is -1, below zero"),
        (np.nan, "gaussian", "not finite"),
        (1.0, "pink", "'pink'"),
    ],
)
def test_counts_that_cannot_be_are_refused(counts, noise, words):
    with pytest.raises(InputError, match=words):
        Scene(np.full((2, 2, 3), counts, "f4"), np.zeros((4, 4, 1), "f4"), 2, noise)
