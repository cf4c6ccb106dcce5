"""Lispix headers and their raw files, in every type and order of the format."""

import numpy as np
import pytest

from xrfsr_dask.errors import InputError
from xrfsr_dask.readers import open_scan

SHAPE = (5, 4, 7)  # y, x, channel

TYPES = [("unsigned", f"u{n}") for n in (1, 2, 4, 8)] + [("signed", f"i{n}") for n in (1, 2, 4, 8)]
TYPES += [("float", "f4"), ("float", "f8")]


def write(folder, cube, *, kind="unsigned", order="little-endian", record="vector", offset=0, **more):
    """A .rpl and its .raw; keys in `more` replace or extend the header's."""
    data = np.moveaxis(cube, -1, 0) if record == "image" else cube
    data = data.astype(data.dtype.newbyteorder(">" if order == "big-endian" else "<"))
    (folder / "scan.raw").write_bytes(b"\7" * offset + data.tobytes())
    ny, nx, n_channel = cube.shape
    keys = {"width": nx, "height": ny, "depth": n_channel, "offset": offset, "data-length": cube.dtype.itemsize}
    keys |= {"data-type": kind, "byte-order": order, "record-by": record}
    keys |= {key.replace("_", "-"): value for key, value in more.items()}
    text = "".join(f"{key}\t{value}\n" for key, value in keys.items() if value is not None)
    (folder / "scan.rpl").write_text(f"key\tvalue\n{text}", encoding="latin-1")
    return folder / "scan.rpl"


def cube_of(dtype, shape=SHAPE):
    return np.random.default_rng(3).integers(0, 100, shape).astype(dtype)


def whole(scan, rows=2):
    firsts, blocks = zip(*scan.blocks(rows), strict=True)
    assert list(firsts) == list(range(0, scan.shape[0], rows))
    return np.concatenate(blocks)


@pytest.mark.parametrize("record", ["vector", "image"])
@pytest.mark.parametrize("order", ["little-endian", "big-endian"])
@pytest.mark.parametrize(("kind", "dtype"), TYPES)
def test_every_type_byte_order_and_record_order_gives_the_numbers_written(tmp_path, kind, dtype, order, record):
    cube = cube_of(dtype)
    cube[0, 0, 0] = -3 if kind != "unsigned" else 3
    scan = open_scan(write(tmp_path, cube, kind=kind, order=order, record=record, offset=13))
    assert scan.shape == SHAPE
    assert scan.dtype == np.dtype(dtype).newbyteorder(">" if order == "big-endian" else "<")
    assert scan.notes == ()
    np.testing.assert_array_equal(whole(scan), cube)


def test_more_images_than_are_turned_at_once_keep_their_channels(tmp_path):
    cube = cube_of("u2", (5, 4, 150))
    np.testing.assert_array_equal(whole(open_scan(write(tmp_path, cube, record="image"))), cube)


def test_a_header_of_capitals_spaces_and_comments_is_read(tmp_path):
    write(tmp_path, cube_of("u2"))
    header = "; written by hand\nKEY value\nWidth 4\nHEIGHT\t5\tspots\nDepth\t7 ; channels\nOffset\t0\n"
    header += "Data-Length\t2\nData-Type\tUnsigned\nByte-Order\tLittle-Endian\nRecord-by\tVector\nTitle\ta b\n"
    (tmp_path / "scan.rpl").write_text(header)
    (tmp_path / "scan.raw").rename(tmp_path / "scan.RAW")
    np.testing.assert_array_equal(whole(open_scan(tmp_path / "scan.rpl")), cube_of("u2"))


def test_the_raw_file_may_be_named_in_place_of_its_header(tmp_path):
    write(tmp_path, cube_of("u2"))
    np.testing.assert_array_equal(whole(open_scan(tmp_path / "scan.raw"), rows=3), cube_of("u2"))


def test_what_the_header_does_not_care_for_is_assumed_and_said(tmp_path):
    scan = open_scan(write(tmp_path, cube_of("u2"), order="dont-care", record="dont-care"))
    np.testing.assert_array_equal(whole(scan), cube_of("u2"))
    assert [note.split("; ")[1] for note in scan.notes] == ["little-endian was taken.", "vector was taken."]


def test_bytes_need_no_byte_order(tmp_path):
    assert open_scan(write(tmp_path, cube_of("u1"), order="dont-care")).notes == ()


def test_hyperspy_keys_give_energy_and_step(tmp_path):
    more = {"depth_scale": 0.01, "depth_origin": -0.96, "depth_units": "keV"}
    more |= {"width_scale": 500, "width_units": "µm", "height_scale": 0.5, "height_units": "mm"}
    scan = open_scan(write(tmp_path, cube_of("u2"), **more))
    np.testing.assert_allclose(scan.energy_kev, -0.96 + 0.01 * np.arange(7))
    assert scan.step_mm == pytest.approx(0.5)
    assert scan.calibration_notes == ()


