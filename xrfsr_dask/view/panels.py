"""What a figure is made of: maps and photographs in mm, spectra with their lines named."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOUR_MAP = "magma"
SCALE_PERCENTILE = 99.7
"""The brightest colour stands for this percentile of the map that sets the scale."""

_FLOOR = 3e-4  # of the highest peak: the lowest that is drawn
_RESOLVED, _TRUTH = "#c8443a", "#3b3b3b"
_GREEK = {"a": "α", "b": "β", "g": "γ"}


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One picture: a map or a photograph, with its place on the painting and its name."""

    values: np.ndarray
    """(ny, nx): a map, NaN where nothing was measured; (ny, nx, 3): a photograph as displayed."""
    y_mm: np.ndarray
    """(ny,): centres of pixels, mm, evenly spaced; or (ny + 1, nx + 1): corners, for a turned scan."""
    x_mm: np.ndarray
    """As `y_mm`."""
    title: str
    """What is shown, with its layer."""

    @property
    def is_photograph(self) -> bool:
        """Whether this has colours of its own."""
        return self.values.ndim == 3

    @property
    def edges(self) -> tuple[float, float, float, float]:
        """Outer edges (left, right, bottom, top), mm, y downward."""
        (top, bottom), (left, right) = _outer(self.y_mm), _outer(self.x_mm)
        return left, right, bottom, top


@dataclass(frozen=True, kw_only=True)
class Spot:
    """One place on the painting with its spectra."""

    y_mm: float
    x_mm: float
    title: str
    energy_kev: np.ndarray
    """(n_channel,)"""
    spectra: dict[str, np.ndarray]
    """Name -> (n_channel,) counts per measured spot; one called "truth" is drawn as a grey area."""
    lines: dict[str, float] = field(default_factory=dict)
    """Label -> keV of the emission lines to be named."""


def draw_panel(ax: Axes, panel: Panel, limits: tuple[float, float], letter: str = "") -> Any:
    """Draw a map or photograph in mm, y downward; returns what a colour bar needs."""
    ax.set_title(f"({letter}) {panel.title}" if letter else panel.title)
    ax.set_aspect("equal")
    if panel.is_photograph:
        return ax.imshow(panel.values, extent=panel.edges)
    ax.set_facecolor("0.85")
    look: Any = {"cmap": COLOUR_MAP, "vmin": limits[0], "vmax": limits[1]}
    values = np.ma.masked_invalid(panel.values)
    if panel.y_mm.ndim == 1:
        return ax.imshow(values, extent=panel.edges, **look)
    drawn = ax.pcolormesh(panel.x_mm, panel.y_mm, values, rasterized=True, **look)
    ax.invert_yaxis()
    return drawn


LONG = 5.0
"""Times as long as wide: from here on a painting is a strip, with no room on it for bars and words."""


def aspect(panel: Panel) -> float:
    """Height of a panel in its widths."""
    left, right, bottom, top = panel.edges
    return abs(bottom - top) / abs(right - left)


def scale_bar(ax: Axes, panel: Panel) -> None:
    """A bar of a round length in mm, in the lower left corner of a panel's view."""
    from matplotlib import patheffects
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    left, right, bottom, top = panel.edges
    length = round_length(0.25 * abs(right - left))
    look: Any = {"frameon": False, "color": "white", "size_vertical": 0.006 * abs(bottom - top), "sep": 3}
    bar = AnchoredSizeBar(ax.transData, length, f"{length:g} mm", "lower left", pad=0.6, **look)
    outline = [patheffects.withStroke(linewidth=2, foreground="black")]
    for part in (bar.size_bar.get_children()[0], bar.txt_label.get_children()[0]):
        part.set_path_effects(outline)
    ax.add_artist(bar)


