"""`new`: a photograph becomes a store."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from xrfsr_dask.commands.new import new
from xrfsr_dask.errors import InputError, OptionError, StoreError
from xrfsr_dask.store import open_painting
from xrfsr_dask.store.arrays import open_array, open_group

RGB = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype("u1")


def stored(painting):
    return open_array(open_group(painting.path), "rgb/0/image")[:]


def test_a_photograph_becomes_a_store_of_its_width(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "photo.png")
    painting, notes = new(tmp_path / "p.zarr", tmp_path / "photo.png", width_mm=80)
    assert notes == ()
    assert painting == open_painting(tmp_path / "p.zarr")
    assert painting.pitch_mm == 2
    np.testing.assert_array_equal(stored(painting), RGB)


def test_sixteen_bit_grey_is_kept(tmp_path):
    tifffile.imwrite(tmp_path / "photo.tif", RGB[..., 0].astype("u2") * 257)
    painting, _ = new(tmp_path / "p.zarr", tmp_path / "photo.tif", width_mm=80, transfer="linear")
    assert (painting.n_band, painting.transfer) == (1, "linear")
    np.testing.assert_array_equal(stored(painting)[..., 0], RGB[..., 0].astype("u2") * 257)


def test_dropped_alpha_is_said(tmp_path):
    Image.fromarray(np.dstack([RGB, RGB[..., 0]])).save(tmp_path / "photo.png")
    painting, notes = new(tmp_path / "p.zarr", tmp_path / "photo.png", width_mm=80)
    assert notes == ("photo.png: its alpha channel was dropped.",)
    assert painting.n_band == 3


def test_a_photograph_that_cannot_be_read_leaves_nothing_behind(tmp_path):
    (tmp_path / "photo.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"photo\.png cannot be read"):
        new(tmp_path / "p.zarr", tmp_path / "photo.png", width_mm=80)
    with pytest.raises(InputError, match=r"none\.png does not exist"):
        new(tmp_path / "p.zarr", tmp_path / "none.png", width_mm=80)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


@pytest.mark.parametrize("width_mm", [0, -1, float("nan"), float("inf")])
def test_a_width_that_is_none_is_refused(tmp_path, width_mm):
    Image.fromarray(RGB).save(tmp_path / "photo.png")
    with pytest.raises(OptionError, match=r"width must be more than 0 mm"):
        new(tmp_path / "p.zarr", tmp_path / "photo.png", width_mm=width_mm)
    assert not (tmp_path / "p.zarr").exists()


def test_what_lies_there_is_not_overwritten(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "photo.png")
    (tmp_path / "p.zarr").mkdir()
    with pytest.raises(StoreError, match=r"p\.zarr already exists"):
        new(tmp_path / "p.zarr", tmp_path / "photo.png", width_mm=80)
    assert list((tmp_path / "p.zarr").iterdir()) == []
