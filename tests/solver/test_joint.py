import numpy as np
import pytest
import xarray as xr
from helpers import painted_patch, small_painting, small_patch, small_truth
from solver.test_solve import plan, result_hash

import xrfsr_dask as xs
from xrfsr_dask.methods.cubic import cubic_region
from xrfsr_dask.options import SolveOptions
from xrfsr_dask.progress import Silent
from xrfsr_dask.solver import solve
from xrfsr_dask.solver.joint import endmembers, model, stages
from xrfsr_dask.solver.joint.scan import Scan
from xrfsr_dask.store import PatchSpec, create_painting, open_painting, placement
from xrfsr_dask.tiling.executor import LocalExecutor
from xrfsr_dask.tiling.grid import Rect

OPTIONS = SolveOptions(atoms=8, hidden_atoms=4, iterations=4, tolerance=0)


def joint_plan(path, **kwargs):
    return plan(path, options=OPTIONS, **kwargs)


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    path = tmp_path_factory.mktemp("joint") / "p.zarr"
    small_painting(path)
    state = solve(joint_plan(path, tile=250), LocalExecutor(2))
    tree = xr.open_datatree(path, engine="zarr", consolidated=False)
    return path, state, tree["results/r"].to_dataset().load()


def test_tiles_threads_and_the_order_of_adding_leave_no_trace(solved, tmp_path):
    A, D, photo = small_truth()
    path = tmp_path / "p.zarr"
    create_painting(path, photo, width_mm=170.0, transfer="linear")
    for name in "cab":
        small_patch(path, name, A, D)
    solve(joint_plan(path, tile=50), LocalExecutor(1))
    assert result_hash(path) == result_hash(solved[0])


def test_the_objective_never_rises(solved):
    objective = [line["objective"] for line in solved[1].history]
    assert len(objective) == OPTIONS.iterations
    assert (np.diff(objective) <= 1e-6 * objective[0]).all()
    assert objective[-1] < objective[0]


def test_factors_are_non_negative_and_the_layers_apart(solved):
    _, _, result = solved
    assert float(result.abundance.min()) >= 0
    assert float(result.endmember.min()) >= 0
    layer = result.layer.values
    assert (np.diff(layer) >= 0).all()
    assert set(layer) <= {0, 1}
    assert (layer == 0).sum() <= OPTIONS.atoms
    assert (layer == 1).sum() <= OPTIONS.hidden_atoms


def test_it_comes_nearer_to_the_truth_than_a_cubic_spline(solved):
    path, _, result = solved
    A, D, _ = small_truth()
    painting = open_painting(path)
    region = slice(20, 120), slice(20, 120)
    cubic = cubic_region(painting, region)
    joint = result.abundance.values[region] @ result.endmember.values
    truth = A[region] @ D
    error = [np.sqrt(np.nanmean((estimate - truth) ** 2)) for estimate in (joint, cubic)]
    assert error[0] < 0.6 * error[1]


def test_evidence_lies_between_nothing_and_all_and_fades_where_no_spot_is_near(solved):
    _, _, result = solved
    evidence = result.evidence.values
    assert evidence.min() >= 0
    assert evidence.max() <= 1
    assert evidence[60, 60] > 0.02
    assert evidence[229, 169] < 0.5 * evidence[60, 60]
    assert np.isfinite(result.abundance.values).all()


def test_counts_are_explained_up_to_their_noise(solved):
    path, _, _ = solved
    tree = xr.open_datatree(path, engine="zarr", consolidated=False)
    for name in "abc":
        chi = tree[f"results/r/fit/{name}/chi_square"].values
        assert 0.7 < np.median(chi) < 1.3


def test_the_bar_is_told_of_exactly_as_many_tasks_as_there_are(tmp_path):
    class Counting(Silent):
        expected = done = 0

        def expect(self, total):
            self.expected = total

        def advance(self, n=1):
            self.done += n

    path = tmp_path / "p.zarr"
    small_painting(path, "a")
    bar = Counting()
    solve(joint_plan(path), LocalExecutor(2), progress=bar)
    assert bar.done == bar.expected


