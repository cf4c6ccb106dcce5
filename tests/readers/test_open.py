"""Which reader takes which file, and what none takes."""

import subprocess
import sys

import numpy as np
import pytest

from xrfsr_dask.errors import InputError, MissingPackageError
from xrfsr_dask.readers import Scan, open_scan, rosetta


def test_an_unknown_suffix_lists_the_known_ones_and_the_extra(tmp_path):
    (tmp_path / "scan.xyz").touch()
    with pytest.raises(
        InputError, match=r"'\.xyz' cannot be read; known are \.rpl.*xrfsr_dask\[bruker\].*\.bcf"
    ):
        open_scan(tmp_path / "scan.xyz")


@pytest.mark.parametrize("name", ["none.rpl", "none.h5", "none.npy", "none.bcf"])
def test_a_missing_scan_is_named(tmp_path, name):
    with pytest.raises(InputError, match=f"{name} does not exist"):
        open_scan(tmp_path / name)


def test_a_folder_is_no_scan(tmp_path):
    (tmp_path / "scan.h5").mkdir()
    with pytest.raises(InputError, match=r"scan\.h5 is a folder"):
        open_scan(tmp_path / "scan.h5")


def test_a_single_spectrum_is_offered_as_calibration(tmp_path):
    (tmp_path / "point.spx").touch()
    with pytest.raises(InputError, match=r"one spectrum, not a scan; give it as --calibration"):
        open_scan(tmp_path / "point.spx")


def test_inside_is_refused_where_there_is_one_cube(tmp_path):
    np.save(tmp_path / "scan.npy", np.zeros((2, 2, 2), "u2"))
    with pytest.raises(InputError, match="--inside 'a/b' is for HDF5"):
        open_scan(tmp_path / "scan.npy", inside="a/b")


def test_a_missing_optional_package_is_named(tmp_path, monkeypatch):
    (tmp_path / "scan.bcf").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "rsciio.bruker", None)
    with pytest.raises(MissingPackageError, match=r"\.bcf files needs rosettasciio.*xrfsr_dask\[bruker\]"):
        open_scan(tmp_path / "scan.bcf")


def test_every_suffix_has_a_reader_in_rosettasciio():
    pytest.importorskip("rsciio", reason="needs the [bruker] extra")
    for suffix in rosetta.PLUGINS:
        assert callable(rosetta._plugin(suffix).file_reader)


def test_a_scan_without_data_is_refused():
    with pytest.raises(InputError, match=r"empty\.h5 has no data: its shape \(y, x, channel\) is \(0, 3, 4\)"):
        Scan(source="empty.h5", shape=(0, 3, 4), dtype=np.dtype("u2"), read=lambda a, b: np.zeros(0))


def test_importing_the_readers_imports_no_heavy_package():
    code = (
        "import sys, xrfsr_dask.readers as r; print([m for m in ('h5py', 'rsciio', 'PIL', 'tifffile', 'scipy',"
    )
    code += " 'skimage', 'dask') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
