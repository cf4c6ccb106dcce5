"""A painted scene as one scan that is aligned with its photograph, in memory: the chart's painted sister.

The same paints, twins, thickness and hidden layers as the whole painting's phantom, at the paper's size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xrfsr_dask.errors import OptionError
from xrfsr_dask.options import BedroomOptions
from xrfsr_dask.phantom.painted import REGIONS, PaintedScene
from xrfsr_dask.phantom.room import paint_room

_WHOLE = slice(None), slice(None)


@dataclass(frozen=True)
class AlignedScene:
    """What is given, and what is true; names as in `ChartScene`."""

    photo: np.ndarray
    """uint8 (ny, nx, 3), sRGB."""
    counts: np.ndarray
    """float32 (ny / factor, nx / factor, n_channel): whole Poisson counts."""
    abundance: np.ndarray
    """float32 (ny, nx, n_atom), in the order of `atoms`."""
    endmember: np.ndarray
    """float32 (n_atom, n_channel), counts per spot at abundance one."""
    layer: np.ndarray
    """uint8 (n_atom,): 0 visible, 1 hidden."""
    region: np.ndarray
    """uint8 (ny, nx): index into `regions`."""
    energy_kev: np.ndarray
    """float64 (n_channel,), keV."""
    atoms: tuple[str, ...]
    """Names of the paints."""
    regions: tuple[str, ...] = REGIONS
    """Names of the regions."""
    noise: str = "poisson"
    """Kind of the counts' noise."""


def aligned_painting(
    *,
    shape: tuple[int, int] = (345, 490),
    factor: int = 5,
    n_channel: int = 1024,
    counts_per_spot: float = 6000.0,
    hidden: bool = True,
    seed: int = 0,
) -> AlignedScene:
    """Paint a room, lay one scan over all of it, and draw its counts.

    Parameters
    ----------
    shape : (ny, nx)
        HR px.
    factor : int
        HR px per spot along each axis; divides both sizes.
    n_channel : int
        Channels of the spectra.
    counts_per_spot : float
        Counts of a spot on an average colour.
    hidden : bool
        Whether a figure, stretcher bars and tacks lie beneath.
    seed : int
        Seed of picture, layers and counts.
    """
    (ny, nx), f = shape, factor
    if f < 1 or ny % f or nx % f:
        raise OptionError(f"factor {f} does not divide a scene of {shape} px.")
    options = BedroomOptions(
        shape=shape,
        n_patches=1,
        spots=(ny // f, nx // f),
        n_channel=n_channel,
        max_turn_deg=0.0,
        dwell_s=1.0,
        counts_per_s=counts_per_spot,
        hidden=hidden,
        seed=seed,
    )
    scene = PaintedScene(paint_room(shape, seed), options)
    abundance = scene.abundance(_WHOLE)
    SA = abundance.reshape(ny // f, f, nx // f, f, -1).mean(axis=(1, 3))
    counts = np.empty((*SA.shape[:2], n_channel), np.float32)
    for row, (drawn, means) in enumerate(zip(counts, SA, strict=True)):
        drawn[:] = np.random.default_rng([seed, 2, row]).poisson(means @ scene.endmember)
    return AlignedScene(
        photo=scene.photo,
        counts=counts,
        abundance=abundance,
        endmember=scene.endmember,
        layer=scene.layer,
        region=scene.region(_WHOLE),
        energy_kev=scene.energy_kev,
        atoms=scene.atoms,
    )