def scanned(path, A, D, photo, factor=5):
    """A painting with one aligned scan of a truth."""
    side = len(A)
    create_painting(path, photo, width_mm=float(side), transfer="linear")
    spec = PatchSpec(
        shape=(side // factor, side // factor, D.shape[1]),
        dtype="u2",
        transform=placement(at_mm=(0, 0), step_mm=factor),
        energy_kev=0.1 + 0.2 * np.arange(D.shape[1]),
    )
    painted_patch(path, "a", spec, A, D)


@pytest.mark.parametrize("radius", [6, 12])
def test_what_is_in_one_place_that_was_not_sampled_is_found(tmp_path, monkeypatch, radius):
    """A line in a few spots alone, where neither the prior nor the endmembers were looked for at first."""
    monkeypatch.setattr(stages, "_PRIOR_BLOCKS", 3)
    monkeypatch.setattr(endmembers, "_BLOCKS", 3)
    A, D, photo = small_truth(250, 250, n_channel=48)
    D[:, 30:] = 0.2
    scanned(tmp_path / "without.zarr", A, D, photo)
    drawn = joint_plan(tmp_path / "without.zarr")
    unseen = next(b for b in Scan(drawn).all_blocks()[12:] if b not in Scan(drawn).sampled(3))
    y, x = np.mgrid[:250, :250]
    rare = np.hypot(y - (unseen.y0 + unseen.y1) / 2, x - (unseen.x0 + unseen.x1) / 2) < radius
    line = 80 * np.exp(-((np.arange(48) - 38.0) ** 2) / 3)
    A, D = np.concatenate([A, rare[..., None].astype("f4")], -1), np.concatenate([D, line[None]])
    path = tmp_path / "p.zarr"
    scanned(path, A, D, photo)
    solve(joint_plan(path), LocalExecutor(2))
    found = xs.open_result(path, "r").cube.values
    within = np.hypot(y - (unseen.y0 + unseen.y1) / 2, x - (unseen.x0 + unseen.x1) / 2) < 0.7 * radius
    assert found[within][:, 38].mean() == pytest.approx(80.0, rel=0.2)
    assert found[~rare][:, 38].mean() < 1.0
    hidden = xs.open_result(path, "r").xrf.hidden.cube.values
    assert hidden[within][:, 38].mean() > 0.8 * found[within][:, 38].mean()


@pytest.mark.parametrize("radius", [pytest.param(4, marks=pytest.mark.slow), 6])
def test_a_paint_of_a_few_spots_keeps_its_counts_and_takes_none_from_elsewhere(tmp_path, radius):
    """Few endmembers; the line is strong in two to five spots, and a faint background everywhere."""
    A, D, photo = small_truth(250, 250, n_channel=48)
    D[:, 30:] = 0.2
    y, x = np.mgrid[:250, :250]
    away = np.hypot(y - 130, x - 110)
    line = 80 * np.exp(-((np.arange(48) - 38.0) ** 2) / 3)
    A = np.concatenate([A, (away < radius)[..., None].astype("f4")], -1)
    D = np.concatenate([D, line[None]])
    path = tmp_path / "p.zarr"
    scanned(path, A, D, photo)
    solve(joint_plan(path), LocalExecutor(2))
    found, true = xs.open_result(path, "r").cube.values[..., 38], (A @ D)[..., 38]
    near = away < radius + 12
    assert found[near].sum() == pytest.approx(true[near].sum(), rel=0.15)
    assert found[away > radius + 40].mean() == pytest.approx(0.2, rel=0.15)


def test_every_spot_is_near_exactly_one_block_and_blocks_cover_the_painting(tmp_path):
    path = tmp_path / "p.zarr"
    small_painting(path)
    scan = Scan(joint_plan(path))
    seen = {name: np.zeros(n, int) for name, n in (("a", 36 * 30), ("b", 40 * 29), ("c", 400))}
    area = np.zeros((230, 170), int)
    for block in scan.all_blocks():
        area[block.slices] += 1
        for near in scan.near(block, 0):
            seen[near.patch.name][near.spots] += 1
    assert (area == 1).all()
    assert all((count == 1).all() for count in seen.values())


def test_a_wider_margin_never_loses_a_spot(tmp_path):
    path = tmp_path / "p.zarr"
    small_painting(path)
    scan = Scan(joint_plan(path))
    block = Rect(100, 150, 50, 100)
    narrow, wide = scan.near(block, 1), scan.near(block, 4)
    for near in narrow:
        (other,) = [w for w in wide if w.patch.name == near.patch.name]
        assert set(near.spots) < set(other.spots)


@pytest.mark.slow
def test_a_gain_is_taken_off(tmp_path):
    results = []
    for gain in (1.0, 4.0):
        path = tmp_path / f"{gain}.zarr"
        small_painting(path, "a", gain=gain)
        solve(joint_plan(path), LocalExecutor(2))
        tree = xr.open_datatree(path, engine="zarr", consolidated=False)
        result = tree["results/r"].to_dataset()
        results.append(result.abundance.values[50:100, 50:100] @ result.endmember.values)
    low, high = (r.sum(axis=2).mean() for r in results)
    assert abs(low / high - 1) < 0.02


def test_the_model_is_kept_as_it_was(tmp_path):
    path = tmp_path / "p.zarr"
    small_painting(path, "a")
    p = joint_plan(path)
    p.work.mkdir(parents=True)
    import zarr

    zarr.create_group(str(p.work), zarr_format=3)
    state, executor = stages.State(), LocalExecutor(2)
    for stage in (stages.find_basis, stages.describe, stages.learn_field):
        state = stage(p, state, executor, Silent())
    spectra, field = model.load_spectra(p), model.load_field(p, model.LEARNED)
    r = spectra.basis.shape[1]
    np.testing.assert_allclose(spectra.basis.T @ spectra.basis, np.eye(r), atol=1e-9)
    assert field.map.shape == (model.load_colours(p).n + 1, r)
    assert not field.sharp
