"""Lines that overlap are told apart: lead beside emerald green, titanium white over a barium ground."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter

from xrfsr_dask.errors import InputError, OptionError, XrfsrError
from xrfsr_dask.lines.background import snip
from xrfsr_dask.lines.fitting import fit_lines
from xrfsr_dask.lines.peaks import ELEMENTS, escapes, known_by, shapes, shells_on
from xrfsr_dask.lines.pivoting import nonnegative
from xrfsr_dask.lines.recognition import axis_for
from xrfsr_dask.lines.tables import fwhm_kev
from xrfsr_dask.phantom.instrument import energy_axis
from xrfsr_dask.phantom.pigments import HIDDEN, VISIBLE, Paint
from xrfsr_dask.phantom.spectra import film_spectrum
from xrfsr_dask.result import from_factors, line_kev, open_result
from xrfsr_dask.store import create_painting
from xrfsr_dask.store.results import new_result
from xrfsr_dask.store.staging import staged

KEV = energy_axis(4096)
COUNTS = 6000.0  # of an average spot
TITANIUM = Paint({"TiO2": 1.0}, 0.8, 12.0)
BARIUM = Paint({"BaSO4": 0.6, "CaCO3": 0.4}, 0.8, 16.0)
SCENES = {
    "lead": {
        "lead white": film_spectrum(VISIBLE["lead white"], KEV),
        "emerald green": film_spectrum(VISIBLE["emerald green"], KEV),
        "chrome yellow": film_spectrum(VISIBLE["chrome yellow"], KEV),
        "hidden flesh": film_spectrum(HIDDEN["hidden flesh"], KEV, cover=VISIBLE["zinc white"], share=0.35),
    },
    "barium": {
        "titanium white": 0.1 * film_spectrum(TITANIUM, KEV),  # a thin retouch
        "red ochre": film_spectrum(VISIBLE["red ochre"], KEV),
        "ground": film_spectrum(BARIUM, KEV, cover=VISIBLE["zinc white"], share=0.3),
        "tack": film_spectrum(HIDDEN["tack"], KEV),
    },
}


@functools.cache
def scene(name: str, shape: tuple[int, int] = (83, 71), seed: int = 0) -> xr.Dataset:
    """Four films whose thicknesses vary each in its own way; the last two are hidden."""
    rng = np.random.default_rng(seed)
    fields = np.array([gaussian_filter(rng.standard_normal(shape), 2.5) for _ in range(4)])
    A = np.maximum(fields / fields.std() + 0.3, 0.0).transpose(1, 2, 0)
    D = np.array(list(SCENES[name].values()))
    D *= COUNTS / (A.mean((0, 1)) @ D).sum()
    axes = {"y_mm": np.arange(shape[0]) + 0.5, "x_mm": np.arange(shape[1]) + 0.5, "energy_kev": KEV}
    return from_factors(A, D, [0, 0, 1, 1], **axes)


@functools.cache
def measured(name: str, seed: int = 1) -> xr.Dataset:
    """The same, as a scan of one spot a pixel counts it."""
    ds = scene(name)
    counts = np.random.default_rng(seed).poisson(ds.abundance.values.astype(float) @ ds.endmember.values)
    y, x = np.meshgrid(ds.y, ds.x, indexing="ij")
    grid = ("spot_y", "spot_x")
    return xr.Dataset(
        {"counts": ((*grid, "energy"), counts.astype("u2"))},
        coords={"energy": KEV, "y": (grid, y), "x": (grid, x)},
        attrs={"step_mm": 1.0},
    )


def amount(ds: xr.Dataset, *films: int) -> np.ndarray:
    return ds.abundance.values[..., list(films)].sum(axis=-1)


def likeness(a: xr.DataArray | np.ndarray, b: xr.DataArray | np.ndarray) -> float:
    return float(np.corrcoef(np.ravel(a), np.ravel(b))[0, 1])


@pytest.mark.parametrize("kind", ["result", "patch"])
@pytest.mark.parametrize(
    ("name", "element", "line", "own", "other"),
    [
        ("lead", "As", "Ka", (1,), (0, 2, 3)),
        ("barium", "Ti", "Ka", (0,), (2,)),
        ("barium", "Ba", "La", (2,), (0,)),
    ],
)
def test_a_map_is_clean_of_the_element_it_overlaps_with(name, element, line, own, other, kind):
    truth = scene(name)
    ds = truth if kind == "result" else measured(name)
    found = ds.xrf.element(element, line=line)
    chance = likeness(amount(truth, *own), amount(truth, *other))
    assert abs(chance) < 0.2
    assert likeness(found, amount(truth, *own)) > (0.999 if kind == "result" else 0.98)
    assert likeness(found, amount(truth, *other)) <= 0.2
    window = ds.xrf.element(element, line=line, background="linear")
    assert likeness(window, amount(truth, *other)) > 0.25  # what the line's own window alone would say


def test_the_map_of_a_result_is_linear_and_its_layers_add_up():
    ds = scene("lead")
    parts = [ds.xrf.element("Pb", layer=layer).values for layer in ("visible", "hidden")]
    whole = ds.xrf.element("Pb").values
    np.testing.assert_allclose(parts[0] + parts[1], whole, rtol=1e-5)
    assert whole.min() >= 0
    alone = ds.isel(atom=[2, 3]).xrf.element("Pb").values
    # in memory a layer does not know the whole that its lines were told apart in; of a store it does (below)
    np.testing.assert_allclose(parts[1], alone, rtol=0.025)


def test_net_counts_of_a_patch_are_those_of_the_result_on_average():
    ds = scene("lead")
    for element in ("Pb", "Cu", "As", "Cr"):
        expected = float(ds.xrf.element(element).mean())
        assert float(measured("lead").xrf.element(element).mean()) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("kind", ["result", "patch"])
def test_elements_are_listed_with_how_sure(kind):
    truth = scene("lead")
    found = (truth if kind == "result" else measured("lead")).xrf.elements()
    assert {"Pb", "Cu", "As", "Cr", "Hg"} <= set(found.index[found.sure == "certain"])
    assert found.counts.is_monotonic_decreasing
    weak = found[~found.index.isin(["Pb", "Cu", "As", "Cr", "Hg", "Zn", "S"])]
    assert weak.counts.sum() < 0.02 * found.counts.sum()
    assert found.line["Pb"] == "La"
    assert "Sn" not in found.index


@pytest.mark.parametrize("kind", ["result", "patch"])
def test_an_element_asked_for_by_name_is_not_given_its_neighbours_counts(kind):
    ds = scene("lead") if kind == "result" else measured("lead")
    every = ds.xrf.elements()
    for element in ("Pb", "As", "Cr"):
        pd.testing.assert_frame_equal(ds.xrf.elements(element), every.loc[[element]])
    for element in ("Br", "Ba", "Co"):
        assert ds.xrf.elements([element]).counts.sum() < 5


@pytest.mark.parametrize(
    ("among", "said"),
    [
        ([1], "an element is named by its symbol"),
        (3, "elements are named by their symbols"),
        (["Pb", "Qq"], "'Qq' is no chemical element"),
    ],
)
def test_what_is_no_element_is_refused(among, said):
    with pytest.raises(XrfsrError, match=said):
        scene("lead").xrf.elements(among)


def test_what_its_neighbour_could_explain_is_no_element():
    lead = SCENES["lead"]["lead white"][None] * COUNTS
    axis = axis_for(lead[0], KEV)
    arsenic = next(i for i, s in enumerate(axis.shells) if (s.element, s.shell) == ("As", "K"))
    assert fit_lines(lead, axis).photons[0, arsenic] == 0
    green = lead + 0.2 * COUNTS * SCENES["lead"]["emerald green"]
    assert fit_lines(green, axis).photons[0, arsenic] > 0


def endmembers_of_no_paint() -> xr.Dataset:
    """Barium's La and Lb lie in two endmembers that are always together, as what factors spectra puts them."""
    ds = scene("barium")
    D, A = ds.endmember.values.astype(float), ds.abundance.values
    lines = (KEV > 4.68) & (KEV < 5.8)
    D = np.concatenate([D, np.where(lines, D[2], 0.0)[None]])
    D[2, lines] = 0.0
    axes = {"y_mm": ds.y.values, "x_mm": ds.x.values, "energy_kev": KEV}
    return from_factors(np.concatenate([A, A[..., 2:3]], axis=2), D, [0, 0, 1, 1, 1], **axes)


