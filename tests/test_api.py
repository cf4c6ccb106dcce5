import numpy as np
import pytest
import xarray as xr
from helpers import small_painting, small_truth

import xrfsr_dask as xs
from xrfsr_dask.errors import InputError, MemoryBudgetError, OptionError

QUICK = {"atoms": 8, "iterations": 8, "prox": "simplex"}


def scene(factor: int, ny: int = 13, nx: int = 11, n_channel: int = 40):
    A, D, photo = small_truth(n_channel=n_channel)
    A, photo = A[: factor * ny, : factor * nx], photo[: factor * ny, : factor * nx]
    mean = A.reshape(ny, factor, nx, factor, 4).mean(axis=(1, 3)) @ D
    return np.random.default_rng(0).poisson(mean), photo / 255.0, A @ D


@pytest.mark.parametrize("factor", [1, 2, 3, 5, 8])
def test_fuse_takes_any_factor_and_gives_a_labelled_lazy_cube(factor):
    counts, rgb, truth = scene(factor)
    energy = 1.0 + 0.1 * np.arange(40)
    ds = xs.fuse(counts, rgb, factor=factor, energy=energy, **QUICK)
    assert ds.cube.dims == ("y", "x", "energy")
    assert ds.cube.shape == truth.shape
    assert {"visible"} <= set(ds.layer.values) <= {"visible", "hidden"}
    np.testing.assert_allclose(ds.energy, energy)
    np.testing.assert_allclose(ds.coverage, 1.0, atol=1e-5)
    assert ds.chi_square.shape == counts.shape[:2]
    assert 0.3 < float(ds.chi_square.median()) < 1.7
    assert ds.evidence.shape == truth.shape[:2]
    assert 0 <= float(ds.evidence.min()) <= float(ds.evidence.max()) <= 1
    assert float(ds.cube.mean()) == pytest.approx(counts.mean(), rel=0.1)


@pytest.mark.parametrize(("factor", "spots"), [(51, (2, 3)), pytest.param(100, (2, 2), marks=pytest.mark.slow)])
def test_fuse_keeps_to_its_memory_where_spots_are_wide(factor, spots):
    rng = np.random.default_rng(0)
    counts = rng.poisson(3.0, (*spots, 16)).astype("u2")
    rgb = rng.integers(0, 256, (spots[0] * factor, spots[1] * factor, 3)).astype("u1")
    ds = xs.fuse(counts, rgb, factor=factor)
    assert np.isfinite(ds.abundance).all()
    assert float(ds.cube.mean()) == pytest.approx(counts.mean(), rel=0.1)


def test_few_spots_below_a_photograph_of_noise_keep_their_counts():
    rng = np.random.default_rng(1)
    counts = rng.poisson(5, (2, 3, 32)).astype("u2")
    found = xs.fuse(counts, rng.integers(0, 255, (40, 60, 3)).astype("u1"), factor=20).cube.values
    spots = found.reshape(2, 20, 3, 20, 32).mean(axis=(1, 3))
    np.testing.assert_allclose(spots.sum(), counts.sum(), rtol=0.05)
    assert (spots.mean(axis=(0, 1)) / np.maximum(counts.mean(axis=(0, 1)), 1)).max() < 1.3


@pytest.mark.parametrize("light", [0, 128])
def test_a_photograph_of_one_colour_says_nothing_and_does_no_harm(light):
    counts = np.random.default_rng(0).poisson(3.0, (6, 8, 24)).astype("u2")
    ds = xs.fuse(counts, np.full((18, 24, 3), light, "u1"), factor=3)
    assert float(ds.cube.mean()) == pytest.approx(counts.mean(), rel=0.1)


def test_a_scan_without_counts_is_refused():
    with pytest.raises(InputError, match="holds no counts"):
        xs.fuse(np.zeros((6, 8, 24), "u2"), np.zeros((18, 24, 3), "u1"), factor=3)


def test_a_labelled_array_may_have_its_energies_anywhere():
    counts = np.random.default_rng(0).poisson(9.0, (4, 5, 6)).astype("u2")
    rgb = np.random.default_rng(1).integers(0, 255, (8, 10, 3)).astype("u1")
    energy = 1.0 + 0.1 * np.arange(6)
    asked = {"factor": 2, "method": "paper", "atoms": 2, "iterations": 1}
    right = xs.fuse(counts, rgb, energy=energy, **asked)
    labelled = xr.DataArray(counts, dims=("y", "x", "energy"), coords={"energy": energy})
    found = xs.fuse(labelled.transpose("energy", "y", "x"), rgb, **asked)
    np.testing.assert_array_equal(found.energy, energy)
    np.testing.assert_array_equal(found.cube.values, right.cube.values)


