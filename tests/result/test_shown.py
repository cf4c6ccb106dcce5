"""`ds.xrf` as it shows itself: text in a terminal, a table beside the photograph in a notebook."""

import numpy as np
from helpers import small_painting, small_truth

from xrfsr_dask.api import Compared
from xrfsr_dask.methods.protocol import Factors
from xrfsr_dask.metrics import row_sums
from xrfsr_dask.result import from_factors, open_patch


def in_memory(**attrs):
    A, D, _ = small_truth()
    axes = {"y_mm": 0.5 * np.arange(230), "x_mm": 0.5 * np.arange(170)}
    return from_factors(A, D, [0, 0, 0, 1], energy_kev=0.1 + 0.2 * np.arange(64), attrs=attrs, **axes)


def test_a_result_says_what_it_is_and_what_can_be_asked():
    text = repr(in_memory(result="joint").xrf)
    assert text.splitlines()[:4] == [
        "result      joint, of memory",
        "grid        170 x 230 px, 85.0 x 115.0 mm",
        "energies    64 channels, 0.100 to 12.700 keV",
        "endmembers  3 visible, 1 hidden",
    ]
    assert "element('Pb')" in text


def test_a_patch_shows_its_spots_and_the_photograph(tmp_path):
    small_painting(tmp_path / "room.zarr", "a")
    patch = open_patch(tmp_path / "room.zarr", "a")
    assert "a, of room.zarr" in repr(patch.xrf)
    assert "30 x 36 spots, a step of 5 mm" in repr(patch.xrf)
    page = patch.xrf._repr_html_()
    assert "src='data:image/png;base64," in page
    assert "30 x 36 spots" in page


def test_a_damaged_photograph_hides_itself_only(tmp_path):
    small_painting(tmp_path / "room.zarr", "a")
    patch = open_patch(tmp_path / "room.zarr", "a")
    (tmp_path / "room.zarr" / "rgb" / "0" / "image" / "zarr.json").write_text("{")
    page = patch.xrf._repr_html_()
    assert "<img" not in page
    assert "30 x 36 spots" in page


def test_names_cannot_become_markup():
    assert "<b>" not in in_memory(result="<b>")._repr_html_() + in_memory(result="<b>").xrf._repr_html_()


def test_a_compared_method_says_its_figures():
    A, D, _ = small_truth()
    values = (A[:4] @ D).reshape(-1, 64)
    sums = row_sums(values + 1, values, regions=("whole",))
    shown = repr(Compared(Factors(A, D, nonnegative=True), 1.234, sums))
    assert shown.startswith("170 x 230 px of 64 channels in 1.2 s; whole 1 counts RMSE, ")
    assert len(shown) < 120
