"""A result from a store and from memory: labelled, lazy, index-aware, and right."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from helpers import small_painting, small_truth

from xrfsr_dask.beams import spot_window
from xrfsr_dask.errors import DamagedStoreError, InputError, OptionError, StoreError
from xrfsr_dask.result import from_factors, line_kev, line_weights, open_result, roi_weights
from xrfsr_dask.result.lowrank import LowRank, lazy_cube, product
from xrfsr_dask.result.source import index_of
from xrfsr_dask.store import open_painting
from xrfsr_dask.store.arrays import new_array
from xrfsr_dask.store.results import new_result
from xrfsr_dask.store.staging import staged

CELL = 10  # so that 230 x 170 px are six shards
LAYER = np.array([0, 0, 1, 1])
KEV = 1.0 + 0.02 * np.arange(600)


def write_result(path: Path, name: str, A: np.ndarray, D: np.ndarray, energy_kev: np.ndarray) -> None:
    painting = open_painting(path)
    with staged(path, f"results/{name}") as group:
        layout = {"shape": A.shape[:2], "pitch_mm": painting.pitch_mm, "cell": CELL}
        whole = new_result(
            group, endmember=D, layer=LAYER, energy_kev=energy_kev, attrs={"method": name}, **layout
        )
        whole[...] = A
        group["coverage"][...] = np.ones(A.shape[:2], np.float32)
        if name == "truth":
            flags = {"flag_values": [0, 1, 2], "flag_meanings": "elsewhere hidden metamer"}
            shape = {"shape": A.shape[:2], "chunks": (100, 100), "dims": ("y", "x")}
            region = new_array(group, "region", dtype="u1", attrs=flags, **shape)
            region[...] = (A[..., 2] > 0).astype("u1")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("result") / "p.zarr"
    painting = small_painting(path, gain=2.0)
    A, D, _ = small_truth()
    write_result(path, "truth", A, D, painting.energy_kev)
    write_result(path, "paper", 0.5 * A, D, painting.energy_kev)
    os.utime(path / "results" / "truth" / "zarr.json")  # the truth is the newest
    return path


@pytest.fixture(scope="module")
def truth(store):
    return open_result(store, "truth")


@pytest.fixture(scope="module")
def brute():
    A, D, _ = small_truth()
    return np.einsum("yxk,kc->yxc", A.astype(float), D.astype(np.float32).astype(float))


@pytest.fixture(scope="module")
def lines():
    """In memory, a fine energy axis: Cr over a sloping background in a visible and a hidden endmember."""
    rng = np.random.default_rng(0)
    sigma = np.sqrt(9.893e-4 + 4.4664e-4 * line_kev("Cr"))
    peak = np.exp(-0.5 * ((KEV - line_kev("Cr")) / sigma) ** 2) * 0.02 / sigma / np.sqrt(2 * np.pi)
    D = np.outer([100, 0, 40, 0], peak) + np.outer([1, 2, 0.5, 3], 10 - 0.5 * KEV)
    A = rng.random((23, 31, 4), np.float32)
    axes = {"y_mm": (np.arange(23) + 0.5) * 0.5, "x_mm": (np.arange(31) + 0.5) * 0.5}
    return from_factors(A, D, np.array(["visible", "visible", "hidden", "hidden"]), energy_kev=KEV, **axes)


def forbidden(*_args, **_kwargs):
    raise AssertionError("something was computed")


def test_opening_computes_nothing_and_everything_is_labelled(store):
    with dask.config.set(scheduler=forbidden):
        ds = open_result(store, "truth")
    assert ds.cube.dims == ("y", "x", "energy")
    assert ds.abundance.dims == ("y", "x", "atom")
    assert ds.endmember.dims == ("atom", "energy")
    assert (ds.cube.attrs["units"], ds.y.attrs["units"], ds.energy.attrs["units"]) == ("counts", "mm", "keV")
    assert ds.layer.values.tolist() == ["visible", "visible", "hidden", "hidden"]
    assert ds.region.attrs["flag_meanings"] == "elsewhere hidden metamer"
    assert all(dask.is_dask_collection(ds[name].data) for name in ("cube", "abundance", "coverage", "region"))


def test_opening_a_result_never_imports_distributed(store):
    code = (
        f"import sys, xrfsr_dask as xs; xs.open_result({str(store)!r}); sys.exit('distributed' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_newest_result_is_opened_and_the_truth_only_by_name(store):
    assert open_result(store).attrs["result"] == "paper"
    assert open_result(store, "truth").attrs["result"] == "truth"
    with pytest.raises(StoreError, match="no result 'cubic'; it holds: paper, truth"):
        open_result(store, "cubic")


def test_a_painting_that_is_not_solved_yet_says_so(tmp_path):
    small_painting(tmp_path / "p.zarr", "a")
    with pytest.raises(StoreError, match="no solved result yet; it holds: none; make one with `xrfsr solve`"):
        open_result(tmp_path / "p.zarr")


@pytest.mark.parametrize(
    "key",
    [
        (slice(None), slice(None), 7),
        (120, 33, slice(None)),
        (slice(3, 200, 7), slice(150, 20, -3), slice(10, 20)),
        (slice(90, 110), [4, 120, 5], slice(None, None, 9)),
        (slice(-2, None), slice(None), [0, 63]),
    ],
)
def test_any_piece_of_the_cube_is_that_piece_of_the_product(truth, brute, key):
    expected = brute[key]
    np.testing.assert_allclose(truth.cube[key].values, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        LowRank(truth.abundance.values, truth.endmember.values)[key], expected, rtol=1e-4, atol=1e-4
    )


def test_reductions_of_the_cube_see_every_pixel_once(truth, brute):
    np.testing.assert_allclose(truth.cube.mean(("y", "x")), brute.mean((0, 1)), rtol=1e-4)
    np.testing.assert_allclose(truth.cube.max("energy"), brute.max(-1), rtol=1e-4)


class Watched:
    """Abundances that remember what was asked of them."""

    def __init__(self, values):
        self.values, self.shape, self.asked = values, values.shape, []

    def __getitem__(self, key):
        self.asked.append(self.values[key].shape)
        return self.values[key]

    def __dask_tokenize__(self):
        return "watched"


def test_only_what_is_asked_for_is_multiplied():
    watched = Watched(np.ones((300, 250, 3), np.float32))
    endmember = np.ones((3, 5000), np.float32)
    cube = xr.DataArray(lazy_cube(watched, endmember), dims=("y", "x", "energy"))
    products = []
    original = LowRank.__getitem__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            LowRank, "__getitem__", lambda self, key: products.append(original(self, key)) or products[-1]
        )
        cube.isel(y=299, x=3).compute(scheduler="synchronous")
        assert set(watched.asked) == {(1, 1, 3)}
        assert sum(p.size for p in products) == 5000
        products.clear()
        cube.isel(energy=17).compute(scheduler="synchronous")
    assert sum(p.size for p in products) == 300 * 250


def test_spectra_by_place_points_and_mask(truth, brute):
    one = truth.xrf.spectrum(y=100.4, x=20.6)
    np.testing.assert_allclose(one, brute[100, 20], rtol=1e-5)
    assert (one.dims, one.attrs["units"]) == (("energy",), "counts")
    assert (float(one.y), float(one.x)) == (100.5, 20.5)
    points = truth.xrf.spectrum(points=[(0.0, 0.0), (230.0, 170.0)])
    np.testing.assert_allclose(points, brute[[0, -1], [0, -1]], rtol=1e-5)
    assert points.dims == ("point", "energy")
    assert truth.xrf.spectrum(points=np.array([(0.0, 0.0), (230.0, 170.0)])).equals(points)
    mask = np.zeros((230, 170), bool)
    mask[60:130:3, 20:150] = True
    np.testing.assert_allclose(truth.xrf.spectrum(mask=mask), brute[mask].mean(0), rtol=1e-5)


def test_a_mask_lies_where_its_coordinates_say(truth):
    mask = ((truth.y < 100) & (truth.x > 60)).transpose("y", "x")
    mask[90:95, 70:75] = False
    expected = truth.xrf.spectrum(mask=mask.values)
    shuffled = mask.isel(y=np.random.default_rng(0).permutation(mask.sizes["y"]))
    for laid in (mask, mask.T, mask.isel(y=slice(None, None, -1)), shuffled, mask.drop_vars(("y", "x"))):
        np.testing.assert_allclose(truth.xrf.spectrum(mask=laid), expected)
    turned = truth.isel(y=slice(None, None, -1), x=slice(None, None, -1))
    np.testing.assert_allclose(turned.xrf.spectrum(mask=mask), expected, rtol=1e-6)
    for wrong in (np.nan, "a"):
        with pytest.raises(InputError, match="the mask's y are no numbers"):
            truth.xrf.spectrum(mask=mask.assign_coords(y=[wrong] * mask.sizes["y"]))
    with pytest.raises(InputError, match=r"the mask lies at y = 1000\.5 to 1229\.5 mm and this Dataset"):
        truth.xrf.spectrum(mask=mask.assign_coords(y=mask.y + 1000))


def test_means_leave_out_pixels_without_numbers_whoever_asks(truth, brute):
    """A pixel whose abundances are in part NaN has no spectrum: it is in no mean, of no endmember."""
    gaps = truth.assign(abundance=truth.abundance.where(truth.y > 80))
    some = gaps.assign(abundance=gaps.abundance.where((gaps.x > 50) | (gaps.atom > 0)))
    mask = np.ones(truth.abundance.shape[:2], bool)
    for ds, expected in ((gaps, brute[80:].mean((0, 1))), (some, brute[80:, 50:].mean((0, 1)))):
        of_all = ds.xrf.mean_spectrum(), ds.xrf.spectrum(mask=mask), ds.xrf.spectrum(mask=truth.coverage >= 0)
        for found in of_all:
            np.testing.assert_allclose(found, expected, rtol=1e-5)
    with pytest.raises(InputError, match="no pixel's abundances are all numbers"):
        gaps.xrf.spectrum(mask=(truth.y < 50) & (truth.x > 0))


def test_places_between_and_beside_selected_pixels_are_refused(truth, brute):
    column = truth.isel(x=slice(20, 21))
    np.testing.assert_allclose(column.xrf.spectrum(y=150.4, x=20.9), brute[150, 20], rtol=1e-5)
    with pytest.raises(
        InputError, match=r"x = 60 mm lies outside the painting, which spans x 20\.00 to 21\.00"
    ):
        column.xrf.spectrum(y=150.4, x=60)
    with pytest.raises(InputError, match="y = 70 mm lies between the pixels that were selected"):
        truth.isel(y=[0, 1, 200]).xrf.spectrum(y=70, x=20.9)
    with pytest.raises(InputError, match="this result has lost its coordinate y, in mm"):
        truth.drop_vars("y").xrf.spectrum(y=1, x=1)


def test_a_layer_without_endmembers_answers_with_nothing(lines, truth, store):
    assert len(lines.isel(atom=slice(0, 0)).xrf.hidden.xrf.elements()) == 0
    empty = truth.isel(atom=slice(0, 0)).xrf.hidden
    assert not empty.xrf.mean_spectrum().any()
    assert not empty.xrf.roi(2.0, 5.0).isel(y=0).values.any()
    patch = open_painting(store).patches[0].name
    assert not empty.xrf.compare(patch).model.values.any()


def test_the_order_of_axes_changes_no_answer(truth, brute):
    for order in (("x", "y", ...), ("atom", "energy", "x", "y")):
        turned = truth.transpose(*order)
        np.testing.assert_allclose(turned.xrf.spectrum(y=150.4, x=20.6), brute[150, 20], rtol=1e-5)
        found = turned.xrf.roi(2.0, 5.0)
        np.testing.assert_allclose(found.transpose("y", "x"), truth.xrf.roi(2.0, 5.0), rtol=1e-5)


def test_spectra_say_how_often_their_place_was_measured(lines):
    A, D = lines.abundance.values, lines.endmember.values
    coverage = np.zeros(A.shape[:2])
    coverage[:, 10:] = 2.0
    ds = from_factors(A, D, lines.layer.values, lines.y.values, lines.x.values, KEV, coverage)
    points = ds.xrf.spectrum(points=[(1.0, 1.0), (1.0, 12.0)])
    assert points.coverage.values.tolist() == [0.0, 2.0]
    assert float(ds.xrf.spectrum(y=1.0, x=1.0).coverage) == 0.0
    mask = np.zeros(A.shape[:2], bool)
    mask[3:9, 5:15] = True
    assert float(ds.xrf.spectrum(mask=mask).coverage) == pytest.approx(1.0)
    assert "coverage" not in ds.drop_vars("coverage").xrf.spectrum(y=1.0, x=1.0).coords


def test_pixels_without_numbers_are_left_out_of_means(lines):
    holed = lines.assign(abundance=lines.abundance.where(lines.x > 5))
    rest = lines.isel(x=lines.x.values > 5)
    np.testing.assert_allclose(holed.xrf.mean_spectrum(), rest.xrf.mean_spectrum(), rtol=1e-5)
    found, expected = holed.xrf.element("Cr"), rest.xrf.element("Cr")
    assert np.isnan(found.values[:, :10]).all()
    assert float(found.mean()) == pytest.approx(float(expected.mean()), rel=0.02)
    nothing = lines.assign(abundance=lines.abundance * np.nan)
    for ask in (lambda x: x.mean_spectrum(), lambda x: x.element("Cr")):
        with pytest.raises(InputError, match="no pixel's abundances are all numbers"):
            ask(nothing.xrf)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda ds: ds.isel(y=5), r"the abundances have the axes \(x, atom\) .* ds\.isel\(y=\[5\]\)"),
        (lambda ds: ds.rename(x="column"), r"the axes \(y, column, atom\)"),
        (lambda ds: ds.isel(y=slice(0, 0)), "nothing is selected"),
        (lambda ds: ds.isel(energy=slice(None, None, -1)), r"these run from 12\.980 to 1\.000 keV; .*sortby"),
    ],
)
def test_a_dataset_that_was_changed_beyond_a_result_says_so(lines, change, words):
    with pytest.raises(InputError, match=words):
        change(lines.drop_vars("cube")).xrf.element("Cr")


def test_the_mean_spectrum_of_layers_adds_up(truth, brute):
    parts = [truth.xrf.mean_spectrum(layer).values for layer in ("visible", "hidden")]
    np.testing.assert_allclose(truth.xrf.mean_spectrum(), brute.mean((0, 1)), rtol=1e-5)
    np.testing.assert_allclose(parts[0] + parts[1], brute.mean((0, 1)), rtol=1e-5)


def test_maps_stay_lazy_and_are_sums_of_channels(truth, brute):
    with dask.config.set(scheduler=forbidden):
        found = truth.xrf.roi(2.0, 5.0)
    inside = (truth.energy.values >= 2.0) & (truth.energy.values <= 5.0)
    np.testing.assert_allclose(found, brute[..., inside].sum(-1), rtol=1e-4)
    assert found.dims == ("y", "x")


def test_layers_are_results_of_their_own(truth):
    A, D, _ = small_truth()
    hidden = truth.xrf.hidden
    assert hidden.sizes["atom"] == 2
    assert set(hidden.layer.values) == {"hidden"}
    expected = A[150, 20:40, 2:].astype(float) @ D[2:]
    np.testing.assert_allclose(hidden.cube[150, 20:40], expected, rtol=1e-4)
    np.testing.assert_allclose(hidden.xrf.roi(0, 20)[150, 20:40], expected.sum(-1), rtol=1e-4)
    both = truth.xrf.visible.cube[::9, ::9] + hidden.cube[::9, ::9]
    np.testing.assert_allclose(both, truth.cube[::9, ::9], rtol=1e-4)
    assert "layer" not in truth.attrs


def test_a_piece_of_a_result_answers_for_itself(truth, brute):
    piece = truth.isel(y=slice(95, 180), x=slice(10, 120))
    np.testing.assert_allclose(piece.xrf.mean_spectrum(), brute[95:180, 10:120].mean((0, 1)), rtol=1e-5)
    A, D, _ = small_truth()
    expected = A[95:180, 10:120, :2].astype(float) @ D[:2, 5]
    np.testing.assert_allclose(piece.xrf.visible.cube[..., 5], expected, rtol=1e-4)
    with pytest.raises(InputError, match=r"y = 90 mm lies outside the painting, which spans y 95.00 to 180.00"):
        piece.xrf.spectrum(y=90.0, x=50.0)


def test_an_element_map_is_the_lines_area_without_its_background(lines):
    A = lines.abundance.values
    net = lines.xrf.element("Cr", background="linear")
    area = A @ [100.0, 0, 40, 0]
    inside_window = 0.99  # of a Gaussian within 1.2 FWHM, less its tails in the background
    np.testing.assert_allclose(net, inside_window * area, rtol=0.01)
    np.testing.assert_allclose(
        lines.xrf.element("Cr", layer="hidden", background="linear"), inside_window * 40 * A[..., 2], rtol=0.01
    )
    gross = lines.xrf.element("Cr", background=None)
    assert (gross.values > 2 * net.values).all()


def test_a_linear_background_is_removed_exactly():
    for slope in (0.0, -0.7):
        weights = line_weights(KEV, "Fe", "Ka")
        assert abs(weights @ (5 + slope * KEV)) < 1e-9


def test_energies_of_lines_are_those_of_the_tables():
    assert line_kev("Cr") == pytest.approx(5.41, abs=0.005)
    assert line_kev("pb", "La") == pytest.approx(10.54, abs=0.02)
    assert line_kev("Pb", "Ln") == pytest.approx(11.35, abs=0.01)
    assert line_kev("Hg", "Ma") == pytest.approx(2.19, abs=0.02)


def test_the_result_seen_by_a_patch_is_what_the_patch_measured(store, truth):
    A, D, _ = small_truth()
    painting = open_painting(store)
    found = truth.xrf.compare("b")
    assert found.counts.dims == ("spot_y", "spot_x", "energy")
    assert all(dask.is_dask_collection(found[name].data) for name in ("counts", "model", "residual"))
    window = spot_window(painting, painting.patch("b"))
    model = (2.0 * window.downsample(A[window.slices]) @ D).reshape(40, 29, 64)
    np.testing.assert_allclose(found.model, model, rtol=1e-4)
    np.testing.assert_allclose(found.residual, painting.patch("b").counts()[:] - model, rtol=1e-4, atol=1e-2)
    chi_square = float((found.residual**2 / found.model).mean())
    assert chi_square == pytest.approx(1.0, abs=0.05)  # Poisson counts around the truth


def test_a_result_turned_over_or_cut_in_energy_is_compared_place_by_place(truth):
    found = truth.xrf.compare("b").residual.values
    for turned in (
        truth.sortby("y", ascending=False),
        truth.isel(x=slice(None, None, -1)),
        truth.roll(y=20, roll_coords=True),
        truth.transpose("x", "y", ...),
    ):
        np.testing.assert_array_equal(turned.xrf.compare("b").residual, found)
    some = slice(5, 40, 2)
    np.testing.assert_array_equal(truth.isel(energy=some).xrf.compare("b").residual, found[..., some])
    with pytest.raises(InputError, match="the y of this result are not those of its painting"):
        truth.assign_coords(y=truth.y + 3).xrf.compare("b")
    with pytest.raises(InputError, match="no channels of the patch"):
        truth.assign_coords(energy=truth.energy + 0.5 * float(truth.energy.diff("energy")[0])).xrf.compare("b")


@pytest.mark.parametrize("pitch", [0.1, 0.3, 0.6, 0.7, 1 / 3, 0.5463917525773195])
def test_the_edge_of_a_painting_lies_on_it(pitch):
    centres = (np.arange(260) + 0.5) * pitch
    found = index_of(centres, np.array([0.0, round(260 * pitch, 9)]), "y")
    assert found.tolist() == [0, 259]
    for outside in (-0.01 * pitch, 260.01 * pitch):
        with pytest.raises(InputError, match="lies outside the painting"):
            index_of(centres, np.array([outside]), "y")


def test_compare_needs_the_store_the_patch_and_the_whole_painting(truth, lines):
    with pytest.raises(StoreError, match="holds no patch 'z'; it holds: a, b, c"):
        truth.xrf.compare("z")
    with pytest.raises(InputError, match="lies in memory; open it from its painting"):
        lines.xrf.compare("a")
    with pytest.raises(InputError, match="compare first, then select"):
        truth.isel(y=slice(0, 50)).xrf.compare("a")


@pytest.mark.parametrize(
    ("question", "error", "words"),
    [
        (lambda x: x.element("Xx"), InputError, "'Xx' is no chemical element"),
        (lambda x: x.element("Cr", line="Qa"), InputError, "'Qa' is no X-ray line"),
        (lambda x: x.element("H", line="La"), InputError, "H has no La line; X-ray fluorescence shows none of"),
        (lambda x: x.element("Cr", line="Kb5"), InputError, "Cr Kb5 is not among the lines .* Ka, Kb are"),
        (lambda x: x.per_atom("Cr", line="Kb5"), InputError, "Cr Kb5 is not among the lines"),
        (
            lambda x: x.element("Pb", line="Ka"),
            InputError,
            r"Pb Ka lies at 7\d\.\d+ keV, outside .*try its La",
        ),
        (lambda x: x.element(24), OptionError, "an element is named by its symbol, such as 'Pb', got 24"),
        (lambda x: x.element("Cr", line=5), OptionError, "a line is named as 'Ka' or 'La', got 5"),
        (lambda x: x.spectrum(y="a", x=1), InputError, r"a place is a pair of numbers \(y, x\) in mm"),
        (lambda x: x.spectrum(points=[(1, 2, 3)]), InputError, "a place is a pair of numbers"),
        (lambda x: x.spectrum(points=[(1, np.nan)]), InputError, "a place is a pair of numbers"),
        (lambda x: x.profile((1, 1), "here"), InputError, "a place is a pair of numbers"),
        (lambda x: x.profile((1, 1), (9000, 1)), InputError, "y = 9000"),
        (lambda x: x.profile((1, 1), (2, 2), step_mm="wide"), OptionError, "more than 0 mm, got 'wide'"),
        (lambda x: x.profile((1, 1), (2, 2), step_mm=1e-9), OptionError, "points, more than 100,000"),
        (lambda x: x.roi("a", 5), OptionError, "both ends of a region are numbers, keV, got 'a' and 5"),
        (lambda x: x.element("C"), InputError, "none of its lines lies on it"),
        (
            lambda x: x.element("Cr", background="cubic"),
            OptionError,
            "background must be 'snip', 'linear' or None",
        ),
        (lambda x: x.element("Cr", layer="middle"), OptionError, "unknown layer 'middle'; choose one of: all,"),
        (lambda x: x.roi(50, 60), InputError, "no channel lies between 50 and 60 keV; .* 1.000 to 12.980 keV"),
        (lambda x: x.spectrum(y=3.0, x=15.6), InputError, "x = 15.6 mm lies outside .* x 0.00 to 15.50 mm"),
        (lambda x: x.spectrum(y=3.0), OptionError, "one of them"),
        (lambda x: x.spectrum(points=[]), InputError, "points is empty"),
        (lambda x: x.spectrum(mask=np.zeros((23, 31), bool)), InputError, "the mask is empty"),
        (
            lambda x: x.spectrum(mask=np.ones((3, 31), bool)),
            InputError,
            r"shape \(y, x\) = \(23, 31\), got bool of",
        ),
    ],
)
def test_a_question_without_an_answer_is_refused_in_words(lines, question, error, words):
    with pytest.raises(error, match=words):
        question(lines.xrf)


def test_a_line_without_room_for_its_background_says_so():
    with pytest.raises(InputError, match="leaves no room for a background on both sides"):
        line_weights(KEV[:225], "Cr", "Ka")
    assert roi_weights(KEV, 1.0, 1.04).sum() == 3


def test_factors_that_do_not_fit_each_other_are_refused():
    A, D = np.ones((4, 5, 2)), np.ones((2, 7))
    axes = {"y_mm": np.arange(4), "x_mm": np.arange(5), "energy_kev": np.arange(7)}
    good = from_factors(A, D, [0, 1], **axes)
    assert good.layer.values.tolist() == ["visible", "hidden"]
    with pytest.raises(InputError, match="do not fit each other"):
        from_factors(A, D[:1], [0, 1], **axes)
    with pytest.raises(InputError, match="layers are visible or hidden, found"):
        from_factors(A, D, ["visible", "below"], **axes)
    with pytest.raises(InputError, match=r"coverage must have shape \(4, 5\)"):
        from_factors(A, D, [0, 1], coverage=np.ones((4, 4)), **axes)
    with pytest.raises(InputError, match="this Dataset is no result: it lacks endmember, layer"):
        _ = good[["abundance"]].drop_vars("layer").xrf


def test_a_missing_shard_is_damage_and_not_silently_dark(store, tmp_path):
    small_painting(tmp_path / "p.zarr", "a")
    A, D, _ = small_truth()
    write_result(tmp_path / "p.zarr", "paper", A, D, open_painting(store).energy_kev)
    (tmp_path / "p.zarr/results/paper/abundance/c/1/0/0").unlink()
    ds = open_result(tmp_path / "p.zarr")
    assert np.isfinite(ds.cube[0, 0].values).all()
    with pytest.raises(DamagedStoreError, match="a chunk is missing"):
        ds.cube[150, 20].compute(scheduler="synchronous")


def test_a_result_travels_to_another_process(truth):
    copy = pickle.loads(pickle.dumps(truth))
    np.testing.assert_array_equal(copy.cube[77, 66].values, truth.cube[77, 66].values)
    assert copy.cube.data.name == truth.cube.data.name


def test_the_store_is_readable_with_plain_xarray(store, brute):
    tree = xr.open_datatree(store, engine="zarr", consolidated=False, chunks=None)
    plain = tree["results/truth"].to_dataset()
    product = plain.abundance[120, 40] @ plain.endmember
    np.testing.assert_allclose(product, brute[120, 40], rtol=1e-5)


ONE_THREAD = """
import os, sys, threading, time
import numpy as np
from threadpoolctl import threadpool_limits
from xrfsr_dask.result.lowrank import LowRank

