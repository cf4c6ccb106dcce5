"""How a scan becomes a patch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xrfsr_dask.values import is_number, is_one_of, require, shown


@dataclass(frozen=True, kw_only=True)
class AddOptions:
    """How a scan becomes a patch: its name, its place, its energy axis, its beam. Saved with the patch."""

    name: str | None = None
    """Name of the patch; None: the next free one of p01, p02, …"""
    at_mm: tuple[float, float] | None = None
    """(y, x) of the outer top left corner of the first spot, mm from the photograph's top left."""
    step_mm: float | None = None
    """Distance between neighbouring spots, mm; None: what the file says."""
    rotation_deg: float = 0.0
    """Turn about the corner `at_mm`, degrees, clockwise as seen."""
    transform_file: str | None = None
    """File of a 3x3 or 2x3 matrix (column, row, 1) -> (x_mm, y_mm, 1), in place of the three above."""
    calibration: str | None = None
    """``"OFFSET,GAIN"`` in keV (channel i lies at OFFSET + GAIN i) or a .spx file; None: what the file says."""
    inside: str | None = None
    """Which cube of a file that holds several: its path in HDF5, its title in .bcf and the like."""
    spot_mm: float | None = None
    """Beam on the painting, mm: side of a box, full width at half maximum of a Gaussian; None: one step."""
    footprint: Literal["box", "gaussian"] = "box"
    """Shape of the beam."""
    gain: float = 1.0
    """Counts of this patch per count of the model."""
    dwell_s: float | None = None
    """Time per spot, s."""
    noise: Literal["poisson", "gaussian"] = "poisson"
    """``"poisson"``: counts, negative ones are refused; ``"gaussian"``: values that may be negative."""
    resample: bool = False
    """Rebin onto the energy axis of the patches there are, conserving counts."""

    def __post_init__(self) -> None:
        if self.transform_file is None:
            require(
                self.at_mm is not None, "where the patch lies is not known; give --at X,Y or --transform FILE."
            )
        else:
            alone = self.at_mm is None and self.step_mm is None and self.rotation_deg == 0
            require(alone, "--transform says all about the place; leave out --at, --step-mm and --rotation.")
        for field in ("name", "transform_file", "calibration", "inside"):
            value = getattr(self, field)
            require(value is None or isinstance(value, str), f"{field} must be text, got {shown(value)}.")
        pair = self.at_mm is None or (isinstance(self.at_mm, tuple) and len(self.at_mm) == 2)
        require(pair, f"--at must be two numbers, got {shown(self.at_mm)}.")
        y, x = self.at_mm or (0.0, 0.0)
        require(is_number(x) and is_number(y), f"--at must be finite, got {x},{y}.")
        require(is_number(self.rotation_deg), f"--rotation must be finite, got {shown(self.rotation_deg)}.")
        for field in ("step_mm", "spot_mm", "dwell_s", "gain"):
            value = getattr(self, field)
            require(
                (value is None and field != "gain") or (is_number(value) and value > 0),
                f"--{field.replace('_', '-')} must be more than 0, got {shown(value)}.",
            )
        for field, unit in (("step_mm", "mm"), ("dwell_s", "s")):
            value = getattr(self, field)
            require(
                value is None or 1e-6 <= value <= 1e6,
                f"--{field.replace('_', '-')} must lie between 1e-6 and 1e6 {unit}, got {value}.",
            )
        for field, words in (("footprint", ("box", "gaussian")), ("noise", ("poisson", "gaussian"))):
            value = getattr(self, field)
            require(
                is_one_of(value, words), f"{field} must be '{words[0]}' or '{words[1]}', got {shown(value)}."
            )
