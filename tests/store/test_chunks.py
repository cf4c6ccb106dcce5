"""Chunks of floats read and written without Zarr: the same files and values, and no damage passed over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from xrfsr_dask.errors import DamagedStoreError
from xrfsr_dask.store import chunks
from xrfsr_dask.store.arrays import new_array, open_array, open_group, place_of, read, read_finite, write

SHAPE = (47, 33, 5)
REGIONS = [
    (slice(0, 47), slice(0, 33), slice(0, 5)),
    (slice(7, 41), slice(9, 32), slice(1, 4)),
    (slice(46, 47), slice(32, 33)),
    (slice(5, 5), slice(0, 33)),
    (slice(None), slice(-3, None)),
    (),
    ...,
]


def new(folder: Path, name: str, dtype: str = "f4") -> zarr.Array:
    group = zarr.open_group(str(folder), mode="a", zarr_format=3)
    new_array(group, name, shape=SHAPE, dtype=dtype, chunks=(10, 20, 3), dims=("y", "x", "atom"))
    return open_array(open_group(folder, mode="r+"), name)


def files(array: zarr.Array) -> dict[str, bytes]:
    folder = Path(str(place_of(array))) / "c"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).random(SHAPE)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_files_are_those_that_zarr_writes(tmp_path, values, dtype):
    ours, theirs = new(tmp_path / "a.zarr", "ours", dtype), new(tmp_path / "a.zarr", "theirs", dtype)
    write(ours, (slice(0, 47), slice(0, 33)), values.astype(dtype))
    theirs[...] = values.astype(dtype)
    assert files(ours) == files(theirs)
    assert len(files(ours)) == 5 * 2 * 2


@pytest.mark.parametrize("region", REGIONS)
def test_a_region_is_what_zarr_reads(tmp_path, values, region):
    array = new(tmp_path / "a.zarr", "a", "f8")
    array[...] = values
    assert chunks.is_bare(array)
    np.testing.assert_array_equal(read(array, region), array[region])


def test_whole_chunks_at_the_edge_leave_their_neighbours(tmp_path, values):
    array = new(tmp_path / "a.zarr", "a", "f8")
    array[...] = values
    write(array, (slice(40, 47), slice(20, 33)), np.ones((7, 13, 5)))
    values[40:, 20:] = 1
    np.testing.assert_array_equal(array[...], values)


def test_a_part_of_a_chunk_keeps_the_rest(tmp_path, values):
    array = new(tmp_path / "a.zarr", "a", "f8")
    array[...] = values
    write(array, (slice(3, 12), slice(0, 20)), np.zeros((9, 20, 5)))
    values[3:12, :20] = 0
    np.testing.assert_array_equal(read(array), values)


def test_a_missing_chunk_is_nan_and_refused_where_all_must_be_there(tmp_path, values):
    array = new(tmp_path / "a.zarr", "a")
    write(array, (slice(0, 20), slice(0, 33)), values[:20].astype("f4"))
    assert np.isnan(read(array)[20:]).all()
    with pytest.raises(DamagedStoreError, match="never written"):
        read_finite(array)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b"", lambda b: b[:-5] + b"?" + b[-4:]]
)
def test_damage_is_named_with_its_chunk(tmp_path, values, damage):
    array = new(tmp_path / "a.zarr", "a")
    write(array, (slice(0, 47), slice(0, 33)), values.astype("f4"))
    path = Path(str(place_of(array))) / "c" / "2" / "1" / "0"
    path.write_bytes(damage(path.read_bytes()))
    read(array, (slice(0, 20), slice(0, 33)))
    with pytest.raises(DamagedStoreError, match=r"a at y 20:30, x 20:33.*(c/2/1/0|checksum)"):
        read(array, (slice(20, 30), slice(20, 33)))


def test_values_that_do_not_fit_are_refused(tmp_path):
    array = new(tmp_path / "a.zarr", "a")
    with pytest.raises(ValueError, match="broadcast"):
        write(array, (slice(0, 10), slice(0, 20)), np.zeros((10, 7, 5), "f4"))
    assert not files(array)


def test_integers_shards_and_places_of_another_kind_are_left_to_zarr(tmp_path):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="a", zarr_format=3)
    layout = {"shape": SHAPE, "chunks": (10, 10, 5), "dims": ("y", "x", "atom")}
    assert not chunks.is_bare(new_array(group, "counts", dtype="u2", **layout))
    assert not chunks.is_bare(new_array(group, "sharded", dtype="f4", shards=(20, 20, 5), **layout))
    memory = zarr.create_group(zarr.storage.MemoryStore(), zarr_format=3)
    assert not chunks.is_bare(new_array(memory, "far", dtype="f4", **layout))
