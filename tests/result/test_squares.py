"""Which elements there are is asked of the mean spectra of squares of spots, not of all counts."""

import shutil

import numpy as np
import pytest
from result.test_overlaps import measured, scene

from xrfsr_dask.errors import StoreError
from xrfsr_dask.result import measured as measuring
from xrfsr_dask.result import open_patch, open_result
from xrfsr_dask.result.measured import Measured
from xrfsr_dask.store import PatchSpec, add_patch, create_painting, open_painting, placement
from xrfsr_dask.store.arrays import open_group, write_values
from xrfsr_dask.store.contents import ARRAYS
from xrfsr_dask.store.metadata import seal, set_attributes
from xrfsr_dask.store.patches import SQUARE_MEAN
from xrfsr_dask.store.results import new_result
from xrfsr_dask.store.staging import staged


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A painting with one patch of one spot a pixel, and its truth as a result."""
    path = tmp_path_factory.mktemp("squares") / "p.zarr"
    ds, counts = scene("lead"), measured("lead").counts.values.astype("u2")
    ny, nx = counts.shape[:2]
    create_painting(path, np.full((ny, nx, 3), 90, "u1"), width_mm=float(nx))
    place, energy = placement(at_mm=(0, 0), step_mm=1), ds.energy.values
    spec = PatchSpec(shape=counts.shape, dtype="u2", transform=place, energy_kev=energy)
    add_patch(path, "a", spec, ((row, counts[row : row + 32]) for row in range(0, ny, 32)))
    with staged(path, "results/r") as group:
        layout = {"shape": (ny, nx), "pitch_mm": 1.0, "cell": 50, "attrs": {"method": "r"}}
        D, layer = ds.endmember.values, [0, 0, 1, 1]
        new_result(group, endmember=D, layer=layer, energy_kev=energy, **layout)[...] = ds.abundance.values
        group["coverage"][...] = np.ones((ny, nx), "f4")
    return path


def test_elements_of_a_result_are_told_without_its_counts(store, tmp_path):
    right = open_result(store, "r").xrf.elements()
    assert {"Pb", "As", "Cr"} <= set(right.index)
    without = shutil.copytree(store, tmp_path / "p.zarr")
    shutil.rmtree(without / "patches" / "a" / "counts" / "c" / "0")
    assert open_result(without, "r").xrf.elements().equals(right)


def test_a_layer_and_a_piece_list_what_they_hold_themselves(store):
    """The patches show all that the painting holds; another layer's elements are none of this one's."""
    ds = open_result(store, "r")
    visible = set(ds.xrf.elements().index)
    for part in (ds.xrf.hidden, ds.xrf.visible, ds.isel(y=slice(0, 8), x=slice(0, 8))):
        found = part.xrf.elements()
        assert set(found.index) <= visible
        assert (found.counts > 0).all()
        total = part.xrf.mean_spectrum().sum().item()
        assert (found.counts > 1e-6 * total).all()
    layers = [set(part.xrf.elements().index) for part in (ds.xrf.visible, ds.xrf.hidden)]
    assert layers[0] != layers[1]


def test_a_store_without_squares_has_its_counts_read_for_them(store, tmp_path):
    right = open_result(store, "r").xrf.elements()
    old = shutil.copytree(store, tmp_path / "p.zarr")
    shutil.rmtree(old / "patches" / "a" / SQUARE_MEAN)
    set_attributes(old / "patches" / "a", {ARRAYS: ["counts", "energy", "mean_spectrum"]})
    assert open_painting(old).patch("a").square_means() is None
    found = open_result(old, "r").xrf.elements()
    assert list(found.index) == list(right.index)
    np.testing.assert_allclose(found.errors, right.errors, rtol=1e-3)


@pytest.mark.parametrize("most", [1, 4, 7, 1000])
def test_squares_of_a_large_scan_are_put_together(store, monkeypatch, most):
    monkeypatch.setattr(measuring, "_MOST_SQUARES", most)
    ds, patch = open_patch(store, "a"), open_painting(store).patch("a")
    for source in (Measured(ds), Measured(ds, patch.square_means())):
        means, exposure = source._blocks()
        assert len(means) <= most
        assert exposure.sum() == 83 * 71
        np.testing.assert_allclose(
            exposure @ means / exposure.sum(), patch.mean_spectrum(), rtol=1e-5, atol=1e-9
        )


@pytest.mark.parametrize("harm", ["cut", "gone", "folder", "shape"])
def test_harm_to_the_squares_is_told_and_never_passed_over(store, tmp_path, harm):
    path = shutil.copytree(store, tmp_path / "p.zarr")
    folder = path / "patches" / "a" / SQUARE_MEAN
    meta = folder / "zarr.json"
    if harm == "cut":
        meta.write_bytes(meta.read_bytes()[:100])
    elif harm == "gone":
        meta.unlink()
    else:
        shutil.rmtree(folder)
        if harm == "shape":
            write_values(
                open_group(folder.parent, mode="r+"),
                SQUARE_MEAN,
                np.ones((2, 2, 4096), "f4"),
                ("a", "b", "energy"),
            )
            seal(folder)
    with pytest.raises(StoreError, match=SQUARE_MEAN):
        open_result(path, "r").xrf.elements()
