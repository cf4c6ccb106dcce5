"""Patches: raster scans with a place on the painting."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import zarr

from xrfsr_dask.errors import DamagedStoreError, OptionError, StoreError
from xrfsr_dask.store.arrays import holds, open_array, open_group, read_finite, require_last_chunk
from xrfsr_dask.store.places import Place, as_place

CHUNK_SPOTS = 32
"""Counts lie in chunks of this many spots square times all channels."""

SQUARE_SPOTS = CHUNK_SPOTS // 2
"""Means are kept of squares of this many spots a side, cut off at the last row and column."""

MOST_SPOTS = 10**9
MOST_CHANNELS = 2**20
"""Spots of a patch at most."""

MOST_COUNTS = 2**32 - 1
"""Whole counts of a spot in a channel at most."""

Footprint = Literal["box", "gaussian"]
Noise = Literal["poisson", "gaussian"]
FOOTPRINTS = ("box", "gaussian")
NOISES = ("poisson", "gaussian")

SQUARE_MEAN = "square_mean"
"""Array of a patch."""

_MOST = 1e15  # of a count, or of any entry of a transform


@dataclass(frozen=True, kw_only=True)
class PatchSpec:
    """All about a patch but its counts and its name."""

    shape: tuple[int, int, int]
    """(ny, nx, n_channel) of the counts."""
    dtype: Any
    """uint16, uint32 or float32: how counts are stored."""
    transform: np.ndarray
    """(3, 3): spot (row, column, 1) -> (y_mm, x_mm, 1) on the painting; integers are spot centres."""
    energy_kev: np.ndarray
    """(n_channel,) keV of each channel's centre, evenly spaced, offset included."""
    spot_mm: float | None = None
    """Beam on the painting, mm: side of a box, or full width at half maximum of a Gaussian; None: one step."""
    footprint: Footprint = "box"
    """Shape of the beam."""
    gain: float = 1.0
    """Counts of this patch per count of the model (dwell, tube current, distance)."""
    noise: Noise = "poisson"
    """``"poisson"`` counts, or ``"gaussian"`` values that may be negative."""
    dwell_s: float | None = None
    """Time per spot, s, where known."""
    source: str = ""
    """File the counts came from."""
    calibration: str = ""
    """Where the energy axis came from."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Further JSON-able facts to keep as attributes."""


@dataclass(frozen=True, repr=False)
class Patch:
    """An opened patch: what is needed to place its spots; small and picklable."""

    store_path: str
    name: str
    shape: tuple[int, int, int]
    transform: np.ndarray
    spot_mm: float | None
    footprint: Footprint
    gain: float
    noise: Noise
    max_counts: float
    """Largest magnitude of the counts; background taken off may leave negative ones."""
    total_counts: float
    """Sum of all counts."""

    def __repr__(self) -> str:
        ny, nx, n_channel = self.shape
        spots = f"{nx} x {ny} spots, a step of {self.step_mm:.3g} mm, {n_channel} channels"
        return f"<Patch {self.name} of {as_place(self.store_path).name}: {spots}>"

    @property
    def path(self) -> Place:
        """Folder of the patch's group."""
        return as_place(self.store_path) / "patches" / self.name

    def counts(self) -> zarr.Array:
        """The counts, (y, x, energy), as stored."""
        return open_array(open_group(self.path), "counts")

    def energy_kev(self) -> np.ndarray:
        """Energy axis, float64 of shape (n_channel,), keV."""
        energy = read_finite(open_array(open_group(self.path), "energy", self.shape[2:]))
        if not rises(energy):
            raise DamagedStoreError(f"{self.path / 'energy'} is damaged: the energy axis does not rise.")
        return energy

    def mean_spectrum(self) -> np.ndarray:
        """Mean counts per spot, float64 of shape (n_channel,)."""
        return read_finite(open_array(open_group(self.path), "mean_spectrum", self.shape[2:]))

    def square_means(self) -> np.ndarray | None:
        """Mean counts per spot of squares of `SQUARE_SPOTS` spots, float32 (n_y, n_x, n_channel).

        None where the patch was written before these were kept.
        """
        group = open_group(self.path)
        if not holds(group, SQUARE_MEAN):
            return None
        return read_finite(open_array(group, SQUARE_MEAN, squares_of(self.shape)))

    @property
    def step_mm(self) -> float:
        """Distance between neighbouring spots, mm (geometric mean of both axes), in the middle of the patch."""
        return step_of(self.transform, self.shape)


