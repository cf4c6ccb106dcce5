import numpy as np

from xrfsr_dask.phantom.noise import cloud_noise, stroke_noise, value_noise


def grid(ny: int, nx: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(ny)[:, None] / 7.3, np.arange(nx)[None, :] / 5.1


def test_a_part_of_a_field_has_the_same_bits_as_the_whole():
    y, x = grid(91, 67)
    for field in (
        lambda y, x: value_noise(y, x, 3),
        lambda y, x: cloud_noise(y, x, 3),
        lambda y, x: stroke_noise(y, x, 3, degrees=40, length=3, width=0.7),
    ):
        np.testing.assert_array_equal(field(y, x)[13:52, 29:30], field(y[13:52], x[:, 29:30]))


def test_fields_are_smooth_bounded_and_differ_by_seed():
    y, x = np.arange(400)[:, None] / 40, np.arange(300)[None, :] / 40
    field = cloud_noise(y, x, 0)
    assert abs(field).max() <= 1
    assert field.std() > 0.15
    assert abs(np.diff(field, axis=0)).max() < 0.2
    assert abs(np.corrcoef(field.ravel(), cloud_noise(y, x, 1).ravel())[0, 1]) < 0.3


def test_strokes_are_longer_than_wide():
    y, x = np.arange(300)[:, None] / 1.0, np.arange(300)[None, :] / 1.0
    field = stroke_noise(y, x, 0, degrees=0, length=60, width=6)
    along, across = abs(np.diff(field, axis=1)).mean(), abs(np.diff(field, axis=0)).mean()
    assert along < 0.4 * across
