"""HDF5 and NeXus cubes: found by path, axes by name, read by rows."""

import os

import h5py
import numpy as np
import pytest

from xrfsr_dask.errors import InputError
from xrfsr_dask.readers import open_scan

CUBE = np.random.default_rng(1).integers(0, 50, (6, 5, 9)).astype("u2")  # y, x, energy
ENERGY_FIRST = np.ascontiguousarray(CUBE.transpose(2, 0, 1))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scan.h5"


def whole(scan):
    return np.concatenate([block for _, block in scan.blocks(4)])


def nexus(path, cube, axes, **coordinates):
    """An NXdata group with the names of its axes; coordinates as (values, unit)."""
    with h5py.File(path, "w") as file:
        group = file.create_group("entry/data")
        group.attrs["signal"], group.attrs["axes"] = "counts", axes
        group["counts"] = cube
        for name, (values, unit) in coordinates.items():
            group[name] = values
            group[name].attrs["units"] = unit
    return path


def test_the_only_cube_is_found_and_taken_as_y_x_energy(path):
    with h5py.File(path, "w") as file:
        file["a/b/counts"] = CUBE
        file["a/mask"] = np.zeros((6, 5))
        file["a/flags"] = np.zeros((2, 2, 2), bool)
    scan = open_scan(path)
    assert scan.shape == CUBE.shape
    assert scan.source.endswith("scan.h5:/a/b/counts")
    assert scan.energy_kev is None
    assert scan.step_mm is None
    np.testing.assert_array_equal(whole(scan), CUBE)


def test_a_cube_is_chosen_by_its_path(path):
    with h5py.File(path, "w") as file:
        file["one"], file["two"] = CUBE, CUBE + 1
    np.testing.assert_array_equal(whole(open_scan(path, inside="two")), CUBE + 1)


def test_several_cubes_are_listed(path):
    with h5py.File(path, "w") as file:
        file["one"], file["g/two"] = CUBE, CUBE[:3]
    with pytest.raises(
        InputError, match=r"holds no single cube.*/g/two \(3, 5, 9\), /one \(6, 5, 9\).*--inside PATH"
    ):
        open_scan(path)
    with pytest.raises(InputError, match=r"holds no cube at 'three'.*/one \(6, 5, 9\)"):
        open_scan(path, inside="three")
    with pytest.raises(InputError, match=r"holds no cube at 'g'.*/one"):
        open_scan(path, inside="g")


def test_a_file_without_a_cube_says_none(path):
    with h5py.File(path, "w") as file:
        file["image"] = np.zeros((4, 4))
    with pytest.raises(InputError, match="three-dimensional datasets are: none"):
        open_scan(path)


@pytest.mark.parametrize("as_text", [True, False])
def test_nexus_axes_give_order_energy_and_step(path, as_text):
    axes = ":".join(["energy", "x", "y"]) if as_text else ["energy", "x", "y"]
    cube = CUBE.transpose(2, 1, 0)
    energy = (-960 + 10.0 * np.arange(9), "eV")
    nexus(path, cube, axes, energy=energy, x=(0.5 * np.arange(5), "mm"), y=(500.0 * np.arange(6), "um"))
    scan = open_scan(path)
    np.testing.assert_array_equal(whole(scan), CUBE)
    np.testing.assert_allclose(scan.energy_kev, -0.96 + 0.01 * np.arange(9))
    assert scan.step_mm == pytest.approx(0.5)
    assert scan.calibration == "energy axis beside /entry/data/counts"


def test_a_coordinate_that_falls_is_said(path):
    nexus(path, CUBE, ["y", "x", "energy"], y=(-0.5 * np.arange(6), "mm"), x=(0.5 * np.arange(5), "mm"))
    scan = open_scan(path)
    np.testing.assert_array_equal(whole(scan), CUBE)
    (note,) = scan.notes
    assert "its y coordinate falls from spot to spot" in note


@pytest.mark.parametrize(
    ("axes", "words"),
    [(["energy", "energy", "x"], "more than one would be energy"), (["y", "row", "energy"], "would be y")],
)
def test_two_axes_of_one_name_are_asked_about(path, axes, words):
    nexus(path, CUBE, axes)
    with pytest.raises(InputError, match=words):
        open_scan(path)
    np.testing.assert_array_equal(whole(open_scan(path, inside="entry/data/counts[y,x,energy]")), CUBE)


@pytest.mark.parametrize(
    ("axes", "turned"),
    [
        (["mca", "y", "x"], (2, 0, 1)),
        (["Energy [keV]", "y", "x"], (2, 0, 1)),
        (["channel_number", "y", "x"], (2, 0, 1)),
        (["s", "y", "x"], (2, 0, 1)),
        (["x", ".", "energy"], (1, 0, 2)),
        (["samx", "samy", "energy"], (1, 0, 2)),
        (["nx", "ny", "nE"], (1, 0, 2)),
        (["xpos", "ypos", "energy"], (1, 0, 2)),
        (["sampleX", "sampleY", "energy"], (1, 0, 2)),
        (["tx", "ty", "energy"], (1, 0, 2)),
        (["z", "y", "energy"], (0, 1, 2)),
        (["samz", "samy", "energy"], (0, 1, 2)),
        (["x", "z", "energy"], (1, 0, 2)),
    ],
)
def test_names_of_many_kinds_say_which_axis_is_which(path, axes, turned):
    nexus(path, CUBE.transpose(turned), axes)
    np.testing.assert_array_equal(whole(open_scan(path)), CUBE)


