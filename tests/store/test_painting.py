import json
import time
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xarray as xr
from helpers import small_painting, tree_bytes

from xrfsr_dask.errors import DamagedStoreError, InputError, OptionError, StoreError
from xrfsr_dask.store import PatchSpec, add_patch, create_painting, open_painting, placement
from xrfsr_dask.store.arrays import open_array, open_group, read
from xrfsr_dask.store.check import check_store
from xrfsr_dask.store.metadata import set_attributes
from xrfsr_dask.store.painting import _halved
from xrfsr_dask.store.staging import staged, work_area

PHOTO = np.random.default_rng(0).integers(0, 255, (120, 90, 3)).astype("u1")


def spec(**changes) -> PatchSpec:
    given = {
        "shape": (8, 6, 16),
        "dtype": "u2",
        "transform": placement(at_mm=(10, 10), step_mm=5),
        "energy_kev": 0.1 + 0.01 * np.arange(16),
        "source": "scan.rpl",
    }
    return PatchSpec(**(given | changes))


def rows(counts: np.ndarray):
    return ((r, counts[r : r + 32]) for r in range(0, len(counts), 32))


COUNTS = np.random.default_rng(1).poisson(2.0, (8, 6, 16)).astype("u2")


@pytest.fixture
def store(tmp_path):
    create_painting(tmp_path / "p.zarr", PHOTO, width_mm=90.0)
    return tmp_path / "p.zarr"


def test_plain_xarray_reads_the_store_with_units_and_millimetres(store):
    add_patch(store, "p01", spec(), rows(COUNTS))
    tree = xr.open_datatree(store, engine="zarr", consolidated=False)
    photo, patch = tree["rgb/0"].to_dataset(), tree["patches/p01"].to_dataset()
    np.testing.assert_array_equal(photo.image, PHOTO)
    assert photo.x.attrs["units"] == "mm"
    np.testing.assert_allclose(photo.x[[0, -1]], [0.5, 89.5])
    np.testing.assert_array_equal(patch.counts, COUNTS)
    assert patch.counts.dims == ("y", "x", "energy")
    assert patch.energy.attrs["units"] == "keV"
    np.testing.assert_allclose(patch.mean_spectrum, COUNTS.mean(axis=(0, 1)))
    tree.close()


def test_every_array_is_checksummed(store):
    add_patch(store, "p01", spec(), rows(COUNTS))
    for path in store.rglob("zarr.json"):
        meta = json.loads(path.read_text())
        if meta["node_type"] == "array":
            assert meta["codecs"][-1]["name"] == "crc32c", path


def test_a_pyramid_halves_until_it_is_small(tmp_path):
    image = np.random.default_rng(0).integers(0, 65535, (700, 1301, 1)).astype("u2")
    create_painting(tmp_path / "p.zarr", image, width_mm=130.1)
    tree = xr.open_datatree(tmp_path / "p.zarr", engine="zarr", consolidated=False)
    assert [tree[f"rgb/{i}/image"].shape for i in range(3)] == [(700, 1301, 1), (350, 651, 1), (175, 326, 1)]
    level = tree["rgb/1/image"].values.astype(float)
    np.testing.assert_allclose(level[3, 4], image[6:8, 8:10].mean(axis=(0, 1)), atol=0.51)
    assert float(tree["rgb/1/x"][0]) == pytest.approx(0.1)
    tree.close()


def test_srgb_becomes_linear_light():
    from xrfsr_dask.store.painting import linear_light

    values = linear_light(np.array([[[0, 188, 255]]], "u1"), "srgb")
    np.testing.assert_allclose(values[0, 0], [0, 0.5029, 1], atol=1e-3)
    np.testing.assert_allclose(linear_light(np.array([[[51]]], "u1"), "linear"), 0.2)


def test_placement_puts_the_corner_where_it_was_asked_for_and_turns_clockwise():
    T = placement(at_mm=(10, 20), step_mm=2.0, rotation_deg=90)
    np.testing.assert_allclose(T @ [-0.5, -0.5, 1], [10, 20, 1], atol=1e-12)
    np.testing.assert_allclose(T @ [-0.5, 0.5, 1], [12, 20, 1], atol=1e-12)  # a column further: down
    np.testing.assert_allclose(T @ [0.5, -0.5, 1], [10, 18, 1], atol=1e-12)  # a row further: left


def refused(store, error, words, name="p01", counts=COUNTS, **changes):
    before = tree_bytes(store)
    with pytest.raises(error, match=words) as caught:
        add_patch(store, name, spec(**changes), rows(counts))
    assert "\n" not in str(caught.value)
    assert tree_bytes(store) == before
    assert not list(work_area(store).glob("staging*"))


