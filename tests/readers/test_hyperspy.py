"""HyperSpy's files: .hspy as rosettasciio writes it, .zspy laid out as it does with Zarr 2."""

import shutil

import h5py
import numpy as np
import pytest
import zarr

from xrfsr_dask.errors import InputError, OptionError
from xrfsr_dask.readers import energy_axis, open_scan

CUBE = np.random.default_rng(2).integers(0, 9, (6, 5, 8)).astype("u2")
AXES = [
    {"name": "y", "size": 6, "scale": 0.4, "offset": 0.0, "units": "mm", "navigate": True},
    {"name": "x", "size": 5, "scale": 400.0, "offset": 0.0, "units": "µm", "navigate": True},
    {"name": "Energy", "size": 8, "scale": 10.0, "offset": -955.0, "units": "eV", "navigate": False},
]


def write_zspy(path, *titles):
    root = zarr.open_group(str(path), mode="w", zarr_format=2)
    for number, title in enumerate(titles):
        group = root.create_group(f"Experiments/{title}")
        group.create_array("data", shape=CUBE.shape, dtype="u2", chunks=(2, 5, 8))[:] = CUBE + number
        for i, axis in enumerate(AXES):
            group.create_group(f"axis-{i}", attributes=axis)
    return path


def check(scan):
    np.testing.assert_array_equal(np.concatenate([block for _, block in scan.blocks(4)]), CUBE)
    np.testing.assert_allclose(scan.energy_kev, -0.955 + 0.01 * np.arange(8))
    assert scan.step_mm == pytest.approx(0.4)
    assert scan.image is None


@pytest.mark.parametrize("uneven", [False, True])
def test_an_hspy_file_as_rosettasciio_writes_it_is_read(tmp_path, uneven):
    writer = pytest.importorskip("rsciio.hspy", reason="needs the [bruker] extra")
    axes = [axis | {"index_in_array": i, "is_binned": False} for i, axis in enumerate(AXES)]
    if uneven:
        axes[2] = {"name": "Energy", "axis": np.arange(8) * 10.0 - 955.0, "units": "eV", "navigate": False}
    metadata = {
        "General": {"title": "map"},
        "Sample": {"elements": ["Fe", "Pb"]},
        "Signal": {"signal_type": ""},
    }
    signal = {"data": CUBE, "axes": axes, "metadata": metadata, "original_metadata": {}}
    parts = ("learning_results", "package_info", "tmp_parameters", "models")
    writer.file_writer(
        str(tmp_path / "scan.hspy"),
        signal | {"attributes": {"_lazy": False, "ragged": False}} | {part: {} for part in parts},
    )
    scan = open_scan(tmp_path / "scan.hspy")
    check(scan)
    assert scan.elements == ("Fe", "Pb")


def test_a_zspy_folder_is_read_by_rows(tmp_path):
    check(open_scan(write_zspy(tmp_path / "scan.zspy", "map")))


def test_a_zipped_zspy_is_read(tmp_path):
    shutil.make_archive(str(tmp_path / "packed"), "zip", write_zspy(tmp_path / "scan", "map"))
    (tmp_path / "packed.zip").rename(tmp_path / "scan.zspy")
    check(open_scan(tmp_path / "scan.zspy"))


def test_one_map_of_several_is_chosen_by_its_title(tmp_path):
    path = write_zspy(tmp_path / "scan.zspy", "one", "two")
    np.testing.assert_array_equal(open_scan(path, inside="two").read(slice(0, 6), slice(None)), CUBE + 1)
    with pytest.raises(InputError, match=r"'one' \(6, 5, 8\), 'two' \(6, 5, 8\)"):
        open_scan(path)


def test_columns_before_rows_are_turned(tmp_path):
    path = write_zspy(tmp_path / "scan.zspy", "map")
    for number, name in enumerate("xy"):
        zarr.open_group(str(path), mode="r+")[f"Experiments/map/axis-{number}"].attrs["name"] = name
    scan = open_scan(path)
    found = np.concatenate([block for _, block in scan.blocks(4)])
    np.testing.assert_array_equal(found, CUBE.transpose(1, 0, 2))


def test_blocks_that_are_not_there_are_said(tmp_path):
    path = write_zspy(tmp_path / "scan.zspy", "map")
    assert open_scan(path).notes == ()
    (path / "Experiments" / "map" / "data" / "1.0.0").unlink()
    assert open_scan(path).notes == ("1 of 3 blocks of 'map' are not there; they count as zeros",)


def test_an_axis_that_is_no_number_is_named(tmp_path):
    path = write_zspy(tmp_path / "scan.zspy", "map")
    for axis, scale in ((2, [10.0, 10.0]), (1, "wide")):
        group = zarr.open_group(str(path), mode="r+").require_group(f"Experiments/map/axis-{axis}")
        group.attrs["scale"] = scale
    scan = open_scan(path)
    np.testing.assert_array_equal(scan.read(slice(0, 6), slice(None)), CUBE)
    assert (scan.energy_kev, scan.step_mm) == (None, None)
    assert scan.calibration == "the scale of its axis 'Energy' is [10.0, 10.0], no number"
    assert scan.step == "the scale of its axis 'x' is 'wide', no number"
    with pytest.raises(OptionError, match=r"no energy calibration \(the scale of its axis 'Energy' is"):
        energy_axis(scan, None)
    np.testing.assert_allclose(energy_axis(scan, (0.0, 0.01)), 0.01 * np.arange(8))


@pytest.mark.parametrize(
    "harm",
    [lambda _: b"damaged", lambda whole: whole[:9], lambda whole: whole[:7] + whole[8:]],
    ids=["not Blosc", "cut off", "of a negative size"],
)
def test_a_chunk_that_cannot_be_decompressed_is_named(tmp_path, harm):
    path = write_zspy(tmp_path / "scan.zspy", "map")
    chunk = path / "Experiments" / "map" / "data" / "1.0.0"
    chunk.write_bytes(harm(chunk.read_bytes()))
    scan = open_scan(path)
    np.testing.assert_array_equal(scan.read(slice(0, 2), slice(None)), CUBE[:2])
    with pytest.raises(InputError, match=r"scan\.zspy/Experiments/map/data cannot be read"):
        scan.read(slice(2, 4), slice(None))


@pytest.mark.parametrize("suffix", [".hspy", ".zspy"])
def test_a_file_of_another_kind_is_refused(tmp_path, suffix):
    (tmp_path / f"scan{suffix}").write_bytes(b"something else")
    with pytest.raises(InputError, match=rf"scan\{suffix} cannot be read as \{suffix}"):
        open_scan(tmp_path / f"scan{suffix}")


def test_a_file_without_experiments_is_refused(tmp_path):
    with h5py.File(tmp_path / "scan.hspy", "w") as file:
        file["counts"] = CUBE
    with pytest.raises(InputError, match=r"scan\.hspy cannot be read as \.hspy"):
        open_scan(tmp_path / "scan.hspy")
