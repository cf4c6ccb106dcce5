"""Scenes with known truth, all in one shape: the paper's chart and the painting, as one aligned scan."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from xrfsr_dask.options import ChartOptions
from xrfsr_dask.phantom import AlignedScene, ChartScene, aligned_painting, resolution_chart


@dataclass(frozen=True)
class Scene:
    """What is given, and what is true."""

    photo: np.ndarray
    """uint8 (ny, nx, 3) or (ny, nx)."""
    counts: np.ndarray
    """float32 (ny / factor, nx / factor, n_channel)."""
    factor: int
    energy_kev: np.ndarray
    noise: str
    truth: ChartScene | AlignedScene
    """Abundance, endmember, layer, region, regions."""

    def with_photo(self, photo: np.ndarray) -> Scene:
        """The same scan beside another photograph."""
        return replace(self, photo=photo)

    def hidden_map(self, weights: np.ndarray) -> np.ndarray:
        """True map (ny, nx) of the hidden layer in counts per spot, for weights (n_channel,) of a line."""
        at = self.truth.layer == 1
        return self.truth.abundance[..., at] @ (self.truth.endmember[at] @ weights)


def chart(seed: int = 0, **options: object) -> Scene:
    """The paper's section V-C."""
    o = ChartOptions(seed=seed, **options)  # type: ignore[arg-type]
    scene = resolution_chart(o)
    return Scene(
        scene.photo, scene.counts, o.factor, 0.02 * np.arange(o.n_channel), scene.noise, scene
    )  # fmt: skip


def painting(seed: int = 0, *, factor: int = 5, **options: object) -> Scene:
    """A painted room with twins, thickness and hidden layers, Poisson counts."""
    scene = aligned_painting(seed=seed, factor=factor, **options)  # type: ignore[arg-type]
    return Scene(scene.photo, scene.counts, factor, scene.energy_kev, scene.noise, scene)


SCENES = {"chart": chart, "painting": painting}