def test_bad_counts_are_refused_with_their_place_and_leave_nothing(store):
    for value, words in ((np.nan, "not finite"), (np.inf, "not finite"), (-3.0, "negative")):
        counts = COUNTS.astype("f4")
        counts[5, 2, 7] = value
        refused(
            store,
            InputError,
            rf"patch 'p01' \(scan.rpl\).*row 5, column 2, channel 7 is {words}",
            counts=counts,
        )


def test_negative_values_pass_as_gaussian_noise(store):
    counts = COUNTS.astype("f4") - 3
    patch = add_patch(store, "p01", spec(dtype="f4", noise="gaussian"), rows(counts))
    np.testing.assert_array_equal(read(patch.counts()), counts)


def test_scans_that_do_not_fit_the_painting_are_refused(store):
    refused(
        store,
        InputError,
        r"reaches outside the photograph: spot \(row 7, column 0\).*--step-mm",
        transform=placement(at_mm=(100, 10), step_mm=5),
    )
    refused(store, InputError, "has no data", shape=(0, 6, 16), counts=COUNTS[:0])
    refused(store, InputError, r"rows 0 to 20 of 20 were expected.*found \(8, 6, 16\)", shape=(20, 6, 16))
    refused(store, InputError, "not an invertible 3x3", transform=np.zeros((3, 3)))
    refused(store, InputError, "energy axis does not rise", energy_kev=np.zeros(16))
    refused(store, OptionError, "gain must be more than 0", gain=0.0)
    refused(store, OptionError, "spot size must be more than 0", spot_mm=-1.0)
    for name in ("../p", "a/b", "", ".hidden", "x" * 65, "a\\b"):
        refused(store, OptionError, "cannot be the name of a patch", name=name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gain", 1e300),
        ("gain", 1e9),
        ("spot_mm", 1e300),
        ("spot_mm", 600.0),
        ("max_counts", float("inf")),
        ("total_counts", 1e300),
        ("transform", [[1e300, 0, 0], [0, 1, 0], [0, 0, 1]]),
        ("transform", [[50.0, 0, 0], [0, 1, 0], [0, 0, 1]]),
    ],
    ids=str,
)
def test_a_patch_with_numbers_that_none_can_have_is_damage(store, name, value):
    add_patch(store, "p01", spec(), rows(COUNTS))
    set_attributes(store / "patches" / "p01", {name: value})
    with warnings.catch_warnings(action="error"), pytest.raises(StoreError, match="patch 'p01'"):
        open_painting(store)


def test_patches_must_agree_on_energy(store):
    add_patch(store, "p01", spec(), rows(COUNTS))
    refused(store, StoreError, "already holds a patch 'p01'")
    refused(
        store,
        InputError,
        r"has 12 channels, patch 'p01' has 16.*--resample",
        name="p02",
        shape=(8, 6, 12),
        energy_kev=np.arange(12.0),
        counts=COUNTS[..., :12],
    )
    refused(
        store,
        InputError,
        r"spans 0.6000 to 0.7500 keV.*--calibration",
        name="p02",
        energy_kev=0.6 + 0.01 * np.arange(16),
    )


def test_small_steps_between_energy_axes_do_not_add_up(store):
    """No two patches differ by more than a tenth of a channel, in whatever order they came."""
    axis = 0.1 + 0.01 * np.arange(16)
    add_patch(store, "b", spec(energy_kev=axis), rows(COUNTS))
    add_patch(store, "c", spec(energy_kev=axis + 0.0009), rows(COUNTS))
    add_patch(store, "a", spec(energy_kev=axis - 0.00009), rows(COUNTS))
    off = r"patch 'd' \(scan.rpl\).*patch 'a'.*is off by 0.0019 keV, more than 0.1 channel.*--resample"
    refused(store, InputError, off, name="d", energy_kev=axis + 0.0018)
    refused(store, InputError, r"patch 'c'.*channel \d+ is off by 0.0011", name="d", energy_kev=axis - 0.0002)
    bent = axis + 0.0011 * (np.arange(16) == 5)
    refused(store, InputError, r"patch 'a'.*channel 5 is off", name="d", energy_kev=bent)


def test_a_long_axis_of_real_numbers_agrees_with_itself(store):
    axis = -0.95550444 + 0.009999 * np.arange(4096)
    counts = np.ones((1, 2, 4096), "u2")
    for name, kev in (("a", axis), ("b", axis.astype("f4").astype(float))):
        add_patch(store, name, spec(shape=counts.shape, energy_kev=kev), rows(counts))


