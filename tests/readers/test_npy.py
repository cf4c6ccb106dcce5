"""Cubes saved by NumPy."""

import numpy as np
import pytest

from xrfsr_dask.errors import InputError
from xrfsr_dask.readers import open_scan


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_cube_is_read_in_blocks(tmp_path, order):
    cube = np.random.default_rng(0).integers(0, 9, (7, 3, 5)).astype(">u4", order=order)
    np.save(tmp_path / "cube.npy", cube)
    scan = open_scan(tmp_path / "cube.npy")
    assert scan.energy_kev is None
    assert [(first, len(block)) for first, block in scan.blocks(3)] == [(0, 3), (3, 3), (6, 1)]
    np.testing.assert_array_equal(np.concatenate([block for _, block in scan.blocks(3)]), cube)


def test_pickled_objects_are_never_loaded(tmp_path):
    np.save(tmp_path / "cube.npy", np.array([[[{}]]], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"cube\.npy of \d+ bytes cannot be read as \.npy"):
        open_scan(tmp_path / "cube.npy")


def test_a_truncated_file_is_refused(tmp_path):
    np.save(tmp_path / "cube.npy", np.zeros((9, 9, 9)))
    data = (tmp_path / "cube.npy").read_bytes()
    (tmp_path / "cube.npy").write_bytes(data[:-1])
    with pytest.raises(InputError, match=rf"cube\.npy of {len(data) - 1} bytes cannot be read"):
        open_scan(tmp_path / "cube.npy")


def test_a_file_with_more_bytes_than_its_header_says_is_refused(tmp_path):
    np.save(tmp_path / "cube.npy", np.zeros((9, 9, 9)))
    with (tmp_path / "cube.npy").open("ab") as file:
        file.write(bytes(8))
    with pytest.raises(InputError, match=r"cube\.npy has 5968 bytes, but its header describes 5960 bytes"):
        open_scan(tmp_path / "cube.npy")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "cube.npy").write_bytes(b"")
    with pytest.raises(InputError, match=r"cube\.npy of 0 bytes cannot be read"):
        open_scan(tmp_path / "cube.npy")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 4)), r"shape \(3, 4\); \(y, x, channel\) is needed"),
        (np.zeros((2, 2, 2), complex), "values of type complex128; counts must be real"),
        (np.zeros((2, 2, 2), bool), "values of type bool"),
    ],
)
def test_what_is_no_cube_of_real_numbers_is_refused(tmp_path, array, words):
    np.save(tmp_path / "cube.npy", array)
    with pytest.raises(InputError, match=words):
        open_scan(tmp_path / "cube.npy")
