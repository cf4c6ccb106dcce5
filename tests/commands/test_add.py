"""`add`: a scan becomes a patch, whole or not at all."""

import subprocess
import sys
from functools import partialmethod
from pathlib import Path

import numpy as np
import pytest
from helpers import M6_SPECTRUM as M6
from helpers import SHARED, tree_bytes

from xrfsr_dask.commands.add import add, notes_of
from xrfsr_dask.errors import InputError, OptionError, StoreError, XrfsrError
from xrfsr_dask.options import AddOptions
from xrfsr_dask.readers import Scan
from xrfsr_dask.store import add_patch, create_painting, open_painting
from xrfsr_dask.store.arrays import open_group
from xrfsr_dask.store.check import check_store
from xrfsr_dask.store.staging import work_area

EDS = SHARED / "eds" / "0.bcf"

CUBE = np.random.default_rng(0).integers(0, 60, (40, 30, 16)).astype("u2")
KEV = "-0.96,0.01"


@pytest.fixture
def store(tmp_path):
    """A painting of 80 x 60 mm without patches."""
    return create_painting(tmp_path / "p.zarr", np.full((80, 60, 3), 9, "u1"), width_mm=60).path


def saved(store, cube=CUBE, name="scan.npy"):
    path = Path(store).parent / name
    np.save(path, cube)
    return path


def options(**more):
    return AddOptions(**({"at_mm": (10.0, 5.0), "step_mm": 1.5, "calibration": KEV} | more))


def refused(kind, words, store, scan, given):
    """`add` raises `kind` with `words` in one line, and the store is byte for byte as it was."""
    before = tree_bytes(Path(store))
    with pytest.raises(kind, match=words) as caught:
        add(store, scan, given)
    told = str(caught.value)
    assert "\n" not in told
    assert Path(scan).name in told
    assert "patch '" in told or not given.name  # whatever is wrong, file and patch are named
    assert tree_bytes(Path(store)) == before
    assert not any(work_area(store).glob("*staging*"))


class Counter:
    """Progress that remembers what it was told."""

    def __init__(self):
        self.told = []

    def expect(self, total):
        self.told.append(("of", total))

    def advance(self, n=1):
        self.told.append(n)

    def note(self, text):
        self.told.append(text)


def test_a_scan_becomes_a_patch_with_its_counts_place_and_energy(store):
    told = Counter()
    given = options(rotation_deg=1.0, gain=2.0, dwell_s=0.1, spot_mm=2.0, footprint="gaussian")
    patch = add(store, saved(store), given, progress=told)
    assert [known.name for known in open_painting(store).patches] == [patch.name] == ["p01"]
    assert told.told == [("of", 40), 32, 8]
    np.testing.assert_array_equal(patch.counts()[:], CUBE)
    assert patch.counts().dtype == np.uint16
    np.testing.assert_allclose(patch.energy_kev(), -0.96 + 0.01 * np.arange(16))
    assert patch.step_mm == pytest.approx(1.5)
    assert (patch.gain, patch.spot_mm, patch.footprint) == (2.0, 2.0, "gaussian")
    attrs = dict(open_group(patch.path).attrs)
    assert attrs["dwell_s"] == 0.1
    assert attrs["calibration"] == f"given: {KEV}"
    assert attrs["source"].endswith("scan.npy")
    assert attrs["options"]["rotation_deg"] == 1.0
    assert notes_of(patch) == ()


def test_names_are_counted_up_past_those_taken(store):
    add(store, saved(store), options(name="p02"))
    assert [add(store, saved(store, CUBE + more), options()).name for more in (1, 2)] == ["p01", "p03"]


