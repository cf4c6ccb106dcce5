"""What is written opens in the programs it is written for: HyperSpy, PyMca; values and axes equal."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from xrfsr_dask.writers import Part, format_of

SHAPE = (60, 55, 128)
VALUES = np.random.default_rng(0).random(SHAPE, np.float32)
PART = Part(
    title="a painting",
    energy_kev=-0.95 + 0.02 * np.arange(SHAPE[2]),
    y_mm=10.25 + 0.5 * np.arange(SHAPE[0]),
    x_mm=3.25 + 0.5 * np.arange(SHAPE[1]),
    step_mm=0.5,
    kev_per_channel=0.02,
)


def written(path: Path) -> Path:
    """In pieces, the last first."""
    kind = format_of(path)
    made = path.with_name("made")
    kind.create(made, PART)
    for y in (slice(50, 60), slice(0, 50)):
        for x in (slice(0, 50), slice(50, 55)):
            kind.write(made, PART, (y, x), VALUES[y, x])
    kind.finish(made, path, PART)
    return path


def hyperspy_signal(path: Path):
    api = pytest.importorskip("hyperspy.api", reason="needs hyperspy, of the [dev] extra")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of hyperspy about its own extensions
        return api.load(str(path))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".rpl", ".zspy", ".nxs"])
def test_hyperspy_opens_it_with_axes_and_values(suffix, tmp_path):
    path = written(tmp_path / f"cube{suffix}")
    signal = hyperspy_signal(path)
    signal = signal[0] if isinstance(signal, list) else signal
    np.testing.assert_array_equal(np.asarray(signal.data).reshape(SHAPE), VALUES)
    if suffix == ".nxs":  # its reader keeps NeXus axes under their own names
        return
    energy = signal.axes_manager.signal_axes[0]
    assert energy.units == "keV"
    np.testing.assert_allclose(energy.axis, PART.energy_kev, atol=1e-9)
    x, y = signal.axes_manager.navigation_axes
    assert (x.scale, y.scale, x.units) == (0.5, 0.5, "mm")
    assert (x.offset, y.offset) == (3.25, 10.25)
    assert signal.metadata.General.title == "a painting"


@pytest.mark.slow
def test_pymca_opens_lispix(tmp_path):
    module = pytest.importorskip("PyMca5.PyMcaIO.LispixMap", reason="needs PyMca5, of the [dev] extra")
    path = written(tmp_path / "cube.rpl")
    stack = module.LispixMap(str(path))
    np.testing.assert_array_equal(stack.data, VALUES)


@pytest.mark.slow
def test_pymca_opens_nexus(tmp_path):
    module = pytest.importorskip("PyMca5.PyMcaIO.HDF5Stack1D", reason="needs PyMca5, of the [dev] extra")
    path = written(tmp_path / "cube.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stack = module.HDF5Stack1D([str(path)], {"entry": "", "x": [], "y": "/entry/data/counts", "m": []})
    np.testing.assert_array_equal(np.asarray(stack.data).reshape(SHAPE), VALUES)


def test_the_axes_of_nexus_follow_the_standard(tmp_path):
    import h5py

    with h5py.File(written(tmp_path / "cube.h5")) as file:
        data = file[file.attrs["default"]][file["entry"].attrs["default"]]
        assert [name if isinstance(name, str) else name.decode() for name in data.attrs["axes"]] == [
            "y",
            "x",
            "energy",
        ]
        counts = data[data.attrs["signal"]]
        for name, n in zip(("y", "x", "energy"), SHAPE, strict=True):
            assert data[name].shape == (n,)
            assert counts.shape[data.attrs[f"{name}_indices"]] == n
        assert data["energy"].attrs["units"] == "keV"
        np.testing.assert_array_equal(counts[:], VALUES)
