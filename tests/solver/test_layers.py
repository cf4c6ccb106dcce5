import numpy as np
import pytest

from xrfsr_dask.kernels.nonnegative import abundances
from xrfsr_dask.solver.joint.blocks import mixer
from xrfsr_dask.solver.joint.layers import layered_endmembers
from xrfsr_dask.solver.joint.model import Spectra
from xrfsr_dask.solver.joint.picture import Picture


@pytest.fixture
def scene():
    """Mixtures of six visible spectra, over two hidden ones in a third of the pixels; no noise."""
    rng = np.random.default_rng(0)
    c = np.arange(120)
    peaks = [np.exp(-0.5 * ((c - centre) / 4) ** 2) for centre in range(8, 120, 14)]
    E = 200 * np.array(peaks[:8]) + 1.0
    A = np.zeros((900, 8))
    A[:, :6] = rng.dirichlet(np.full(6, 0.4), 900)
    A[:300, 6:] = 2 * rng.dirichlet(np.ones(2), 300)
    counts = A @ E
    whitening = 1 / np.sqrt(counts.mean(axis=0))
    basis = np.linalg.svd(counts * whitening, full_matrices=False)[2][:8].T
    spectra = Spectra(whitening, basis)
    whole = spectra.scores(counts.astype("f4"))
    hidden = spectra.scores((A[:, 6:] @ E[6:]).astype("f4"))
    return spectra, Picture(whole, hidden), A, E


def unexplained(spectra, picture, D):
    W = ((D * spectra.whitening) @ spectra.basis).astype("f4")
    left = picture.whole - abundances(picture.whole @ W.T, W @ W.T) @ W
    return np.square(left).sum() / np.square(picture.whole).sum()


def test_enough_visible_endmembers_leave_the_hidden_ones_to_the_hidden_layer(scene):
    spectra, picture, A, _ = scene
    Dv, Dnv, n_held = layered_endmembers(spectra, picture.whole, picture.hidden, n_visible=20, n_hidden=4)
    assert n_held >= 2
    assert min(Dv.min(), Dnv.min()) >= 0
    assert unexplained(spectra, picture, np.concatenate([Dv, Dnv])) < 1e-3
    found = mixer(spectra, Dv, Dnv, n_held).unmixed(picture)
    assert found.min() >= 0
    beneath = found[:, len(Dv) : len(Dv) + n_held] @ Dnv[:n_held].sum(axis=1)
    assert np.corrcoef(beneath, A[:, 6:].sum(axis=1))[0, 1] > 0.98


def test_too_few_visible_endmembers_are_helped_out_where_there_is_room(scene):
    spectra, picture, _, _ = scene
    Dv, Dnv, n_held = layered_endmembers(spectra, picture.whole, picture.hidden, n_visible=1, n_hidden=12)
    assert len(Dv) == 1
    assert len(Dnv) <= 12
    found = mixer(spectra, Dv, Dnv, n_held).unmixed(picture)
    W = (np.concatenate([Dv, Dnv]) * spectra.whitening) @ spectra.basis
    assert np.square(picture.whole - found @ W).sum() < 0.02 * np.square(picture.whole).sum()


def test_hidden_endmembers_that_noise_filled_up_are_given_up_to_help_out(scene):
    spectra, picture, _, _ = scene
    rng = np.random.default_rng(1)
    whole, hidden = (Z + rng.normal(0, 1, Z.shape).astype("f4") for Z in (picture.whole, picture.hidden))
    Dv, Dnv, n_held = layered_endmembers(spectra, whole, hidden, n_visible=1, n_hidden=8)
    assert n_held == 0
    assert unexplained(spectra, picture, np.concatenate([Dv, Dnv])) < 0.02
    _, _, n_held = layered_endmembers(spectra, whole, hidden, n_visible=20, n_hidden=8)
    assert n_held > 0


def test_nothing_hidden_gives_no_hidden_endmembers_that_are_held(scene):
    spectra, picture, _, _ = scene
    nothing = np.zeros_like(picture.hidden)
    Dv, _, n_held = layered_endmembers(spectra, picture.whole, nothing, n_visible=20, n_hidden=4)
    assert n_held == 0
    assert len(Dv) > 1