@pytest.mark.parametrize("turned", [CUBE, CUBE[::-1], np.rot90(CUBE), CUBE.astype("f8")])
def test_a_scan_that_is_in_already_is_refused_wherever_it_is_placed(store, turned):
    add(store, saved(store), options())
    again = saved(store, turned, "again.npy")
    there = options(at_mm=(12.0, 7.0), step_mm=1.2, rotation_deg=2.0)
    refused(
        InputError, r"holds the counts of patch 'p01'.* would count twice.* to a new store", store, again, there
    )
    assert add(store, saved(store, turned + turned.dtype.type(1), "other.npy"), there).name == "p02"


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        ("u1", "u2"),
        (">u2", "u2"),
        ("u4", "u4"),
        ("u8", "u4"),
        ("i1", "u2"),
        (">i2", "u2"),
        ("i4", "u4"),
        ("i8", "u4"),
        ("f2", "f4"),
        ("f4", "f4"),
        (">f8", "f4"),
    ],
)
def test_counts_of_every_type_are_kept_in_the_smallest_that_holds_them(store, dtype, kept):
    patch = add(store, saved(store, CUBE.astype(dtype)), options())
    assert patch.counts().dtype == np.dtype(kept)
    np.testing.assert_array_equal(patch.counts()[:], CUBE)


@pytest.mark.parametrize("dtype", ["i2", "f8"])
def test_values_with_gaussian_noise_may_be_negative(store, dtype):
    cube = CUBE.astype(dtype) - 5
    patch = add(store, saved(store, cube), options(noise="gaussian"))
    np.testing.assert_array_equal(patch.counts()[:], cube)


def test_fractions_taken_as_counts_are_said(store):
    fractions = CUBE.astype("f4") + np.float32(0.5)
    taken = add(store, saved(store, fractions, "fractions.npy"), options())
    assert "fractions.npy holds fractions, yet their noise was taken as that of counts" in notes_of(taken)[0]
    for name, cube, noise in (
        ("worked.npy", fractions + 1, "gaussian"),
        ("whole.npy", CUBE.astype("f8"), "poisson"),
    ):
        assert notes_of(add(store, saved(store, cube, name), options(noise=noise))) == ()


def test_a_transform_file_in_columns_and_x_places_rows_and_y(store, tmp_path):
    np.savetxt(tmp_path / "t.txt", [[1.5, 0.1, 4.0], [-0.1, 1.2, 20.0], [0, 0, 1]])
    given = AddOptions(transform_file=str(tmp_path / "t.txt"), calibration=KEV)
    patch = add(store, saved(store), given)
    row, column = 7, 3
    y, x, _ = patch.transform @ [row, column, 1]
    assert (x, y) == pytest.approx((1.5 * column + 0.1 * row + 4, -0.1 * column + 1.2 * row + 20))


def test_another_energy_axis_is_rebinned_when_asked_and_what_is_lost_is_said(store):
    add(store, saved(store), options())
    energy = -0.985 + 0.02 * np.arange(12)
    patch = add(store, saved(store, CUBE[..., :12]), options(calibration="-0.985,0.02", resample=True))
    np.testing.assert_allclose(patch.energy_kev(), -0.96 + 0.01 * np.arange(16))
    assert patch.counts().dtype == np.float32
    resampled = dict(open_group(patch.path).attrs)["resampled"]
    assert resampled["from_kev"] == pytest.approx([energy[0], energy[-1]])
    assert resampled["empty_channels"] == 0
    assert resampled["dropped_counts"] > 0
    total = CUBE[..., :12].sum(dtype=float)
    assert patch.counts()[:].sum(dtype=float) + resampled["dropped_counts"] == pytest.approx(total, rel=1e-6)
    assert [note for note in notes_of(patch) if "counts outside the store's energy axis were dropped" in note]


def test_channels_that_a_rebinned_scan_does_not_reach_are_said(store):
    few = CUBE.copy()
    few[..., 8:] = 0
    few[3, 2, 9] = 1  # so that less than a thousandth of all counts lie there
    add(store, saved(store, few), options())
    patch = add(store, saved(store, CUBE[..., :8]), options(resample=True))
    assert "does not reach 8 of 16 channels" in notes_of(patch)[0]
    np.testing.assert_allclose(
        patch.counts()[:], np.pad(CUBE[..., :8], ((0, 0), (0, 0), (0, 8))), rtol=1e-5, atol=1e-4
    )


