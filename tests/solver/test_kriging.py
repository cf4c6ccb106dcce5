"""The systems of the spots around every block are solved once, and what they give is kept."""

import dataclasses
import shutil

import numpy as np
import pytest
from helpers import small_painting
from solver.test_solve import plan

from xrfsr_dask.errors import DamagedStoreError
from xrfsr_dask.kernels.cokriging import krige, solved
from xrfsr_dask.options import SolveOptions
from xrfsr_dask.progress import Silent
from xrfsr_dask.solver import state as states
from xrfsr_dask.solver.joint import kriging, model, stages
from xrfsr_dask.solver.joint.desk import Desk
from xrfsr_dask.solver.joint.kriging import krige_area, kriged
from xrfsr_dask.solver.joint.picture import neighbours
from xrfsr_dask.solver.joint.scan import MARGINS, Scan
from xrfsr_dask.solver.run import NEAR_SPOTS
from xrfsr_dask.store import PatchSpec, add_patch, create_painting, placement
from xrfsr_dask.store.arrays import place_of
from xrfsr_dask.store.patches import CHUNK_SPOTS
from xrfsr_dask.tiling.executor import LocalExecutor
from xrfsr_dask.tiling.grid import Rect

OPTIONS = SolveOptions(atoms=8, hidden_atoms=4, iterations=2, tolerance=0)
BEFORE = (stages.find_basis, stages.describe, stages.place, stages.learn_field)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A run that has learned its field, and holds its lock; tests may leave weights there, or none."""
    path = tmp_path_factory.mktemp("learned") / "p.zarr"
    small_painting(path)
    run = plan(path, options=OPTIONS)
    with states.locked(run):
        state = stages.State()
        for stage in BEFORE:
            state = stage(run, state, LocalExecutor(2), Silent())
        yield run, state


def asked(run, block):
    """What `kriged` is asked."""
    desk = Desk(run)
    field = desk.field(model.LEARNED)
    spots = neighbours(desk, desk.scan.gathered(block, MARGINS, NEAR_SPOTS), field)
    return desk, block, spots, field.at(spots).prior


def test_what_is_kept_of_a_block_is_what_its_spots_say(learned):
    run, state = learned
    stages.krige(run, state, LocalExecutor(2), Silent())
    for block in Scan(run).all_blocks():
        desk, block, spots, prior = asked(run, block)
        kept, alone = kriged(desk, block, spots, prior), krige(spots, prior)
        for name in ("drifting", "hidden"):
            np.testing.assert_array_equal(getattr(kept, name), getattr(alone, name))
        assert (kept.hidden != 0).any()


def test_blocks_that_an_interrupted_pass_wrote_are_not_solved_again(learned, monkeypatch):
    run, state = learned
    stages.krige(run, state, LocalExecutor(2), Silent())
    folder = place_of(model.open_weights(run)) / "c"
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    was = {file: file.read_bytes() for file in files}
    assert len(was) == np.prod(Scan(run).grid)
    files[1].unlink()
    again = []
    monkeypatch.setattr(kriging, "solved", lambda *of: again.append(of) or solved(*of))
    stages.krige(run, state, LocalExecutor(1), Silent())
    assert len(again) == 1
    assert {file: file.read_bytes() for file in files} == was


def test_a_block_that_is_not_there_is_told_by_name(learned):
    run, state = learned
    stages.krige(run, state, LocalExecutor(2), Silent())
    block = Scan(run).all_blocks()[0]
    (place_of(model.open_weights(run)) / "c" / "0" / "0" / "0" / "0").unlink()
    with pytest.raises(DamagedStoreError, match="weights"):
        kriged(*asked(run, block))


def test_weights_go_once_all_abundances_are_there(learned):
    run, state = learned
    executor = LocalExecutor(2)
    for stage in (stages.krige, stages.find_endmembers):
        state = states.save(run, stage(run, state, executor, Silent()))
    there = run.work / "weights-000000"
    assert there.is_dir()
    state = states.save(run, state.moved(passes=6))
    whole = stages.with_layers(run, state)
    states.save(whole, stages.unmix(whole, state, executor, Silent()).moved(passes=7))
    assert not there.exists()


@pytest.mark.parametrize("lost", ["zarr.json", "weight/zarr.json"])
def test_weights_that_do_not_fit_any_more_are_made_anew(learned, lost):
    run, state = learned
    stages.krige(run, state, LocalExecutor(2), Silent())
    whole = model.open_weights(run)[:]
    (run.work / "weights-000000" / lost).unlink()
    stages.krige(run, state, LocalExecutor(2), Silent())
    np.testing.assert_array_equal(model.open_weights(run)[:], whole)
    shutil.rmtree(run.work / "weights-000000")
    model.new_weights(run, Scan(run).grid, 3)  # as if fewer spots had been there
    stages.krige(run, state, LocalExecutor(2), Silent())
    np.testing.assert_array_equal(model.open_weights(run)[:], whole)


def test_nothing_is_kept_where_edges_are_sought(learned):
    run, state = learned
    shutil.rmtree(run.work / "weights-000000", ignore_errors=True)
    field = model.load_field(run, model.LEARNED)
    model.save_field(run, model.LEARNED, dataclasses.replace(field, sharp=True))
    stages.krige(run, state, LocalExecutor(1), Silent())
    model.save_field(run, model.LEARNED, field)
    assert not (run.work / "weights-000000").exists()


def test_late_tasks_write_the_same(learned):
    run, state = learned
    stages.krige(run, state, LocalExecutor(2), Silent())
    before = model.open_weights(run)[:]
    krige_area(run, Scan(run).areas()[0])
    np.testing.assert_array_equal(model.open_weights(run)[:], before)


def scan_of(tmp_path, shape, patches):
    """Patches of (spots, step px, corner px, turn in degrees) over a photograph of `shape`, 1 px a mm."""
    path = tmp_path / "p.zarr"
    create_painting(path, np.zeros((*shape, 3), "u1"), width_mm=float(shape[1]))
    for i, (spots, step, corner, turn) in enumerate(patches):
        spec = PatchSpec(
            shape=(*spots, 8),
            dtype="u2",
            transform=placement(at_mm=corner, step_mm=step, rotation_deg=turn),
            energy_kev=0.1 + 0.2 * np.arange(8),
            spot_mm=step,
            footprint="box",
        )
        counts, rows = np.ones(spec.shape, "u2"), range(0, spots[0], CHUNK_SPOTS)
        add_patch(path, f"p{i}", spec, ((row, counts[row : row + CHUNK_SPOTS]) for row in rows))
    return Scan(plan(path, options=OPTIONS))


SCANS = {
    "aligned": ((150, 200), [((20, 30), 5.0, (10, 20), 0.0)]),
    "fine": ((130, 110), [((50, 40), 2.0, (7, 9), 3.0)]),
    "overlapping": ((130, 110), [((20, 15), 5.0, (7, 9), 3.0), ((30, 30), 3.0, (20, 10), -8.0)]),
    "to the edges": ((100, 120), [((20, 24), 5.0, (-2.0, -2.0), 0.0)]),
    "few": ((60, 300), [((3, 4), 5.0, (10, 200), 20.0)]),
}


@pytest.mark.parametrize("which", SCANS)
@pytest.mark.parametrize("most", [60, 900])
def test_no_block_gathers_more_spots_than_are_made_room_for(which, most, tmp_path):
    scan = scan_of(tmp_path, *SCANS[which])
    found = [sum(len(n.spots) for n in scan.gathered(b, MARGINS, most)) for b in scan.all_blocks()]
    room = scan.most_gathered(MARGINS, most)
    assert max(found) <= room <= max(most, 2 * max(found))


@pytest.mark.parametrize("which", SCANS)
def test_blocks_are_counted_row_by_row_and_column_by_column(which, tmp_path):
    scan = scan_of(tmp_path, *SCANS[which])
    blocks = sorted(scan.all_blocks(), key=lambda block: (block.y0, block.x0))
    rows, columns = scan.grid
    assert [scan.index_of(block) for block in blocks] == [(i, j) for i in range(rows) for j in range(columns)]
    ny, nx = scan.plan.painting.shape
    assert scan.index_of(Rect(0, 1, 0, 1)) == (0, 0)
    assert scan.index_of(Rect(ny - 1, ny, nx - 1, nx)) == (rows - 1, columns - 1)
