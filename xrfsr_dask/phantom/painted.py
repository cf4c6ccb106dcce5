"""A painting with known truth: a photograph, the paints that made it, and what it does not show.

Everything is computed region by region from the photograph and the seed, the same whatever region is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xrfsr_dask.errors import InputError
from xrfsr_dask.options import BedroomOptions
from xrfsr_dask.phantom.hidden import hidden_abundance
from xrfsr_dask.phantom.instrument import energy_axis
from xrfsr_dask.phantom.noise import cloud_noise, stroke_noise
from xrfsr_dask.phantom.pigments import COLOURS, HIDDEN, TWINS, VISIBLE
from xrfsr_dask.phantom.spectra import endmembers

REGIONS = ("elsewhere", "hidden", "metamer")
"""Meaning of the integers in `PaintedScene.region`."""

_SOFTNESS = 0.07  # how far apart colours still mix, in the units of `_opponent`
_TINTING = 3.0  # how fast whites grow with lightness inside one colour
_SHOWN = 0.05  # abundance that counts as being there
_Window = tuple[slice, slice]


@dataclass(frozen=True)
class PaintedScene:
    """Truth of a painted phantom, as functions of place."""

    photo: np.ndarray
    """uint8 or uint16 (ny, nx, 3), sRGB: all that is seen."""
    options: BedroomOptions

    def __post_init__(self) -> None:
        if self.photo.dtype not in (np.uint8, np.uint16) or self.photo.ndim != 3 or self.photo.shape[2] != 3:
            raise InputError(
                f"a photograph of shape {self.photo.shape} and type {self.photo.dtype} was found; a phantom is "
                "painted from 8- or 16-bit pixels with three bands (height, width, 3)."
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) HR pixels."""
        return self.photo.shape[0], self.photo.shape[1]

    @property
    def atoms(self) -> tuple[str, ...]:
        """Names of the paints: all visible ones, then all hidden ones."""
        return (*VISIBLE, *HIDDEN)

    @property
    def layer(self) -> np.ndarray:
        """0 visible, 1 hidden, uint8 of shape (n_atom,)."""
        return np.repeat(np.array([0, 1], np.uint8), [len(VISIBLE), len(HIDDEN)])

    @cached_property
    def energy_kev(self) -> np.ndarray:
        """Energy axis, float64 of shape (n_channel,), keV."""
        return energy_axis(self.options.n_channel)

    @cached_property
    def endmember(self) -> np.ndarray:
        """Spectra of the paints, float32 of shape (n_atom, n_channel), counts per spot at abundance one."""
        return endmembers(self.energy_kev, self.options.counts_per_spot, _mixtures())

    def abundance(self, window: _Window) -> np.ndarray:
        """Truth of a window (y, x) of pixels, float32 of shape (ny, nx, n_atom), dimensionless.

        Visible paints add up to the thickness of the film, 0.75 to 1.25; hidden layers come on top.
        """
        visible = self._seen(window) * self._thickness(window)
        for i, (paint, twin) in enumerate(TWINS.items()):
            share = self._swap(window, i)
            source, target = visible[_index(paint)], visible[_index(twin)]
            target += share * source
            source *= 1 - share
        out = np.concatenate([visible, self._beneath(window)])
        return np.ascontiguousarray(np.moveaxis(out, 0, -1))

    def region(self, window: _Window) -> np.ndarray:
        """Where pixels lie: index into `REGIONS`, uint8 of shape (ny, nx)."""
        seen = self._seen(window)
        swapped = sum(self._swap(window, i) * seen[_index(p)] for i, p in enumerate(TWINS))
        out = np.where(swapped > 2 * _SHOWN, REGIONS.index("metamer"), 0).astype(np.uint8)
        ground_aside = self._beneath(window)[1:]
        out[(ground_aside > _SHOWN).any(axis=0)] = REGIONS.index("hidden")
        return out

    def _places(self, window: _Window) -> tuple[np.ndarray, np.ndarray]:
        """Centres of the window's pixels in widths of the painting, (ny, 1) and (1, nx)."""
        ny, nx = self.shape
        y, x = np.arange(ny)[window[0]], np.arange(nx)[window[1]]
        return (y[:, None] + 0.5) / nx, (x[None, :] + 0.5) / nx

    def _seen(self, window: _Window) -> np.ndarray:
        """What a painter would have mixed for each colour, float32 (n_visible, ny, nx), adding up to one."""
        rgb = self.photo[window].astype(np.float32) / np.float32(np.iinfo(self.photo.dtype).max)
        return mix_paints(rgb)

    def _thickness(self, window: _Window) -> np.ndarray:
        """Of the film, float32 (ny, nx): 1 +- 25 %, slow drifts and the ridges of a brush."""
        (y, x), seed = self._places(window), self.options.seed
        slow = cloud_noise(y / 0.22, x / 0.22, seed + 61)
        ridges = stroke_noise(y, x, seed + 62, degrees=55, length=0.035, width=0.0055)
        return np.float32(1) + np.float32(0.13) * slow + np.float32(0.12) * ridges

    def _swap(self, window: _Window, pair: int) -> np.ndarray:
        """Share of a paint that is its twin, (ny, nx): hard borders for the first pair, soft ones after."""
        (y, x), seed = self._places(window), self.options.seed + 71 + pair
        field = cloud_noise(y / 0.3, x / 0.3, seed, octaves=2)
        sharpness = np.float32(self.shape[1] / 10 if pair == 0 else 6)
        return np.clip(np.float32(0.5) + sharpness * (field - np.float32(0.15)), 0, 1)

    def _beneath(self, window: _Window) -> np.ndarray:
        ny, nx = self.shape
        y, x = self._places(window)
        out = hidden_abundance(y, x, ny / nx, 1 / nx, self.options.seed)
        if not self.options.hidden:
            out[1:] = 0
        return out


