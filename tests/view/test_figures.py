"""Figures: right places, right scales, names on everything, and no pyplot."""

from __future__ import annotations

import builtins
import itertools
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from xrfsr_dask.errors import InputError, MissingPackageError
from xrfsr_dask.store import placement
from xrfsr_dask.view.figures import comparison, overview, save
from xrfsr_dask.view.panels import Panel, Spot, colour_limits, displayed, greek, turned_corners
from xrfsr_dask.view.sheets import Column, beside, spectra

Text = pytest.importorskip("matplotlib.text", reason="needs the [view] extra").Text

Y, X = (np.arange(24) + 0.5) * 0.5, (np.arange(36) + 0.5) * 0.5
KEV = 0.02 * np.arange(500)


def panel(title, scale=1.0, seed=0):
    values = scale * np.random.default_rng(seed).random((24, 36))
    return Panel(values=values, y_mm=Y, x_mm=X, title=title)


def photograph():
    values = np.random.default_rng(1).random((24, 36, 3)).astype(np.float32)
    return Panel(values=values, y_mm=Y, x_mm=X, title="Photograph")


def patch():
    y_mm, x_mm = turned_corners(placement(at_mm=(2, 3), step_mm=1.0, rotation_deg=3), (6, 8))
    return Panel(values=np.full((6, 8), 5.0), y_mm=y_mm, x_mm=x_mm, title="One patch, as measured")


def spot(title):
    peak = 200 * np.exp(-0.5 * ((KEV - 5.41) / 0.06) ** 2)
    spectra = {"truth": peak + 1, "super-resolved": 0.9 * peak + 1.2}
    lines = {"Cr Ka": 5.41, "Cr Kb": 5.95, "Pb La": 10.55}
    return Spot(y_mm=3.0, x_mm=4.0, title=title, energy_kev=KEV, spectra=spectra, lines=lines)


def an_overview():
    return overview(
        photograph=photograph(),
        patch=patch(),
        resolved=panel("Cr Kα, super-resolved", 30, 2),
        truth=panel("Cr Kα, truth", 20, 3),
        hidden=panel("Cu Kα, hidden layer", 3, 4),
        hidden_truth=panel("Cu Kα, hidden layer, truth", 2, 5),
        spots=[spot("visible: window"), spot("hidden: coat")],
        title="Small bedroom",
    )


def named(figure):
    return {ax.get_title(loc="left") or ax.get_title(): ax for ax in figure.axes}


def limits_of(ax):
    return [artist.get_clim() for artist in (*ax.images, *ax.collections) if artist.get_array().ndim < 3]


def test_an_overview_names_every_picture_and_fills_the_page(tmp_path):
    figure = an_overview()
    titles = set(named(figure))
    assert {"Photograph", "One patch, as measured", "Cr Kα, truth", "a  visible: window"} <= titles
    with Image.open(save(figure, tmp_path / "overview.png", dpi=60)) as image:
        grey = np.asarray(image.convert("L"))
    assert min(grey.shape) > 400
    assert (grey < 250).mean() > 0.3


def test_result_and_truth_and_patch_share_the_scale_of_the_truth():
    axes = named(an_overview())
    wanted = colour_limits(panel("", 20, 3).values)
    for title in ("Cr Kα, super-resolved", "Cr Kα, truth", "One patch, as measured"):
        assert limits_of(axes[title]) == [wanted]
    wanted = colour_limits(panel("", 2, 5).values)
    for title in ("Cu Kα, hidden layer", "Cu Kα, hidden layer, truth"):
        assert limits_of(axes[title]) == [wanted]


def test_maps_lie_in_millimetres_with_y_downward():
    axes = named(an_overview())
    for title in ("Photograph", "Cr Kα, truth", "One patch, as measured"):
        assert axes[title].get_xlim() == (0.0, 18.0)
        assert axes[title].get_ylim() == (12.0, 0.0)
    assert axes["One patch, as measured"].get_xlabel() == "x (mm)"
    assert axes["Photograph"].get_ylabel() == "y (mm)"


def test_lines_on_the_spectrum_are_named_in_greek_where_the_axis_reaches():
    ax = named(an_overview())["a  visible: window"]
    assert [text.get_text() for text in ax.texts] == ["Cr Kα", "Cr Kβ"]
    assert ax.get_xlabel() == "energy (keV)"
    assert ax.get_yscale() == "log"


def test_a_comparison_letters_its_panels_and_shares_the_scale_of_the_reference():
    panels = [
        panel("LR input"),
        photograph(),
        *(panel(n, 4, i) for i, n in enumerate("pqr")),
        panel("truth", 2),
    ]
    figure = comparison(panels, columns=4)
    axes = named(figure)
    assert list(axes)[:3] == ["(a) LR input", "(b) Photograph", "(c) p"]
    wanted = colour_limits(panels[-1].values)
    assert all(limits_of(axes[name]) == [wanted] for name in ("(a) LR input", "(d) q", "(f) truth"))
    with pytest.raises(InputError, match="at least one panel"):
        comparison([])