def squares_of(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """(n_y, n_x, n_channel) of the means over squares of counts of a shape."""
    return -(-shape[0] // SQUARE_SPOTS), -(-shape[1] // SQUARE_SPOTS), shape[2]


def square_sums(counts: np.ndarray) -> np.ndarray:
    """Counts (ny, nx, n_channel) summed over squares of `SQUARE_SPOTS` spots: float64 (n_y, n_x, n_channel)."""
    ny, nx, n_channel = counts.shape
    rows, columns = (range(0, n, SQUARE_SPOTS) for n in (ny, nx))
    out = np.empty((len(rows), len(columns), n_channel))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            square = counts[row : row + SQUARE_SPOTS, column : column + SQUARE_SPOTS]
            square.reshape(-1, n_channel).sum(axis=0, dtype=np.float64, out=out[i, j])
    return out


def square_sizes(ny: int, nx: int) -> np.ndarray:
    """How many spots each of these squares has, (n_y, n_x)."""
    return np.outer(*(np.diff(np.arange(0, n, SQUARE_SPOTS), append=n) for n in (ny, nx)))


def placement(*, at_mm: tuple[float, float], step_mm: float, rotation_deg: float = 0.0) -> np.ndarray:
    """Transform of a patch from the place of its corner, its step and its turn.

    Parameters
    ----------
    at_mm : (y, x)
        Where the outer top left corner of the patch's first spot lies, mm from the photograph's top left.
    step_mm : float
        Distance between neighbouring spots, mm.
    rotation_deg : float
        Turn about that corner, degrees, clockwise as seen.

    Returns
    -------
    float64 array of shape (3, 3)
        (row, column, 1) -> (y_mm, x_mm, 1); spot centres lie at integers.
    """
    if not (math.isfinite(step_mm) and step_mm > 0):
        raise OptionError(f"step must be more than 0 mm, got {step_mm}.")
    c, s = math.cos(math.radians(rotation_deg)), math.sin(math.radians(rotation_deg))
    turn = step_mm * np.array([[c, s], [-s, c]])
    out = np.eye(3)
    out[:2, :2] = turn
    out[:2, 2] = np.asarray(at_mm, float) + turn @ [0.5, 0.5]
    return out


def rises(energy_kev: np.ndarray) -> bool:
    """Whether an energy axis (n_channel,) is finite and every channel lies above the one before."""
    return bool(np.isfinite(energy_kev).all() and (np.diff(energy_kev) > 0).all())


def step_of(transform: np.ndarray, shape: tuple[int, ...]) -> float:
    """Distance between neighbouring spots, mm, in the middle of a patch of `shape` (ny, nx, …)."""
    middle = np.array([[(n - 1) / 2 for n in shape[:2]]])
    return math.sqrt(float(spot_areas(transform, middle)[0]))


def spot_areas(transform: np.ndarray, spots: np.ndarray) -> np.ndarray:
    """Area of the painting per spot at some spots (n, 2) of (row, column), float64 (n,), mm²: the same for all,
    but for the perspective of a homography."""
    depth = np.column_stack([spots, np.ones(len(spots))]) @ transform[2]
    with np.errstate(divide="ignore", invalid="ignore"):
        upright = transform[:2, :2] - np.outer(transform[:2, 2], transform[2, :2]) / transform[2, 2]
        return np.asarray(abs(np.linalg.det(upright) * transform[2, 2]) / np.abs(depth) ** 3)


def apply_transform(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map points (n, 2) by a 3x3 transform, homography included; (n, 2)."""
    mapped = np.column_stack([points, np.ones(len(points))]) @ transform.T
    return mapped[:, :2] / mapped[:, 2:]


def open_patch(store_path: str | Place, name: str) -> Patch:
    """Open one patch of a store."""
    group = open_group(as_place(store_path) / "patches" / name)
    attrs: dict[str, Any] = dict(group.attrs)
    counts = require_last_chunk(open_array(group, "counts"))
    if counts.ndim != 3 or math.prod(counts.shape[:2]) > MOST_SPOTS or counts.shape[2] > MOST_CHANNELS:
        raise DamagedStoreError(
            f"{store_path}: patch '{name}' has counts of shape {counts.shape}; (y, x, energy) with at most "
            f"{MOST_SPOTS:g} spots of {MOST_CHANNELS} channels was expected."
        )
    ny, nx, n_channel = counts.shape
    try:
        if attrs["footprint"] not in FOOTPRINTS or attrs["noise"] not in NOISES:
            raise ValueError(f"footprint {attrs['footprint']!r}, noise {attrs['noise']!r}")
        transform = np.array(attrs["transform"], float).reshape(3, 3)
        if (
            not np.isfinite(transform).all()
            or np.abs(transform).max() > _MOST
            or not 0 < step_of(transform, counts.shape) < math.inf
        ):
            raise ValueError("transform")
        numbers = [float(attrs[name]) for name in ("gain", "max_counts", "total_counts")]
        if not all(abs(n) < _MOST**2 for n in numbers) or not 0 < (attrs["spot_mm"] or 1.0) < _MOST:
            raise ValueError("gain, spot_mm, max_counts or total_counts")
        return Patch(
            store_path=str(store_path),
            name=name,
            shape=(ny, nx, n_channel),
            transform=transform,
            spot_mm=None if attrs["spot_mm"] is None else float(attrs["spot_mm"]),
            footprint=attrs["footprint"],
            gain=float(attrs["gain"]),
            noise=attrs["noise"],
            max_counts=float(attrs["max_counts"]),
            total_counts=float(attrs["total_counts"]),
        )
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise StoreError(f"{store_path}: patch '{name}' lacks or garbles the attribute {error}.") from error
