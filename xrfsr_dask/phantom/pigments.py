"""Paints of the phantom: what they are made of, and which of them give a colour.

Oil paint is pigment and binder by mass. Formulae are those of the compounds; earths and wood are mixtures.
"""

from __future__ import annotations

from dataclasses import dataclass

LINSEED = "C57H98O6"


@dataclass(frozen=True)
class Paint:
    """One paint film or layer of the support."""

    compounds: dict[str, float]
    """Formula -> share by mass of the dry pigment."""
    pigment: float = 0.7
    """Share by mass of the pigment in the film; the rest is linseed oil."""
    load: float = 12.0
    """Mass of the film per area, mg/cm2, at abundance one."""


VISIBLE = {
    "lead white": Paint({"Pb3C2H2O8": 1.0}, 0.85, 14.0),
    "zinc white": Paint({"ZnO": 1.0}, 0.75, 10.0),
    "chrome yellow": Paint({"PbCrO4": 1.0}, 0.7, 9.0),
    "cadmium yellow": Paint({"CdS": 0.8, "BaSO4": 0.2}, 0.6, 9.0),
    "vermilion": Paint({"HgS": 1.0}, 0.7, 10.0),
    "red ochre": Paint({"Fe2O3": 0.45, "Al2Si2O9H4": 0.45, "CaCO3": 0.1}, 0.6, 8.0),
    "umber": Paint({"FeO2H": 0.5, "MnO2": 0.15, "Al2Si2O9H4": 0.3, "CaCO3": 0.05}, 0.5, 8.0),
    "emerald green": Paint({"Cu4As6C4H6O16": 1.0}, 0.6, 8.0),
    "viridian": Paint({"Cr2O5H4": 1.0}, 0.45, 7.0),
    "cobalt blue": Paint({"CoAl2O4": 1.0}, 0.55, 8.0),
    "ultramarine": Paint({"Na7Al6Si6O24S3": 1.0}, 0.5, 8.0),
    "bone black": Paint({"Ca5P3O13H": 0.8, "C": 0.2}, 0.45, 7.0),
}
"""Paints the photograph shows, in the order of the atoms."""

HIDDEN = {
    "ground": Paint({"CaCO3": 0.5, "BaSO4": 0.3, "Pb3C2H2O8": 0.2}, 0.8, 16.0),
    "hidden flesh": Paint({"Pb3C2H2O8": 0.75, "HgS": 0.25}, 0.75, 12.0),
    "hidden coat": Paint({"Cu4As6C4H6O16": 0.45, "FeO2H": 0.35, "MnO2": 0.1, "Ca5P3O13H": 0.1}, 0.6, 9.0),
    "stretcher bar": Paint({"C6H10O5": 0.985, "CaCO3": 0.010, "K2CO3": 0.005}, 1.0, 220.0),
    "tack": Paint({"Fe": 0.98, "Zn": 0.02}, 1.0, 40.0),
}
"""What the photograph does not show, in the order of the atoms after the visible ones."""

CANVAS = Paint({"C6H10O5": 1.0}, 1.0, 60.0)
"""Linen and stuff behind the ground; scatters only."""

COVER = {
    "ground": ("zinc white", 0.4),
    "hidden flesh": ("zinc white", 0.35),
    "hidden coat": ("zinc white", 0.35),
    "stretcher bar": ("ground", 1.0),
    "tack": ("ground", 0.7),
}
"""Hidden layer -> the film its rays cross on their way, and how much of that film."""

COLOURS: dict[str, tuple[tuple[int, int, int], dict[str, float]]] = {
    "white": ((240, 238, 228), {"lead white": 0.65, "zinc white": 0.35}),
    "cream": ((232, 222, 160), {"lead white": 0.6, "chrome yellow": 0.35, "zinc white": 0.05}),
    "pale blue": ((140, 165, 215), {"lead white": 0.4, "zinc white": 0.15, "cobalt blue": 0.45}),
    "deep blue": ((60, 80, 150), {"cobalt blue": 0.8, "bone black": 0.15, "zinc white": 0.05}),
    "yellow": ((222, 182, 50), {"chrome yellow": 0.85, "red ochre": 0.05, "lead white": 0.1}),
    "orange brown": ((185, 120, 30), {"chrome yellow": 0.45, "red ochre": 0.45, "umber": 0.1}),
    "red": ((178, 45, 38), {"vermilion": 0.85, "red ochre": 0.15}),
    "rose grey": (
        (165, 130, 125),
        {"lead white": 0.4, "red ochre": 0.3, "zinc white": 0.2, "cobalt blue": 0.1},
    ),
    "brown": ((105, 62, 40), {"umber": 0.6, "red ochre": 0.3, "bone black": 0.1}),
    "pale green": ((110, 172, 138), {"emerald green": 0.55, "lead white": 0.4, "viridian": 0.05}),
    "leaf green": ((125, 160, 60), {"emerald green": 0.4, "chrome yellow": 0.55, "viridian": 0.05}),
    "dark green": ((30, 78, 58), {"viridian": 0.6, "emerald green": 0.15, "bone black": 0.25}),
    "black": ((28, 28, 34), {"bone black": 0.75, "umber": 0.25}),
}
"""Colour name -> sRGB of the paint, and its mixture of visible paints by volume."""

TWINS = {"cobalt blue": "ultramarine", "chrome yellow": "cadmium yellow"}
"""Paints of one colour: where they swap, the photograph shows nothing."""