def test_a_map_says_what_the_spectra_of_its_pixels_say():
    truth, ds = scene("barium"), endmembers_of_no_paint()
    expected = truth.xrf.element("Ba")
    fits = fit_lines(ds.endmember.values, axis_for(ds.xrf.mean_spectrum().values, KEV))
    alone = ds.abundance.values @ fits.counts_of("Ba", "La")
    assert alone.mean() < 0.5 * float(expected.mean())  # each endmember fitted by itself
    found = ds.xrf.element("Ba")
    assert float(found.mean()) == pytest.approx(float(expected.mean()), rel=0.1)
    assert likeness(found, expected) > 0.99
    assert ds.xrf.elements("Ba").counts["Ba"] == pytest.approx(float(found.mean()), rel=1e-4)


def paints(*mixes: dict[str, float]) -> np.ndarray:
    """Spectra (n, n_channel) of mixtures of elements, 8000 counts each of their lines, over one slope."""
    slope = one_paint("Fe", counts=0.0)
    drawn = [sum(part * (one_paint(e) - slope) for e, part in mix.items()) for mix in mixes]
    return np.array([8000.0 * spectrum / spectrum.sum() + slope for spectrum in drawn])


@pytest.mark.parametrize(
    ("ground", "detail", "element"),
    [
        ({"Pb": 1.0}, {"Cu": 0.6, "As": 0.4}, "As"),
        ({"Pb": 1.0}, {"As": 0.7, "S": 0.3}, "As"),
        ({"Ti": 1.0}, {"Pb": 0.6, "Ba": 0.4}, "Ba"),
        ({"Fe": 1.0, "Mn": 0.4}, {"Co": 1.0, "Sn": 0.2}, "Co"),
    ],
)
def test_details_smaller_than_a_square_keep_their_element(ground, detail, element):
    """Leaves of 5 x 5 px, 3 % of the painting, of what lies on the lines of the paint around them."""
    y, x = np.mgrid[:240, :240]
    leaf = ((y % 30) < 5) & ((x % 30) < 5)
    axes = {"y_mm": np.arange(240.0), "x_mm": np.arange(240.0), "energy_kev": KEV}
    ds = from_factors(np.stack([~leaf, leaf], axis=2), paints(ground, detail), [0, 0], **axes)
    found = ds.xrf.element(element).values
    alone = ds.isel(y=slice(0, 5), x=slice(0, 5)).xrf.element(element).values.mean()
    assert found[leaf].mean() == pytest.approx(alone, rel=0.1)
    assert found[~leaf].mean() < 0.02 * found[leaf].mean()
    assert element in ds.xrf.elements().index


