"""A scan that does not lie where it was placed is told, and does no harm."""

import json
import warnings

import numpy as np
import pytest
from solver.test_solve import result_hash

import xrfsr_dask as xs
from xrfsr_dask.cli import main
from xrfsr_dask.errors import PlacementWarning
from xrfsr_dask.options import RunOptions, SolveOptions
from xrfsr_dask.phantom import aligned_painting
from xrfsr_dask.solver import plan_run, solve
from xrfsr_dask.store import PatchSpec, add_patch, create_painting, open_painting, placement
from xrfsr_dask.tiling.executor import LocalExecutor

OPTIONS = SolveOptions(iterations=2, tolerance=0)
FACTOR = 5


@pytest.fixture(scope="module")
def scene():
    return aligned_painting(shape=(150, 200), factor=FACTOR, n_channel=128)


def rmse(scene, estimate):
    truth = scene.abundance @ scene.endmember
    return float(np.sqrt(np.mean((estimate - truth) ** 2)))


def fused(scene, photo):
    ds = xs.fuse(scene.counts, photo, factor=FACTOR, energy=scene.energy_kev)
    return ds.attrs, rmse(scene, ds.abundance.values @ ds.endmember.values)


def cubic(scene):
    truth = (scene.abundance, scene.endmember)
    found = xs.compare(scene.counts, scene.photo, factor=FACTOR, methods=("cubic",), truth=truth)
    return found["cubic"].figures[0]["rmse"]


def test_a_scan_that_lies_where_it_should_is_not_warned_of(scene):
    with warnings.catch_warnings():
        warnings.simplefilter("error", PlacementWarning)
        attrs, error = fused(scene, scene.photo)
    assert np.abs(attrs["displacement_px"]["scan"]).max() < 0.2
    assert attrs["smoothed_px"] == {}
    assert error < 0.5 * cubic(scene)


@pytest.mark.parametrize("moved", [(1, -1)])
def test_a_photograph_out_of_place_is_told_and_does_no_harm(scene, moved):
    with pytest.warns(PlacementWarning, match="'scan' seems to lie .* lower and .* px.*Place the patch anew"):
        attrs, error = fused(scene, np.roll(scene.photo, moved, axis=(0, 1)))
    np.testing.assert_allclose(attrs["displacement_px"]["scan"], moved, atol=0.3)
    assert error < cubic(scene)


@pytest.fixture(scope="module")
def halves(scene, tmp_path_factory):
    """A painting of two scans, the second 1.5 mm (px) too high where it was placed."""
    path = tmp_path_factory.mktemp("halves") / "p.zarr"
    create_painting(path, scene.photo, width_mm=200.0)
    counts, half = scene.counts.astype("u2"), scene.counts.shape[1] // 2
    for name, columns, y in (("good", slice(0, half), 0.0), ("moved", slice(half, None), -1.5)):
        part = counts[:, columns]
        place = placement(at_mm=(y, columns.start * FACTOR), step_mm=FACTOR)
        spec = PatchSpec(shape=part.shape, dtype="u2", transform=place, energy_kev=scene.energy_kev)
        add_patch(path, name, spec, [(0, part)])
    return path


def test_only_the_patch_out_of_place_is_named_whatever_the_tiles(halves):
    hashes = set()
    for name, tile, threads in (("one", 50, 1), ("two", 200, 2)):
        resources = RunOptions(tile=tile, memory=2**31)
        plan = plan_run(open_painting(halves), name=name, options=OPTIONS, resources=resources, slots=threads)
        with pytest.warns(PlacementWarning, match=r"'moved' seems to lie 1\.[45]\d* mm lower") as told:
            solve(plan, LocalExecutor(threads))
        assert len(told) == 1
        hashes.add(result_hash(halves, name))
    assert len(hashes) == 1
    attrs = xs.open_result(halves, "one").attrs
    assert attrs["displacement_px"]["moved"] == pytest.approx([1.5, 0.0], abs=0.2)
    assert attrs["displacement_px"]["good"] == pytest.approx([0.0, 0.0], abs=0.2)
    assert set(attrs["smoothed_px"]) == {"moved"}


@pytest.mark.filterwarnings("ignore::xrfsr_dask.errors.PlacementWarning")
def test_commands_tell_of_it(halves, capsys, tmp_path):
    call = ["solve", str(halves), "--name", "told", "--iterations", "1", "--atoms", "5", "--quiet"]
    assert main([*call, "--json"]) == 0
    (words,) = json.loads(capsys.readouterr().out)["out_of_place"]
    assert words.startswith("Patch 'moved' seems to lie 1.")
    assert main(["info", str(halves)]) == 0
    assert words in capsys.readouterr().out
    page = tmp_path / "page.html"
    assert main(["report", str(halves), "--name", "told", "--out", str(page), "--quiet"]) == 0
    assert "seems to lie 1." in page.read_text()
