import numpy as np
import pytest

from xrfsr_dask.errors import InputError, OptionError
from xrfsr_dask.options import BedroomOptions
from xrfsr_dask.phantom import REGIONS, PaintedScene, paint_room
from xrfsr_dask.phantom.painted import mix_paints
from xrfsr_dask.phantom.pigments import COLOURS, TWINS, VISIBLE
from xrfsr_dask.phantom.room import paint_rows

OPTIONS = BedroomOptions.small()
WHOLE = slice(0, 304), slice(0, 388)
PART = slice(37, 122), slice(191, 390)


@pytest.fixture(scope="module")
def scene():
    return PaintedScene(paint_room(OPTIONS.shape, OPTIONS.seed), OPTIONS)


@pytest.fixture(scope="module")
def truth(scene):
    return scene.abundance(WHOLE)


def test_any_region_has_the_same_bits_as_in_the_whole(scene, truth):
    np.testing.assert_array_equal(scene.abundance(PART), truth[PART])
    np.testing.assert_array_equal(scene.region(PART), scene.region(WHOLE)[PART])


def test_any_rows_of_the_room_have_the_same_bits_as_in_the_whole():
    whole = paint_room((150, 190), 4)
    np.testing.assert_array_equal(paint_rows((150, 190), 4, 61, 140), whole[61:140])


def test_the_room_has_the_colours_and_the_fine_edges_of_a_painting(scene):
    photo = scene.photo.astype(float)
    assert photo.std(axis=(0, 1)).min() > 30
    blue, red = photo[..., 2] - photo[..., 0], photo[..., 0] - photo[..., 1]
    assert (blue > 40).mean() > 0.15
    assert (red > 100).mean() > 0.003
    assert (abs(np.diff(photo.mean(axis=2), axis=1)) > 30).mean() > 0.03


def test_visible_paints_add_up_to_a_thickness_the_photograph_does_not_show(scene, truth):
    n = len(VISIBLE)
    thickness = truth[..., :n].sum(axis=-1)
    assert 0.75 <= thickness.min() < 0.9 < 1.1 < thickness.max() <= 1.25
    grey = scene.photo.mean(axis=2)
    assert abs(np.corrcoef(grey.ravel(), thickness.ravel())[0, 1]) < 0.15


def test_one_colour_is_two_paints_in_different_places(scene, truth):
    """Pixels of the same colour hold either twin: cobalt or ultramarine."""
    names = list(VISIBLE)
    blue, twin = (truth[..., names.index(n)] for n in ("cobalt blue", "ultramarine"))
    assert (blue > 0.3).mean() > 0.02
    assert (twin > 0.3).mean() > 0.02
    mean_colour = [scene.photo[part > 0.3].mean(axis=0) for part in (blue, twin)]
    assert abs(mean_colour[0] - mean_colour[1]).max() < 25
    assert ((blue > 0.05) & (twin > 0.05)).mean() < 0.01  # a hard border
    assert list(TWINS) == ["cobalt blue", "chrome yellow"]


def test_the_region_map_says_where_hidden_layers_and_metamers_are(scene, truth):
    region, n = scene.region(WHOLE), len(VISIBLE)
    beneath = (truth[..., n + 1 :] > 0.05).any(axis=-1)
    np.testing.assert_array_equal(region == REGIONS.index("hidden"), beneath)
    share = np.bincount(region.ravel(), minlength=3) / region.size
    assert share.min() > 0.05
    twins = [list(VISIBLE).index(t) for t in TWINS.values()]
    assert (truth[region == REGIONS.index("metamer")][:, twins].sum(axis=1) > 0.07).all()
    assert (truth[region == REGIONS.index("elsewhere")][:, twins].sum(axis=1) < 0.13).all()


def test_nothing_lies_beneath_when_nothing_is_to_be_hidden(scene):
    bare = PaintedScene(scene.photo, BedroomOptions(hidden=False))
    assert (bare.abundance(PART)[..., len(VISIBLE) + 1 :] == 0).all()
    assert REGIONS.index("hidden") not in bare.region(PART)


def test_the_map_from_colour_to_paint_is_smooth_but_no_plane():
    """Halfway between two colours is not half of each; a small step in colour is a small step in paint."""
    t = np.linspace(0, 1, 400, dtype=np.float32)[None, :, None]
    blue, red = (np.array(COLOURS[name][0], np.float32) / 255 for name in ("deep blue", "red"))
    mixed = mix_paints(blue + t * (red - blue))[:, 0]
    assert abs(np.diff(mixed, axis=1)).max() < 0.1
    straight = mixed[:, :1] + t[0, :, 0] * (mixed[:, -1:] - mixed[:, :1])
    assert abs(mixed - straight).max() > 0.3
    np.testing.assert_allclose(mixed.sum(axis=0), 1, rtol=1e-5)


@pytest.mark.parametrize("name", COLOURS)
def test_each_colour_of_the_palette_is_mostly_its_own_mixture(name):
    colour, mixture = COLOURS[name]
    mixed = mix_paints(np.array([[colour]], np.float32) / 255)[:, 0, 0]
    wanted = np.array([mixture.get(paint, 0.0) for paint in VISIBLE])
    assert np.minimum(mixed, wanted).sum() > 0.7


def test_a_16_bit_photograph_gives_the_paints_of_its_8_bit_twin(scene):
    deep = PaintedScene(scene.photo.astype("u2") * 257, OPTIONS)
    np.testing.assert_allclose(deep.abundance(PART), scene.abundance(PART), atol=1e-5)


def test_a_grey_photograph_is_refused_with_what_was_found():
    with pytest.raises(InputError, match=r"shape \(20, 30\) and type uint8"):
        PaintedScene(np.zeros((20, 30), "u1"), OPTIONS)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("dwell_s", 0.0, "dwell_s must be more than 0"),
        ("n_channel", 5000, "n_channel must lie between"),
        ("overlap_spots", (6, 90), "overlap_spots must rise from 0 to below 85"),
        ("max_turn_deg", float("nan"), "max_turn_deg must be 0 to 45"),
        ("n_patches", 0, "n_patches must be at least 1"),
    ],
)
def test_options_that_cannot_work_are_refused(field, value, words):
    with pytest.raises(OptionError, match=words):
        BedroomOptions(**{field: value})
