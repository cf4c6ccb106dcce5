"""The cubic spline against SciPy's, on aligned and on turned patches."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from xrfsr_dask.errors import InputError
from xrfsr_dask.methods.cubic import cubic_region, spline_coefficients, spline_weights, upsample_cubic
from xrfsr_dask.store import PatchSpec, add_patch, create_painting, open_painting, placement
from xrfsr_dask.store.patches import CHUNK_SPOTS, apply_transform

ENERGY = 1.0 + 0.02 * np.arange(5)


def counts_of(ny, nx, seed=0):
    return np.random.default_rng(seed).poisson(30, (ny, nx, len(ENERGY))).astype(np.uint16)


def scipy_cubic(values, rows, columns):
    channels = np.moveaxis(np.asarray(values, float), -1, 0)
    return np.stack([map_coordinates(c, [rows, columns], order=3, mode="mirror") for c in channels], axis=-1)


def painting_of(path, *patches, shape=(60, 80)):
    """A painting of 1 mm px with patches (counts, place, gain, noise)."""
    create_painting(path, np.zeros((*shape, 3), np.uint8), width_mm=float(shape[1]))
    for i, (counts, place, gain, noise) in enumerate(patches):
        spec = PatchSpec(
            shape=counts.shape,
            dtype=counts.dtype,
            transform=place,
            energy_kev=ENERGY,
            gain=gain,
            noise=noise,
        )
        rows = ((r, counts[r : r + CHUNK_SPOTS]) for r in range(0, len(counts), CHUNK_SPOTS))
        add_patch(path, f"p{i}", spec, rows)
    return open_painting(path)


@pytest.mark.parametrize("spots", [(9, 14), (1, 6), (2, 3), (5, 1)])
def test_weights_on_coefficients_are_scipys_cubic_spline(spots):
    rng = np.random.default_rng(1)
    counts = counts_of(*spots)
    rows, columns = (rng.uniform(-0.5, n - 0.5, 200) for n in spots)
    weights = spline_weights(rows, columns, spots)
    values = weights @ spline_coefficients(counts).reshape(-1, len(ENERGY))
    np.testing.assert_allclose(values, scipy_cubic(counts, rows, columns), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("factor", [1, 3, 4])
def test_an_aligned_scan_is_interpolated_at_the_centres_of_its_pixels(factor):
    counts = counts_of(7, 10)
    at = [(np.arange(factor * n) + 0.5) / factor - 0.5 for n in (7, 10)]
    expected = scipy_cubic(counts, *np.meshgrid(*at, indexing="ij"))
    out = upsample_cubic(counts, factor, nonnegative=False)
    assert (out.shape, out.dtype) == ((7 * factor, 10 * factor, 5), np.float32)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-3)


def test_an_odd_factor_gives_back_the_spots_at_their_centres():
    counts = counts_of(7, 10)
    np.testing.assert_allclose(upsample_cubic(counts, 5)[2::5, 2::5], counts, rtol=1e-4)


def test_a_map_without_channels_stays_a_map():
    counts = counts_of(6, 4)
    np.testing.assert_allclose(upsample_cubic(counts[..., 2], 3), upsample_cubic(counts, 3)[..., 2], rtol=1e-6)


def test_overshoot_below_zero_is_cut_off_only_where_counts_cannot_be_negative():
    counts = np.zeros((9, 9, 1), np.float32)
    counts[4, 4] = 1000
    assert upsample_cubic(counts, 4, nonnegative=False).min() < -10
    assert upsample_cubic(counts, 4).min() == 0


def test_a_turned_patch_is_interpolated_where_its_spots_lie_and_nowhere_else(tmp_path):
    place = placement(at_mm=(12.0, 6.0), step_mm=3.3, rotation_deg=7.0)
    counts = counts_of(10, 14)
    painting = painting_of(tmp_path / "p.zarr", (counts, place, 2.0, "poisson"))
    out = cubic_region(painting, (slice(None), slice(None)))
    y, x = np.mgrid[:60, :80] + 0.5
    spots = apply_transform(np.linalg.inv(place), np.stack([y.ravel(), x.ravel()], axis=1))
    rows, columns = spots.T.reshape(2, 60, 80)
    covered = (rows >= -0.5) & (rows <= 9.5) & (columns >= -0.5) & (columns <= 13.5)
    np.testing.assert_array_equal(np.isfinite(out).all(axis=-1), covered)
    expected = np.maximum(scipy_cubic(counts, rows, columns), 0) / 2.0
    np.testing.assert_allclose(out[covered], expected[covered], rtol=1e-4, atol=1e-3)


def test_a_region_is_a_piece_of_the_whole(tmp_path):
    patches = [
        (counts_of(34, 40, seed), placement(at_mm=(1.0, at), step_mm=1.4, rotation_deg=1.5), 1.0, "poisson")
        for seed, at in ((0, 4.0), (1, 20.0))
    ]
    painting = painting_of(tmp_path / "p.zarr", *patches)
    whole = cubic_region(painting, (slice(None), slice(None)))
    piece = cubic_region(painting, (slice(20, 31), slice(30, 47)), channels=slice(1, 4))
    np.testing.assert_allclose(piece, whole[20:31, 30:47, 1:4], rtol=1e-4, atol=1e-3)


def test_overlapping_patches_are_averaged_by_their_gains(tmp_path):
    place = placement(at_mm=(0.0, 0.0), step_mm=4.0)
    first, second = counts_of(10, 12, 0), counts_of(10, 12, 1)
    both = painting_of(tmp_path / "p.zarr", (first, place, 1.0, "gaussian"), (second, place, 3.0, "gaussian"))
    out = cubic_region(both, (slice(0, 40), slice(0, 48)))
    expected = upsample_cubic(first.astype(np.float32) + second, 4, nonnegative=False) / 4.0
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-3)


def test_a_map_by_weights_is_the_weighted_sum_of_channels(tmp_path):
    place = placement(at_mm=(2.0, 3.0), step_mm=1.3, rotation_deg=-1.0)
    painting = painting_of(tmp_path / "p.zarr", (counts_of(40, 36), place, 1.5, "gaussian"))
    region, weights = (slice(5, 40), slice(2, 50)), np.array([0, 1, 1, -0.5, 0])
    one_map = cubic_region(painting, region, weights=weights)
    np.testing.assert_allclose(one_map, cubic_region(painting, region) @ weights, rtol=1e-3, atol=1e-2)


def test_a_region_that_no_patch_covers_is_not_a_number(tmp_path):
    place = placement(at_mm=(0.0, 0.0), step_mm=1.0)
    painting = painting_of(tmp_path / "p.zarr", (counts_of(4, 4), place, 1.0, "poisson"))
    out = cubic_region(painting, (slice(40, 45), slice(50, 57)), channels=slice(0, 2))
    assert out.shape == (5, 7, 2)
    assert np.isnan(out).all()
    with pytest.raises(InputError, match="a region of pixels without steps"):
        cubic_region(painting, (slice(0, 10, 2), slice(0, 5)))