threadpool_limits(2, user_api="blas")
rng = np.random.default_rng(0)
cube = LowRank(rng.random((100, 100, 50), np.float32), rng.random((50, 1024), np.float32))
cube[..., 0]
time.sleep(0.3)  # until threads that were woken at the start sleep again
process, own = time.process_time(), time.thread_time()
for _ in range(200):
    cube[..., 636]
for _ in range(40):
    cube[..., 600:640]
for _ in range(4):
    cube[...]
own = time.thread_time() - own
print((time.process_time() - process) / own)
"""


def test_a_piece_of_the_cube_is_multiplied_by_the_thread_that_asks():
    """BLAS threads beside those of Dask would fight for the cores: all of the time is the caller's own."""
    run = subprocess.run([sys.executable, "-c", ONE_THREAD], capture_output=True, text=True, check=True)
    assert float(run.stdout) < 1.1


@pytest.mark.parametrize(("n", "n_atom", "n_channel"), [(1, 1, 1), (7, 200, 83), (403, 50, 1), (1001, 62, 700)])
def test_a_product_in_pieces_is_the_product(n, n_atom, n_channel):
    rng = np.random.default_rng(n)
    A, D = rng.random((n, n_atom), np.float32), rng.random((n_atom, n_channel), np.float32)
    np.testing.assert_allclose(product(A, D), A.astype(float) @ D, rtol=1e-5)
    np.testing.assert_allclose(product(A[::2], D), A[::2].astype(float) @ D, rtol=1e-5)
