"""HDF5 laid out as NeXus: ``/entry/data/counts (y, x, energy)`` with its axes; any HDF5 reader opens it.

The counts lie in one piece, uncompressed, at a place that is fixed when the file is made: a run that is killed
while it writes cannot leave the file unreadable.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xrfsr_dask.writers.protocol import Format, Part, moved

_COUNTS = "/entry/data/counts"


def create(path: Path, part: Part) -> None:
    """All of the file but the values of the counts."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs.update({"NX_class": "NXentry", "default": "data"})
        entry["title"] = part.title
        data = entry.create_group("data")
        data.attrs.update({"NX_class": "NXdata", "signal": "counts", "interpretation": "spectrum"})
        data.attrs["axes"] = np.array(["y", "x", "energy"], dtype=h5py.string_dtype())
        axes = {"y": (part.y_mm, "mm"), "x": (part.x_mm, "mm"), "energy": (part.energy_kev, "keV")}
        for i, (name, (values, unit)) in enumerate(axes.items()):
            data[name] = np.asarray(values, float)
            data[name].attrs["units"] = unit
            data.attrs[f"{name}_indices"] = i
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_layout(h5py.h5d.CONTIGUOUS)
        plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple(part.shape)
        h5py.h5d.create(data.id, b"counts", h5py.h5t.IEEE_F32LE, space, plan)
        counts = file[_COUNTS]
        counts.attrs.update({"units": "counts", "long_name": "counts per measured spot"})
        for axis, name in zip(counts.dims, axes, strict=True):
            axis.label = name


def write(path: Path, part: Part, place: tuple[slice, slice], values: np.ndarray) -> None:
    """A rectangle of spectra."""
    import h5py

    with h5py.File(path, "r+") as file:
        file[_COUNTS][place] = values


NEXUS = Format((".h5", ".hdf5", ".nxs"), "HDF5, laid out as NeXus", create, write, moved)