def test_a_patch_is_the_same_however_it_is_cut(store):
    """Real numbers, whose sums depend on the order of adding."""
    counts = np.random.default_rng(0).random((40, 75, 8), np.float32)
    place = {"transform": placement(at_mm=(1, 1), step_mm=1), "energy_kev": 0.1 + 0.01 * np.arange(8)}
    given = spec(shape=counts.shape, dtype="f4", **place)

    def cut(wide):
        for row in (0, 32):
            for column in range(0, 75, wide):
                yield (row, column), counts[row : row + 32, column : column + wide]

    whole = add_patch(store, "whole", given, rows(counts))
    means = [
        [counts[y : y + 16, x : x + 16].mean(axis=(0, 1), dtype=float) for x in range(0, 75, 16)]
        for y in range(0, counts.shape[0], 16)
    ]
    np.testing.assert_allclose(whole.square_means(), means, rtol=1e-6)
    for name, wide in (("narrow", 32), ("wide", 64)):
        patch = add_patch(store, name, given, cut(wide))
        np.testing.assert_array_equal(read(patch.counts()), counts)
        assert patch.mean_spectrum().tobytes() == whole.mean_spectrum().tobytes()
        assert patch.square_means().tobytes() == whole.square_means().tobytes()
        assert (patch.max_counts, patch.total_counts) == (whole.max_counts, whole.total_counts)


@pytest.mark.parametrize(
    "corners",
    [
        [(0, 0, 40)],  # no whole chunks
        [(0, 0, 32), (0, 64, 11)],  # a gap
        [(0, 0, 64), (0, 64, 12)],  # too wide
        [(0, 0, 32), (32, 0, 32)],  # the next rows too early
        [(0, 32, 43)],  # not from the left
        [(0, 0, 0)],
    ],
)
def test_pieces_that_do_not_fit_are_refused(store, corners):
    shape = (40, 75, 8)
    pieces = (((y, x), np.zeros((min(32, 40 - y), wide, 8), "u2")) for y, x, wide in corners)
    place = {"transform": placement(at_mm=(1, 1), step_mm=1), "energy_kev": 0.1 + 0.01 * np.arange(8)}
    before = tree_bytes(store)
    with pytest.raises(InputError, match=r"patch 'p01' \(scan.rpl\): rows 0 to 32 of 40 were expected"):
        add_patch(store, "p01", spec(shape=shape, **place), pieces)
    assert tree_bytes(store) == before


def test_a_patch_that_ends_early_is_refused(store):
    pieces = [((0, 0), np.zeros((8, 6, 16), "u2"))][:0]
    with pytest.raises(InputError, match="ends after 0 of 8 rows"):
        add_patch(store, "p01", spec(), pieces)


def test_what_is_not_a_painting_is_refused(tmp_path, store):
    import zarr

    with pytest.raises(StoreError, match="does not exist; create it with `xrfsr new`"):
        open_painting(tmp_path / "absent.zarr")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match=r"is not a painting store: it holds no zarr.json"):
        open_painting(tmp_path / "folder")
    zarr.create_group(str(tmp_path / "other.zarr"), zarr_format=3)
    with pytest.raises(StoreError, match="not a painting store"):
        open_painting(tmp_path / "other.zarr")
    (tmp_path / "broken.zarr").mkdir()
    (tmp_path / "broken.zarr" / "zarr.json").write_text("{")
    with pytest.raises(DamagedStoreError, match=r"broken.zarr/zarr.json is damaged: not readable"):
        open_painting(tmp_path / "broken.zarr")
    meta = json.loads((store / "zarr.json").read_text())
    meta["attributes"] = {"format": "xrfsr painting", "format_version": 99}
    (store / "zarr.json").write_text(json.dumps(meta))
    with pytest.raises(StoreError, match="written in store format 99, this version reads up to 2; update"):
        open_painting(store)


@pytest.mark.parametrize(
    ("found", "told"), [("1", '"1"'), (True, "true"), (None, "null"), (0, "0"), (1.0, "1.0")]
)
def test_a_version_that_is_none_is_told_with_what_was_expected(store, found, told):
    meta = json.loads((store / "zarr.json").read_text())
    meta["attributes"]["format_version"] = found
    del meta["attributes"]["checksum"]
    (store / "zarr.json").write_text(json.dumps(meta))
    words = f"p.zarr is damaged: its format_version is {told}, a whole number from 1 to 2 was expected"
    with pytest.raises(DamagedStoreError, match=words):
        open_painting(store)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((4, 4, 2), "u1"), r"shape \(4, 4, 2\)"),
        (np.zeros((4, 4, 3), "f4"), "type float32"),
        (np.zeros((0, 4, 3), "u1"), "no pixels"),
    ],
)
def test_photographs_that_cannot_be_used_are_refused(tmp_path, image, words):
    with pytest.raises(InputError, match=words):
        create_painting(tmp_path / "p.zarr", image, width_mm=10.0, source="photo.tif")
    assert not list(tmp_path.iterdir())


