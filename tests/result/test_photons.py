"""Photons of the lines of endmembers are stored with a large result, and found anew for other axes."""

import shutil

import numpy as np
import pytest
from helpers import levels_from
from result.test_overlaps import measured, scene

from xrfsr_dask.errors import DamagedStoreError, InputError
from xrfsr_dask.options import RunOptions, SolveOptions
from xrfsr_dask.result import open_result
from xrfsr_dask.result import photons as of_shells
from xrfsr_dask.result.factors import Factors
from xrfsr_dask.result.mixtures import mixtures_of
from xrfsr_dask.result.photons import found_photons
from xrfsr_dask.solver import plan_run, solve
from xrfsr_dask.store import PatchSpec, add_patch, create_painting, open_painting, placement
from xrfsr_dask.store.arrays import open_array, open_group, write
from xrfsr_dask.store.check import check_store
from xrfsr_dask.store.metadata import set_attributes
from xrfsr_dask.store.places import as_place
from xrfsr_dask.store.results import PHOTONS
from xrfsr_dask.tiling.executor import LocalExecutor


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A painting of one patch solved as a large one is."""
    path = tmp_path_factory.mktemp("photons") / "p.zarr"
    ds, counts = scene("lead"), measured("lead").counts.values.astype("u2")
    ny, nx = counts.shape[:2]
    photo = np.broadcast_to(ds.abundance.values[..., :3] * 200, (ny, nx, 3)).astype("u1")
    create_painting(path, photo, width_mm=float(nx))
    place, energy = placement(at_mm=(0, 0), step_mm=1), ds.energy.values
    spec = PatchSpec(shape=counts.shape, dtype="u2", transform=place, energy_kev=energy)
    add_patch(path, "a", spec, ((row, counts[row : row + 32]) for row in range(0, ny, 32)))
    options = SolveOptions(method="paper", atoms=6, iterations=1, steps=3)
    with levels_from(10):
        solve(
            plan_run(open_painting(path), name="r", options=options, resources=RunOptions(), slots=1),
            LocalExecutor(1),
        )
    return path


def counts_of(ds):
    lines = {"Pb": "La", "As": "Ka", "Cr": "Ka", "Cu": "Ka"}
    return [Factors(ds).per_atom(element, line, "all") for element, line in lines.items()]


def forbidden(*args):
    raise AssertionError("lines were fitted")


@pytest.fixture
def unfitted(monkeypatch):
    """Nothing may be fitted."""
    monkeypatch.setattr("xrfsr_dask.result.factors.found_photons", forbidden)


def test_a_large_result_is_answered_from_its_store(store, unfitted):
    ds = open_result(store, "r")
    for part in (ds, ds.xrf.hidden, ds.xrf.visible, ds.isel(y=slice(0, 8)), ds.isel(atom=[2, 0])):
        assert counts_of(part)


def test_what_is_stored_is_what_is_found(store, monkeypatch):
    ds = open_result(store, "r")
    parts = (ds, ds.xrf.hidden.isel(y=slice(0, 8), atom=[2, 0]))
    right = [counts_of(part) for part in parts]
    assert sum(counts.sum() for counts in right[0]) > 0
    monkeypatch.setattr("xrfsr_dask.result.factors.stored_photons", lambda ds: None)
    for part, stored in zip(parts, right, strict=True):
        assert np.array_equal(counts_of(part), stored)


def test_other_axes_and_spectra_and_recognitions_are_fitted(store, unfitted, monkeypatch):
    ds = open_result(store, "r")
    for other in (
        ds.assign_coords(energy=ds.energy + 0.01),
        ds.assign(endmember=2 * ds.endmember),
        ds.isel(energy=slice(0, 900)),
        open_result(store, "r").load().drop_encoding(),
    ):
        with pytest.raises(AssertionError, match="were fitted"):
            counts_of(other)
    with pytest.raises(AssertionError, match="were fitted"):
        Factors(ds).per_atom("W", "La", "all")  # none of the usual elements
    monkeypatch.setattr(of_shells, "RECOGNITION", of_shells.RECOGNITION + 1)
    with pytest.raises(AssertionError, match="were fitted"):
        counts_of(ds)


def harm_chunk(path):
    (chunk,) = (file for file in (path / "results/r" / PHOTONS / "c").rglob("*") if file.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"?")


def names(shells):
    def harm(path):
        set_attributes(as_place(path) / "results/r" / PHOTONS, {"shells": shells})

    return harm


def fewer_than_none(path):
    array = open_array(open_group(path / "results/r", mode="r+"), PHOTONS)
    write(array, ..., -array[...] - 1.0)


def no_metadata(path):
    (path / "results/r" / PHOTONS / "zarr.json").unlink()


@pytest.mark.parametrize(
    "harm",
    [
        harm_chunk, no_metadata, fewer_than_none,
        names(["Pb L"]), names(["Qq L", "Pb"]), names(3), names([1]), names(["", " "]),
    ],
)  # fmt: skip
def test_what_is_damaged_is_told_by_name(store, tmp_path, harm):
    path = shutil.copytree(store, tmp_path / "p.zarr")
    harm(path)
    with pytest.raises(DamagedStoreError, match=f"results/r/{PHOTONS}"):
        counts_of(open_result(path, "r"))


def test_damage_is_told_by_a_check(store, tmp_path):
    path = shutil.copytree(store, tmp_path / "p.zarr")
    harm_chunk(path)
    assert [damage.place.split("/c/")[0] for damage in check_store(path).damage] == [f"results/r/{PHOTONS}"]


def test_shells_are_named_and_the_tubes_are_left_out(store):
    array = open_array(open_group(store / "results/r"), PHOTONS)
    told = array.attrs["shells"]
    assert array.shape == (open_result(store, "r").sizes["atom"], len(told))
    assert {"Pb L", "As K", "Cr K", "Cu K"} <= set(told)
    assert not any(name.startswith("tube") for name in told)
    assert (array[...] >= 0).all()


def test_an_axis_without_lines_has_none():
    ds = scene("lead")
    with pytest.raises(InputError, match="no line"):
        found_photons(mixtures_of(ds), np.linspace(60.0, 70.0, ds.sizes["energy"]), 100.0)


# Where this fails, lines are fitted otherwise than before: raise RECOGNITION, and write down what is found now.
FOUND = (
    1,
    {
        (0, "Pb L"): 1492.68,
        (1, "As K"): 1584.99,
        (1, "Cu K"): 1836.63,
        (2, "Cr K"): 571.953,
        (3, "Hg L"): 260.296,
    },
    7617.91,
)


def test_the_number_of_the_recognition_is_that_of_what_is_found():
    number, photons, total = FOUND
    ds = scene("lead")
    found = found_photons(mixtures_of(ds), ds.energy.values, 5893.0)
    names = [f"{shell.element} {shell.shell}" for shell in found.shells]
    told = {(n, name): found.of[n, names.index(name)] for n, name in photons}
    assert told == pytest.approx(photons, rel=1e-4)
    assert found.of.sum() == pytest.approx(total, rel=1e-4)
    assert number == of_shells.RECOGNITION
