"""A painted phantom as a store: photograph, truth as factors, patches of Poisson counts; in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import zarr

from xrfsr_dask.beams import coverage as covered
from xrfsr_dask.beams import spot_window
from xrfsr_dask.errors import StoreError
from xrfsr_dask.options import BedroomOptions, as_attributes
from xrfsr_dask.phantom.layout import lay_patches
from xrfsr_dask.phantom.painted import REGIONS, PaintedScene
from xrfsr_dask.phantom.room import paint_room
from xrfsr_dask.progress import Progress, Silent
from xrfsr_dask.store import Painting, PatchSpec, add_patch, create_painting, open_painting
from xrfsr_dask.store.arrays import new_array, open_array, open_group
from xrfsr_dask.store.painting import refuse_inside
from xrfsr_dask.store.patches import CHUNK_SPOTS, Patch
from xrfsr_dask.store.results import TRUTH, new_result, shard_of
from xrfsr_dask.store.staging import partial_of, staged

OWN_PICTURE = "procedural room"
"""Source of a phantom's photograph where none was given."""

_CELL = 50  # px
_DRAW_SPOTS = 400  # spots whose counts are drawn at once; 13 MB of means at 4096 channels in float64
_MARGIN_PX = 1.0


def write_painting(
    path: str | Path,
    options: BedroomOptions,
    *,
    photo: np.ndarray | None = None,
    progress: Progress | None = None,
) -> Painting:
    """Paint, scan and write a phantom, whole or not at all.

    Parameters
    ----------
    path : str or Path
        Where the store is to be; nothing may be there yet.
    options : BedroomOptions
    photo : uint8 or uint16 array of shape (ny, nx, 3), sRGB, optional
        Painted in place of our own picture of a room.
    progress : Progress, optional
        Told of every shard of the truth and every row of blocks of the patches.

    Returns
    -------
    Painting
        With ``results/truth``: ``abundance``, ``endmember``, ``layer``, ``coverage`` and ``region``
        (elsewhere, hidden, metamer); the attribute ``atoms`` names the paints.
    """
    target, bar = Path(path).absolute(), progress or Silent()
    if target.exists():
        raise StoreError(f"{path} already exists; choose another name or remove it.")
    if not target.parent.is_dir():
        raise StoreError(f"{path}: the folder {target.parent} does not exist; create it first.")
    refuse_inside(path)
    scene = PaintedScene(paint_room(options.shape, options.seed) if photo is None else photo, options)
    with partial_of(target) as partial:
        _write_all(partial, scene, OWN_PICTURE if photo is None else "given photograph", bar)
        partial.rename(target)
    return open_painting(target)


