"""What `add` tells of counts that are there, but look as if some were lost."""

import numpy as np
from helpers import small_painting

from xrfsr_dask.commands.add import notes_of
from xrfsr_dask.store import PatchSpec, add_patch, placement


def added(tmp_path, counts):
    path = tmp_path / "p.zarr"
    small_painting(path, "")
    spec = PatchSpec(
        shape=counts.shape,
        dtype="u2",
        transform=placement(at_mm=(5, 5), step_mm=5),
        energy_kev=0.1 + 0.2 * np.arange(counts.shape[2]),
        source="scan.rpl",
        extra={"notes": ["one note"]},
    )
    return notes_of(add_patch(path, "a", spec, [(0, counts)]))


def test_rows_without_any_counts_are_told_beside_other_notes(tmp_path):
    counts = np.ones((9, 7, 4), "u2")
    counts[6:] = 0
    counts[0, :3] = 0  # spots without counts are no rows without counts
    told = "scan.rpl: 3 of 9 rows hold no counts at all; is the file whole, and was the scan finished?"
    assert added(tmp_path, counts) == ("one note", told)


def test_rows_with_counts_are_not(tmp_path):
    assert added(tmp_path, np.ones((9, 7, 4), "u2")) == ("one note",)
