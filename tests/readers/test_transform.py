"""Transforms as OpenCV and scikit-image write them."""

import json

import numpy as np
import pytest

from xrfsr_dask.errors import InputError
from xrfsr_dask.readers import read_transform

XY = np.array([[0.5, 0.1, 20.0], [-0.2, 0.7, 30.0], [1e-4, 2e-4, 1.0]])


def check(found, matrix):
    """Spot (row 3, column 5) lands where the (x, y) matrix says."""
    x, y, w = matrix @ [5, 3, 1]
    np.testing.assert_allclose(found @ [3, 5, 1], [y, x, w])


@pytest.mark.parametrize("suffix", [".npy", ".json", ".txt", ".csv"])
def test_every_kind_of_file_maps_row_and_column_to_y_and_x(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    if suffix == ".npy":
        np.save(path, XY)
    elif suffix == ".json":
        path.write_text(json.dumps(XY.tolist()))
    else:
        np.savetxt(path, XY, delimiter="," if suffix == ".csv" else " ")
    check(read_transform(path), XY)


def test_the_header_that_numpy_writes_is_passed_over(tmp_path):
    np.savetxt(tmp_path / "t.txt", XY, header="x y 1 of patch 7")
    check(read_transform(tmp_path / "t.txt"), XY)


def test_a_matrix_on_its_side_is_refused(tmp_path):
    np.save(tmp_path / "t.npy", XY[:2].T)
    (tmp_path / "t.json").write_text(json.dumps(XY[:2].T.tolist()))
    np.savetxt(tmp_path / "t.txt", XY[:2].T)
    for suffix in ("npy", "json", "txt"):
        with pytest.raises(InputError, match="3x2 matrix; a 3x3 or 2x3 matrix is needed; transpose it to 2x3"):
            read_transform(tmp_path / f"t.{suffix}")
    for offset in ((20.0, 30.0), (0.05, 0.0), (0.0, -1.0)):
        affine = np.array([[0.5, 0.1, offset[0]], [-0.2, 0.7, offset[1]], [0.0, 0.0, 1.0]])
        np.savetxt(tmp_path / "t.txt", affine.T)
        with pytest.raises(InputError, match=r"seems to lie on its side.* last row holds .*; transpose it, so"):
            read_transform(tmp_path / "t.txt")


@pytest.mark.parametrize("shape", [(1, 3, 2), (3, 2, 1), (1, 2, 3), (6,), (1, 6), (3, 3, 1), (9, 1, 1), (3, 4)])
def test_what_is_plainly_no_matrix_is_refused(tmp_path, shape):
    values = np.resize(XY[:2].ravel(), shape)
    np.save(tmp_path / "t.npy", values)
    (tmp_path / "t.json").write_text(json.dumps(values.tolist()))
    for suffix in ("npy", "json"):
        with pytest.raises(
            InputError, match=rf"t\.{suffix} holds .* a 3x3 or 2x3 matrix is needed, in rows of"
        ):
            read_transform(tmp_path / f"t.{suffix}")


@pytest.mark.parametrize(
    "text",
    [
        "1 0 20; 0 2 30",
        "1 0 20; 0 2 30;",
        "1, 0, 20; 0, 2, 30; 0, 0, 1",
        "1;0;20\n0;2;30",
        "1;0;20;0;2;30;0;0;1",
        "1 0 20 0 2 30 0 0 1",
        "1 0 20;\n\n0 2 30;\n",
    ],
)
def test_semicolons_end_rows_in_one_line_and_part_columns_in_several(tmp_path, text):
    (tmp_path / "t.txt").write_text(text)
    check(read_transform(tmp_path / "t.txt"), np.array([[1, 0, 20], [0, 2, 30], [0, 0, 1.0]]))


def test_complex_numbers_are_no_place(tmp_path):
    np.save(tmp_path / "t.npy", XY + 1j)
    with pytest.raises(InputError, match="values are of type complex128"):
        read_transform(tmp_path / "t.npy")


def test_a_json_object_may_hold_it(tmp_path):
    (tmp_path / "t.json").write_text(json.dumps({"transform": XY.tolist(), "points": 4}))
    check(read_transform(tmp_path / "t.json"), XY)


def test_a_json_object_without_it_is_told(tmp_path):
    (tmp_path / "t.json").write_text(json.dumps({"matrix": XY.tolist()}))
    with pytest.raises(InputError, match=r"an object without the key 'transform'"):
        read_transform(tmp_path / "t.json")


def test_two_rows_are_an_affine_transform(tmp_path):
    np.savetxt(tmp_path / "t.txt", XY[:2])
    check(read_transform(tmp_path / "t.txt"), np.vstack([XY[:2], [0, 0, 1]]))


def test_a_homography_is_scaled_to_end_in_one(tmp_path):
    np.save(tmp_path / "t.npy", 4 * XY)
    check(read_transform(tmp_path / "t.npy"), XY)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "1 0 0 0 1 0 0 0",
            "holds 8 numbers in one row or column; a 3x3 or 2x3 matrix is needed, in rows of three",
        ),
        ("1 0; 0 1; 30 5", "holds a 3x2 matrix; a 3x3 or 2x3 matrix is needed; transpose it to 2x3"),
        (
            "1 0 30 0 1 5",
            "holds 6 numbers in one row or column; a 3x3 or 2x3 matrix is needed, in rows of three",
        ),
        ("1 0 30 0\n1 5", r"cannot be read as numbers \(its rows are of 4, 2 words\)"),
        ("1 0; 0 1; 5", r"its rows are of 2, 2, 1 words"),
        ("", "holds 0 numbers in one row or column"),
        ("a b c", "cannot be read as numbers"),
        ("1 2 0 2 4 0 0 0 1", "not finite and invertible"),
        ("1 0 0 0 nan 0 0 0 1", "not finite and invertible"),
        ("1 0 0 0 1 0 0 0 0", "not finite and invertible"),
    ],
)
def test_what_is_no_transform_is_refused(tmp_path, text, words):
    (tmp_path / "t.txt").write_text(text)
    with pytest.raises(InputError, match=rf"t\.txt.*{words}"):
        read_transform(tmp_path / "t.txt")


@pytest.mark.parametrize(
    ("name", "data"), [("t.json", b"{"), ("t.json", b'{"a": 1}'), ("t.npy", b"x"), ("t.txt", b"\xff")]
)
def test_a_garbled_file_is_refused(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match="cannot be read as numbers"):
        read_transform(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"t\.txt does not exist"):
        read_transform(tmp_path / "t.txt")
