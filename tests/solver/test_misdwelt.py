"""Spots that stalled or failed do no harm, and are told."""

import json

import numpy as np
import pytest

import xrfsr_dask as xs
from xrfsr_dask.cli import main
from xrfsr_dask.options import RunOptions, SolveOptions
from xrfsr_dask.phantom import aligned_painting
from xrfsr_dask.solver import plan_run, solve
from xrfsr_dask.store import PatchSpec, add_patch, create_painting, open_painting, placement
from xrfsr_dask.tiling.executor import LocalExecutor

FACTOR = 5
SPOTS = {"stalled": ([5, 20, 31], [6, 30, 12]), "failed": ([8, 8, 25], [15, 16, 3])}


@pytest.fixture(scope="module")
def scene():
    return aligned_painting(shape=(180, 200), factor=FACTOR, n_channel=128)


@pytest.fixture(scope="module")
def faulty(scene):
    counts = scene.counts.copy()
    counts[SPOTS["stalled"]] *= 15
    counts[SPOTS["failed"]] = 0
    return counts


def rmse(scene, ds) -> float:
    found = ds.abundance.values @ ds.endmember.values
    return float(np.sqrt(np.mean((found - scene.abundance @ scene.endmember) ** 2)))


def fused(scene, counts, **more):
    return xs.fuse(counts, scene.photo, factor=FACTOR, energy=scene.energy_kev, **more)


def test_the_result_is_about_that_of_a_whole_scan(scene, faulty):
    clean = fused(scene, scene.counts)
    assert "misdwelt_spots" not in clean.attrs or clean.attrs["misdwelt_spots"] == {}
    found = fused(scene, faulty)
    assert found.attrs["misdwelt_spots"] == {"scan": 6}
    assert rmse(scene, found) < 1.1 * rmse(scene, clean)
    totals = [
        ds.abundance.values.reshape(-1, ds.sizes["atom"]).mean(0) @ ds.endmember.values for ds in (clean, found)
    ]
    assert totals[1].sum() == pytest.approx(totals[0].sum(), rel=0.01)
    chi = found.chi_square.values  # as counted: nothing is hidden
    assert (chi[SPOTS["stalled"]] > 100).all()
    assert np.median(chi) == pytest.approx(np.median(clean.chi_square), rel=0.1)


def test_commands_tell_of_it_and_gains_and_tiles_change_nothing(scene, faulty, tmp_path, capsys):
    path = tmp_path / "p.zarr"
    create_painting(path, scene.photo, width_mm=float(scene.photo.shape[1]))
    place = placement(at_mm=(0, 0), step_mm=FACTOR)
    spec = PatchSpec(shape=faulty.shape, dtype="u4", transform=place, energy_kev=scene.energy_kev, gain=3.0)
    add_patch(path, "a", spec, ((row, faulty[row : row + 32].astype("u4")) for row in (0, 32)))
    call = ["solve", str(path), "--iterations", "1", "--atoms", "8", "--quiet"]
    assert main([*call, "--json", "--name", "one", "--workers", "1"]) == 0
    (words,) = json.loads(capsys.readouterr().out)["misdwelt"]
    assert words.startswith("6 spots of patch 'a' counted nothing, or many times")
    assert main(["info", str(path)]) == 0
    assert words in capsys.readouterr().out
    options = SolveOptions(iterations=1, atoms=8)
    run = plan_run(open_painting(path), name="two", options=options, resources=RunOptions(tile=100), slots=2)
    solve(run, LocalExecutor(2))
    one, two = (xs.open_result(path, name).abundance.values for name in ("one", "two"))
    np.testing.assert_array_equal(one, two)