def test_fuse_sees_more_than_the_spots_do():
    counts, rgb, truth = scene(5, ny=20, nx=20)
    ds = xs.fuse(counts, rgb, factor=5, atoms=12, iterations=15, prox="simplex")
    error = np.sqrt(np.mean((ds.cube.values - truth) ** 2))
    blocky = np.sqrt(np.mean((counts.repeat(5, 0).repeat(5, 1) - truth) ** 2))
    assert error < 0.75 * blocky


def test_gaussian_values_may_be_negative_and_poisson_counts_may_not():
    counts, rgb, _ = scene(3)
    noisy = counts + np.random.default_rng(1).normal(0, 0.5, counts.shape)
    xs.fuse(noisy, rgb, factor=3, noise="gaussian", atoms=4, iterations=2)
    with pytest.raises(InputError, match=r"is negative .*counts must be finite and not negative"):
        xs.fuse(noisy, rgb, factor=3, atoms=4, iterations=2)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (
            {"factor": 4},
            InputError,
            r"13 x 11 spots and a factor of 4 need a photograph of 52 x 44 px, got 39 x 33",
        ),
        ({"factor": 0}, OptionError, "factor must be a whole number of at least 1, got 0"),
        ({"factor": 2.5}, OptionError, "whole number"),
        ({"factor": "3"}, OptionError, "factor must be a whole number of at least 1, got '3'"),
        ({"step_mm": 10**400}, OptionError, "step_mm must be more than 0, got 1000"),
        ({"step_mm": 1j}, OptionError, "step_mm must be more than 0, got 1j"),
        ({"smoothness": 10**400}, OptionError, "smoothness must be >= 0 and at most 1e6, got 1000"),
        ({"rgb": np.zeros((39, 33, 2))}, InputError, "one or three bands"),
        ({"rgb": np.full((39, 33, 3), 7.0)}, InputError, "finite values between 0 and 1"),
        ({"counts": np.zeros((13, 11))}, InputError, r"counts must be \(y, x, energy\)"),
        (
            {"energy": np.zeros(40)},
            InputError,
            "energy axis does not rise.*; the energy of each channel's centre",
        ),
        (
            {"energy": 1000.0 + 100 * np.arange(40)},
            InputError,
            r"energy: its channels lie from 1000 to 4900 keV, 100 keV apart, which cannot be "
            r"\(are they in eV\?\); the energy of each channel's centre is wanted, in keV, rising by one step",
        ),
        ({"energy": np.arange(40)}, InputError, r"which cannot be \(they seem to be counted\); the energy of"),
        ({"method": "magic"}, OptionError, "unknown method"),
        ({"noise": "pink"}, OptionError, "noise must be 'poisson' or 'gaussian'.*got 'pink'"),
        ({"counts": np.zeros((0, 11, 4))}, InputError, r"real numbers, got float64 of shape \(0, 11, 4\)"),
        ({"counts": np.zeros((13, 11, 4), complex)}, InputError, "real numbers, got complex128"),
        ({"atoms": True}, OptionError, "atoms must be a whole number, got True"),
        ({"smoothness": True}, OptionError, "smoothness must be >= 0 and at most 1e6, got True"),
        ({"factor": True}, OptionError, "factor must be a whole number of at least 1, got True"),
        ({"workers": True}, OptionError, "workers must be at least 1, got True"),
        ({"memory": True}, OptionError, "memory must be a number of bytes"),
        ({"counts": [[[1, 2], [3]], [[4]]]}, InputError, "counts must be an array of numbers, all rows of one"),
        ({"rgb": [[1, 2], [3]]}, InputError, "rgb must be an array of numbers, all rows of one length"),
        ({"energy": ["a"] * 40}, InputError, "energy must be an array of numbers"),
        (
            {"counts": np.full((13, 11, 4), 1e-42)},
            InputError,
            "its largest count is 1.00053e-42; counts must lie",
        ),
        ({"counts": np.full((13, 11, 4), 2**32)}, InputError, "a count of 4294967296 was found; at most"),
        (
            {"energy": 0.1 * np.arange(40) + 0j},
            InputError,
            "energy must be an array of real numbers, got complex",
        ),
        ({"counts": np.full((13, 11, 4), 1e35)}, InputError, "its largest count is 1e[+]35; counts must lie"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(change, error, words):
    counts, rgb, _ = scene(3)
    given = {"counts": counts, "rgb": rgb, "factor": 3} | change
    with pytest.raises(error, match=words) as caught:
        xs.fuse(given.pop("counts"), given.pop("rgb"), **given)
    assert "\n" not in str(caught.value)


def test_photographs_and_numbers_of_numpy_are_as_good_as_others():
    counts, rgb, _ = scene(3)
    same = [
        xs.fuse(counts, photo, factor=factor, **QUICK | {"atoms": atoms}).abundance.values
        for photo, factor, atoms in (
            (rgb.astype("f2"), np.int8(3), np.int64(8)),
            (rgb.astype("f2").astype("f4"), 3, 8),
        )
    ]
    np.testing.assert_array_equal(*same)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"atoms": 0}, "atoms must lie between 1 and 1000"),
        ({"atoms": 2.5}, "atoms must be a whole number"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"memory": "1GB"}, "memory must be a number of bytes"),
        ({"workers": "x"}, "workers must be at least 1"),
        ({"energy": np.arange(5.0)}, "energy must hold one value for each of 40 channels"),
        ({"energy": np.geomspace(1, 20, 40)}, "channels are not evenly spaced"),
        ({"truth": np.zeros((39, 33, 40))}, "a truth of 39 x 33 px .* got ndarray"),
        ({"truth": [[[1.0]], [1.0]]}, "a truth of 39 x 33 px"),
        (
            {"truth": (np.ones((39, 33, 2), complex), np.ones((2, 40)))},
            "truth must be an array of real numbers",
        ),
        ({"labels": np.full((39, 33), np.nan)}, "labels must be whole numbers"),
        ({"labels": np.zeros((3, 3), int)}, "labels must be whole numbers"),
        ({"counts": np.ma.masked_greater(scene(3)[0], 5)}, "counts holds masked values"),
    ],
)
def test_compare_refuses_before_any_method_runs(monkeypatch, change, words):
    monkeypatch.setattr("xrfsr_dask.api.run", lambda *_, **__: pytest.fail("ran"))
    counts, rgb, _ = scene(3)
    given = {"counts": counts, "rgb": rgb, "factor": 3, "methods": ("palette",)} | change
    with pytest.raises(xs.XrfsrError, match=words):
        xs.compare(given.pop("counts"), given.pop("rgb"), **given)


