"""Which part of a result is written out, and how."""

from __future__ import annotations

from dataclasses import dataclass

from xrfsr_dask.values import is_number, is_one_of, require, shown

LAYER_WORDS = ("all", "visible", "hidden")
"""What a user can call the layers of a result."""

_RANGES = {"energy_kev": "energies", "y_mm": "y", "x_mm": "x"}  # in words
_CHOOSE_LAYER = f"choose one of: {', '.join(LAYER_WORDS)}."


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Which part of a result's cube is written out."""

    name: str | None = None
    """Name of the result; None: the newest."""
    layer: str = "all"
    """``"all"``, ``"visible"`` or ``"hidden"``."""
    energy_kev: tuple[float, float] | None = None
    """Channels whose centres lie between, keV; None: all."""
    y_mm: tuple[float, float] | None = None
    """Pixels whose centres lie between, mm; None: all."""
    x_mm: tuple[float, float] | None = None
    """The same along x."""

    def __post_init__(self) -> None:
        require(is_one_of(self.layer, LAYER_WORDS), f"unknown layer {shown(self.layer)}; {_CHOOSE_LAYER}")
        for name in ("energy_kev", "y_mm", "x_mm"):
            bounds = getattr(self, name)
            if bounds is not None:
                pair = isinstance(bounds, tuple) and len(bounds) == 2 and all(map(is_number, bounds))
                require(pair, f"the range of {_RANGES[name]} must be two numbers, got {shown(bounds)}.")
                low, high = bounds
                told = f"the range of {_RANGES[name]} runs from {low:g} to {high:g}; give the smaller first."
                require(low <= high, told)


@dataclass(frozen=True, kw_only=True)
class MapOptions:
    """Which element maps are written, and how."""

    elements: tuple[str, ...] = ()
    """``"Pb"`` for its usual line, or ``"Pb-Ma"``; empty: those with most counts."""
    layer: str = "all"
    """``"all"``, ``"visible"`` or ``"hidden"``."""
    name: str | None = None
    """Name of the result; None: the newest."""
    pyramid: bool = False
    """Also all maps as channels of one OME-Zarr pyramid."""
    table: bool = False
    """Also the table that XRF Explorer imports."""

    def __post_init__(self) -> None:
        require(all(self.elements), "an element without a name was asked for; name them such as Cr,Pb,As.")
        require(is_one_of(self.layer, LAYER_WORDS), f"unknown layer {shown(self.layer)}; {_CHOOSE_LAYER}")
