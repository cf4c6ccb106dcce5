"""Calibrations as numbers or .spx files."""

import pytest
from helpers import M6_SPECTRUM as M6

from xrfsr_dask.errors import InputError, OptionError
from xrfsr_dask.readers import read_calibration

needs_m6 = pytest.mark.skipif(not M6.is_file(), reason="needs the real .spx of ../shared/data/m6")


def test_two_numbers_are_offset_and_gain():
    assert read_calibration(" -0.9555, 0.009999 ") == (-0.9555, 0.009999)


@needs_m6
def test_the_real_m6_spectrum_gives_its_offset_and_gain():
    assert read_calibration(M6) == pytest.approx((-0.95550444, 0.009999), rel=1e-12)


@needs_m6
def test_the_real_m6_spectrum_reads_as_rosettasciio_reads_it():
    bruker = pytest.importorskip("rsciio.bruker", reason="needs the [bruker] extra")
    axis = bruker.file_reader(str(M6))[0]["axes"][0]
    assert read_calibration(str(M6)) == (axis["offset"], axis["scale"])


@pytest.mark.parametrize("text", ["abc", "1", "1,2,3", ""])
def test_text_that_is_neither_is_refused(text):
    with pytest.raises(OptionError, match=f"calibration '{text}' is neither OFFSET,GAIN in keV"):
        read_calibration(text)


@pytest.mark.parametrize("text", ["-0.9555,9.999", "0,0", "0,-0.01", "0,1e-5", "nan,0.01", "0,nan"])
def test_numbers_that_cannot_be_kev_are_refused(text):
    with pytest.raises(OptionError, match=r"give OFFSET,GAIN in keV with a gain between 0.0001 and 0.5"):
        read_calibration(text)


def test_a_missing_spectrum_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.spx does not exist"):
        read_calibration(tmp_path / "none.spx")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not xml", "cannot be read as an .spx"),
        ('<?xml version="1.0" encoding="martian"?><a/>', "cannot be read as an .spx"),
        ("<a/>", "holds no energy calibration"),
        (
            "<a><ClassInstance><CalibAbs>x</CalibAbs><CalibLin>1</CalibLin></ClassInstance></a>",
            "its calibration is 'x' and '1', two numbers were expected",
        ),
    ],
)
def test_a_spectrum_without_calibration_is_refused(tmp_path, text, words):
    (tmp_path / "a.spx").write_text(text)
    with pytest.raises(InputError, match=rf"a\.spx.*{words}"):
        read_calibration(tmp_path / "a.spx")
