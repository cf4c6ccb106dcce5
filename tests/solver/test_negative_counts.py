"""Float counts from which too much background was taken off: negative ones, and hardly any counts in all."""

import numpy as np
import pytest
from engine.scenes import planned, result_hash

from xrfsr_dask.errors import XrfsrError
from xrfsr_dask.options import SolveOptions
from xrfsr_dask.result import open_result
from xrfsr_dask.solver import solve
from xrfsr_dask.solver.state import receipt_of
from xrfsr_dask.store import PatchSpec, add_patch, create_painting, open_painting, placement
from xrfsr_dask.tiling.executor import LocalExecutor

JOINT = SolveOptions(method="joint", atoms=3, hidden_atoms=2, iterations=2, tolerance=0)
PAPER = SolveOptions(method="paper", atoms=3, iterations=2, steps=3, tolerance=0)


def painted(path, *, mean=None, holes=0.0):
    """Two paints of 16 channels under a photograph of 60 x 60 px; `mean` of all counts, some of them nodata."""
    rng = np.random.default_rng(1)
    x = np.mgrid[:60, :60][1]
    A = np.stack([0.5 + 0.5 * np.sin(x / 9), 0.5 - 0.5 * np.sin(x / 9)], -1)
    light = (255 * np.clip(A @ rng.random((2, 3)), 0, 1)).astype("u1")
    create_painting(path, light, width_mm=60.0, transfer="linear")
    at = np.arange(12) * 5 + 2
    X = A[np.ix_(at, at)] @ (40 * rng.random((2, 16)) ** 4) + rng.normal(0, 1, (12, 12, 16))
    X += 0.0 if mean is None else mean - X.mean()
    X[rng.random(X.shape) < holes] = -9999.0
    spec = PatchSpec(
        shape=X.shape,
        dtype="f4",
        transform=placement(at_mm=(0.0, 0.0), step_mm=5.0),
        energy_kev=0.1 + 0.3 * np.arange(16),
        noise="gaussian",
    )
    add_patch(path, "a", spec, [(0, X.astype("f4"))])
    return X


@pytest.mark.parametrize("mean", [-3.0, -0.01, 1e-4])
def test_counts_that_sum_to_nothing_are_solved(tmp_path, mean):
    X = painted(tmp_path / "p.zarr", mean=mean)
    solve(planned(tmp_path / "p.zarr", JOINT, tile=None), LocalExecutor(1))
    ds = open_result(tmp_path / "p.zarr", "r")
    assert np.isfinite(ds.abundance).all()
    assert float(ds.endmember.max()) < 5 * X.max()
    positive = X.mean((0, 1)) > 3
    found, counted = ds.cube.mean(("y", "x")).values, X.mean((0, 1))
    assert np.abs(found - counted)[positive].max() < 0.3 * counted.max()  # no mixture is negative elsewhere


def test_counts_are_divided_by_the_largest_magnitude(tmp_path):
    X = painted(tmp_path / "p.zarr", holes=0.01)
    assert planned(tmp_path / "p.zarr", PAPER, tile=None).scale >= np.abs(X).max()
    assert open_painting(tmp_path / "p.zarr").patches[0].max_counts == np.abs(X).max()


@pytest.mark.parametrize("options", [PAPER, JOINT], ids=["paper", "joint"])
def test_large_negative_counts_give_the_same_bits_in_any_order(tmp_path, options):
    hashes = set()
    for tile, threads in ((50, 1), (100, 1), (50, 3)):
        path = tmp_path / f"{tile}-{threads}.zarr"
        painted(path, holes=0.01)
        solve(planned(path, options, tile=tile), LocalExecutor(threads))
        hashes.add(result_hash(path))
    assert len(hashes) == 1


def test_abundances_that_are_not_finite_are_told_as_such_and_not_as_damage():
    values = np.ones((4, 4, 2), "f4")
    values[1, 2, 0] = np.inf
    with pytest.raises(XrfsrError, match=r"y 50:54, x 0:4 px became infinite"):
        receipt_of((50, 54, 0, 4), values)
