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
from xrfsr_dask.progress import Silent
from xrfsr_dask.solver import plan_run, solve
from xrfsr_dask.solver.joint.placing import asked_chunks
from xrfsr_dask.solver.joint.spots import describe_spots
from xrfsr_dask.solver.run import Chunk
from xrfsr_dask.store import PatchSpec, add_patch, create_painting, open_painting, placement
from xrfsr_dask.store.journal import read_record
from xrfsr_dask.tiling.executor import LocalExecutor
from xrfsr_dask.tiling.grid import Rect

OPTIONS = SolveOptions(iterations=2, tolerance=0)
FACTOR = 5


@pytest.fixture(scope="module")
def scene():
    return aligned_painting(shape=(150, 200), factor=FACTOR, n_channel=64)


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
    with pytest.warns(
        PlacementWarning,
        match="'scan' seems to lie .* lower and .* px.*To have it, add the scans to a new store",
    ):
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


class Late(Silent):
    """Once the patches are placed, a task of the stage before, that was taken for dead, writes after all."""

    def __init__(self, plan):
        self.plan, self.written = plan, False

    def advance(self, n: int = 1) -> None:
        checkpoint = self.plan.base / "checkpoint.json"
        if not self.written and checkpoint.exists() and read_record(checkpoint)["state"]["passes"] >= 3:
            self.written = True
            for chunk in self.plan.chunks():
                describe_spots(self.plan, chunk)


def test_only_the_patch_out_of_place_is_named_whatever_the_tiles_and_late_tasks(halves):
    hashes = set()
    for name, tile, threads in (("one", 50, 1), ("two", 200, 2), ("late", 100, 1)):
        resources = RunOptions(tile=tile, memory=2**31)
        plan = plan_run(open_painting(halves), name=name, options=OPTIONS, resources=resources, slots=threads)
        progress = Late(plan) if name == "late" else Silent()
        with pytest.warns(PlacementWarning, match=r"'moved' seems to lie 1\.[45]\d* mm lower") as told:
            solve(plan, LocalExecutor(threads), progress=progress)
        assert len(told) == 1
        assert name != "late" or progress.written
        hashes.add(result_hash(halves, name))
    assert len(hashes) == 1
    attrs = xs.open_result(halves, "one").attrs
    assert attrs["displacement_px"]["moved"] == pytest.approx([1.5, 0.0], abs=0.2)
    assert attrs["displacement_px"]["good"] == pytest.approx([0.0, 0.0], abs=0.2)
    assert set(attrs["smoothed_px"]) == {"moved"}


@pytest.mark.slow
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


def test_a_patch_that_lies_several_spots_away_is_found(scene, tmp_path):
    path = tmp_path / "p.zarr"
    create_painting(path, scene.photo, width_mm=200.0)
    part = scene.counts.astype("u2")[:24, 3:27]
    place = placement(at_mm=(20.0, 15.0), step_mm=FACTOR)  # its true place is 0, 15
    spec = PatchSpec(shape=part.shape, dtype="u2", transform=place, energy_kev=scene.energy_kev)
    add_patch(path, "far", spec, [(0, part)])
    options, resources = SolveOptions(iterations=1), RunOptions(memory=2**31)
    plan = plan_run(open_painting(path), name="r", options=options, resources=resources, slots=2)
    with pytest.warns(PlacementWarning, match="'far' seems to lie (19|20|21).* mm higher"):
        solve(plan, LocalExecutor(2))


def test_chunks_are_asked_all_over_a_patch():
    asked = [asked_of(9), asked_of(16), asked_of(3), asked_of(400)]
    assert [len(chunks) for chunks in asked] == [6, 6, 3, 6]
    assert {c % 3 for c in asked[0]} == {0, 1, 2}


def asked_of(n):
    class Planned:
        def chunks(self):
            return [Chunk("a", Rect(i, i + 1, 0, 1)) for i in range(n)]

    return [chunk.spots.y0 for chunk in asked_chunks(Planned(), "a")]