def test_what_spectra_and_units_say_holds_where_names_say_nothing(path):
    nexus(path, ENERGY_FIRST, ["dim_0", "dim_1", "dim_2"])
    with h5py.File(path, "r+") as file:
        file["entry/data/counts"].attrs["interpretation"] = "image"
    np.testing.assert_array_equal(whole(open_scan(path)), CUBE)
    nexus(path, ENERGY_FIRST, ["dim_0", "dim_1", "dim_2"], dim_0=(0.02 * np.arange(9), "keV"))
    scan = open_scan(path)
    np.testing.assert_array_equal(whole(scan), CUBE)
    np.testing.assert_allclose(scan.energy_kev, 0.02 * np.arange(9))


def test_names_that_are_not_known_are_said(path):
    nexus(path, CUBE, ["slow", "fast", "energy"])
    (note,) = open_scan(path).notes
    assert "its axes 'slow' and 'fast' were taken for y and x" in note


def test_energies_beside_numbers_of_channels_are_used(path):
    nexus(path, CUBE, ["y", "x", "channel"], channel=(np.arange(9), ""), energy=(0.02 * np.arange(9), "keV"))
    np.testing.assert_allclose(open_scan(path).energy_kev, 0.02 * np.arange(9))


@pytest.mark.parametrize("step", [1, 4, 32])
def test_numbers_of_channels_are_no_energies(path, step):
    nexus(path, CUBE, ["y", "x", "channel"], channel=(step * np.arange(9), ""))
    scan = open_scan(path)
    assert scan.energy_kev is None
    assert scan.calibration == "what lies beside the cube counts the channels"


def test_a_unit_that_is_none_of_energy_is_named(path):
    nexus(path, CUBE, ["y", "x", "energy"], energy=(0.5 + np.arange(9), "J"))
    assert open_scan(path).calibration == "its unit 'J' is none of energy"


def test_a_scaling_that_is_not_applied_is_said(path):
    nexus(path, CUBE, ["y", "x", "energy"])
    with h5py.File(path, "r+") as file:
        file["entry/data/counts"].attrs["scaling_factor"] = 2.0
    assert open_scan(path).notes == (
        "scan.h5:/entry/data/counts says a scaling_factor, which was not applied.",
    )


def test_links_that_lead_nowhere_and_names_that_are_none_are_passed_over(path):
    nexus(path, CUBE, 5)
    with h5py.File(path, "r+") as file:
        file["entry/data/energy"] = h5py.SoftLink("/nowhere")
        file["entry/data/Energy"] = h5py.ExternalLink("none.h5", "/x")
    np.testing.assert_array_equal(whole(open_scan(path)), CUBE)


def test_the_older_nexus_attribute_and_names_with_a_prefix_are_understood(path):
    with h5py.File(path, "w") as file:
        file["g/c"] = ENERGY_FIRST
        file["g/c"].attrs["axes"] = "[photon_energy, sample_y, sample_x]"
    np.testing.assert_array_equal(whole(open_scan(path)), CUBE)


def test_dimension_labels_and_scales_are_understood(path):
    with h5py.File(path, "w") as file:
        file["c"], file["kev"] = ENERGY_FIRST, 0.02 * np.arange(9)
        file["kev"].make_scale("Energy")
        file["c"].dims[0].label = "Energy"
        file["c"].dims[0].attach_scale(file["kev"])
    scan = open_scan(path)
    np.testing.assert_array_equal(whole(scan), CUBE)
    np.testing.assert_allclose(scan.energy_kev, 0.02 * np.arange(9))


@pytest.mark.parametrize(("interpretation", "cube"), [("spectrum", CUBE), ("image", ENERGY_FIRST)])
def test_the_interpretation_of_nexus_is_understood(path, interpretation, cube):
    with h5py.File(path, "w") as file:
        file["c"] = cube
        file["c"].attrs["interpretation"] = np.bytes_(interpretation)
    np.testing.assert_array_equal(whole(open_scan(path)), CUBE)


def test_an_energy_beside_the_cube_tells_the_axis_it_fits(path):
    with h5py.File(path, "w") as file:
        file["MAPS/Spectra/mca_arr"], file["MAPS/Spectra/Energy"] = ENERGY_FIRST, 10.0 * np.arange(9)
        file["MAPS/Spectra/Energy"].attrs["units"] = "eV"
    scan = open_scan(path, inside="MAPS/Spectra/mca_arr")
    np.testing.assert_array_equal(whole(scan), CUBE)
    np.testing.assert_allclose(scan.energy_kev, 0.01 * np.arange(9))


