"""Instrument files through rosettasciio: real Bruker maps, and what its readers return."""

from pathlib import Path

import numpy as np
import pytest

from xrfsr_dask.errors import InputError
from xrfsr_dask.readers import open_scan

pytest.importorskip("rsciio", reason="needs the [bruker] extra")

DATA = Path(__file__).parents[3] / "shared" / "data"
EDS = DATA / "eds" / "0.bcf"
SEM = DATA / "sem_eds" / "30x30_instructively_packed_16bit_compressed.bcf"

CUBE = np.random.default_rng(2).integers(0, 9, (6, 5, 8)).astype("u2")


def axis(name, size, scale, units, *, navigate, offset=0.0):
    return {"name": name, "size": size, "scale": scale, "offset": offset, "units": units, "navigate": navigate}


def signal(cube, title="map"):
    """A map of spectra as the readers of rosettasciio return it."""
    axes = [
        axis("y", cube.shape[0], 0.4, "mm", navigate=True),
        axis("x", cube.shape[1], 400.0, "µm", navigate=True),
        axis("Energy", cube.shape[2], 10.0, "eV", navigate=False, offset=-955.0),
    ]
    metadata = {"General": {"title": title}, "Sample": {"elements": ["Fe", "Pb"]}}
    return {"data": cube, "axes": axes, "metadata": metadata}


@pytest.mark.skipif(not EDS.is_file(), reason="needs the real map of ../shared/data/eds")
def test_the_real_eds_map_has_its_axes_image_and_elements():
    scan = open_scan(EDS)
    assert scan.shape == (256, 256, 2048)
    assert scan.dtype == np.uint8
    assert scan.energy_kev[0] == pytest.approx(-0.470891225)
    assert np.diff(scan.energy_kev) == pytest.approx(0.010003)
    assert scan.step_mm == pytest.approx(1.30814447573835e-5)
    assert scan.image.shape == (256, 256)
    assert scan.elements[:3] == ("Al", "C", "Ca")
    first, block = next(scan.blocks(32))
    assert (first, block.shape) == (0, (32, 256, 2048))
    silicon = scan.energy_kev.searchsorted([1.70, 1.78])
    counts = scan.read(slice(100, 164), slice(None))
    assert counts[..., slice(*silicon)].mean() > 5 * counts.mean()


@pytest.mark.skipif(not SEM.is_file(), reason="needs the real map of ../shared/data/sem_eds")
def test_the_real_sem_map_shows_its_lines_where_its_offset_puts_them():
    scan = open_scan(SEM)
    assert scan.shape == (30, 30, 2048)
    assert scan.energy_kev[0] == pytest.approx(-0.47225277)
    assert scan.step_mm == pytest.approx(1.66740910949362e-3)
    assert "Ti" in scan.elements
    spectrum = sum(block.sum(axis=(0, 1), dtype=float) for _, block in scan.blocks())
    near = (scan.energy_kev > 1.6) & (scan.energy_kev < 1.9)
    assert scan.energy_kev[near][spectrum[near].argmax()] == pytest.approx(1.740, abs=0.02)  # Si Ka


@pytest.fixture
def reader(monkeypatch, tmp_path):
    """open_scan on a .bcf whose signals are given."""

    def read(*signals, inside=None):
        (tmp_path / "scan.bcf").write_bytes(b"x")
        monkeypatch.setattr("rsciio.bruker.file_reader", lambda path: list(signals))
        return open_scan(tmp_path / "scan.bcf", inside=inside)

    return read


def test_one_map_of_several_is_chosen_by_its_title(reader):
    one, two = signal(CUBE, "one"), signal(CUBE + 1, "two")
    np.testing.assert_array_equal(reader(one, two, inside="two").read(slice(0, 6), slice(None)), CUBE + 1)
    with pytest.raises(InputError, match=r"'one' \(6, 5, 8\), 'two' \(6, 5, 8\). Choose one by --inside TITLE"):
        reader(one, two)
    with pytest.raises(InputError, match="'three' was asked for"):
        reader(one, two, inside="three")


def test_units_of_length_and_energy_become_mm_and_kev(reader):
    image = signal(CUBE) | {"data": CUBE[..., 3]}
    scan = reader(image, signal(CUBE))
    np.testing.assert_allclose(scan.energy_kev, -0.955 + 0.01 * np.arange(8))
    assert scan.step_mm == pytest.approx(0.4)
    assert scan.elements == ("Fe", "Pb")
    np.testing.assert_array_equal(scan.image, CUBE[..., 3])


def test_an_energy_axis_in_front_is_moved_to_the_end(reader):
    moved = signal(CUBE) | {"data": CUBE.transpose(2, 0, 1)}
    moved["axes"] = [moved["axes"][i] for i in (2, 0, 1)]
    np.testing.assert_array_equal(reader(moved).read(slice(0, 6), slice(None)), CUBE)


def test_an_energy_axis_without_unit_is_no_calibration(reader):
    plain = signal(CUBE)
    plain["axes"][2]["units"] = None
    assert reader(plain).energy_kev is None


def test_a_stack_of_images_is_no_map(reader):
    stack = signal(CUBE)
    stack["axes"] = [axis(name, 1, 1.0, "mm", navigate=name == "z") for name in "zyx"]
    with pytest.raises(InputError, match=r"none of its axes \(z, y, x\) is an energy axis"):
        reader(stack)


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "scan.bcf").write_bytes(b"no Bruker file at all" * 100)
    with pytest.raises(InputError, match=r"scan\.bcf (is cut off: it holds .* bytes|cannot be read as \.bcf)"):
        open_scan(tmp_path / "scan.bcf")


@pytest.mark.skipif(not SEM.is_file(), reason="needs the real map of ../shared/data/sem_eds")
@pytest.mark.parametrize("part", [0.0001, 0.3, 0.9, 0.9999])
def test_a_truncated_bruker_file_is_refused(tmp_path, part):
    data = SEM.read_bytes()
    (tmp_path / "scan.bcf").write_bytes(data[: int(part * len(data))])
    with pytest.raises(InputError, match=r"scan\.bcf (is cut off: it holds .* bytes|cannot be read as \.bcf)"):
        open_scan(tmp_path / "scan.bcf")