def _write_all(path: Path, scene: PaintedScene, source: str, bar: Progress) -> None:
    painting = create_painting(path, scene.photo, width_mm=scene.options.width_mm, source=source)
    specs = {
        name: _spec(scene, transform)
        for name, transform in _places(scene.options, scene.shape, painting.pitch_mm).items()
    }
    shards = list(_shards(scene))
    blocks = -(-scene.options.spots[0] // CHUNK_SPOTS)
    bar.expect(len(shards) + blocks * len(specs))
    _write_truth(painting, scene, specs, shards, bar)
    for number, (name, spec) in enumerate(specs.items()):
        add_patch(path, name, spec, _scan(painting, scene, name, spec, number, bar))


def unpainted(options: BedroomOptions) -> Painting:
    """The painting before it is painted: enough to know where its pixels and spots lie."""
    pitch_mm, shape = options.width_mm / options.shape[1], (*options.spots, options.n_channel)
    placed = [
        Patch("", name, shape, transform, None, "box", 1.0, "poisson", 1.0, 1.0)
        for name, transform in _places(options, options.shape, pitch_mm).items()
    ]
    return Painting("", options.shape, 3, pitch_mm, "srgb", tuple(placed))


def _places(options: BedroomOptions, shape: tuple[int, int], pitch_mm: float) -> dict[str, np.ndarray]:
    """Transforms of all patches on a painting of `shape` px."""
    size_mm = shape[0] * pitch_mm, shape[1] * pitch_mm
    transforms = lay_patches(options, size_mm, _MARGIN_PX * pitch_mm)
    return {f"p{i + 1:02d}": transform for i, transform in enumerate(transforms)}


def _spec(scene: PaintedScene, transform: np.ndarray) -> PatchSpec:
    o = scene.options
    largest = 4 * float(scene.endmember.max())  # more than any film, ground and figure together
    return PatchSpec(
        shape=(*o.spots, o.n_channel),
        dtype="u2" if largest + 10 * largest**0.5 < 65535 else "u4",
        transform=transform,
        energy_kev=scene.energy_kev,
        dwell_s=o.dwell_s,
        source="phantom",
        calibration="phantom",
    )


def _shards(scene: PaintedScene) -> Iterator[tuple[slice, slice]]:
    shape, side = scene.shape, shard_of(_CELL, len(scene.atoms))
    for y in range(0, shape[0], side):
        for x in range(0, shape[1], side):
            yield slice(y, min(y + side, shape[0])), slice(x, min(x + side, shape[1]))


def _write_truth(
    painting: Painting,
    scene: PaintedScene,
    specs: dict[str, PatchSpec],
    shards: list[tuple[slice, slice]],
    bar: Progress,
) -> None:
    with staged(painting.path, f"results/{TRUTH}") as group:
        abundance = new_result(
            group,
            shape=scene.shape,
            pitch_mm=painting.pitch_mm,
            endmember=scene.endmember,
            layer=scene.layer,
            energy_kev=scene.energy_kev,
            cell=_CELL,
            attrs={"method": TRUTH, "options": as_attributes(scene.options), "atoms": list(scene.atoms)},
        )
        placed = [_placed(name, spec) for name, spec in specs.items()]
        region, coverage = _new_region(group, scene), open_array(group, "coverage")
        for window in shards:
            abundance[window] = scene.abundance(window)
            region[window] = scene.region(window)
            area = (window[0].start, window[0].stop, window[1].start, window[1].stop)
            coverage[window] = covered(placed, area, scene.shape, painting.pitch_mm)
            bar.advance()


def _new_region(group: zarr.Group, scene: PaintedScene) -> zarr.Array:
    side = shard_of(_CELL, len(scene.atoms))
    flags = {"flag_values": list(range(len(REGIONS))), "flag_meanings": " ".join(REGIONS)}
    about = {"long_name": "what lies at the pixel", **flags}
    return new_array(
        group, "region", shape=scene.shape, dtype="u1", chunks=(side, side), dims=("y", "x"), attrs=about
    )


def _placed(name: str, spec: PatchSpec) -> Patch:
    """A patch that is not in the store yet: enough to know where its spots lie."""
    return Patch(
        "", name, spec.shape, spec.transform, spec.spot_mm, spec.footprint, spec.gain, spec.noise, 0.0, 0.0
    )


def _scan(
    painting: Painting, scene: PaintedScene, name: str, spec: PatchSpec, number: int, bar: Progress
) -> Iterator[tuple[int, np.ndarray]]:
    """Counts of one patch, in blocks of `CHUNK_SPOTS` rows: S A D, and Poisson."""
    truth = open_array(open_group(painting.path), f"results/{TRUTH}/abundance")
    ny, nx, n_channel = spec.shape
    for row in range(0, ny, CHUNK_SPOTS):
        rows = slice(row, min(row + CHUNK_SPOTS, ny))
        window = spot_window(painting, _placed(name, spec), rows)
        SA = window.downsample(np.asarray(truth[window.slices], np.float32))
        rng = np.random.default_rng([scene.options.seed, 2, number, row])
        yield row, _drawn(SA, scene.endmember, rng, spec.dtype).reshape(-1, nx, n_channel)
        bar.advance()


def _drawn(SA: np.ndarray, D: np.ndarray, rng: np.random.Generator, dtype: str) -> np.ndarray:
    """Poisson counts with means ``SA @ D``, (n_spot, n_channel), drawn a few hundred spots at a time."""
    out = np.empty((len(SA), D.shape[1]), dtype)
    for first in range(0, len(SA), _DRAW_SPOTS):
        part = slice(first, first + _DRAW_SPOTS)
        out[part] = rng.poisson(SA[part] @ D)
    return out
