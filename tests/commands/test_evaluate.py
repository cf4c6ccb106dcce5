import json

import numpy as np
import pytest
from helpers import SHARED, small_truth
from PIL import Image

from xrfsr_dask.commands.evaluate import evaluate
from xrfsr_dask.errors import InputError, MemoryBudgetError, OptionError, XrfsrError
from xrfsr_dask.options import EVALUATED, EvaluateOptions, RunOptions, SolveOptions

QUICK = SolveOptions(atoms=8, iterations=4, prox="simplex")


@pytest.fixture
def scan(tmp_path):
    """A fine scan of known structure, its photograph, and one that does not fit."""
    A, D, photo = small_truth(n_channel=120)
    A, photo = A[:83, :70], photo[:83, :70]
    np.save(tmp_path / "scan.npy", np.random.default_rng(0).poisson(0.2 * A @ D).astype("u2"))
    Image.fromarray(photo).save(tmp_path / "photo.png")
    Image.fromarray(photo[:40]).save(tmp_path / "other.png")
    return tmp_path


def run(folder, photo="photo.png", scan="scan.npy", resources=None, **changes):
    options = EvaluateOptions(**({"factor": 5, "elements": ("Ca", "K")} | changes))
    return evaluate(
        folder / scan,
        photo=photo if photo == "embedded" else str(folder / photo),
        out=folder / "out",
        options=options,
        solve=QUICK,
        resources=resources or RunOptions(workers=2),
        calibration="0.0,0.04",
    )


def test_a_scan_is_split_solved_and_judged(scan):
    found = run(scan)
    assert [row["method"] for row in found["metrics"]] == ["cubic", "paper", "joint"]
    for row in found["metrics"]:
        assert row["pixels"] == 80 * 70
        assert 0 < row["sam_deg"] < 90
    assert [row["element"] for row in found["correlation"]] == ["Ca Ka", "K Ka"]
    assert found["notes"][-1] == "cut to 70 x 80 spots, whole bins of 5 x 5"
    saved = json.loads((scan / "out" / "evaluate.json").read_text())
    assert saved["metrics"] == found["metrics"]
    assert (scan / "out" / "evaluate.png").stat().st_size > 20_000
    assert "PSNR" in (scan / "out" / "evaluate.txt").read_text()


def test_all_methods_are_compared_when_asked(scan):
    corner = slice(0, 43), slice(0, 35)  # `gsomp` takes seconds for a thousand pixels
    np.save(scan / "corner.npy", np.load(scan / "scan.npy")[corner])
    Image.fromarray(np.asarray(Image.open(scan / "photo.png"))[corner]).save(scan / "corner.png")
    found = run(scan, "corner.png", "corner.npy", methods=("all",))
    assert [row["method"] for row in found["metrics"]] == list(EVALUATED)
    assert all(np.isfinite(row["psnr_db"]) for row in found["metrics"])


def test_a_method_that_does_not_fit_is_left_out_of_all_and_refused_by_name(scan, monkeypatch):
    monkeypatch.setattr("xrfsr_dask.commands.evaluate.EVALUATED", ("cubic", "nssr"))
    little = RunOptions(workers=1, memory=3_000_000)
    found = run(scan, methods=("all",), resources=little)
    assert [row["method"] for row in found["metrics"]] == ["cubic"]
    assert found["notes"][-1].startswith("left out: method 'nssr' holds a scene in memory and needs ")
    with pytest.raises(MemoryBudgetError, match=r"method 'nssr' .* the limit is 3 MB"):
        run(scan, methods=("nssr",), resources=little)


def test_a_method_that_does_not_fit_is_refused_before_any_other_runs(scan, monkeypatch):
    monkeypatch.setattr("xrfsr_dask.commands.evaluate._rows", lambda *_: pytest.fail("ran"))
    little = RunOptions(workers=1, memory=3_000_000)
    with pytest.raises(MemoryBudgetError, match=r"method 'nssr' .* the limit is 3 MB"):
        run(scan, methods=("cubic", "nssr"), resources=little)
    with pytest.raises(MemoryBudgetError, match="raise --memory"):
        run(scan, methods=("cubic", "joint"), resources=little)


def test_the_split_depends_on_the_seed_and_on_nothing_else(scan):
    first, again, other = (run(scan, methods=("cubic",), seed=seed)["metrics"] for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"photo": "embedded"}, "holds no image on the scan's grid; give --photo FILE"),
        ({"photo": "other.png"}, "has 70 x 40 px, the scan .* 70 x 83 spots; one pixel per spot is needed"),
        ({"factor": 90}, "fewer than a factor of 90"),
        (
            {"factor": 70},
            "70 x 83 spots, of which a factor of 70 leaves a single coarse one, .* a factor of at most 41",
        ),
        ({"elements": ("Xx",)}, "'Xx' is no chemical element"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(scan, change, words):
    with pytest.raises(InputError, match=words):
        run(scan, **change)
    assert not (scan / "out").exists()


def test_fractions_of_counts_cannot_be_split(scan):
    np.save(scan / "half.npy", np.full((10, 10, 120), 0.5, "f4"))
    Image.fromarray(np.zeros((10, 10, 3), "u1")).save(scan / "black.png")
    with pytest.raises(InputError, match=r"row 0, column 0, channel 0 is 0.5; only whole counts"):
        run(scan, scan="half.npy", photo="black.png")


def test_unknown_methods_are_refused():
    with pytest.raises(OptionError, match=f"unknown method 'magic'; choose among: {', '.join(EVALUATED)}, all"):
        EvaluateOptions(factor=2, methods=("magic",))


@pytest.mark.slow
def test_a_real_map_is_evaluated_with_its_own_image(tmp_path):
    path = SHARED / "sem_eds" / "30x30_instructively_packed_16bit_compressed.bcf"
    if not path.exists():
        pytest.skip("the real maps are not beside this checkout")
    found = evaluate(
        path,
        photo="embedded",
        out=tmp_path,
        options=EvaluateOptions(factor=3, elements=("Si", "Fe", "Ti")),
        solve=QUICK,
        resources=RunOptions(workers=2),
    )
    assert all(row["paper"] > 0.5 for row in found["correlation"])


@pytest.mark.parametrize(
    ("resources", "changes", "words"),
    [
        (RunOptions(tile=7), {}, "7"),
        (RunOptions(scheduler="tcp://127.0.0.1:1"), {"methods": ("cubic",)}, "no Dask scheduler answers"),
        (None, {"elements": ("Xx",)}, "'Xx' is no chemical element"),
    ],
)
def test_what_is_asked_for_is_checked_before_the_counts_are_read(scan, monkeypatch, resources, changes, words):
    monkeypatch.setattr("xrfsr_dask.commands.evaluate.prepare", lambda *_, **__: pytest.fail("read"))
    with pytest.raises(XrfsrError, match=words):
        run(scan, resources=resources, **changes)
    assert not (scan / "out").exists()
