"""The paper's synthetic scene (section V-C): a resolution chart over hidden rectangles, three spectra."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from xrfsr_dask.errors import OptionError
from xrfsr_dask.options import ChartOptions

ATOMS = ("yellow", "blue", "rectangle")
FULL_SCALE = 255.0
"""Largest value of the HR cube."""

_YELLOW, _BLUE = (255, 255, 0), (0, 0, 255)
_GLYPHS = ("75557", "26227", "71747", "71717", "55711", "74717", "74757", "71111", "75757", "75717")
"""Digits 0 to 9 of 3 x 5 blocks; each number is a row of three bits."""

# (channel, width, height), channels of 1024; the first and the third share a peak near channel 200.
_PEAKS = (
    ((130, 7, 0.35), (200, 9, 1.0), (262, 11, 0.55), (325, 9, 0.30), (640, 12, 0.10)),
    ((110, 9, 0.50), (178, 10, 0.85), (240, 9, 0.45), (300, 10, 0.80), (372, 12, 0.35), (520, 10, 0.12)),
    ((160, 8, 0.30), (203, 9, 0.70), (282, 12, 0.60), (345, 10, 0.50), (410, 9, 0.20), (760, 14, 0.08)),
)
_HUMPS = ((240, 130, 0.10), (280, 150, 0.12), (300, 140, 0.08))  # scattered background of each

# Hidden rectangles: y0, y1, x0, x1 as shares of height and width.
_RECTANGLES = (
    (0.10, 0.42, 0.07, 0.30),
    (0.16, 0.24, 0.40, 0.93),
    (0.36, 0.88, 0.46, 0.56),
    (0.48, 0.71, 0.65, 0.95),
    (0.60, 0.90, 0.12, 0.16),
    (0.63, 0.87, 0.22, 0.39),
    (0.82, 0.85, 0.62, 0.96),
)


@dataclass(frozen=True)
class ChartScene:
    """What is given, and what is true."""

    photo: np.ndarray
    """uint8 (ny, nx, 3): pure yellow on pure blue, the same as sRGB and as linear light."""
    counts: np.ndarray
    """float32 (ny / factor, nx / factor, n_channel): block means with Gaussian noise; may be negative."""
    noise_sigma: float
    """Standard deviation of that noise."""
    abundance: np.ndarray
    """float32 (ny, nx, 3), in the order of `ATOMS`: 0 or 1; a hidden one comes on top."""
    endmember: np.ndarray
    """float32 (3, n_channel); the HR cube reaches `FULL_SCALE`."""
    layer: np.ndarray
    """uint8 (3,): 0 visible, 1 hidden."""
    region: np.ndarray
    """uint8 (ny, nx): index into `regions`."""
    regions: tuple[str, ...] = ("elsewhere", "hidden")
    """Names of the regions."""
    noise: str = "gaussian"
    """Kind of the counts' noise."""

    @property
    def cube(self) -> np.ndarray:
        """The HR cube multiplied out, float32 (ny, nx, n_channel); 0.7 GB at the paper's size."""
        return self.abundance @ self.endmember