def mix_paints(rgb: np.ndarray) -> np.ndarray:
    """Paints for a colour: soft membership in a palette, then more or less white for the shade.

    Parameters
    ----------
    rgb : float32 array of shape (ny, nx, 3), sRGB in [0, 1]

    Returns
    -------
    float32 array of shape (n_visible, ny, nx), shares that add up to one; smooth in `rgb`, not linear.
    """
    place = _opponent(rgb)
    palette = _opponent(np.array([[c for c, _ in COLOURS.values()]], np.float32) / 255)[:, 0]
    far = np.stack([sum((p - q) ** 2 for p, q in zip(place, own, strict=True)) for own in palette.T])
    member = np.exp((far.min(axis=0) - far) / np.float32(2 * _SOFTNESS**2))
    member /= member.sum(axis=0)
    out = np.zeros((len(VISIBLE), *rgb.shape[:2]), np.float32)
    lightness = np.zeros(rgb.shape[:2], np.float32)
    for share, own, (_, mixture) in zip(member, palette.T, COLOURS.values(), strict=True):
        lightness += share * own[0]
        for paint, part in mixture.items():
            out[_index(paint)] += np.float32(part) * share
    for white in ("lead white", "zinc white"):
        out[_index(white)] *= np.exp(np.float32(_TINTING) * (place[0] - lightness))
    return out / out.sum(axis=0)


def _opponent(rgb: np.ndarray) -> np.ndarray:
    """Lightness, red against green, yellow against blue: (3, ny, nx) of sRGB (ny, nx, 3)."""
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    return np.stack([(r + g + b) / 3, (r - g) * np.float32(0.9), (r + g - 2 * b) * np.float32(0.45)])


def _mixtures() -> np.ndarray:
    """Palette as a table, float64 (n_colour, n_visible)."""
    return np.array([[mixture.get(name, 0.0) for name in VISIBLE] for _, mixture in COLOURS.values()])


def _index(paint: str) -> int:
    return list(VISIBLE).index(paint)
