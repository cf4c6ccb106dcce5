"""`xrfsr maps`: element maps as files that keep values, scale and place."""

from __future__ import annotations

import errno
import json
import warnings

import numpy as np
import pytest
import tifffile
import xarray as xr
from helpers import small_painting, small_truth
from PIL import Image

from xrfsr_dask.cli import main
from xrfsr_dask.commands.maps import maps
from xrfsr_dask.errors import InputError, OptionError
from xrfsr_dask.kernels.halving import halved
from xrfsr_dask.options import MapOptions
from xrfsr_dask.phantom.instrument import energy_axis
from xrfsr_dask.phantom.pigments import VISIBLE
from xrfsr_dask.phantom.spectra import film_spectrum
from xrfsr_dask.result import open_result
from xrfsr_dask.store.results import new_result
from xrfsr_dask.store.staging import staged


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A painting of four paints, one edge of it not measured."""
    path = tmp_path_factory.mktemp("maps") / "p.zarr"
    painting = small_painting(path, "a")
    A, _, _ = small_truth()
    energy = energy_axis(1024)
    paints = ("lead white", "emerald green", "viridian", "vermilion")
    D = 5000 * np.array([film_spectrum(VISIBLE[name], energy) for name in paints])
    with staged(path, "results/joint") as group:
        whole = new_result(
            group, shape=A.shape[:2], pitch_mm=painting.pitch_mm, endmember=D, layer=np.array([0, 0, 1, 1]),
            energy_kev=energy, cell=50, attrs={"method": "joint"},
        )  # fmt: skip
        whole[...] = A
        covered = np.ones(A.shape[:2], np.float32)
        covered[:, :13] = 0
        group["coverage"][...] = covered
    return path


@pytest.fixture(scope="module")
def written(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "new"
    words = ["maps", str(store), "--elements", "Cr,pb-la,As", "--out", str(folder), "--pyramid", "--table"]
    assert main([*words, "--layer", "hidden"]) == 0
    return folder


@pytest.fixture(scope="module")
def expected(store):
    ds = open_result(store)
    lines = {"Cr Ka": ("Cr", "Ka"), "Pb La": ("Pb", "La"), "As Ka": ("As", "Ka")}
    return {
        name: ds.xrf.element(*line, layer="hidden").where(ds.coverage > 0).values
        for name, line in lines.items()
    }


def test_the_files_are_these(written):
    files = {
        f"{stem}-hidden{end}"
        for stem in ("Cr-Ka", "Pb-La", "As-Ka")
        for end in (".tif", ".png", "-picture.png")
    }
    together = {"maps-hidden.ome.zarr", "maps-hidden.csv", "maps-hidden.recipe.csv"}
    assert {p.name for p in written.iterdir()} == files | together


def test_a_tiff_keeps_values_and_scale(written, expected):
    with tifffile.TiffFile(written / "Cr-Ka-hidden.tif") as file:
        page = file.pages[0]
        np.testing.assert_array_equal(page.asarray(), expected["Cr Ka"])
        top, bottom = page.tags["XResolution"].value
        assert top / bottom == pytest.approx(10.0)  # px per cm, 1 mm each
        assert page.tags["ResolutionUnit"].value == 3
        about = json.loads(page.tags["ImageDescription"].value)
    assert (about["line"], about["layer"], about["pixel_mm"]) == ("Cr Ka", "hidden", 1.0)


def test_a_png_keeps_values_to_one_grey_level(written, expected):
    with Image.open(written / "Cr-Ka-hidden.png") as picture:
        grey = np.asarray(picture)
        level = json.loads(picture.text["Description"])["counts_per_grey_level"]
        assert picture.info["dpi"][0] == pytest.approx(25.4, abs=0.01)
    assert grey.dtype == np.uint16
    assert grey.max() == 65535
    np.testing.assert_allclose(grey * level, np.nan_to_num(expected["Cr Ka"]), atol=0.51 * level)


def test_a_pyramid_opens_with_xarray_and_its_levels_are_means(written, expected):
    tree = xr.open_datatree(written / "maps-hidden.ome.zarr", engine="zarr", consolidated=False, chunks=None)
    finest, coarse = (tree[f"{i}"].to_dataset() for i in (0, 1))
    assert (finest.image.dims, finest.image.shape) == (("c", "y", "x"), (3, 230, 170))
    np.testing.assert_array_equal(finest.image, np.stack(list(expected.values())))
    assert coarse.image.shape == (3, 115, 85)
    np.testing.assert_allclose(coarse.image[0], halved(expected["Cr Ka"]), rtol=1e-6)
    np.testing.assert_allclose(coarse.y[:2], [1.0, 3.0])


def test_the_validator_of_ome_zarr_accepts_it(written):
    module = pytest.importorskip("ome_zarr_models.v05", reason="needs ome-zarr-models, of the [dev] extra")
    import zarr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = module.Image.from_zarr(zarr.open_group(str(written / "maps-hidden.ome.zarr"), mode="r"))
    assert [axis.name for axis in image.ome_attributes.multiscales[0].axes] == ["c", "y", "x"]
    channels = image.ome_attributes.omero["channels"]
    assert [channel["label"] for channel in channels] == ["Cr Ka", "Pb La", "As Ka"]


def test_the_table_is_what_xrf_explorer_reads(written, expected):
    import pandas as pd

    cube = pd.read_csv(written / "maps-hidden.csv", sep=";", header=0, index_col=False, dtype=np.float32)
    assert list(cube.columns) == ["row", "column", "Cr", "Pb", "As"]
    indexed = cube.set_index(["row", "column"])
    shape = tuple(len(level) for level in indexed.index.levels)
    values = indexed.to_numpy().reshape(*shape, -1)  # as its convert_csv does
    np.testing.assert_allclose(values[..., 1], np.nan_to_num(expected["Pb La"]), rtol=1e-4, atol=1e-3)


def test_the_registration_is_that_of_the_photograph(written):
    words = (written / "maps-hidden.recipe.csv").read_bytes().decode().split("\r\n")
    assert words[:3] == ["Butterfly Registrator", "1.0", "control points"]
    assert words[4:9] == ["target", "photograph", "moving", "maps-hidden.csv", "x|y|x|y"]
    places = np.array([line.split("|") for line in words[9:13]], float)
    np.testing.assert_array_equal(places[:, :2], places[:, 2:])
    assert places[:, :2].max(axis=0).tolist() == [170, 230]


def test_two_lines_of_an_element_are_two_columns(store, tmp_path):
    import pandas as pd

    told = maps(store, tmp_path / "out", MapOptions(elements=("Pb", "Pb-Ma", "Cr", "Pb-La", "Pb"), table=True))
    assert len(told["files"]) == len({*told["files"]}) == 3 * 3 + 2  # a line that is named twice is one map
    cube = pd.read_csv(tmp_path / "out" / "maps.csv", sep=";")
    assert list(cube.columns) == ["row", "column", "Pb La", "Pb Ma", "Cr"]
    ds = open_result(store)
    for line in ("La", "Ma"):
        right = ds.xrf.element("Pb", line).where(ds.coverage > 0, 0).values.ravel()
        np.testing.assert_allclose(cube[f"Pb {line}"], right, rtol=1e-4, atol=1e-3)


def test_files_of_an_earlier_time_stay_until_all_new_ones_are_there(store, tmp_path, monkeypatch):
    out = tmp_path / "out"
    maps(store, out, MapOptions(elements=("Cr",), pyramid=True))
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("xrfsr_dask.commands.maps.write_pyramid", full)
        with pytest.raises(OSError, match="No space"):
            maps(store, out, MapOptions(elements=("Cr", "Pb"), pyramid=True))
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()} == before
    maps(store, out, MapOptions(elements=("Cr", "Pb"), pyramid=True))
    assert xr.open_datatree(out / "maps.ome.zarr", engine="zarr", consolidated=False)["0"].image.shape[0] == 2


def test_halving_passes_over_what_was_not_measured():
    values = np.array([[1.0, np.nan, 5.0], [3.0, np.nan, np.nan], [7.0, 9.0, np.nan]], np.float32)
    np.testing.assert_array_equal(halved(values), [[2.0, 5.0], [8.0, np.nan]])


def test_what_cannot_be_mapped_is_refused_before_anything_is_written(store, tmp_path):
    with pytest.raises(InputError, match="'Xx' is no chemical element"):
        maps(store, tmp_path / "out", MapOptions(elements=("Cr", "Xx")))
    with pytest.raises(InputError, match=r"Pb Ka lies at 7\d\.\d+ keV, outside"):
        maps(store, tmp_path / "out", MapOptions(elements=("Pb-Ka",)))
    with pytest.raises(InputError, match="Cr Kb5 is not among the lines that are fitted together"):
        maps(store, tmp_path / "out", MapOptions(elements=("Cr-Kb5",)))
    with pytest.raises(OptionError, match="an element without a name"):
        MapOptions(elements=("",))
    with pytest.raises(InputError, match="no element was found in "):
        maps(store, tmp_path / "out", MapOptions())  # its patch is of other channels
    assert not (tmp_path / "out").exists()
