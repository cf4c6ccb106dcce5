"""Tasks on blocks and tiles of the HR grid: co-kriging from the spots around them, and what is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from xrfsr_dask.kernels.cokriging import Law, classes_of, evidence, likelihoods, map_sums
from xrfsr_dask.kernels.nonnegative import abundances
from xrfsr_dask.kernels.sampling import Footprints, downsample
from xrfsr_dask.solver.joint import model
from xrfsr_dask.solver.joint.blending import Blended, in_columns
from xrfsr_dask.solver.joint.desk import Desk
from xrfsr_dask.solver.joint.model import Spectra
from xrfsr_dask.solver.joint.picture import (
    Picture,
    footprints_inside,
    neighbours,
    pictured,
    pixels_of,
    told,
)
from xrfsr_dask.solver.run import Plan
from xrfsr_dask.solver.state import Receipt, load_matrix, open_generation, receipt_of
from xrfsr_dask.store.arrays import write
from xrfsr_dask.tiling.grid import Rect
from xrfsr_dask.tiling.sums import Sums, quantised

_SAMPLED_MARGINS = (3, 2, 1, 0)
_SAMPLED_SPOTS = 300
_SAMPLED_PIXELS = 240  # of each sampled block
_HELD_OUT = 0.15  # share of spots
_USUAL = 4.0  # squares of a spot's residual over noise, for each score, that a good mixture may leave
_FIRM = np.float32(3.0)  # weight of the hidden layer as first found, against that of the whole


class MapBounds(NamedTuple):
    """What no sum of `area_map_sums` exceeds over the whole painting."""

    normal: float
    right: float
    square: float


def sampled_likelihoods(
    plan: Plan, field: str, laws: tuple[tuple[Law, ...], tuple[Law, ...]], block: Rect
) -> np.ndarray | None:
    """`likelihoods` of the spots around one block; None where there are none."""
    desk = Desk(plan)
    near = desk.scan.gathered(block, _SAMPLED_MARGINS, _SAMPLED_SPOTS)
    spots = neighbours(desk, near, desk.field(field))
    return None if spots is None else likelihoods(spots, *laws)


def area_map_sums(plan: Plan, field: str, bounds: MapBounds, area: Rect) -> Sums:
    """`map_sums` of the spots whose centre lies in the blocks of an area, under the prior of a field."""
    desk = Desk(plan)
    prior = desk.field(field).prior
    classes, m, r = classes_of(prior), desk.colours.n + 1, len(prior.scale)
    total: Sums = {
        "normal": np.zeros((len(classes), m, m)),
        "right": np.zeros((m, r)),
        "square": np.zeros(r),
        "n": np.array(0.0),
    }
    for block in desk.scan.blocks(area):
        spots = neighbours(desk, desk.scan.near(block, 0), None)
        if spots is not None:
            found = map_sums(spots, prior, classes)
            total["normal"] += quantised(found.normal, bounds.normal)
            total["right"] += quantised(found.right, bounds.right)
            total["square"] += quantised(found.square, bounds.square)
            total["n"] += found.n
    return total


def sampled_departures(plan: Plan, field: str, block: Rect) -> np.ndarray:
    """Sum over the spots of one block of outer products (r, r) of departures from the map, in noise units."""
    desk = Desk(plan)
    spots = neighbours(desk, desk.scan.near(block, 0), desk.field(field))
    if spots is None:
        return np.zeros((len(desk.field(field).middle),) * 2)
    whitened = spots.scores / np.sqrt(spots.variance)
    return np.asarray(whitened.T @ whitened)


def held_out(plan: Plan, fields: tuple[str, ...], block: Rect) -> np.ndarray:
    """How badly each field predicts spots of one block that it was not shown: mean squares over noise, (n,)."""
    desk = Desk(plan)
    near = desk.scan.around(block)
    if not near:
        return np.zeros(len(fields))
    inside, footprints = footprints_inside(plan, near, block)
    rng = np.random.default_rng([plan.options.seed, block.y0, block.x0])
    tested = inside & (rng.random(len(inside)) < _HELD_OUT)
    if not tested[inside].any():
        return np.zeros(len(fields))
    ends = np.cumsum([0, *(len(n.spots) for n in near)])
    shown = [
        n._replace(spots=n.spots[~tested[i:j]], centres=n.centres[~tested[i:j]])
        for n, i, j in zip(near, ends[:-1], ends[1:], strict=True)
    ]
    shown = [n for n in shown if len(n.spots)]
    test = neighbours(desk, near, None)
    assert test is not None
    some = Footprints(footprints.origin[tested[inside]], footprints.weight[tested[inside]])
    out = []
    for name in fields:
        spots = neighbours(desk, shown, desk.field(name))
        whole = pictured(desk, desk.field(name).at(spots), shown, block, spots=spots).whole.reshape(
            *block.shape, -1
        )
        error = (downsample(whole, some) - test.scores[tested]) ** 2 / test.variance[tested]
        out.append(float(error.sum()))
    return np.array(out)


def sampled_pixels(plan: Plan, block: Rect) -> Picture | None:
    """Scores of pixels spread over one block, by the field as learned; None where no spot is near."""
    desk = Desk(plan)
    near, spots, field, kriged = Blended(desk, desk.field(model.LEARNED)).local(block)
    if not near:
        return None
    rng = np.random.default_rng([plan.options.seed, block.y0, block.x0])
    picked = np.sort(rng.permutation(block.shape[0] * block.shape[1])[:_SAMPLED_PIXELS])
    if kriged is None:
        return pictured(desk, field, near, block, spots=spots, only=picked)
    return told(field, kriged, *(values[picked] for values in pixels_of(desk, near, block)))


def misfits(plan: Plan, E: np.ndarray, area: Rect) -> list[float]:
    """How badly mixtures of endmembers E (k, r), as scores, hold the spots of each block of an area.

    What the squares of their residuals, over noise, exceed by what is usual; a place with a paint of its own
    stands out.
    """
    desk, out = Desk(plan), []
    E, gram = E.astype(np.float32), (E @ E.T).astype(np.float32)
    for block in desk.scan.blocks(area):
        spots = neighbours(desk, desk.scan.near(block, 0), None)
        if spots is None:
            out.append(0.0)
            continue
        Z = spots.scores.astype(np.float32)
        left = np.square(Z - abundances(Z @ E.T, gram) @ E) / spots.variance
        out.append(float(np.maximum(left.sum(axis=1) - _USUAL * Z.shape[1], 0.0).sum()))
    return out


@dataclass(frozen=True)
class Mixer:
    """Endmembers as the unmixing needs them, float32, in whitened space."""

    products: np.ndarray
    """(k, r): endmembers against the basis."""
    gram: np.ndarray
    """(k, k)"""
    n_visible: int
    n_held: int
    """Hidden endmembers, the first, that are held to the hidden layer as first found."""

    def unmixed(self, picture: Picture) -> np.ndarray:
        """Abundances (n, k) >= 0: hidden ones from what is hidden, then both from the whole, the hidden
        held."""
        v, G = self.n_visible, self.gram.copy()
        h = slice(v, v + self.n_held)
        beneath = abundances(picture.hidden @ self.products[h].T, G[h, h])
        C = picture.whole @ self.products.T
        start = np.zeros_like(C)
        start[:, h] = beneath
        start[:, :v] = abundances(C[:, :v] - beneath @ G[h, :v], G[:v, :v])
        C[:, h] += _FIRM * beneath @ G[h, h]
        G[h, h] *= 1 + _FIRM
        return abundances(C, G, start)


def mixer(spectra: Spectra, Dv: np.ndarray, Dnv: np.ndarray, n_held: int) -> Mixer:
    """From endmembers in counts at gain 1."""
    W = np.concatenate([Dv, Dnv]) * spectra.whitening
    return Mixer(
        (W @ spectra.basis).astype(np.float32),
        (W @ W.T).astype(np.float32),
        len(Dv),
        n_held,
    )


def unmix_tile(plan: Plan, generation: int, dictionary: int, tile: Rect) -> Receipt:
    """Abundances and evidence of one tile, block by block, written whole."""
    desk, spectra = Desk(plan), model.load_spectra(plan)
    scan, blended = desk.scan, Blended(desk, desk.field())
    Dv, Dnv = (plan.scale * load_matrix(plan, dictionary, name) for name in ("Dv", "Dnv"))
    mix = mixer(spectra, Dv, Dnv, model.load_held(plan))
    A = np.empty((*tile.shape, plan.atoms), np.float32)
    sure = np.zeros(tile.shape, np.float32)
    for block in in_columns(scan.blocks(tile), tile, scan.block_px):
        at = block.within((tile.y0, tile.x0))
        A[at] = mix.unmixed(blended.pictured(block)).reshape(*block.shape, -1)
        near, spots, there, _ = blended.local(block)
        if spots is not None:
            sure[at] = evidence(spots, there.prior, *blended.pixels(block, near)).reshape(block.shape)
    write(model.open_evidence(plan), tile.slices, sure)
    write(open_generation(plan, generation), tile.slices, A)
    return receipt_of(tile, A)