def a_sheet(mm, n=3):
    """`n` columns of a painting of (ny, nx) mm, the first with two outlined patches."""
    long = max(mm)
    y, x = ((np.arange(max(2, round(240 * side / long))) + 0.5) for side in mm)
    y, x = y * mm[0] / len(y), x * mm[1] / len(x)
    shown = Panel(values=np.random.default_rng(0).random((len(y), len(x))), y_mm=y, x_mm=x, title="")
    outlines = []
    for name, (top, left) in (("left", (0, 0)), ("right-hand", (0.5 * mm[0], 0.5 * mm[1]))):
        top, left = (top, 0) if mm[0] > mm[1] else (0, left)
        low, right = top + 0.4 * mm[0], left + 0.4 * mm[1]
        outlines.append((name, np.array([top, top, low, low]), np.array([left, right, right, left])))
    titles = ("Pb Lα as measured", "super-resolved, both layers", "hidden layer")[:n]
    unit = "measured spots over a pixel"
    columns = [
        Column(title=t, panels=[shown], unit=unit, outlines=() if i else outlines) for i, t in enumerate(titles)
    ]
    return beside(columns, shown)


def words_of(figure):
    """What is written on a figure, and the boxes it takes, px."""
    figure.draw_without_rendering()
    every = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    drawn = [(text.get_text(), text.get_window_extent()) for text in every]
    return [(text, box) for text, box in drawn if box.width > 0]


@pytest.mark.parametrize("mm", [(2.0, 60.0), (60.0, 480.0), (480.0, 60.0), (60.0, 2.0)])
@pytest.mark.parametrize("n", [1, 3])
def test_on_strips_no_word_or_bar_lies_on_another_or_on_a_map_or_is_cut(mm, n):
    figure = a_sheet(mm, n)
    words, (wide, high) = words_of(figure), figure.canvas.get_width_height()
    ticks = {label.get_text() for ax in figure.axes for label in (*ax.get_xticklabels(), *ax.get_yticklabels())}
    named = [(text, box) for text, box in words if text not in ticks]
    for text, box in named:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= wide, text
        assert box.y1 <= high, text
    for (one, a), (other, b) in itertools.combinations(named, 2):
        assert not a.overlaps(b), (one, other)
    maps = [ax.get_window_extent() for ax in figure.axes if ax.images]
    (bar,) = [artist.get_window_extent() for ax in figure.axes for artist in ax.artists]
    assert len(maps) == n
    for box in maps:
        assert not box.overlaps(bar)
        assert box.width / box.height == pytest.approx(mm[1] / mm[0], rel=0.02)
        assert max(box.width, box.height) > 900
    assert not [text for text, box in named if box.overlaps(bar) and not text.endswith(" mm")]


def test_names_beside_a_tall_map_stand_below_each_other_and_do_not_reach_the_next():
    y, x = np.arange(160.0) * 2 + 1, np.arange(20.0) * 2 + 1
    shown = Panel(values=np.ones((160, 20)), y_mm=y, x_mm=x, title="")
    names = ("upper-right", "upper-left", "lower-left-of-the-panel-2024", "p04")
    edges = [(name, np.array([top] * 2 + [top + 15] * 2), np.array([2.0, 17, 17, 2])) for name, top in
             zip(names, (2.0, 2.0, 100.0, 100.5), strict=True)]  # fmt: skip
    figure = beside(
        [Column(title="a", panels=[shown], outlines=edges), Column(title="b", panels=[shown])], shown
    )
    words = dict(words_of(figure))
    found = [words[name] for name in ("upper-right", "upper-left", "lower-left-of…", "p04")]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(found, 2))
    ticks = [box for text, box in words_of(figure) if text == "0"]
    assert max(box.x1 for box in found) < max(box.x0 for box in ticks)


def outlined(name, top, left, low, right, first=0):
    """An edge whose corners begin at one of four, as those of a turned scan do."""
    y, x = np.array([top, top, low, low], float), np.array([left, right, right, left], float)
    return name, np.roll(y, -first), np.roll(x, -first)