def test_no_store_is_made_inside_another(store):
    before = tree_bytes(store)
    for place in (store / "inside.zarr", store / "patches" / "p09"):
        with pytest.raises(StoreError, match=f"{store} is a store, and nothing else may lie inside it"):
            create_painting(place, PHOTO, width_mm=90.0)
    assert tree_bytes(store) == before


def test_an_existing_store_is_never_overwritten(store):
    before = tree_bytes(store)
    with pytest.raises(StoreError, match="already exists"):
        create_painting(store, PHOTO, width_mm=90.0)
    with pytest.raises(OptionError, match=r"more than 0 mm .*, got -1"):
        create_painting(store.with_name("q.zarr"), PHOTO, width_mm=-1)
    assert tree_bytes(store) == before


def test_a_staged_group_appears_whole_or_not_at_all(store):
    before = tree_bytes(store)

    def fail_half_way():
        with staged(store, "results/r") as group:
            group.create_group("half")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail_half_way()
    assert tree_bytes(store) == before


def test_of_threads_that_add_one_name_together_one_adds_it(store):
    def slow():
        for row, counts in rows(COUNTS):
            time.sleep(0.05)
            yield row, counts

    def adds(_) -> str:
        try:
            add_patch(store, "b", spec(), slow())
        except StoreError as error:
            return str(error)
        return "added"

    with ThreadPoolExecutor(3) as pool:
        told = list(pool.map(adds, range(3)))
    assert sorted(words == "added" for words in told) == [False, False, True]
    assert all("already holds" in words for words in told if words != "added")
    np.testing.assert_array_equal(read(open_painting(store).patches[0].counts()), COUNTS)
    assert check_store(store).damage == ()


@pytest.mark.parametrize("shape", [(1, 1), (64, 64), (65, 129), (130, 7), (200, 1)])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_half_a_photograph_is_the_rounded_mean_of_its_blocks(shape, dtype):
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (*shape, 3), dtype=dtype, endpoint=True)
    even = np.pad(image, ((0, shape[0] % 2), (0, shape[1] % 2), (0, 0)), mode="edge").astype(float)
    blocks = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
    np.testing.assert_array_equal(_halved(image), np.floor(blocks + 0.5))


def test_half_a_photograph_takes_little_more_memory_than_itself():
    image = np.ones((4000, 3000, 3), "u1")
    tracemalloc.start()
    try:
        _halved(image)
        assert tracemalloc.get_traced_memory()[1] < 0.6 * image.nbytes
    finally:
        tracemalloc.stop()


def test_a_flipped_bit_is_an_error_and_never_a_number(store):
    patch = add_patch(store, "p01", spec(), rows(COUNTS))
    chunk = patch.path / "counts" / "c" / "0" / "0" / "0"
    damaged = bytearray(chunk.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    chunk.write_bytes(bytes(damaged))
    with pytest.raises(DamagedStoreError, match=r"patches/p01/counts.*damaged.*xrfsr check"):
        read(open_array(open_group(patch.path), "counts"))


def test_patches_are_listed_by_name_and_an_unknown_one_is_told(tmp_path):
    painting = small_painting(tmp_path / "p.zarr", "ba")
    assert [patch.name for patch in painting.patches] == ["a", "b"]
    with pytest.raises(StoreError, match="no patch 'z'; it holds: a, b"):
        painting.patch("z")


def test_a_patch_that_lost_its_metadata_is_never_passed_over(tmp_path):
    small_painting(tmp_path / "p.zarr", "ab")
    (tmp_path / "p.zarr" / "patches" / "b" / "zarr.json").unlink()
    with pytest.raises(DamagedStoreError, match=r"patches/b is damaged: its zarr.json is missing"):
        open_painting(tmp_path / "p.zarr")


def test_a_painting_and_its_patches_say_what_they_are(store):
    assert repr(open_painting(store)).endswith("; patches: none>")
    painting = small_painting(store.parent / "told.zarr")
    ny, nx = painting.shape
    told = (
        f"<Painting told.zarr: {nx} x {ny} px, {nx * painting.pitch_mm:.1f} x {ny * painting.pitch_mm:.1f} mm; "
    )
    assert repr(painting) == f"{told}patches: a, b, c>"
    (rows, columns, n), step = painting.patches[0].shape, painting.patches[0].step_mm
    told = f"<Patch a of told.zarr: {columns} x {rows} spots, a step of {step:.3g} mm, {n} channels>"
    assert repr(painting.patches[0]) == told