def test_a_line_of_two_pixels_keeps_its_element():
    seldom = np.zeros((300, 300), bool)
    seldom[:, 151:153] = True
    axes = {"y_mm": np.arange(300.0), "x_mm": np.arange(300.0), "energy_kev": KEV}
    spectra = paints({"Fe": 1.0, "Mn": 0.4}, {"Co": 1.0})
    ds = from_factors(np.stack([~seldom, seldom], axis=2), spectra, [0, 0], **axes)
    found = ds.xrf.element("Co").values
    assert found[seldom].mean() == pytest.approx(8000.0, rel=0.2)
    assert found[~seldom].mean() < 80


@pytest.mark.parametrize(
    ("weak", "strong", "share"),
    [("As", "Pb", 0.03), ("Ba", "Ti", 0.06), ("Co", "Fe", 0.03), ("Mn", "Cr", 0.03)],
)
def test_a_few_parts_in_a_hundred_are_certain_beside_a_line_that_overlaps(weak, strong, share):
    """The stronger one alone is told alone (above); with a little of the other both are, and how much."""
    mean = paints({strong: 1.0 - share, weak: share})[0]
    axis = axis_for(mean, KEV)
    fit = fit_lines(np.random.default_rng(0).poisson(1000 * mean)[None] / 1000, axis, 1000.0)
    at = next(i for i, s in enumerate(axis.shells) if s is known_by(weak, axis.shells))
    assert fit.photons[0, at] >= 8 * fit.error[0, at]
    whole = fit_lines(paints({weak: 1.0}), axis).photons[0, at]
    assert fit.photons[0, at] == pytest.approx(share * whole, rel=0.15)


@pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")
def test_a_piece_that_was_saved_by_itself_answers_for_itself(stored, tmp_path):
    piece = stored.isel(y=slice(3, 40), x=slice(5, 60)).drop_vars("cube")
    piece.to_zarr(tmp_path / "piece.zarr", consolidated=False)
    opened = xr.open_zarr(tmp_path / "piece.zarr", consolidated=False)
    assert likeness(opened.xrf.element("Cr"), piece.xrf.element("Cr")) > 0.999
    assert "Pb" in opened.xrf.elements().index
    assert opened.xrf.hidden.xrf.element("Hg").shape == (37, 55)
    assert "memory" in repr(opened.xrf)
    with pytest.raises(InputError, match="lies in memory"):
        opened.xrf.compare("a")


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> xr.Dataset:
    """The films of lead and emerald green as a result in a store, thickest where they are measured."""
    path, truth = tmp_path_factory.mktemp("stored") / "p.zarr", scene("lead")
    A, D = truth.abundance.values, truth.endmember.values
    create_painting(path, np.full((*A.shape[:2], 3), 128, "u1"), width_mm=float(A.shape[1]))
    with staged(path, "results/joint") as group:
        layout = {"shape": A.shape[:2], "pitch_mm": 1.0, "cell": 20, "attrs": {"method": "joint"}}
        new_result(group, endmember=D, layer=np.array([0, 0, 1, 1]), energy_kev=KEV, **layout)[...] = A
        group["coverage"][...] = np.ones(A.shape[:2], np.float32)
    return open_result(path)


def test_parts_of_a_stored_result_have_the_maps_that_it_has(stored):
    for element in ("Pb", "Cr", "As"):
        whole = stored.xrf.element(element)
        own = stored.xrf.hidden.xrf.element(element)
        np.testing.assert_allclose(own, stored.xrf.element(element, layer="hidden"), rtol=1e-5, atol=1e-4)
        piece = stored.isel(y=slice(3, 20), x=slice(5, 9)).xrf.element(element)
        np.testing.assert_allclose(piece, whole[3:20, 5:9], rtol=1e-5, atol=1e-4)
        assert stored.xrf.elements(element).counts[element] == pytest.approx(float(whole.mean()), rel=1e-4)


def one_paint(element: str, counts: float = 8000.0, escape: bool = True) -> np.ndarray:
    """Spectrum of one element over a slope, with the escape peaks of a silicon detector or without."""
    shells = shells_on(KEV, [element], "", 50.0)
    drawn = shapes(shells, KEV, 9.893e-4) + (escapes(shells, KEV, 9.893e-4) if escape else 0.0)
    return counts * drawn.sum(axis=0) / drawn.sum() + np.where(KEV > 0.5, 0.8 * np.exp(-KEV / 12.0), 0.0)