def test_a_scan_that_measured_nothing_where_another_has_counts_is_refused(store):
    """Zeros there would be taken for measured."""
    add(store, saved(store), options())
    before = tree_bytes(Path(store))
    with pytest.raises(InputError, match=r"reaches from .* keV, and patch 'p01' has 50 % of its counts beyond"):
        add(store, saved(store, CUBE[..., :8]), options(resample=True))
    assert tree_bytes(Path(store)) == before


def test_asking_to_rebin_an_equal_axis_changes_no_count(store):
    assert add(store, saved(store), options(resample=True)).counts().dtype == np.uint16
    assert add(store, saved(store, CUBE + 1), options(resample=True)).counts().dtype == np.uint16


def test_an_assumed_offset_is_said_unless_a_calibration_is_given(store, tmp_path):
    header = "width\t30\nheight\t40\ndepth\t16\noffset\t0\ndata-length\t2\ndata-type\tunsigned\n"
    (tmp_path / "s.rpl").write_text(header + "byte-order\tlittle-endian\nrecord-by\tvector\nev-per-chan\t10\n")
    (tmp_path / "s.raw").write_bytes(CUBE.tobytes())
    assumed = add(store, tmp_path / "s.rpl", options(calibration=None))
    assert "gives 10 eV per channel but no offset" in notes_of(assumed)[0]
    assert "offset unknown" in dict(open_group(assumed.path).attrs)["calibration"]
    (tmp_path / "s.raw").write_bytes((CUBE + 1).tobytes())
    given = add(store, tmp_path / "s.rpl", options(calibration="0,0.01"))
    assert notes_of(given) == ()


@pytest.mark.skipif(not EDS.is_file(), reason="needs the real map of ../shared/data/eds")
def test_a_real_bruker_map_is_added_with_all_its_file_says(tmp_path):
    pytest.importorskip("rsciio", reason="needs the [bruker] extra")
    store = create_painting(
        tmp_path / "p.zarr", np.full((256, 256), 9, "u1"), width_mm=256 * 1.30814448e-5
    ).path
    patch = add(store, EDS, AddOptions(at_mm=(0, 0)))
    assert patch.shape == (256, 256, 2048)
    assert patch.energy_kev()[0] == pytest.approx(-0.470891225)
    attrs = dict(open_group(patch.path).attrs)
    assert attrs["elements"][:2] == ["Al", "C"]
    from xrfsr_dask.readers import open_scan

    assert patch.total_counts == sum(float(block.sum(dtype="f8")) for _, block in open_scan(EDS).blocks())


@pytest.mark.skipif(not M6.is_file(), reason="needs the real .spx of ../shared/data/m6")
def test_a_real_spectrum_gives_the_energy_axis(store):
    patch = add(store, saved(store), options(calibration=str(M6)))
    np.testing.assert_allclose(patch.energy_kev(), -0.95550444 + 0.009999 * np.arange(16))


def changed(position, value, dtype="f4"):
    cube = CUBE.astype(dtype)
    cube[position] = value
    return cube