def test_an_origin_in_ev_belongs_to_ev_per_channel(tmp_path):
    scan = open_scan(write(tmp_path, cube_of("u2"), ev_per_chan=10, depth_origin=-955))
    np.testing.assert_allclose(scan.energy_kev, -0.955 + 0.01 * np.arange(7))


def test_a_gain_without_an_offset_is_used_and_said(tmp_path):
    scan = open_scan(write(tmp_path, cube_of("u2"), ev_per_chan=10))
    np.testing.assert_allclose(scan.energy_kev, 0.01 * np.arange(7))
    assert "gives 10 eV per channel but no offset" in scan.calibration_notes[0]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({}, ""),
        ({"depth_scale": 2.0, "depth_units": "nm"}, "its depth-units 'nm' are none of energy"),
        ({"depth_scale": "ten"}, "its depth-scale is 'ten', no number"),
        ({"ev_per_chan": "inf"}, "its ev-per-chan is 'inf', no number"),
        ({"ev_per_chan": 0}, "its ev-per-chan is 0"),
        (
            {"depth_scale": 1, "depth_units": "undefined"},
            "its depth-scale of 1 without a unit counts the channels",
        ),
    ],
)
def test_no_energy_in_the_header_is_no_energy_axis(tmp_path, more, why):
    scan = open_scan(write(tmp_path, cube_of("u2"), **more))
    assert scan.energy_kev is None
    assert scan.calibration == why


def test_a_step_below_zero_is_said(tmp_path):
    more = {"width_scale": -2, "width_units": "mm", "height_scale": 2, "height_units": "mm"}
    scan = open_scan(write(tmp_path, cube_of("u2"), **more))
    assert scan.step_mm == pytest.approx(2)
    (note,) = scan.notes
    assert "its x coordinate falls from spot to spot" in note


def test_unequal_steps_are_no_step(tmp_path):
    more = {"width_scale": 1, "width_units": "mm", "height_scale": 2, "height_units": "mm"}
    assert open_scan(write(tmp_path, cube_of("u2"), **more)).step_mm is None


def test_a_step_that_is_no_number_is_no_step(tmp_path):
    more = {"width_scale": "wide", "height_scale": 2, "height_units": "mm"}
    scan = open_scan(write(tmp_path, cube_of("u2"), **more))
    assert (scan.step_mm, scan.step) == (None, "its width-scale is 'wide', no number")


@pytest.mark.parametrize(("change", "words"), [(-1, "truncated"), (5, "too long")])
def test_sizes_that_disagree_are_named_with_both_numbers(tmp_path, change, words):
    header = write(tmp_path, cube_of("u2"))
    data = (tmp_path / "scan.raw").read_bytes()
    (tmp_path / "scan.raw").write_bytes(data[:change] if change < 0 else data + bytes(change))
    with pytest.raises(InputError, match=rf"scan.raw has {280 + change} bytes.*describes 280 bytes.*{words}"):
        open_scan(header)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"width": None, "record_by": None}, "lacks width, record-by"),
        ({"width": "four"}, "width is 'four', a whole number of at least 1"),
        ({"depth": 0}, "depth is '0'"),
        ({"offset": -1}, "offset is '-1', a whole number of at least 0"),
        ({"data_length": 3}, "data-length 3 does not exist for data-type unsigned"),
        ({"data_type": "float"}, "data-length 2 does not exist for data-type float"),
        ({"data_type": "complex"}, "data-type is 'complex'; it can be signed, unsigned, float"),
        ({"byte_order": "middle"}, "byte-order is 'middle'; it can be big-endian"),
        ({"record_by": "spot"}, "record-by is 'spot'; it can be vector"),
    ],
)
def test_a_header_that_cannot_be_right_is_refused(tmp_path, more, words):
    with pytest.raises(InputError, match=rf"scan\.rpl.*{words}"):
        open_scan(write(tmp_path, cube_of("u2"), **more))


def test_a_size_that_is_given_twice_must_be_one(tmp_path):
    header = write(tmp_path, cube_of("u2"))
    text = header.read_text()
    header.write_text(text + "depth 9\n")
    with pytest.raises(InputError, match=r"scan\.rpl gives depth twice, as 7 and as 9; correct the header"):
        open_scan(header)
    header.write_text(text + text)
    open_scan(header)


def test_an_origin_that_is_hardly_in_ev_is_said(tmp_path):
    """Of what writes keV there, beside eV per channel."""
    scan = open_scan(write(tmp_path, cube_of("u2"), ev_per_chan=10, depth_origin=-0.96))
    assert "a depth-origin of -0.96 without a unit; it was taken as -0.96 eV" in scan.calibration_notes[0]
    scan = open_scan(write(tmp_path, cube_of("u2"), ev_per_chan=10, depth_origin=-960))
    assert scan.calibration_notes == ()


def test_a_missing_raw_file_is_named(tmp_path):
    write(tmp_path, cube_of("u2"))
    (tmp_path / "scan.raw").unlink()
    with pytest.raises(
        InputError, match=r"scan\.rpl: the file scan\.raw that belongs beside it does not exist"
    ):
        open_scan(tmp_path / "scan.rpl")