@pytest.mark.parametrize("mm", [(200.0, 300.0), (30.0, 450.0)])
@pytest.mark.parametrize("dpi", [80, 150])
def test_names_on_a_map_lie_in_it_and_not_on_each_other(mm, dpi, tmp_path):
    high, wide = mm
    y, x = (np.arange(100) + 0.5) / 100 * high, (np.arange(300) + 0.5) / 300 * wide
    shown = Panel(values=np.ones((100, 300)), y_mm=y, x_mm=x, title="")
    edges = [
        outlined("p01", 0.05 * high, 0.03 * wide, 0.8 * high, 0.8 * wide),
        outlined("rescan-of-p01-march-2024", 0.055 * high, 0.033 * wide, 0.8 * high, 0.8 * wide),
        outlined("half-turned", 0.2 * high, 0.3 * wide, 0.95 * high, 0.97 * wide, first=2),
        outlined("at_right_edge_of_painting", 0.1 * high, 0.8 * wide, 0.5 * high, 0.95 * wide, first=1),
        outlined("beyond-it", 0.9 * high, 0.96 * wide, 1.3 * high, 1.4 * wide),
        outlined("where-the-scale-is", 0.85 * high, 0.0, high, 0.3 * wide),
    ]
    figure = beside(
        [Column(title="a", panels=[shown], outlines=edges), Column(title="b", panels=[shown])], shown
    )
    figure.set_dpi(dpi)
    save(figure, tmp_path / "sheet.png", dpi=dpi)
    words, names = dict(words_of(figure)), [name for name, *_ in edges]
    found = [words[name] for name in names]
    bars = [artist.get_window_extent() for ax in figure.axes for artist in ax.artists]
    assert len(bars) == 1
    assert not any(a.overlaps(b) for a, b in itertools.combinations(found + bars, 2))
    ax = next(ax for ax in figure.axes if ax.get_title(loc="left") == "a")
    edge = ax.get_window_extent()
    for box in found:
        assert edge.x0 - 1 <= box.x0
        assert box.x1 <= edge.x1 + 1
        assert edge.y0 - 1 <= box.y0
        assert box.y1 <= edge.y1 + 1
    for name, y, x in edges[:4]:
        corner = ax.transData.transform((x.min(), y.min()))
        assert words[name].y1 <= corner[1]
        assert corner[1] - words[name].y1 < 4 * words[name].height
        assert abs(words[name].x0 - corner[0]) < 8 or words[name].x1 == pytest.approx(edge.x1, rel=0.03)


def test_a_name_longer_than_the_map_is_cut_short():
    shown = Panel(values=np.ones((10, 10)), y_mm=np.arange(10.0), x_mm=np.arange(10.0), title="")
    column = Column(title="a", panels=[shown], outlines=[outlined("n" * 64, 2, 2, 5, 5)])
    words = [text for text, _ in words_of(beside([column] * 3, shown)) if text.startswith("n")]
    assert len(words) == 3
    assert all(8 < len(word) < 40 and word.endswith("n…") for word in words)


def test_spectra_below_each_other_have_the_same_energies():
    energy = np.linspace(0, 20, 200)
    spots = [
        Spot(y_mm=0, x_mm=0, title="", energy_kev=energy, spectra={"a": np.where(energy < last, 100.0, 0.0)})
        for last in (5, 12)
    ]
    limits = [ax.get_xlim() for ax in spectra(spots).axes]
    assert limits[0] == limits[1]
    assert 12 < limits[0][1] < 13


def test_maps_that_are_no_strips_stand_side_by_side():
    figure = a_sheet((60.0, 240.0), 2)
    figure.draw_without_rendering()
    left, right = (ax.get_window_extent() for ax in figure.axes if ax.images)
    assert left.x1 < right.x0
    (bar,) = [artist.get_window_extent() for ax in figure.axes for artist in ax.artists]
    assert left.y0 < bar.y0 < bar.y1 < left.y1


def test_the_corners_of_a_turned_patch_surround_its_spots():
    transform = placement(at_mm=(10.0, 20.0), step_mm=2.0, rotation_deg=0.0)
    y_mm, x_mm = turned_corners(transform, (3, 4))
    assert (y_mm.shape, x_mm.shape) == ((4, 5), (4, 5))
    np.testing.assert_allclose([y_mm[0, 0], x_mm[0, 0], y_mm[-1, -1], x_mm[-1, -1]], [10, 20, 16, 28])


def test_the_colour_scale_ignores_what_was_not_measured():
    values = np.full((10, 10), np.nan)
    assert colour_limits(values) == (0.0, 1.0)
    values[3] = 7.0
    assert colour_limits(values) == (0.0, 7.0)
    assert colour_limits(-np.ones((4, 4))) == (0.0, 1.0)


def test_linear_light_is_shown_as_srgb():
    shown = displayed(np.array([[[0.0], [0.2140], [1.0]]]))
    np.testing.assert_allclose(shown[0, :, 0], [0, 0.5, 1], atol=1e-3)
    assert shown.shape == (1, 3, 3)


def test_greek_letters_take_the_place_of_latin_ones_only_in_lines():
    assert [greek(name) for name in ("Pb La", "Hg Ma", "Ga Kb1", "Ca Ka")] == [
        "Pb Lα",
        "Hg Mα",
        "Ga Kβ1",
        "Ca Kα",
    ]


def test_without_matplotlib_the_missing_package_is_named(monkeypatch):
    original = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackageError, match=r"pictures need matplotlib; install it with: pip install"):
        comparison([panel("a")])


def test_importing_figures_imports_no_matplotlib_and_drawing_no_pyplot(tmp_path):
    code = (
        "import sys, numpy as np; from xrfsr_dask.view.figures import *; place = sys.argv[1];"
        "assert 'matplotlib' not in sys.modules; a = np.arange(3.0);"
        "save(comparison([Panel(values=np.eye(3), y_mm=a, x_mm=a, title='t')]), place, dpi=20);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], check=False).returncode == 0