@pytest.mark.parametrize(
    ("cube", "words"),
    [
        (
            changed((35, 4, 7), np.nan),
            r"patch 'p01' \(.*scan\.npy\).*row 35, column 4, channel 7 is not finite \(nan",
        ),
        (changed((35, 4, 7), np.inf), "row 35, column 4, channel 7 is not finite"),
        (changed((35, 4, 7), 1e300, "f8"), r"row 35, column 4, channel 7 is 1e\+300; single precision holds"),
        (changed((0, 4, 7), -1), "row 0, column 4, channel 7 is negative"),
        (changed((33, 0, 15), -2, "i4"), "row 33, column 0, channel 15 is negative"),
        (changed((33, 0, 15), 2**32, "u8"), "row 33, column 0, channel 15 is 4294967296; at most 4294967295"),
        (np.zeros_like(CUBE), "holds no counts: all values are 0"),
        (np.zeros((0, 30, 16), "u2"), r"scan\.npy has no data: its shape \(y, x, channel\) is \(0, 30, 16\)"),
        (np.zeros((40, 30), "u2"), r"shape \(40, 30\); \(y, x, channel\) is needed"),
        (np.zeros((40, 30, 16), "c8"), "counts must be real numbers"),
    ],
)
def test_counts_that_cannot_be_are_refused_and_the_store_is_as_it_was(store, cube, words):
    refused(InputError, words, store, saved(store, cube), options())


@pytest.mark.parametrize(("value", "word"), [(np.nan, "not finite"), (-3, "negative")])
def test_bad_counts_are_named_by_the_channel_of_the_file_when_rebinned(store, value, word):
    add(store, saved(store), options())
    scan = saved(store, changed((35, 4, 7), value), "bad.npy")
    given = options(calibration="-0.97,0.02", resample=True)
    refused(InputError, rf"bad\.npy.*row 35, column 4, channel 7 is {word}", store, scan, given)


@pytest.mark.parametrize(
    ("more", "kind", "words"),
    [
        ({"name": "a/b"}, OptionError, "'a/b' cannot be the name of a patch"),
        ({"name": "../b"}, OptionError, "cannot be the name of a patch"),
        ({"name": ""}, OptionError, "'' cannot be the name of a patch"),
        ({"name": "old"}, StoreError, "already holds a patch 'old'; choose another --name"),
        ({"step_mm": None}, OptionError, "scan.npy does not say one step between its spots; give --step-mm"),
        ({"calibration": None}, OptionError, "scan.npy holds no energy calibration; give --calibration"),
        ({"calibration": "ten"}, OptionError, "calibration 'ten' is neither OFFSET,GAIN"),
        ({"calibration": "none.spx"}, InputError, "none.spx does not exist"),
        ({"at_mm": (50.0, 5.0)}, InputError, r"reaches outside the photograph: spot \(row 39, column 0\)"),
        ({"at_mm": (-1.0, 5.0)}, InputError, "reaches outside the photograph"),
        ({"step_mm": 3.0}, InputError, "reaches outside the photograph"),
        ({"rotation_deg": 180.0}, InputError, "reaches outside the photograph"),
        ({"calibration": "-0.9,0.01"}, InputError, "spans -0.9000 to.*patch 'old'.*--resample"),
        ({"calibration": "5,0.01", "resample": True}, InputError, "no energy in common; check the calibration"),
        ({"inside": "a"}, InputError, "--inside 'a' is for HDF5"),
        (
            {"step_mm": 2e-6},
            InputError,
            "spots lie 2e-06 mm apart, 2e-06 px of the photograph; 0.5 to 80 px can",
        ),
        ({"step_mm": 0.45}, InputError, "0.45 px of the photograph.*or take a photograph of more pixels"),
        ({"gain": 1e300}, OptionError, r"gain must be more than 0, 0.001 to 1000, got 1e\+300"),
        ({"gain": 1e-40}, OptionError, "got 1e-40"),
        ({"step_mm": 1e5, "at_mm": (-5e4, -5e4)}, InputError, "reaches outside the photograph"),
    ],
)
def test_options_that_do_not_fit_are_refused_and_the_store_is_as_it_was(store, more, kind, words):
    scan = saved(store)
    add(store, scan, options(name="old"))
    refused(kind, words, store, scan, options(**more))


def test_rebinned_counts_are_no_larger_than_others(store):
    add(store, saved(store), options(name="old"))
    scan = saved(store, changed((33, 0, 15), 2**48, "u8"), "large.npy")
    given = options(calibration="-0.97,0.02", resample=True)
    refused(InputError, "is 281474976710656; at most 4294967295 can be stored", store, scan, given)