def test_words_of_another_type_are_refused(tmp_path):
    photo = np.zeros((9, 9, 3), "u1")
    for change, words in (
        ({"width_mm": "5"}, "width must be more than 0 mm"),
        ({"width_mm": None}, "width must be more than 0 mm"),
        ({"width_mm": 10**400}, r"width must be more than 0 mm \(1e-6 to 1e6 mm\), got 1000"),
        ({"width_mm": 2j}, "width must be more than 0 mm"),
        ({"width_mm": True}, "width must be more than 0 mm"),
        ({"width_mm": 5, "transfer": "x"}, "transfer must be one of srgb, linear, got 'x'"),
    ):
        with pytest.raises(OptionError, match=words):
            xs.create_painting(tmp_path / "p.zarr", photo, **change)
    with pytest.raises(InputError, match="the photograph holds masked values"):
        xs.create_painting(tmp_path / "p.zarr", np.ma.masked_less(photo, 1), width_mm=5)
    with pytest.raises(InputError, match=r"a photograph of shape \(1, 2, 1\) and type int64"):
        xs.create_painting(tmp_path / "p.zarr", [[1, 2]], width_mm=5)
    assert not (tmp_path / "p.zarr").exists()
    assert xs.create_painting(tmp_path / "s.zarr", photo, width_mm=np.float32(9)).pitch_mm == 1.0
    small_painting(tmp_path / "q.zarr", "a")
    for change, words in (({"name": 5}, "must be text, got 5"), ({"client": "tcp://h:1"}, "client must be")):
        with pytest.raises(OptionError, match=words):
            xs.super_resolve(tmp_path / "q.zarr", **change)


