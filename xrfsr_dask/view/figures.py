"""Pictures of maps and spectra: arrays and millimetres in, a matplotlib figure out; no store is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xrfsr_dask.errors import InputError, MissingPackageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOUR_MAP = "magma"
SCALE_PERCENTILE = 99.7
"""The brightest colour stands for this percentile of the map that sets the scale."""

_PANEL_IN = 3.7  # width of a map, inches
_RESOLVED, _TRUTH = "#c8443a", "#3b3b3b"
_RC: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "savefig.facecolor": "white",
}


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


def overview(
    *,
    photograph: Panel,
    patch: Panel,
    resolved: Panel,
    truth: Panel,
    hidden: Panel,
    hidden_truth: Panel,
    spots: Sequence[Spot],
    title: str = "",
) -> Figure:
    """One picture of a super-resolved painting beside its known truth.

    Columns: photograph over one patch as measured; super-resolved map over the truth; hidden layer over the
    hidden truth. Each pair has one colour scale, set by the truth; the patch shares that of the maps. The
    `spots` are marked on the photograph and their spectra drawn below.

    Returns
    -------
    matplotlib.figure.Figure
        Not known to pyplot; write it with `save`.
    """
    aspect = _aspect(photograph)
    height = 2 * _PANEL_IN * aspect + 3.1 + (0.4 if title else 0.0)
    figure = _figure(3.35 * _PANEL_IN, height)
    with _style():
        grid = figure.add_gridspec(3, 6, height_ratios=[_PANEL_IN * aspect, _PANEL_IN * aspect, 2.2])
        columns = [(photograph, patch), (resolved, truth), (hidden, hidden_truth)]
        axes = [[figure.add_subplot(grid[r, 2 * c : 2 * c + 2]) for r in (0, 1)] for c in range(3)]
        limits = {id(pair[1]): colour_limits(pair[1].values) for pair in columns[1:]}
        scales = [limits[id(truth)], limits[id(truth)], limits[id(hidden_truth)]]
        for pair, column, scale in zip(columns, axes, scales, strict=True):
            drawn = [draw_panel(ax, panel, scale) for ax, panel in zip(column, pair, strict=True)]
            column[0].tick_params(labelbottom=False)
            _colour_bar(figure, column if not pair[0].is_photograph else column[1:], drawn[1])
        _same_view(axes[0][1], photograph)
        _axis_names(axes)
        _mark(axes[0][0], spots)
        wide = 6 // max(len(spots), 1)
        for i, spot in enumerate(spots):
            draw_spectra(figure.add_subplot(grid[2, wide * i : wide * (i + 1)]), spot, letter=_letter(i))
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=13)
    return figure


def comparison(panels: Sequence[Panel], *, title: str = "", columns: int = 4) -> Figure:
    """The same map by several methods side by side, as the paper's Fig. 10; the last panel is the reference.

    All maps share one colour scale, set by the reference. Photographs keep their colours.

    Parameters
    ----------
    panels : sequence of Panel
        LR input, photograph, each method, reference; lettered (a), (b), … in this order.
    title : str
    columns : int
        Panels in a row at most.
    """
    if not panels:
        raise InputError("a comparison needs at least one panel.")
    n_column = min(columns, len(panels))
    n_row = -(-len(panels) // n_column)
    width = _PANEL_IN * 0.85
    size = (n_column * width + 0.9, n_row * (width * _aspect(panels[-1]) + 0.45) + 0.5)
    figure = _figure(*size)
    with _style():
        axes = figure.subplots(n_row, n_column, squeeze=False)
        scale, drawn = colour_limits(panels[-1].values), None
        for i, ax in enumerate(axes.flat):
            if i >= len(panels):
                ax.set_axis_off()
                continue
            image = draw_panel(ax, panels[i], scale, letter=_letter(i))
            drawn = drawn if panels[i].is_photograph else image
            ax.tick_params(labelleft=i % n_column == 0, labelbottom=i + n_column >= len(panels))
        axes[0, 0].set_ylabel("y (mm)")
        axes[-1, 0].set_xlabel("x (mm)")
        if drawn is not None:
            _colour_bar(figure, list(axes.flat), drawn)
        if title:
            figure.suptitle(title, x=0.01, ha="left")
    return figure


def save(figure: Figure, path: str | Path, dpi: int = 150) -> Path:
    """Write a figure as PNG (or what the suffix says) and return where."""
    figure.savefig(path, dpi=dpi)
    return Path(path)


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


def draw_spectra(ax: Axes, spot: Spot, letter: str = "") -> None:
    """Spectra of one place on a logarithmic scale, the truth as a grey area, lines named above."""
    peak = max(float(np.max(values)) for values in spot.spectra.values())
    floor = max(peak, 1e-6) * 3e-4
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
    ax.set_xlim(*_energy_limits(spot, floor))
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


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError(
            "pictures need matplotlib; install it with: pip install 'xrfsr_dask[view]'."
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def _style() -> Any:
    from matplotlib import rc_context

    return rc_context(_RC)


def _colour_bar(figure: Figure, axes: list[Any], drawn: Any) -> None:
    bar = figure.colorbar(drawn, ax=axes, shrink=0.85, aspect=28, pad=0.02, extend="max")
    bar.set_label("counts per spot", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_linewidth(0.4)


def _axis_names(axes: list[list[Axes]]) -> None:
    """mm at the outer edges only."""
    for column in axes:
        column[1].set_xlabel("x (mm)")
    for ax in axes[0]:
        ax.set_ylabel("y (mm)")
    for column in axes[1:]:
        for ax in column:
            ax.tick_params(labelleft=False)


def _same_view(ax: Axes, panel: Panel) -> None:
    """Show all of the painting, however little of it a patch covers."""
    left, right, bottom, top = panel.edges
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)


def _mark(ax: Axes, spots: Sequence[Spot]) -> None:
    for i, spot in enumerate(spots):
        ax.plot(spot.x_mm, spot.y_mm, "o", ms=7, mfc="none", mec="black", mew=2.6)
        ax.plot(spot.x_mm, spot.y_mm, "o", ms=7, mfc="none", mec="white", mew=1.2)
        ax.annotate(
            _letter(i),
            (spot.x_mm, spot.y_mm),
            xytext=(7, 5),
            textcoords="offset points",
            fontweight="bold",
            bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8},
        )


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
            label,
            (energy, 1.0),
            xycoords=ax.get_xaxis_transform(),
            xytext=(0, 2 + 9 * level),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
        )
        last = energy


def _energy_limits(spot: Spot, floor: float) -> tuple[float, float]:
    """From 0 (or the axis's begin) to a little past the last counts above the floor."""
    above = np.any([values > 3 * floor for values in spot.spectra.values()], axis=0)
    energy = np.asarray(spot.energy_kev)
    last = energy[np.flatnonzero(above)[-1]] if above.any() else energy[-1]
    low = max(0.0, float(energy[0]))
    return low, min(float(energy[-1]), low + 1.05 * (float(last) - low))


def _outer(centres: np.ndarray) -> tuple[float, float]:
    if centres.ndim == 2:
        return float(centres.min()), float(centres.max())
    half = 0.5 * (centres[-1] - centres[0]) / max(len(centres) - 1, 1) or 0.5
    return float(centres[0] - half), float(centres[-1] + half)


def _aspect(panel: Panel) -> float:
    left, right, bottom, top = panel.edges
    return abs(bottom - top) / abs(right - left)


def _letter(i: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[i % 26]