def test_a_patch_of_other_energies_that_was_added_meanwhile_is_noticed_at_the_end(store, monkeypatch):
    first, late = saved(store), saved(store, CUBE[..., :9], "late.npy")
    plain = Scan.pieces

    def with_another(scan, side):
        monkeypatch.setattr(Scan, "pieces", plain)
        add(store, first, options(name="first"))
        yield from plain(scan, side)

    monkeypatch.setattr(Scan, "pieces", with_another)
    with pytest.raises(InputError, match=r"patch 'late' \(.*late.npy\) has 9 channels, patch 'first' has 16"):
        add(store, late, options(name="late"))
    assert [patch.name for patch in open_painting(store).patches] == ["first"]
    assert not check_store(store).damage


def test_another_number_of_channels_is_refused_unless_rebinned(store):
    add(store, saved(store), options(name="old"))
    scan = saved(store, CUBE[..., :9], "short.npy")
    refused(
        InputError,
        r"short\.npy\) has 9 channels, patch 'old' has 16; add it with --resample",
        store,
        scan,
        options(),
    )


def test_a_place_is_checked_before_a_count_is_read(store, monkeypatch):
    monkeypatch.setattr("xrfsr_dask.readers.protocol.Scan.blocks", lambda *_: pytest.fail("counts were read"))
    refused(InputError, "outside the photograph", store, saved(store), options(step_mm=30.0))


def test_one_spot_larger_than_the_painting_is_refused(store):
    scan = saved(store, CUBE[:1, :1])
    words = r"spots lie 1e\+05 mm apart, 1e\+05 px of the photograph; 0.5 to 80 px can be. Check --step-mm"
    refused(InputError, words, store, scan, options(step_mm=1e5, at_mm=(-5e4 + 20, -5e4 + 20)))


@pytest.mark.parametrize(
    "matrix", ["1e-7 0 9;0 1 9", "1 0 9;0 1e-7 9", ".5 .499999 9;.5 .5 9", "1e-7 0 9;0 1e-7 9"]
)
def test_rows_or_columns_that_lie_on_each_other_are_refused(store, tmp_path, matrix):
    (tmp_path / "t.txt").write_text(matrix)
    given = AddOptions(transform_file=str(tmp_path / "t.txt"), calibration=KEV)
    refused(InputError, r"px of the photograph; 0\.5 to 80 px can be", store, saved(store), given)


@pytest.mark.parametrize("text", ["1 0 0 1", "1 0 0 0 1 0 0 0 0", "1 0 500 0 1 0 0 0 1"])
def test_a_transform_that_cannot_be_is_refused(store, tmp_path, text):
    (tmp_path / "t.txt").write_text(text)
    given = AddOptions(transform_file=str(tmp_path / "t.txt"), calibration=KEV)
    refused(InputError, r"t\.txt|outside the photograph", store, saved(store), given)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 0 9;0 1 9;.04 0 1", r"makes spots at one corner 11 times as large as at another"),
        ("1 0 9;0 1 9;0 -.018 1", "times as large as at another, which no view of a painting does"),
        ("1 0 .1;0 1 .1;30 5 1", "its transform has its horizon in the patch"),
    ],
)
def test_a_perspective_that_no_view_has_is_refused(store, tmp_path, text, words):
    (tmp_path / "t.txt").write_text(text)
    given = AddOptions(transform_file=str(tmp_path / "t.txt"), calibration=KEV, name="odd")
    words = rf"patch 'odd'.*{words}.*is the matrix on its side\? x and y in mm belong into its last column"
    refused(InputError, words, store, saved(store), given)


def test_a_perspective_that_a_view_may_have_is_taken(store, tmp_path):
    (tmp_path / "t.txt").write_text("1 0 9;0 1 9;.002 .003 1")
    given = AddOptions(transform_file=str(tmp_path / "t.txt"), calibration=KEV)
    assert add(store, saved(store), given).transform[2].tolist() == [0.003, 0.002, 1]


