"""Instrument files, photographs, calibrations and transforms, read from disk; one file per format."""

from xrfsr_dask.readers.calibration import (
    axis_notes,
    energy_axis,
    read_calibration,
    require_energies,
    require_even,
)
from xrfsr_dask.readers.open import open_scan
from xrfsr_dask.readers.photo import Photograph, read_photograph
from xrfsr_dask.readers.protocol import Scan
from xrfsr_dask.readers.rebin import Rebinning, rebinning
from xrfsr_dask.readers.transform import read_transform

__all__ = [
    "Photograph",
    "Rebinning",
    "Scan",
    "axis_notes",
    "energy_axis",
    "open_scan",
    "read_calibration",
    "read_photograph",
    "read_transform",
    "rebinning",
    "require_energies",
    "require_even",
]
