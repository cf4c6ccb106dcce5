import dataclasses
import gc

import numpy as np
import pytest
import xarray as xr

from xrfsr_dask.beams import spot_window
from xrfsr_dask.errors import StoreError
from xrfsr_dask.options import BedroomOptions, RunOptions, SolveOptions
from xrfsr_dask.phantom import REGIONS, unpainted, write_painting
from xrfsr_dask.phantom import write as writing
from xrfsr_dask.solver import plan_run
from xrfsr_dask.solver.needs import task_bytes
from xrfsr_dask.solver.planning import roomy
from xrfsr_dask.store.arrays import open_array, open_group

OPTIONS = BedroomOptions(
    shape=(151, 193), width_mm=100, n_patches=4, spots=(17, 20), n_channel=256, overlap_spots=(3, 5), seed=5
)


@pytest.fixture(scope="module")
def painting(tmp_path_factory):
    return write_painting(tmp_path_factory.mktemp("phantom") / "p.zarr", OPTIONS)


def test_what_is_known_before_it_is_painted_is_what_is_painted(painting):
    before = unpainted(OPTIONS)
    assert (before.shape, before.n_band, before.transfer) == (
        painting.shape,
        painting.n_band,
        painting.transfer,
    )
    assert before.pitch_mm == pytest.approx(painting.pitch_mm)
    assert len(before.patches) == len(painting.patches)
    for early, late in zip(before.patches, painting.patches, strict=True):
        assert early.name == late.name
        assert early.shape == late.shape
        np.testing.assert_allclose(early.transform, late.transform)
    for method in ("paper", "joint"):
        call = {"name": "r", "options": SolveOptions(method=method), "resources": RunOptions(), "slots": 2}
        early, late = roomy(before, **call), plan_run(painting, **call)
        assert (early.cell, early.tile) == (late.cell, late.tile)
        assert task_bytes(early, early.tile) == task_bytes(late, late.tile)


@pytest.fixture(scope="module")
def truth(painting):
    group = open_group(painting.path)
    names = ("abundance", "endmember", "region", "coverage", "layer")
    return {name: open_array(group, f"results/truth/{name}")[...] for name in names}


def test_the_store_opens_with_plain_xarray_and_is_labelled(painting):
    with xr.open_datatree(painting.path, engine="zarr", consolidated=False) as tree:
        found = tree["results/truth"].to_dataset()
        assert found["abundance"].dims == ("y", "x", "atom")
        assert found["region"].dims == ("y", "x")
        assert found["region"].attrs["flag_meanings"] == " ".join(REGIONS)
        assert list(found["region"].attrs["flag_values"]) == [0, 1, 2]
        assert len(found.attrs["atoms"]) == found.sizes["atom"]
        assert found.attrs["options"]["seed"] == 5
        assert np.isfinite(found["abundance"]).all()
        assert tree["patches/p01/counts"].dims == ("y", "x", "energy")
    gc.collect()


def test_counts_scatter_about_the_truth_as_poisson_counts_do(painting, truth):
    for patch in painting.patches:
        window = spot_window(painting, patch)
        mean = (window.downsample(truth["abundance"][window.slices]) @ truth["endmember"]).astype(float)
        counts = patch.counts()[...].reshape(mean.shape).astype(float)
        strong = mean > 0.5
        score = (counts - mean)[strong] / np.sqrt(mean[strong])
        assert abs(score.mean()) < 6 / np.sqrt(score.size)
        assert score.var() == pytest.approx(1, abs=0.03)


def test_spots_hold_about_the_counts_asked_for(painting):
    per_spot = [p.total_counts / (p.shape[0] * p.shape[1]) for p in painting.patches]
    assert np.mean(per_spot) == pytest.approx(OPTIONS.counts_per_spot, rel=0.35)


def test_noise_of_one_patch_tells_nothing_about_another(painting, truth):
    scores = []
    for name in ("p01", "p02"):
        patch = painting.patch(name)
        window = spot_window(painting, patch)
        mean = (window.downsample(truth["abundance"][window.slices]) @ truth["endmember"]).astype(float)
        counts = patch.counts()[...].reshape(mean.shape)
        scores.append(np.where(mean > 0.1, (counts - mean) / np.sqrt(np.maximum(mean, 0.1)), 0))
    assert abs(np.corrcoef(scores[0].ravel(), scores[1].ravel())[0, 1]) < 0.02


def test_coverage_counts_the_spots_over_a_pixel(painting, truth):
    coverage = truth["coverage"]
    step2 = (painting.patches[0].step_mm / painting.pitch_mm) ** 2
    n_spot = sum(p.shape[0] * p.shape[1] for p in painting.patches)
    assert coverage.sum(dtype=float) == pytest.approx(n_spot * step2, rel=1e-4)
    assert coverage.min() == 0
    assert 1.9 < coverage.max() < 4.01
    middle = tuple(n // 2 for n in coverage.shape)
    assert coverage[middle] > 0.9


def test_the_same_seed_writes_the_same_painting_and_another_one_does_not(painting, tmp_path):
    again = write_painting(tmp_path / "again.zarr", OPTIONS)
    other = write_painting(tmp_path / "other.zarr", dataclasses.replace(OPTIONS, seed=6))
    counts = [p.patch("p03").counts()[...] for p in (painting, again, other)]
    np.testing.assert_array_equal(counts[0], counts[1])
    assert not np.array_equal(counts[0], counts[2])


def test_a_photograph_of_ones_own_is_painted_at_its_size(tmp_path):
    rng = np.random.default_rng(0)
    photo = np.kron(rng.integers(0, 65536, (6, 9, 3)), np.ones((20, 20, 1))).astype("u2")
    options = dataclasses.replace(OPTIONS, n_patches=1, spots=(20, 30))
    own = write_painting(tmp_path / "own.zarr", options, photo=photo)
    assert own.shape == (120, 180)
    np.testing.assert_array_equal(open_array(open_group(own.path), "rgb/0/image")[...], photo)


def test_long_dwells_do_not_overflow(tmp_path):
    options = dataclasses.replace(OPTIONS, n_patches=1, dwell_s=50.0)
    patch = write_painting(tmp_path / "bright.zarr", options).patches[0]
    assert patch.counts().dtype == "u4"
    assert patch.max_counts > 65535


def test_progress_ends_where_it_said_it_would(tmp_path):
    class Count:
        total = done = 0

        def expect(self, total):
            self.total += total

        def advance(self, n=1):
            self.done += n

        def note(self, text):
            pass

    count = Count()
    write_painting(tmp_path / "p.zarr", dataclasses.replace(OPTIONS, n_patches=2), progress=count)
    assert count.done == count.total > 2


def test_nothing_is_left_when_writing_fails(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "_drawn", full)
    with pytest.raises(OSError, match="No space left"):
        write_painting(tmp_path / "p.zarr", OPTIONS)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StoreError, match="nowhere does not exist; create it first"):
        write_painting(tmp_path / "nowhere" / "p.zarr", OPTIONS)


def test_a_name_that_is_taken_is_refused_and_left_alone(painting):
    with pytest.raises(StoreError, match="already exists"):
        write_painting(painting.path, OPTIONS)
    assert len(painting.patches) == 4