def test_a_truncated_raw_file_is_refused_and_the_store_is_as_it_was(store, tmp_path):
    header = "width\t30\nheight\t40\ndepth\t16\noffset\t0\ndata-length\t2\ndata-type\tunsigned\n"
    (tmp_path / "s.rpl").write_text(header + "byte-order\tlittle-endian\nrecord-by\tvector\n")
    (tmp_path / "s.raw").write_bytes(CUBE.tobytes()[:-7])
    refused(
        InputError, "s.raw has 38393 bytes, but s.rpl describes 38400", store, tmp_path / "s.rpl", options()
    )


def test_channels_of_unequal_width_are_refused(store, tmp_path):
    import h5py

    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["counts"], file["energy"] = CUBE, 0.1 * np.arange(16.0) ** 1.1
        file["energy"].attrs["units"] = "keV"
    refused(InputError, "not evenly spaced", store, tmp_path / "s.h5", options(calibration=None))
    patch = add(store, tmp_path / "s.h5", options())
    assert patch.shape == CUBE.shape
    (note,) = notes_of(patch)
    assert "not evenly spaced" in note
    assert note.endswith("the calibration that was given was taken.")


@pytest.mark.parametrize(
    ("energies", "unit", "words"),
    [
        (np.arange(16), "keV", r"from 0 to 15 keV, 1 keV apart, which cannot be \(they seem to be counted\)"),
        (1 + np.arange(16), "keV", "which cannot be .they seem to be counted"),
        (10.0 * np.arange(16), "keV", r"from 0 to 150 keV, 10 keV apart, which cannot be \(are they in eV\?\)"),
        (300 + 0.01 * np.arange(16), "keV", "from 300 to 300.15 keV, 0.01 keV apart, which cannot be; give"),
        (0.01 * np.arange(16), "eV", "1e-05 keV apart, which cannot be; give --calibration OFFSET,GAIN, both"),
    ],
)
def test_energies_that_are_none_of_x_rays_are_refused_unless_a_calibration_is_given(
    store, tmp_path, energies, unit, words
):
    import h5py

    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["counts"], file["energy"] = CUBE, energies
        file["energy"].attrs["units"] = unit
    refused(InputError, words, store, tmp_path / "s.h5", options(calibration=None))
    (note,) = notes_of(add(store, tmp_path / "s.h5", options()))
    assert "s.h5:/counts: its channels lie from" in note
    assert note.endswith("the calibration that was given was taken.")


@pytest.mark.parametrize("resample", [False, True])
def test_a_calibration_whose_channels_reach_beyond_all_x_rays_is_refused(store, resample):
    given = options(calibration="199,0.4", resample=resample)
    words = "scan.npy: its channels lie from 199 to 205 keV, 0.4 keV apart, which cannot be"
    refused(InputError, words, store, saved(store), given)


HEADER = "width\t30\nheight\t40\ndepth\t16\noffset\t0\ndata-length\t2\ndata-type\tunsigned\n"
HEADER += "byte-order\tlittle-endian\nrecord-by\tvector\n"


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ("ev-per-chan\tten", "its ev-per-chan is 'ten', no number"),
        ("ev-per-chan\tnan", "its ev-per-chan is 'nan', no number"),
        ("ev-per-chan\t0", "its ev-per-chan is 0"),
        ("ev-per-chan\t-10", "its energy axis does not rise over its 16 channels"),
        ("depth-scale\t0.01\ndepth-units\tkeV\ndepth-origin\tx", "its depth-origin is 'x', no number"),
        ("depth-scale\t1\ndepth-origin\t0", "its depth-scale of 1 without a unit counts the channels"),
    ],
)
def test_an_energy_axis_of_no_use_is_passed_over_where_a_calibration_is_given(store, tmp_path, more, fault):
    (tmp_path / "s.rpl").write_text(f"{HEADER}{more}\n")
    (tmp_path / "s.raw").write_bytes(CUBE.tobytes())
    refused(XrfsrError, rf"{fault}.*give --calibration", store, tmp_path / "s.rpl", options(calibration=None))
    patch = add(store, tmp_path / "s.rpl", options())
    np.testing.assert_allclose(patch.energy_kev(), -0.96 + 0.01 * np.arange(16))
    assert notes_of(patch) == (f"{tmp_path / 's.rpl'}: {fault}; the calibration that was given was taken.",)