def resolution_chart(options: ChartOptions | None = None) -> ChartScene:
    """Build the scene in memory; the HR cube itself is not made."""
    o = options or ChartOptions()
    bars, beneath = draw_chart(o.shape), hidden_rectangles(o.shape)
    abundance = np.stack([bars, ~bars, beneath], axis=-1).astype(np.float32)
    spectra = overlapping_spectra(o.n_channel)
    spectra *= FULL_SCALE / max((abundance[y, x] @ spectra).max() for y, x in _kinds(abundance))
    (ny, nx), f = o.shape, o.factor
    block_means = abundance.reshape(ny // f, f, nx // f, f, 3).mean(axis=(1, 3))
    clean = block_means @ spectra
    sigma = float(np.sqrt(np.mean(clean**2, dtype=np.float64) / 10 ** (o.snr_db / 10)))
    noise = np.random.default_rng(o.seed).standard_normal(clean.shape, np.float32)
    return ChartScene(
        photo=np.where(bars[..., None], np.array(_YELLOW, np.uint8), np.array(_BLUE, np.uint8)),
        counts=clean + np.float32(sigma) * noise,
        noise_sigma=sigma,
        abundance=abundance,
        endmember=spectra,
        layer=np.array([0, 0, 1], np.uint8),
        region=beneath.astype(np.uint8),
    )


def overlapping_spectra(n_channel: int) -> np.ndarray:
    """Three noise-free spectra that overlap between channels 100 and 400 of 1024, float32 (3, n_channel)."""
    channel = (np.arange(n_channel) + 0.5) * 1024 / n_channel
    out = np.zeros((3, n_channel), np.float32)
    for spectrum, peaks, hump in zip(out, _PEAKS, _HUMPS, strict=True):
        for centre, width, height in (*peaks, hump):
            spectrum += (height * np.exp(-0.5 * ((channel - centre) / width) ** 2)).astype(np.float32)
    return out


def hidden_rectangles(shape: tuple[int, int]) -> np.ndarray:
    """Where a rectangle lies, bool (ny, nx)."""
    ny, nx = shape
    out = np.zeros(shape, bool)
    for y0, y1, x0, x1 in _RECTANGLES:
        out[round(y0 * ny) : round(y1 * ny), round(x0 * nx) : round(x1 * nx)] = True
    return out


def draw_chart(shape: tuple[int, int]) -> np.ndarray:
    """Groups of three bars after USAF-1951, numbered, from large down to 1 px; bool (ny, nx), True on bars."""
    for largest in range(min(shape) // 10, 0, -1):
        groups = [_group(width, i + 1) for i, width in enumerate(bar_widths(largest))]
        out = _on_shelves(groups, shape)
        if out is not None:
            return out
    raise OptionError(f"a chart of {shape[0]} x {shape[1]} px has no room for bars; make it larger.")


def bar_widths(largest: int) -> list[int]:
    """Widths of the bars of each group, px: each 2^(1/3) finer, as on the USAF target, down to 1."""
    return sorted({max(1, round(largest / 2 ** (k / 3))) for k in range(40)}, reverse=True)


def _on_shelves(groups: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray | None:
    """Groups from left to right, shelf under shelf; None where they do not fit."""
    out = np.zeros(shape, bool)
    top, left, height = 4, 4, 0
    for group in groups:
        ny, nx = group.shape
        if left + nx + 4 > shape[1]:
            top, left, height = top + height + 6, 4, 0
        if top + ny + 4 > shape[0] or left + nx + 4 > shape[1]:
            return None
        out[top : top + ny, left : left + nx] = group
        left, height = left + nx + max(6, ny // 3), max(height, ny)
    return out


def _group(width: int, number: int) -> np.ndarray:
    """A number, three upright and three lying bars, each five widths long, bool."""
    bars = np.zeros((5 * width, 5 * width), bool)
    for k in range(3):
        bars[:, 2 * k * width : (2 * k + 1) * width] = True
    label = _label(number, max(1, width // 2), len(bars))
    gap = np.zeros((len(bars), 2 * width), bool)
    return np.hstack([label, gap[:, :width], bars, gap, bars.T])


def _label(number: int, size: int, height: int) -> np.ndarray:
    """Digits of `size` px blocks on a field `height` px high."""
    rows = np.array([[int(c) for c in _GLYPHS[int(d)]] for d in str(number)])
    blocks = np.hstack([_glyph(digit) for digit in rows])[:, :-1]
    drawn = np.kron(blocks, np.ones((size, size), bool)).astype(bool)[:height]
    out = np.zeros((height, drawn.shape[1]), bool)
    out[: len(drawn)] = drawn
    return out


def _glyph(rows: np.ndarray) -> np.ndarray:
    """One digit with a free column on its right, bool (5, 4)."""
    return np.array([[bool(row & bit) for bit in (4, 2, 1, 0)] for row in rows])


def _kinds(abundance: np.ndarray) -> Iterator[tuple[int, int]]:
    """A pixel (y, x) of every combination of atoms there is."""
    code = (abundance @ np.array([1, 2, 4])).astype(int)
    for value in np.unique(code):
        y, x = np.argwhere(code == value)[0]
        yield int(y), int(x)