def test_compare_runs_methods_of_both_kinds_and_judges_them():
    counts, rgb, _ = scene(3)
    A, D, _ = small_truth(n_channel=40)
    A = A[:39, :33]
    labels = (np.arange(39)[:, None] > 20) * np.ones((1, 33), int)
    found = xs.compare(
        counts,
        rgb,
        factor=3,
        methods=("cubic", "palette", "paper"),
        truth=(A, D),
        labels=labels,
        regions=("above", "below"),
        atoms=8,
    )
    assert list(found) == ["cubic", "palette", "paper"]
    for one in found.values():
        assert [row["region"] for row in one.figures] == ["whole", "above", "below"]
        assert one.estimate.rows(slice(3, 5)).shape == (2, 33, 40)
    by_hand = np.sqrt(np.mean((found["cubic"].estimate.rows(slice(None)) - A @ D) ** 2))
    assert found["cubic"].figures[0]["rmse"] == pytest.approx(by_hand, rel=1e-5)
    assert found["palette"].figures[0]["rmse"] < found["cubic"].figures[0]["rmse"]


def test_compare_without_a_truth_gives_no_figures():
    counts, rgb, _ = scene(3)
    assert xs.compare(counts, rgb, factor=3, methods=("cubic",))["cubic"].figures == []


def test_one_method_may_be_named_alone():
    counts, rgb, _ = scene(3)
    assert list(xs.compare(counts, rgb, factor=3, methods="cubic")) == ["cubic"]


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        ("cubi", "unknown method 'cubi'; choose among: cubic"),
        ((), "no method was named; choose among: cubic"),
        (5, "methods must be names of methods, got 5; choose among: cubic"),
        ((None,), "unknown method None"),
    ],
)
def test_names_that_are_of_no_method_are_refused(methods, words):
    counts, rgb, _ = scene(3)
    with pytest.raises(OptionError, match=words):
        xs.compare(counts, rgb, factor=3, methods=methods)


def test_errors_speak_of_arguments_and_not_of_options_of_the_command(tmp_path):
    counts, rgb, _ = scene(3)
    with pytest.raises(MemoryBudgetError, match=r"; raise memory, or use fewer workers or atoms\."):
        xs.fuse(counts, rgb, factor=3, memory=70_000_000, workers=2000)
    path = small_painting(tmp_path / "p.zarr", "a").path
    with pytest.raises(OptionError, match=r"exclude each other; give resume=True or restart=True\."):
        xs.super_resolve(path, resume=True, restart=True)
    with pytest.raises(OptionError, match=r"'truth' is kept .*; choose another name\."):
        xs.super_resolve(path, name="truth")


def test_compare_refuses_what_it_cannot_do():
    counts, rgb, truth = scene(3)
    with pytest.raises(OptionError, match="unknown method 'magic'; choose among: cubic, gsomp"):
        xs.compare(counts, rgb, factor=3, methods=("magic",))
    with pytest.raises(InputError, match=r"a truth of 39 x 33 px and 40 channels is needed"):
        xs.compare(counts, rgb, factor=3, methods=("cubic",), truth=(truth, np.eye(3)))
    with pytest.raises(MemoryBudgetError, match=r"method 'palette' .* needs"):
        xs.compare(counts, rgb, factor=3, methods=("palette",), memory=1000)
    with pytest.raises(InputError, match=r"a Poisson count is .*, below zero"):
        xs.compare(counts - 100.0, rgb, factor=3, methods=("cubic",))


@pytest.mark.filterwarnings("default")
def test_super_resolve_runs_on_a_store_and_on_a_client(tmp_path):
    from distributed import Client

    small_painting(tmp_path / "p.zarr", "a")
    options = {"atoms": 5, "iterations": 2}
    local = xs.super_resolve(tmp_path / "p.zarr", name="threads", workers=2, **options)
    with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as client:
        away = xs.super_resolve(tmp_path / "p.zarr", name="client", client=client, **options)
    xr.testing.assert_equal(local.abundance.compute(), away.abundance.compute())
    xr.testing.assert_equal(local.endmember, away.endmember)


def test_public_names_are_found_and_others_are_not():
    assert set(xs.__all__) <= set(dir(xs))
    assert issubclass(InputError, xs.XrfsrError)
    with pytest.raises(AttributeError, match="no attribute 'magic'"):
        _ = xs.magic