@pytest.mark.parametrize("escape", [True, False])
@pytest.mark.parametrize("element", ["Ca", "Cr", "Zn", "Fe", "V", "Gd"])
def test_a_single_element_is_told_alone(element, escape):
    counts = np.random.default_rng(0).poisson(
        np.broadcast_to(one_paint(element, escape=escape), (20, 20, 4096))
    )
    y, x = np.meshgrid(np.arange(20.0), np.arange(20.0), indexing="ij")
    grid = ("spot_y", "spot_x")
    coords = {"energy": KEV, "y": (grid, y), "x": (grid, x)}
    found = xr.Dataset({"counts": ((*grid, "energy"), counts)}, coords=coords).xrf.elements()
    assert found.index[found.sure == "certain"].tolist() == [element]
    assert found.counts.iloc[1:].sum() < 0.005 * found.counts.iloc[0]


def test_escape_peaks_are_small_and_fall_with_energy():
    shells = [s for s in shells_on(KEV, ["Al", "P", "Ca", "Fe", "Zn"], "", 50.0) if s.shell == "K"]
    drawn = escapes(shells, KEV, 9.893e-4)
    share = drawn.sum(axis=1)
    assert share[0] == 0  # below the edge of silicon nothing is lost
    assert (np.diff(share[1:]) < 0).all()
    assert 0.01 < share[1] < 0.02
    assert 0.001 < share[4] < 0.002
    assert KEV[drawn[2].argmax()] == pytest.approx(line_kev("Ca") - 1.74, abs=0.01)


def test_an_element_nobody_usually_looks_for_is_found_when_asked():
    ds = scene("barium")
    gadolinium = np.zeros(len(KEV))
    shell = shells_on(KEV, ["Gd"], "", 50.0)
    for i, photons in enumerate(shapes(shell, KEV, 9.893e-4)):
        gadolinium += photons * (500.0 if shell[i].shell == "L" else 0.0)
    D = ds.endmember.values.astype(float)
    D[1] += gadolinium
    axes = {"y_mm": ds.y.values, "x_mm": ds.x.values, "energy_kev": KEV}
    with_it = from_factors(ds.abundance.values, D, [0, 0, 1, 1], **axes)
    line = next(s for s in shell if s.shell == "L").share("La") * 500.0
    np.testing.assert_allclose(with_it.xrf.element("Gd", line="La"), line * amount(ds, 1), rtol=0.12, atol=20.0)
    assert "Gd" in with_it.xrf.elements(among=[*ELEMENTS, "gd"]).index
    assert with_it.xrf.elements(among="Gd").index.tolist() == ["Gd"]


@pytest.mark.parametrize("fwhm_ev", [125, 180])
def test_the_detectors_resolution_is_read_off_the_spectrum(fwhm_ev):
    noise = (fwhm_ev / 2354.82) ** 2 - 4.4664e-4 * 5.9
    shells = shells_on(KEV, ["Fe", "Ca", "Pb"], "Rh", 50.0)
    spectrum = 1000.0 * shapes(shells, KEV, noise).sum(axis=0) + 2.0
    found = axis_for(spectrum, KEV).noise_kev2
    assert 1000 * fwhm_kev(5.9, found) == pytest.approx(fwhm_ev, rel=0.06)


def test_shapes_hold_one_photon_each_and_peak_at_their_line():
    shells = [s for s in shells_on(KEV, ["Cr", "Pb"], "Rh", 50.0) if s.main_kev > 1.5]
    drawn = shapes(shells, KEV, 9.893e-4)
    np.testing.assert_allclose(drawn.sum(axis=1), 1.0, atol=1e-3)
    chromium = next(i for i, s in enumerate(shells) if s.name == "Cr Ka")
    assert KEV[drawn[chromium].argmax()] == pytest.approx(line_kev("Cr"), abs=0.01)
    assert shells[chromium].share("Ka") + shells[chromium].share("Kb") == pytest.approx(1.0)
    assert 0.10 < shells[chromium].share("Kb") < 0.14  # Krause's and Scofield's tables


