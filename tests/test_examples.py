"""Every public name shows an example in its docstring, and all of them run on one small painting."""

from __future__ import annotations

import doctest
import inspect
import shutil

import matplotlib
import pytest

import xrfsr_dask as xs
from xrfsr_dask.options import BedroomOptions
from xrfsr_dask.phantom import aligned_painting, write_painting
from xrfsr_dask.result import XrfAccessor

ASKED = {name: member for name, member in vars(XrfAccessor).items() if name[0] != "_"}
PUBLIC = {name: getattr(xs, name) for name in xs.__all__} | {f"ds.xrf.{name}": m for name, m in ASKED.items()}
SHOWN = {"xrfsr_dask": xs, "ds.xrf": XrfAccessor, **PUBLIC}


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_has_an_example_and_type_hints(name):
    found = PUBLIC[name]
    assert ">>> " in inspect.getdoc(found)
    function = found.fget if isinstance(found, property) else found
    if inspect.isfunction(function):
        parameters = inspect.signature(function).parameters
        assert set(function.__annotations__) >= {*parameters, "return"} - {"self"}


class WhereAnythingIsShown(doctest.OutputChecker):
    """An example that shows no answer only has to run."""

    def check_output(self, want, got, optionflags):
        return not want or super().check_output(want, got, optionflags)


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """What examples stand on: bedroom.zarr in the current folder, solved, and arrays in memory."""
    folder = tmp_path_factory.mktemp("examples")
    scene = BedroomOptions(
        shape=(90, 120),
        width_mm=923.0,
        n_patches=3,
        spots=(20, 16),
        n_channel=512,
        dwell_s=1.0,
        counts_per_s=6e3,
    )
    write_painting(folder / "bedroom.zarr", scene)
    xs.super_resolve(folder / "bedroom.zarr", atoms=10)
    ds = xs.open_result(folder / "bedroom.zarr")
    small = aligned_painting(shape=(60, 80), factor=5, n_channel=256)
    arrays = {"counts": small.counts, "rgb": small.photo, "keV": small.energy_kev}
    return folder, arrays | {"xs": xs, "ds": ds, "A": small.abundance, "D": small.endmember}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHOWN)
def test_an_example_runs_and_answers_as_it_shows(name, names, monkeypatch, tmp_path):
    folder, known = names
    matplotlib.use("agg")
    from matplotlib import pyplot

    shutil.copytree(folder / "bedroom.zarr", tmp_path / "bedroom.zarr")
    monkeypatch.chdir(tmp_path)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(WhereAnythingIsShown(), optionflags=flags)
    runner.run(doctest.DocTestParser().get_doctest(inspect.getdoc(SHOWN[name]), dict(known), name, None, None))
    pyplot.close("all")
    assert runner.failures == 0
