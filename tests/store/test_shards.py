"""Shards read straight from their files: the same values as Zarr gives, and damage never passed over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from xrfsr_dask.errors import DamagedStoreError
from xrfsr_dask.store import shards
from xrfsr_dask.store.arrays import new_array, open_array, open_group

SHAPE = (47, 33, 5)


@pytest.fixture
def array(tmp_path: Path) -> zarr.Array:
    group = zarr.create_group(str(tmp_path / "a.zarr"), zarr_format=3)
    layout = {"chunks": (10, 10, 5), "shards": (20, 20, 5), "dims": ("y", "x", "atom")}
    made = new_array(group, "abundance", shape=SHAPE, dtype="f4", **layout)
    made[...] = np.random.default_rng(0).random(SHAPE, np.float32)
    return open_array(open_group(tmp_path / "a.zarr"), "abundance")


def shard(array: zarr.Array) -> Path:
    return Path(str(array.store_path).removeprefix("file://")) / "c" / "0" / "1" / "0"


@pytest.mark.parametrize(
    "region",
    [
        (slice(0, 47), slice(0, 33), slice(0, 5)),
        (slice(7, 41), slice(9, 32), slice(1, 4)),
        (slice(46, 47), slice(32, 33), slice(0, 5)),
        (slice(5, 5), slice(0, 33), slice(0, 5)),
    ],
)
def test_a_region_is_what_zarr_reads(array, region):
    assert shards.readable(array)
    np.testing.assert_array_equal(shards.assembled(array, region), array[region])


def test_chunks_come_one_by_one_and_cover_the_region_once(array):
    seen = np.zeros(SHAPE, int)
    for place, values in shards.chunks_in(array, (slice(3, 30), slice(4, 33), slice(0, 5))):
        assert values.shape[0] <= 10
        seen[place] += 1
    assert (seen[3:30, 4:33] == 1).all()
    assert seen.sum() == 27 * 29 * 5


@pytest.mark.parametrize("what", ["byte", "index", "short", "gone"])
def test_damage_is_named(array, what):
    path = shard(array)
    stored = bytearray(path.read_bytes())
    if what == "byte":
        stored[100] ^= 1
    elif what == "index":
        stored[-30] ^= 1
    path.write_bytes(stored[:-8] if what == "short" else stored)
    if what == "gone":
        path.unlink()
    words = {
        "byte": "checksum",
        "index": "index of this shard",
        "short": "index of this shard",
        "gone": "missing",
    }
    with pytest.raises(DamagedStoreError, match=words[what]):
        shards.assembled(array, tuple(slice(0, n) for n in SHAPE))


def test_a_chunk_that_was_never_written_is_damage(tmp_path):
    group = zarr.create_group(str(tmp_path / "a.zarr"), zarr_format=3)
    layout = {"chunks": (10, 10), "shards": (20, 20), "dims": ("y", "x")}
    made = new_array(group, "part", shape=(20, 20), dtype="f4", **layout)
    zarr.open_array(made.store_path, config={"write_empty_chunks": False})[:10] = 1.0
    with pytest.raises(DamagedStoreError, match="missing or was never written"):
        shards.assembled(open_array(open_group(tmp_path / "a.zarr"), "part"), (slice(0, 20), slice(0, 20)))


def test_other_layouts_are_left_to_zarr(tmp_path):
    group = zarr.create_group(str(tmp_path / "a.zarr"), zarr_format=3)
    plain = new_array(group, "plain", shape=(20, 20), dtype="f4", chunks=(10, 10), dims=("y", "x"))
    counts = new_array(
        group, "counts", shape=(20, 20), dtype="u2", chunks=(10, 10), shards=(20, 20), dims=("y", "x")
    )
    assert not shards.readable(plain)
    assert not shards.readable(counts)