def test_a_step_of_no_use_is_passed_over_where_one_is_given(store, tmp_path):
    (tmp_path / "s.rpl").write_text(f"{HEADER}width-scale\twide\nheight-scale\t1\nheight-units\tmm\n")
    (tmp_path / "s.raw").write_bytes(CUBE.tobytes())
    words = r"one step between its spots \(its width-scale is 'wide', no number\); give --step-mm"
    refused(OptionError, words, store, tmp_path / "s.rpl", options(step_mm=None))
    patch = add(store, tmp_path / "s.rpl", options())
    told = f"{tmp_path / 's.rpl'}: its width-scale is 'wide', no number; what was given was taken."
    assert notes_of(patch) == (told,)


def test_a_scan_that_is_interrupted_leaves_nothing(store):
    class Interrupting(Counter):
        def advance(self, n=1):
            raise KeyboardInterrupt

    before = tree_bytes(Path(store))
    with pytest.raises(KeyboardInterrupt):
        add(store, saved(store), options(), progress=Interrupting())
    assert tree_bytes(Path(store)) == before


def test_an_interrupt_after_the_last_move_says_that_the_patch_is_there(store, monkeypatch):
    def interrupted(*args):
        add_patch(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr("xrfsr_dask.commands.add.add_patch", interrupted)
    with pytest.raises(StoreError, match=r"patch 'p01' is in .* already, whole; do not add it again"):
        add(store, saved(store), options())
    assert [patch.name for patch in open_painting(store).patches] == ["p01"]


def test_a_wide_scan_is_added_piece_by_piece_and_told_by_rows(store, monkeypatch):
    monkeypatch.setattr("xrfsr_dask.readers.protocol.Scan.pieces", partialmethod(Scan.pieces, most_bytes=1))
    cube = np.random.default_rng(0).integers(0, 60, (40, 75, 16)).astype("u2")
    told = Counter()
    patch = add(store, saved(store, cube), options(at_mm=(1, 1), step_mm=0.5), progress=told)
    np.testing.assert_array_equal(patch.counts()[:], cube)
    assert told.told == [("of", 40), 32, 8]
    with_nan = cube.astype("f4")
    with_nan[35, 70, 7] = np.nan
    words = "row 35, column 70, channel 7 is not finite"
    refused(InputError, words, store, saved(store, with_nan), options(at_mm=(1, 1), step_mm=0.5))


def test_what_is_no_store_is_refused(tmp_path):
    with pytest.raises(StoreError, match=r"none\.zarr does not exist"):
        add(tmp_path / "none.zarr", tmp_path / "scan.npy", options())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "where the patch lies is not known; give --at X,Y or --transform FILE"),
        ({"transform_file": "t.txt", "at_mm": (0, 0)}, "leave out --at, --step-mm and --rotation"),
        ({"transform_file": "t.txt", "rotation_deg": 1.0}, "leave out --at"),
        ({"at_mm": (0, float("nan"))}, "--at must be finite, got nan,0"),
        ({"at_mm": (0, 0), "step_mm": 0.0}, "--step-mm must be more than 0, got 0.0"),
        ({"at_mm": (0, 0), "step_mm": 1e-9}, "--step-mm must lie between 1e-6 and 1e6 mm, got 1e-09"),
        ({"at_mm": (0, 0), "step_mm": 1e300}, r"--step-mm must lie between 1e-6 and 1e6 mm, got 1e\+300"),
        ({"at_mm": (0, 0), "spot_mm": -1.0}, "--spot-mm must be more than 0"),
        ({"at_mm": (0, 0), "dwell_s": 1e300}, r"--dwell-s must lie between 1e-6 and 1e6 s, got 1e\+300"),
        ({"at_mm": (0, 0), "gain": float("inf")}, "gain must be more than 0"),
        ({"at_mm": (0, 0), "dwell_s": 0.0}, "--dwell-s must be more than 0"),
        ({"at_mm": (0, 0), "footprint": "disc"}, "footprint must be 'box' or 'gaussian', got 'disc'"),
        ({"at_mm": (0, 0), "noise": "white"}, "noise must be 'poisson' or 'gaussian', got 'white'"),
    ],
)
def test_options_that_cannot_be_are_refused_by_their_words(more, words):
    with pytest.raises(XrfsrError, match=words):
        AddOptions(**more)


