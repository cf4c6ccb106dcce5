"""Scores of HR pixels from the spots around them, by the model (J1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xrfsr_dask.beams import centres_mm
from xrfsr_dask.kernels.cokriging import Kriged, Neighbours, krige, krige_blind
from xrfsr_dask.kernels.edges import sharpened
from xrfsr_dask.kernels.sampling import Footprints
from xrfsr_dask.solver.joint.desk import Desk
from xrfsr_dask.solver.joint.model import Field
from xrfsr_dask.solver.joint.scan import Near
from xrfsr_dask.solver.run import Plan, edge_margin_px
from xrfsr_dask.tiling.grid import Rect

_ALL = slice(None)


def neighbours(desk: Desk, found: Sequence[Near], field: Field | None) -> Neighbours | None:
    """Spots as `Scan.near` lists them, read from the store; scores less the global map of `field`."""
    if not found:
        return None
    parts: dict[str, list[np.ndarray]] = {"scores": [], "variance": [], "features": []}
    places = []
    for patch, index, centres in found:
        rows, columns = np.divmod(index, patch.shape[1])
        y0, x0 = int(rows.min()), int(columns.min())
        box = Rect(y0, int(rows.max()) + 1, x0, int(columns.max()) + 1)
        for name, values in parts.items():
            values.append(desk.spots(name, patch.name, box)[rows - y0, columns - x0])
        places.append(centres / desk.scan.step_px)
    features = np.ascontiguousarray(np.concatenate(parts["features"]))
    scores = np.concatenate(parts["scores"]).astype(np.float64)
    if field is not None:
        scores -= field.coloured(features)
    return Neighbours(
        places=np.concatenate(places).astype(np.float32),
        features=features,
        scores=scores,
        variance=np.concatenate(parts["variance"]).astype(np.float64),
        size=desk.scan.spot_steps,
    )


def pixels_of(desk: Desk, near: Sequence[Near], area: Rect) -> tuple[np.ndarray, np.ndarray]:
    """Places (n, 2) of the pixels of an area, steps, and their features (n, m), fit for the spots near it."""
    smoothing, pitch_mm = desk.smoothing_px(n.patch.name for n in near), desk.plan.painting.pitch_mm
    places = centres_mm(area, pitch_mm) / (pitch_mm * desk.scan.step_px)
    features = desk.colours.features(desk.photograph(area, smoothing))
    return places.astype(np.float32), features.reshape(len(places), -1)


@dataclass(frozen=True)
class Picture:
    """Scores of some pixels, float32 (n, r) each."""

    whole: np.ndarray
    """z of (J1)."""
    hidden: np.ndarray
    """h of (J1), less its usual level; 0 where no spot is near."""


def pictured(
    desk: Desk,
    field: Field,
    near: Sequence[Near],
    block: Rect,
    *,
    spots: Neighbours | None,
    only: slice | np.ndarray = _ALL,
) -> Picture:
    """Pixels of a block, row by row, from the spots near it: `neighbours` of them, less the map of `field`,
    which is that of the place (`Field.at`).

    `only` picks some pixels by their number; where edges are sought, it saves nothing.
    """
    if spots is not None and field.sharp:
        return _sharp(desk, field, near, spots, block, only)
    places, features = (values[only] for values in pixels_of(desk, near, block))
    return told(field, None if spots is None else krige(spots, field.prior), places, features)


def told(field: Field, kriged: Kriged | None, places: np.ndarray, features: np.ndarray) -> Picture:
    """What spots say of some pixels by a field without edges; colour alone speaks where there are none."""
    coloured = field.coloured(features)
    if kriged is None:
        return Picture(coloured, np.zeros_like(coloured))
    e = kriged.at(places, features)
    return Picture(coloured + e.drift + e.hidden, e.hidden - field.middle.astype(np.float32))


def _sharp(
    desk: Desk,
    field: Field,
    near: Sequence[Near],
    spots: Neighbours,
    block: Rect,
    only: slice | np.ndarray,
) -> Picture:
    """Departures from the global map with edges (J3), sought on the block and around it."""
    area = block.grown(edge_margin_px(desk.scan.step_px), desk.plan.painting.shape)
    places, features = pixels_of(desk, near, area)
    smooth = krige_blind(spots, field.prior, places)
    unit = np.sqrt(spots.variance.mean(axis=0))
    directions = field.directions
    start = ((smooth / unit) @ directions).reshape(*area.shape, -1)
    e, variance = (spots.scores / unit) @ directions, (spots.variance / unit**2).mean(axis=1)
    inside, footprints = footprints_inside(desk.plan, near, area)
    edged = sharpened(e[inside], variance[inside], footprints, start).reshape(len(places), -1)
    departure = smooth + ((edged - start.reshape(len(places), -1)) @ directions.T * unit).astype(np.float32)
    own = block.within((area.y0, area.x0))
    whole, hidden = (
        values.reshape(*area.shape, -1)[own].reshape(-1, values.shape[1])[only]
        for values in (field.coloured(features) + departure, departure - field.middle.astype(np.float32))
    )
    return Picture(whole, hidden)


def footprints_inside(plan: Plan, near: Sequence[Near], area: Rect) -> tuple[np.ndarray, Footprints]:
    """Which of the spots see nothing outside an area, bool (n,), and their footprints in px of it."""
    inside, parts = [], []
    for patch, index, _ in near:
        beam = plan.beam(patch)
        windows = beam.windows()
        w = windows[index]
        whole = (w[:, 0] >= area.y0) & (w[:, 1] <= area.y1) & (w[:, 2] >= area.x0) & (w[:, 3] <= area.x1)
        inside.append(whole)
        parts.append(beam.footprints(index[whole], windows))
    size = np.max([part.weight.shape[1:] for part in parts], axis=0)
    corner = np.array([area.y0, area.x0], np.int32)
    return np.concatenate(inside), Footprints(
        np.concatenate([part.origin - corner for part in parts]),
        np.concatenate([_padded(part.weight, size) for part in parts]),
    )


def _padded(weight: np.ndarray, size: np.ndarray) -> np.ndarray:
    return np.pad(weight, [(0, 0), (0, size[0] - weight.shape[1]), (0, size[1] - weight.shape[2])])
