import os
import subprocess
import sys

import numpy as np
import pytest
from helpers import gradient_test
from helpers_beams import BEAMS

from xrfsr_dask.kernels.abundance import abundance_steps, step_matrices
from xrfsr_dask.kernels.abundance_arrays import abundance_steps as in_arrays
from xrfsr_dask.kernels.abundance_spots import TileSpots
from xrfsr_dask.kernels.projection import project_rows
from xrfsr_dask.kernels.sampling import downsample, downsample_adjoint, needed_bounds, touching
from xrfsr_dask.kernels.smoothness import difference, difference_adjoint

N_V, N_NV, N_CHANNEL = 5, 4, 12
GAIN, LAM = 0.8, 0.1


def scene(beam, seed=0):
    rng = np.random.default_rng(seed)
    A = rng.dirichlet(np.ones(N_V + N_NV), beam.shape).astype("f4")
    I = rng.random((*beam.shape, 3)).astype("f4")
    X = rng.random((beam.spots[0] * beam.spots[1], N_CHANNEL)).astype("f4")
    Dv, Dnv, Drgb = rng.random((N_V, N_CHANNEL)), rng.random((N_NV, N_CHANNEL)), rng.random((N_V, 3))
    return A, I, X, Dv, Dnv, Drgb


def matrices(Dv, Dnv, Drgb, exact):
    return step_matrices(Dnv @ Dnv.T, Dv @ Dnv.T, Drgb, lam=LAM, gamma=1.01, exact=exact)


def patch_spots(beam, X, Dnv, index=None):
    windows = beam.windows()
    index = np.arange(len(windows)) if index is None else index
    C = (X[index] @ Dnv.T).astype("f4")
    return TileSpots(beam.footprints(index), windows[index], np.ascontiguousarray(C), GAIN)


def transcription(A, I, X, Dv, Dnv, Drgb, beam, exact):
    """(15) written out in float64 with whole spectra: the yardstick."""
    A = A.astype(float)
    Av, Anv = A[..., :N_V], A[..., N_V:]
    fp = beam.footprints(np.arange(len(X)))

    def S(a):
        return downsample(a.astype("f4"), fp).astype(float)

    dv = 1.01 * np.linalg.norm(Drgb.T @ Drgb)
    dnv = 1.01 * np.linalg.norm(Dnv @ Dnv.T)
    residual = GAIN * (GAIN * (S(Anv) @ Dnv + S(Av) @ Dv) - X) @ Dnv.T
    pull = downsample_adjoint(residual.astype("f4"), fp, beam.shape)
    smooth = difference_adjoint(difference(Anv)) @ (Dnv @ Dnv.T)
    Vv = Av - (Av @ Drgb - I) @ Drgb.T / dv
    Vnv = Anv - (pull + LAM * smooth) / dnv
    V = np.concatenate([Vv, Vnv], axis=-1)
    return project_rows(V.reshape(-1, N_V + N_NV), exact=exact).reshape(V.shape)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("name", BEAMS)
def test_the_fused_step_is_the_papers_step(name, exact):
    beam = BEAMS[name]
    A, I, X, Dv, Dnv, Drgb = scene(beam)
    whole = (0, beam.shape[0], 0, beam.shape[1])
    spots, m = [patch_spots(beam, X, Dnv)], matrices(Dv, Dnv, Drgb, exact)
    expected = A
    for _ in range(3):
        expected = transcription(expected, I, X, Dv, Dnv, Drgb, beam, exact)
    got = abundance_steps(A.copy(), I, spots, m, [whole] * 4, shape=beam.shape)
    np.testing.assert_allclose(got, expected, atol=2e-5)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("name", BEAMS)
def test_steps_in_whole_arrays_are_those_of_the_kernel_on_tiles_and_on_the_whole(name, exact):
    """By NumPy here; on a GPU the same lines run by CuPy (`benchmarks gpu` compares both)."""
    beam = BEAMS[name]
    A, I, X, Dv, Dnv, Drgb = scene(beam)
    m, given = matrices(Dv, Dnv, Drgb, exact), A.copy()
    whole, windows = (0, beam.shape[0], 0, beam.shape[1]), beam.windows()
    expected = abundance_steps(A.copy(), I, [patch_spots(beam, X, Dnv)], m, [whole] * 4, shape=beam.shape)
    for core in (whole, (20, 35, 15, 30), (0, 9, 0, 11), (beam.shape[0] - 7, beam.shape[0], 3, beam.shape[1])):
        regions = needed_bounds(core, [windows], steps=3, margin=1, shape=beam.shape)
        y0, y1, x0, x1 = regions[-1]
        spots = [patch_spots(beam, X, Dnv, touching(windows, regions[-2]))]
        got = in_arrays(A[y0:y1, x0:x1], I[y0:y1, x0:x1], spots, m, regions, shape=beam.shape, xp=np)
        inside = np.s_[core[0] - y0 : core[1] - y0, core[2] - x0 : core[3] - x0]
        np.testing.assert_allclose(got[inside], expected[core[0] : core[1], core[2] : core[3]], atol=1e-5)
    np.testing.assert_array_equal(A, given)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 7, 12])
