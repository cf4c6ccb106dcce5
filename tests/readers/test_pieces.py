"""Every reader gives any rows and columns of its cube: pieces put together are the cube."""

import h5py
import numpy as np
import pytest

from xrfsr_dask.readers import open_scan

CUBE = np.random.default_rng(0).integers(0, 999, (11, 9, 130)).astype("u2")
RPL = "width\t9\nheight\t11\ndepth\t130\noffset\t0\ndata-length\t2\ndata-type\tunsigned\n"


def lispix(folder, record):
    (folder / "s.rpl").write_text(f"{RPL}byte-order\tlittle-endian\nrecord-by\t{record}\n")
    order = (0, 1, 2) if record == "vector" else (2, 0, 1)
    (folder / "s.raw").write_bytes(CUBE.transpose(order).tobytes())
    return folder / "s.rpl"


def npy(folder, order):
    np.save(folder / "s.npy", np.asarray(CUBE, order=order))
    return folder / "s.npy"


def hdf5(folder, axes):
    with h5py.File(folder / "s.h5", "w") as file:
        names = ("y", "x", "energy")
        cube = file.create_dataset("cube", data=CUBE.transpose(axes), chunks=(4, 5, 7))
        cube.attrs["axes"] = [names[axis] for axis in axes]
    return folder / "s.h5"


def hspy(folder, _):
    with h5py.File(folder / "s.hspy", "w") as file:
        group = file.create_group("Experiments/map")
        group["data"] = CUBE
        for i, (name, units) in enumerate((("y", "mm"), ("x", "mm"), ("Energy", "keV"))):
            axis = group.create_group(f"axis-{i}")
            axis.attrs.update({"name": name, "units": units, "scale": 1.0, "offset": 0.0, "navigate": i < 2})
    return folder / "s.hspy"


@pytest.mark.parametrize(
    ("write", "how"),
    [
        (lispix, "vector"),
        (lispix, "image"),
        (npy, "C"),
        (npy, "F"),
        (hdf5, (0, 1, 2)),
        (hdf5, (2, 0, 1)),
        (hdf5, (1, 0, 2)),
        (hspy, None),
    ],
)
def test_pieces_put_together_are_the_cube(tmp_path, write, how):
    scan = open_scan(write(tmp_path, how))
    out, corners = np.zeros_like(CUBE), []
    for (row, column), piece in scan.pieces(4, most_bytes=4 * 4 * 130 * 2):
        out[row : row + piece.shape[0], column : column + piece.shape[1]] = piece
        corners.append((row, column, *piece.shape[:2]))
    np.testing.assert_array_equal(out, CUBE)
    assert corners[:4] == [(0, 0, 4, 4), (0, 4, 4, 4), (0, 8, 4, 1), (4, 0, 4, 4)]
    assert corners[-1] == (8, 8, 3, 1)


def test_a_piece_is_as_wide_as_its_bytes_allow_and_never_less_than_a_chunk(tmp_path):
    scan = open_scan(npy(tmp_path, "C"))
    chunk = 2 * 2 * 130 * 2
    for most, wide in ((1, 2), (chunk, 2), (2 * chunk - 1, 2), (3 * chunk, 6), (10**9, 9)):
        assert next(scan.pieces(2, most_bytes=most))[1].shape == (2, wide, 130)