def round_length(most: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is not above `most` > 0.

    >>> round_length(230.0)
    200.0
    """
    power = 10.0 ** np.floor(np.log10(most))
    return float(max(step * power for step in (1.0, 2.0, 5.0) if step * power <= most * (1 + 1e-9)))


def draw_spectra(ax: Axes, spot: Spot, letter: str = "", energies: tuple[float, float] | None = None) -> None:
    """Spectra of one place on a logarithmic scale, the truth as a grey area, lines named above; between two
    energies, keV, or those at which there is something to see."""
    peak = _peak(spot)
    floor = _FLOOR * peak
    for name, values in spot.spectra.items():
        shown = np.maximum(values, floor)
        if name == "truth":
            ax.fill_between(
                spot.energy_kev, floor, shown, color=_TRUTH, alpha=0.25, lw=0, label=name, step="mid"
            )
        else:
            ax.plot(spot.energy_kev, shown, lw=0.9, color=_RESOLVED, label=name, drawstyle="steps-mid")
    ax.set_yscale("log")
    ax.set_ylim(floor, peak * 1.5)
    ax.set_xlim(*(energies or energy_limits([spot])))
    ax.set_xlabel("energy (keV)")
    ax.set_ylabel("counts per spot and channel")
    _name_lines(ax, spot.lines)
    ax.set_title(f"{letter}  {spot.title}" if letter else spot.title, pad=30 if spot.lines else 6)
    ax.legend(frameon=False, loc="upper right", fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)


def colour_limits(values: np.ndarray) -> tuple[float, float]:
    """(0, `SCALE_PERCENTILE` of a map), counts; (0, 1) for a photograph or a map without counts."""
    finite = values[np.isfinite(values)] if values.ndim == 2 else np.empty(0)
    top = float(np.percentile(finite, SCALE_PERCENTILE)) if finite.size else 0.0
    return 0.0, top if top > 0 else float(max(finite.max(initial=0.0), 0.0)) or 1.0


def turned_corners(transform: np.ndarray, spots: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Corners (y_mm, x_mm) of a patch's spots, each (ny + 1, nx + 1), for a `Panel` of a turned scan.

    Parameters
    ----------
    transform : float array of shape (3, 3)
        Spot (row, column, 1) -> (y_mm, x_mm, 1); spot centres lie at integers.
    spots : (ny, nx)
    """
    row, column = np.mgrid[: spots[0] + 1, : spots[1] + 1] - 0.5
    y, x, scale = np.einsum("ij,jyx->iyx", transform, np.stack([row, column, np.ones_like(row)]))
    return y / scale, x / scale


def displayed(linear: np.ndarray) -> np.ndarray:
    """Linear light (ny, nx, 1 or 3) as sRGB for the screen, float32 (ny, nx, 3) in [0, 1]."""
    light = np.clip(np.asarray(linear, np.float32), 0, 1)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.broadcast_to(encoded, (*encoded.shape[:2], 3)).astype(np.float32)


def greek(line: str) -> str:
    """A line's name as it is printed: ``"Cr Ka"`` -> ``"Cr Kα"``.

    >>> greek("Pb Lb1")
    'Pb Lβ1'
    """
    return re.sub(r"(?<=\b[KLM])[abg]", lambda letter: _GREEK[letter[0]], line)


def _name_lines(ax: Axes, lines: dict[str, float]) -> None:
    """Names above the frame, moved up where they would run into their neighbour."""
    low, high = ax.get_xlim()
    last, level = -np.inf, 0
    for label, energy in sorted(lines.items(), key=lambda item: item[1]):
        if not low <= energy <= high:
            continue
        level = (level + 1) % 3 if energy - last < 0.06 * (high - low) else 0
        ax.axvline(energy, color="0.6", lw=0.5, ls=":", zorder=0)
        ax.annotate(
            greek(label),
            (energy, 1.0),
            xycoords=ax.get_xaxis_transform(),
            xytext=(0, 2 + 9 * level),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
        )
        last = energy


def energy_limits(spots: Sequence[Spot]) -> tuple[float, float]:
    """From 0 (or the axis's begin) to a little past the last counts that are seen in any, keV."""
    ends = [_seen(spot) for spot in spots]
    return min(low for low, _ in ends), max(high for _, high in ends)


def _seen(spot: Spot) -> tuple[float, float]:
    above = np.any([values > 3 * _FLOOR * _peak(spot) for values in spot.spectra.values()], axis=0)
    energy = np.asarray(spot.energy_kev)
    last = energy[np.flatnonzero(above)[-1]] if above.any() else energy[-1]
    low = max(0.0, float(energy[0]))
    return low, min(float(energy[-1]), low + 1.05 * (float(last) - low))


def _peak(spot: Spot) -> float:
    return max(1e-6, *(float(np.max(values)) for values in spot.spectra.values()))


def _outer(centres: np.ndarray) -> tuple[float, float]:
    if centres.ndim == 2:
        return float(centres.min()), float(centres.max())
    half = 0.5 * (centres[-1] - centres[0]) / max(len(centres) - 1, 1) or 0.5
    return float(centres[0] - half), float(centres[-1] + half)