@pytest.mark.parametrize("unit", ["keV", "kiloelectronvolt", "kilo electron volts"])
def test_edges_of_channels_give_their_centres(path, unit):
    with h5py.File(path, "w") as file:
        file["a"], file["energy"] = ENERGY_FIRST, 0.1 * np.arange(10)
        file["energy"].attrs["units"] = unit
    scan = open_scan(path)
    np.testing.assert_array_equal(whole(scan), CUBE)
    np.testing.assert_allclose(scan.energy_kev, 0.05 + 0.1 * np.arange(9))


def test_a_long_first_axis_without_a_name_is_asked_about(path):
    cube = np.zeros((130, 3, 4), "u2")
    cube[7, 1, 2] = 5
    with h5py.File(path, "w") as file:
        file["g/c"] = cube
    with pytest.raises(
        InputError, match=r"does not say which axis is the energy.*--inside '/g/c\[energy,y,x\]'"
    ):
        open_scan(path)
    assert whole(open_scan(path, inside="g/c[energy,y,x]"))[1, 2, 7] == 5
    assert whole(open_scan(path, inside="g/c[y,x,energy]"))[7, 1, 2] == 5
    assert whole(open_scan(path, inside="[energy, x, y]"))[2, 1, 7] == 5


def test_names_that_are_no_axes_are_refused(path):
    with h5py.File(path, "w") as file:
        file["c"] = CUBE
    with pytest.raises(InputError, match="the axes must be y, x and energy in some order"):
        open_scan(path, inside="c[y,x,t]")


@pytest.mark.parametrize("chunks", [(1, 5, 9), (6, 5, 1)])
def test_a_compressed_cube_is_read_by_rows(path, chunks):
    with h5py.File(path, "w") as file:
        file.create_dataset("c", data=CUBE, chunks=chunks, compression="gzip")
    scan = open_scan(path)
    np.testing.assert_array_equal(scan.read(slice(2, 5), slice(None)), CUBE[2:5])


def test_a_damaged_file_is_refused(path):
    path.write_bytes(b"no HDF5")
    with pytest.raises(InputError, match=r"scan\.h5 cannot be read as HDF5"):
        open_scan(path)


def test_a_truncated_file_is_refused(path):
    with h5py.File(path, "w") as file:
        file["c"] = CUBE
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(InputError, match=r"scan\.h5 cannot be read as HDF5"):
        open_scan(path)


def test_a_chunk_that_cannot_be_decompressed_names_the_rows(path):
    with h5py.File(path, "w") as file:
        data = file.create_dataset("c", data=CUBE, chunks=(2, 5, 9), compression="gzip")
        data.id.write_direct_chunk((2, 0, 0), b"not gzip")
    scan = open_scan(path)
    np.testing.assert_array_equal(scan.read(slice(0, 2), slice(None)), CUBE[:2])
    with pytest.raises(InputError, match=r"scan\.h5:/c, rows 2 to 4, cannot be read"):
        scan.read(slice(2, 4), slice(None))


def test_what_a_file_does_not_hold_is_told_or_refused(path):
    with h5py.File(path, "w") as file:
        cut = file.create_dataset("counts", CUBE.shape, "u2", chunks=(2, 5, 9))
        cut[:2] = CUBE[:2]
    assert open_scan(path).notes == ("2 of 3 blocks of /counts were never written; they count as zeros",)
    with h5py.File(path, "w") as file:
        file.create_dataset("counts", CUBE.shape, "u2")
    assert open_scan(path).notes == ("1 of 1 blocks of /counts were never written; they count as zeros",)
    layout = h5py.VirtualLayout(CUBE.shape, "u2")
    for i, name in enumerate(("a.h5", "b.h5")):
        with h5py.File(path.with_name(name), "w") as file:
            file["part"] = CUBE[3 * i : 3 * i + 3]
        layout[3 * i : 3 * i + 3] = h5py.VirtualSource(name, "part", (3, *CUBE.shape[1:]))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("counts", layout)
    assert open_scan(path).notes == ()
    np.testing.assert_array_equal(whole(open_scan(path)), CUBE)
    path.with_name("b.h5").unlink()
    with pytest.raises(InputError, match=r"takes counts from b.h5, which is missing"):
        open_scan(path)


def test_a_pipe_is_no_scan(tmp_path):
    for suffix in (".npy", ".h5", ".hspy", ".rpl"):
        os.mkfifo(tmp_path / f"scan{suffix}")
        with pytest.raises(InputError, match="is a pipe or a device; a file is needed"):
            open_scan(tmp_path / f"scan{suffix}")


def test_a_cube_without_any_values_is_refused_by_its_shape(tmp_path):
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file.create_dataset("counts", shape=(0, 4, 4), dtype="u2")
    with pytest.raises(InputError, match=r"no data|shape"):
        open_scan(tmp_path / "e.h5")