def test_snip_leaves_a_slope_and_takes_peaks():
    width = np.full(len(KEV), fwhm_kev(6.0) / 0.01)
    slope = 300.0 - 5.0 * KEV
    peak = 2000.0 * np.exp(-0.5 * ((KEV - 6.4) / 0.06) ** 2)
    found = snip((slope + peak)[None], width)[0]
    inside = slice(100, -100)
    np.testing.assert_allclose(found[inside], slope[inside], rtol=0.02)
    assert (snip(np.zeros((1, 500)), width[:500]) == 0).all()


def test_non_negative_least_squares_meets_its_conditions():
    rng = np.random.default_rng(0)
    P, y = rng.standard_normal((40, 12)), rng.standard_normal(40)
    G, c = P.T @ P, P.T @ y
    a = nonnegative(G, c)
    slope = G @ a - c
    assert (a >= 0).all()
    assert (a == 0).any()
    assert (slope > -1e-6).all()
    np.testing.assert_allclose(slope[a > 0], 0, atol=1e-6)


def test_a_profile_runs_along_a_line():
    ds = scene("lead")
    found = ds.xrf.profile((10.5, 5.5), (40.5, 45.5))
    assert found.dims == ("distance", "energy")
    assert float(found.distance[-1]) == pytest.approx(50.0)
    at = [(round(10 + 30 * t), round(5 + 40 * t)) for t in (0.0, 1.0)]
    for row, (y, x) in zip((0, -1), at, strict=True):
        expected = ds.abundance.values[y, x].astype(float) @ ds.endmember.values
        np.testing.assert_allclose(found[row], expected, rtol=1e-4)
    with pytest.raises(OptionError, match="step of a profile must be more than 0 mm, got 0"):
        ds.xrf.profile((1, 1), (2, 2), step_mm=0.0)


def test_a_patch_answers_like_a_result_and_says_what_it_cannot():
    patch = measured("lead")
    counts = patch.counts.values.astype(float)
    np.testing.assert_allclose(patch.xrf.mean_spectrum(), counts.mean((0, 1)), rtol=1e-6)
    mask = np.zeros(counts.shape[:2], bool)
    mask[3:30:2, 8:20] = True
    np.testing.assert_allclose(patch.xrf.spectrum(mask=mask), counts[mask].mean(0), rtol=1e-6)
    np.testing.assert_array_equal(patch.xrf.spectrum(y=12.4, x=30.7), counts[12, 30])
    inside = (KEV >= 5.0) & (KEV <= 6.0)
    np.testing.assert_allclose(patch.xrf.roi(5.0, 6.0), counts[..., inside].sum(-1), rtol=1e-5)
    assert patch.xrf.profile((5.5, 5.5), (5.5, 15.5)).shape == (11, len(KEV))
    with pytest.raises(InputError, match=r"x = 90 mm lies outside the patch, which spans y 0\.50 to 82\.50"):
        patch.xrf.spectrum(y=5.0, x=90.0)
    with pytest.raises(OptionError, match="a measured patch has no layers"):
        patch.xrf.element("Pb", layer="hidden")
    with pytest.raises(OptionError, match="a measured patch has no layers"):
        _ = patch.xrf.hidden
    with pytest.raises(OptionError, match="compare is asked of a result"):
        patch.xrf.compare("a")


def test_channels_too_wide_for_lines_say_so():
    ds = scene("lead").isel(energy=slice(None, None, 32)).drop_vars("cube")
    with pytest.raises(InputError, match=r"channels of 320 eV, a line is .* in Python, .* background='linear'"):
        ds.xrf.element("Cr")