LARGE = """
import resource, sys
from xrfsr_dask.commands.add import add
from xrfsr_dask.options import AddOptions
place = {"at_mm": (0, 0), "step_mm": 0.5}
add(sys.argv[1], sys.argv[2], AddOptions(calibration="-0.96,0.02", **place))
warm = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
add(sys.argv[1], sys.argv[3], AddOptions(calibration="-0.96,0.01", resample=True, **place))
print(warm, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def sparse(path, shape, dtype, record):
    """A scan whose numbers are a hole in the file, all counts but one 0: no disk."""
    ny, nx, n_channel = shape
    if path.suffix == ".npy":
        header = {"descr": np.dtype(dtype).str, "fortran_order": record == "image", "shape": shape}
        with path.open("wb") as file:
            np.lib.format.write_array_header_2_0(file, header)
            first = file.tell()
            file.truncate(first + ny * nx * n_channel * np.dtype(dtype).itemsize)
            file.seek(first)
            file.write(b"\x01")
        return path
    keys = {"width": nx, "height": ny, "depth": n_channel, "offset": 0, "data-length": np.dtype(dtype).itemsize}
    keys |= {"data-type": "unsigned", "byte-order": "little-endian", "record-by": record}
    path.write_text("".join(f"{key}\t{value}\n" for key, value in keys.items()))
    with path.with_suffix(".raw").open("wb") as file:
        file.truncate(ny * nx * n_channel * np.dtype(dtype).itemsize)
        file.write(b"\x01")
    return path


def grown(small, large):
    """MB by which the peak of a process rises when it adds the second scan, resampled, after the first."""
    store = create_painting(small.parent / "wide.zarr", np.zeros((1290, 920, 3), "u1"), width_mm=920).path
    code = [sys.executable, "-c", LARGE, store, str(small), str(large)]
    out = subprocess.run(code, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    warm, peak = (int(kib) / 1024 for kib in out.stdout.split())
    assert len(open_painting(store).patches) == 2
    return peak - warm


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".rpl", ".npy"])
@pytest.mark.parametrize("record", ["vector", "image"])
def test_memory_does_not_grow_with_the_width_of_a_scan(tmp_path, record, suffix):
    """32 rows of this scan are 960 MB, and as much again when they are resampled."""
    small = sparse(tmp_path / f"small{suffix}", (8, 8, 2048), "u4", record)
    large = sparse(tmp_path / f"large{suffix}", (40, 1830, 4096), "u4", record)
    assert grown(small, large) < 300


@pytest.mark.slow
@pytest.mark.parametrize("record", ["vector", "image"])
def test_memory_does_not_grow_with_the_rows_of_a_scan(tmp_path, record):
    small = sparse(tmp_path / "small.rpl", (8, 8, 2048), "u2", record)
    large = sparse(tmp_path / "large.rpl", (2560, 100, 4096), "u2", record)
    assert grown(small, large) < 300
