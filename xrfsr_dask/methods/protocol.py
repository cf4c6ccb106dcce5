"""What every comparison method is given, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from xrfsr_dask.errors import InputError, MemoryBudgetError
from xrfsr_dask.tiling.budget import megabytes


@dataclass(frozen=True)
class Scene:
    """One scan that is aligned with its photograph."""

    counts: np.ndarray
    """float32 (ny, nx, n_channel), counts per spot; a spot is the mean of the pixels it covers."""
    photo: np.ndarray
    """float32 (factor * ny, factor * nx, band), linear light in [0, 1]."""
    factor: int
    """HR pixels per spot along each axis."""
    noise: Literal["poisson", "gaussian"] = "poisson"
    """Poisson counts are never negative, and no method makes them so."""

    def __post_init__(self) -> None:
        ny, nx = self.spots
        if self.photo.shape[:2] != (self.factor * ny, self.factor * nx):
            raise InputError(
                f"{ny} x {nx} spots and a factor of {self.factor} need a photograph of {self.factor * ny} x "
                f"{self.factor * nx} px, got {self.photo.shape[0]} x {self.photo.shape[1]}."
            )
        if self.noise not in ("poisson", "gaussian"):
            raise InputError(f"noise must be 'poisson' or 'gaussian', got '{self.noise}'.")
        if not (np.isfinite(self.counts).all() and np.isfinite(self.photo).all()):
            raise InputError("a count or a photograph's value is not finite.")
        if self.noise == "poisson" and self.counts.min() < 0:
            raise InputError(f"a Poisson count is {self.counts.min():g}, below zero; is its noise 'gaussian'?")

    @property
    def spots(self) -> tuple[int, int]:
        """(ny, nx) spots."""
        return self.counts.shape[0], self.counts.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) HR pixels."""
        return self.photo.shape[0], self.photo.shape[1]

    @property
    def n_channel(self) -> int:
        """Channels of a spectrum."""
        return self.counts.shape[2]


class Estimate(Protocol):
    """The HR cube, a few rows of pixels at a time; never held as a whole."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(ny, nx, n_channel) of the cube."""

    def rows(self, part: slice) -> np.ndarray:
        """float32 (ny, nx, n_channel): the cube's rows of pixels in `part`, counts per measured spot."""


@dataclass(frozen=True)
class Factors:
    """An estimate of low rank, multiplied out where it is looked at."""

    abundance: np.ndarray
    """float32 (ny, nx, n_atom)."""
    endmember: np.ndarray
    """float32 (n_atom, n_channel), counts per measured spot."""
    nonnegative: bool
    """Whether values below zero are set to 0; only factors with signs, such as scores, have any."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(ny, nx, n_channel) of the cube."""
        return self.abundance.shape[0], self.abundance.shape[1], self.endmember.shape[1]

    def rows(self, part: slice) -> np.ndarray:
        """float32 (ny, nx, n_channel): the cube's rows of pixels in `part`."""
        A = np.asarray(self.abundance[part], np.float32)
        out = (A.reshape(-1, A.shape[2]) @ self.endmember).reshape(*A.shape[:2], -1)
        return np.maximum(out, 0.0, out=out) if self.nonnegative else out


def factors(scene: Scene, abundance: np.ndarray, endmember: np.ndarray) -> Factors:
    """Factors (n_px or ny, nx, n_atom) and (n_atom, n_channel) as an estimate of the scene's HR cube."""
    A = np.asarray(abundance, np.float32).reshape(*scene.shape, -1)
    return Factors(A, np.asarray(endmember, np.float32), nonnegative=scene.noise == "poisson")


def require_memory(method: str, scene: Scene, need: int, memory: int) -> None:
    """Refuse, before any work, what would not fit.

    Raises
    ------
    MemoryBudgetError
        Naming the method, its need and the limit.
    """
    if need > memory:
        ny, nx = scene.shape
        raise MemoryBudgetError(
            f"method '{method}' holds a scene in memory and needs {megabytes(need)} for {ny} x {nx} px of "
            f"{scene.n_channel} channels, the limit is {megabytes(memory)}; raise the memory or leave it out."
        )


def bytes_for(scene: Scene, *, per_pixel: float, per_spot: float = 0.0, fixed: float = 0.0) -> int:
    """Bytes of working arrays: float32 numbers per HR pixel and per spot, and a fixed amount of numbers."""
    n_hr, n_lr = scene.shape[0] * scene.shape[1], scene.spots[0] * scene.spots[1]
    return int(4 * (n_hr * per_pixel + n_lr * per_spot + fixed))


def encoded(photo: np.ndarray) -> np.ndarray:
    """Linear light as sRGB values in [0, 1], in which distances are nearer to what an eye sees; float32."""
    light = np.clip(photo, 0.0, 1.0)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055).astype(np.float32)