@pytest.mark.parametrize("name", ["aligned", "turned", "gaussian"])
def test_the_inside_of_a_tile_has_the_bits_of_the_whole(name, steps):
    beam = BEAMS[name]
    A, I, X, Dv, Dnv, Drgb = scene(beam)
    m = matrices(Dv, Dnv, Drgb, exact=False)
    whole = (0, beam.shape[0], 0, beam.shape[1])
    expected = abundance_steps(
        A.copy(), I, [patch_spots(beam, X, Dnv)], m, [whole] * (steps + 1), shape=beam.shape
    )
    core, windows = (20, 35, 15, 30), beam.windows()
    regions = needed_bounds(core, [windows], steps=steps, margin=1, shape=beam.shape)
    y0, y1, x0, x1 = regions[-1]
    spots = [patch_spots(beam, X, Dnv, touching(windows, regions[-2]))]
    got = abundance_steps(A[y0:y1, x0:x1].copy(), I[y0:y1, x0:x1].copy(), spots, m, regions, shape=beam.shape)
    np.testing.assert_array_equal(
        got[core[0] - y0 : core[1] - y0, core[2] - x0 : core[3] - x0], expected[20:35, 15:30]
    )


def test_a_hidden_layer_faint_in_one_tile_is_smoothed_alike_in_all():
    """Values whose squares vanish by underflow, beside strong ones that only the whole painting sees."""
    beam = BEAMS["turned"]
    A, I, _, Dv, Dnv, Drgb = scene(beam)
    A[:, :35, N_V:] *= np.float32(1e-26)
    m, whole = matrices(Dv, Dnv, Drgb, exact=False), (0, beam.shape[0], 0, beam.shape[1])
    expected = abundance_steps(A.copy(), I, [], m, [whole] * 3, shape=beam.shape)
    regions = needed_bounds((0, 20, 0, 20), [], steps=2, margin=1, shape=beam.shape)
    y, x = regions[-1][1], regions[-1][3]
    got = abundance_steps(A[:y, :x].copy(), I[:y, :x].copy(), [], m, regions, shape=beam.shape)
    np.testing.assert_array_equal(got[:20, :20], expected[:20, :20])


def test_the_hidden_gradient_is_that_of_the_objective():
    """Half the gradient of (9) with respect to Anv, as (M1) has it, against finite differences."""
    beam = BEAMS["turned"]
    A, _, X, Dv, Dnv, _ = scene(beam)
    fp = beam.footprints(np.arange(len(X)))
    fixed, Anv = downsample(A[..., :N_V].copy(), fp) @ Dv, A[..., N_V:].astype(float)
    index = np.argwhere(fp.weight > 0)

    def S(a):
        out = np.zeros((len(X), N_NV))
        np.add.at(
            out,
            index[:, 0],
            fp.weight[tuple(index.T)][:, None]
            * a[fp.origin[index[:, 0], 0] + index[:, 1], fp.origin[index[:, 0], 1] + index[:, 2]],
        )
        return out

    def value(a):
        edges = sum(np.square(d @ Dnv).sum() for d in difference(a))
        return 0.5 * (np.square(GAIN * (S(a) @ Dnv + fixed) - X).sum() + LAM * edges)

    residual = GAIN * (GAIN * (S(Anv) @ Dnv + fixed) - X) @ Dnv.T
    gradient = downsample_adjoint(residual.astype("f4"), fp, beam.shape).astype(float)
    gradient += LAM * difference_adjoint(difference(Anv)) @ Dnv @ Dnv.T
    gradient_test(value, gradient, Anv)


FRESH = """
import zlib
import numpy as np
from xrfsr_dask.kernels.abundance import abundance_steps, step_matrices
from xrfsr_dask.kernels.abundance_spots import TileSpots
from xrfsr_dask.kernels.sampling import Beam, needed_bounds

rng = np.random.default_rng(0)
shape = (60, 80)
beam = Beam(np.array([[10.0, 0, 5], [0, 10, 5], [0, 0, 1]]), (6, 8), shape)
windows = beam.windows()
for M, bands in ((50, 3), (200, 3), (7, 3), (12, 1), (33, 4), (1, 3)):
    C, G = rng.random((48, M), dtype="f4"), rng.random((M, M), dtype="f4")
    spots = [TileSpots(beam.footprints(np.arange(48), windows), windows, C, 0.7)]
    regions = needed_bounds((0, 60, 0, 80), [windows], steps=1, margin=1, shape=shape)
    for exact in (False, True):
        matrices = step_matrices(G @ G.T, G, rng.random((M, bands)), lam=0.1, gamma=1.01, exact=exact)
        A, photo = rng.random((*shape, 2 * M), dtype="f4"), rng.random((*shape, bands), dtype="f4")
        out = abundance_steps(A, photo, spots, matrices, regions, shape=shape)
        print(zlib.crc32(np.ascontiguousarray(out)))
"""


@pytest.mark.slow
def test_a_first_run_that_compiles_and_a_later_one_have_the_same_bits(tmp_path):
    run = [sys.executable, "-c", FRESH]
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    first, later = (subprocess.check_output(run, env=environment) for _ in range(2))
    assert first == later
