"""What a run found wrong with its patches and tells with its result, in sentences."""

from __future__ import annotations

from typing import Any

import zarr

from xrfsr_dask.errors import DamagedStoreError
from xrfsr_dask.store.arrays import place_of
from xrfsr_dask.store.results import out_of_place

MISDWELT = "misdwelt_spots"
"""Attribute of a result: by patch, how many spots were not believed; of patches that have such."""


def remarks(group: zarr.Group, pitch_mm: float) -> dict[str, list[str]]:
    """Sentences about patches of a result: ``out_of_place`` and ``misdwelt``.

    Raises
    ------
    DamagedStoreError
        What the result says of them is not what a run writes.
    """
    return {"out_of_place": out_of_place(group, pitch_mm), "misdwelt": _misdwelt(group)}


def _misdwelt(group: zarr.Group) -> list[str]:
    told: Any = group.attrs.get(MISDWELT, {})
    if not isinstance(told, dict) or not all(type(n) is int and n > 0 for n in told.values()):
        raise DamagedStoreError(f"{place_of(group)} is damaged: its '{MISDWELT}' are no numbers of spots.")
    return [
        f"{n} {'spot' if n == 1 else 'spots'} of patch '{name}' counted nothing, or many times what those "
        "around counted with their very spectrum and colour, as where a readout fails or a stage stalls; the "
        "spots around were believed there."
        for name, n in told.items()
    ]
