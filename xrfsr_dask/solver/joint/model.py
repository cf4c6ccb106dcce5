"""What `joint` has learned so far, kept in the run's work folder: small arrays that every task reads."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import zarr

from xrfsr_dask.kernels.cokriging import Law, Neighbours, Prior, local_prior
from xrfsr_dask.kernels.colour import Colours
from xrfsr_dask.solver.run import Plan
from xrfsr_dask.solver.state import require_own
from xrfsr_dask.store.arrays import (
    new_array,
    new_group,
    open_array,
    open_group,
    place_of,
    read_finite,
    write_values,
)
from xrfsr_dask.store.metadata import NAME, set_attributes
from xrfsr_dask.store.places import Place, rmtree
from xrfsr_dask.store.remarks import MISDWELT

SMOOTHED = "smoothed"
"""S phi of the spots of patches out of place, of the photograph as smoothed for them. It has a name of its own,
so that what a late task of an earlier stage still writes changes nothing."""

SPOT_ARRAYS = ("scores", "variance", "believed", "features", SMOOTHED, "seen")
"""Per spot: scores in the basis, variance of their noise, whether they are as counted (1, else 0), S phi, and
S A of the finished abundances."""

LEARNED = "learned"
"""Name of the field that was chosen, its middle not yet known."""

FIELD = "field"
"""Name of the field that was chosen, with its middle. A stage reads only what earlier ones wrote, and writes
other names: one that was killed can be done again."""

_FOLDER = "joint"

_WEIGHTS = "weights-000000"
"""Folder of the weights of spots, which the first generation of abundances supersedes."""

EVIDENCE = f"{_FOLDER}/evidence"
"""The map of evidence, by its path in the work folder."""


@dataclass(frozen=True)
class Spectra:
    """Whitened spectral space and the basis of the scores."""

    whitening: np.ndarray
    """float64 (n_channel,): counts at gain 1 -> unit noise."""
    basis: np.ndarray
    """float64 (n_channel, r), orthonormal; scores are ``(X / g * whitening) @ basis``."""

    def scores(self, X: np.ndarray) -> np.ndarray:
        """Scores (n, r) of counts at gain 1, (n, n_channel)."""
        return X @ (self.basis * self.whitening[:, None]).astype(np.float32)

    def variance(self, X: np.ndarray) -> np.ndarray:
        """Variance (n, r) of the scores of Poisson counts X (n, n_channel)."""
        return X @ np.square(self.basis * self.whitening[:, None]).astype(np.float32)

    def unwhitened(self, Z: np.ndarray) -> np.ndarray:
        """Counts (n, n_channel) of scores (n, r)."""
        return Z @ (self.basis / self.whitening[:, None]).T


@dataclass(frozen=True)
class Field:
    """The model (J1) with (J2): from colour and place to scores."""

    map: np.ndarray
    """float64 (m + 1, r): g, the last row a constant."""
    prior: Prior
    middle: np.ndarray
    """float64 (r,): the usual level of what departs from the map: where nothing is hidden."""
    directions: np.ndarray
    """float64 (r, k), orthonormal: what departs from the map, strongest first, in deviations of the noise."""
    sharp: bool = False
    """Whether departures from the map are flat with edges (J3), and the map does not drift."""

    def coloured(self, features: np.ndarray) -> np.ndarray:
        """phi . g of pixels or spots, float32 (n, r)."""
        return features @ self.map[:-1].astype(np.float32) + self.map[-1].astype(np.float32)

    def at(self, spots: Neighbours | None) -> Field:
        """The model as it is around some spots, whose scores are less its map (`local_prior`)."""
        return self if spots is None else replace(self, prior=local_prior(self.prior, spots))


def create(plan: Plan) -> None:
    """An empty folder for the model; what an earlier attempt left is removed."""
    require_own(plan)
    new_group(plan.work / _FOLDER, overwrite=True).create_group("spots")


def save_spectra(plan: Plan, spectra: Spectra, colours: Colours) -> None:
    """Keep basis and colours, and make room for what is known of each spot."""
    group = open_group(plan.work / _FOLDER, mode="r+")
    _put(group, "whitening", spectra.whitening, ("energy",))
    _put(group, "basis", spectra.basis, ("energy", "score"))
    _put(group, "centres", colours.centres, ("centre", "band"))
    _put(group, "transform", colours.transform, ("centre", "feature"))
    r = spectra.basis.shape[1]
    for name, n in (("scores", r), ("variance", r), ("believed", 1), ("features", colours.n)):
        new_spots(plan, name, n)


def load_spectra(plan: Plan) -> Spectra:
    """As saved."""
    return Spectra(_get(plan, "whitening"), _get(plan, "basis"))


def load_colours(plan: Plan) -> Colours:
    """As saved."""
    return Colours(_get(plan, "centres"), _get(plan, "transform"))


def save_candidates(plan: Plan, directions: np.ndarray) -> None:
    """Keep candidate directions of the basis (n_channel, k), whitening included, for the tasks that try
    them."""
    _put(open_group(plan.work / _FOLDER, mode="r+"), "candidates", directions, ("energy", "candidate"))


def load_candidates(plan: Plan) -> np.ndarray:
    """As saved."""
    return _get(plan, "candidates")


def save_field(plan: Plan, name: str, field: Field) -> None:
    """Keep map and prior of a field under a name."""
    require_own(plan)
    prior = {"drift": list(field.prior.drift), "hidden": list(map(list, field.prior.hidden))}
    attributes = {"sharp": field.sharp} | prior
    group = new_group(plan.work / _FOLDER / name, overwrite=True, attributes=attributes)
    _put(group, "map", field.map, ("feature_or_one", "score"))
    _put(group, "middle", field.middle, ("score",))
    _put(group, "share", field.prior.share, ("score",))
    _put(group, "scale", field.prior.scale, ("score",))
    _put(group, "directions", field.directions, ("score", "direction"))


def load_field(plan: Plan, name: str = FIELD) -> Field:
    """As saved; without a name, the one that was chosen."""
    attrs: Any = dict(open_group(plan.work / _FOLDER / name).attrs)
    share, scale, g, middle, directions = (
        _get(plan, f"{name}/{part}") for part in ("share", "scale", "map", "middle", "directions")
    )
    drift, hidden = Law(*attrs["drift"]), tuple(Law(*law) for law in attrs["hidden"])
    return Field(g, Prior(drift, hidden, share, scale), middle, directions, bool(attrs["sharp"]))


def save_limits(plan: Plan, limits: dict[str, float]) -> None:
    """Largest values met, which bound exact sums."""
    set_attributes(plan.work / _FOLDER, {"limits": json.dumps(limits)})


def load_limits(plan: Plan) -> dict[str, float]:
    """As saved."""
    found: dict[str, float] = json.loads(str(open_group(plan.work / _FOLDER).attrs["limits"]))
    return found


def save_misdwelt(plan: Plan, found: dict[str, int]) -> None:
    """How many spots of each patch were not believed."""
    set_attributes(plan.work / _FOLDER, {MISDWELT: json.dumps(found)})


def load_misdwelt(plan: Plan) -> dict[str, dict[str, int]]:
    """As saved, under its name."""
    found = dict(open_group(plan.work / _FOLDER).attrs).get(MISDWELT, "{}")
    return {MISDWELT: json.loads(str(found))}


def save_placing(plan: Plan, found: dict[str, list[float]], smoothing: dict[str, float]) -> None:
    """By patch, px: displacement (y, x) that was found, and how far the photograph is smoothed for it."""
    attributes = {"displacement_px": json.dumps(found), "smoothed_px": json.dumps(smoothing)}
    set_attributes(plan.work / _FOLDER, attributes)


def load_placing(plan: Plan) -> dict[str, dict[str, Any]]:
    """As saved: ``displacement_px`` and ``smoothed_px`` by patch; empty while they are not known."""
    attrs = dict(open_group(plan.work / _FOLDER).attrs)
    return {name: json.loads(str(attrs.get(name, "{}"))) for name in ("displacement_px", "smoothed_px")}


def save_endmembers(plan: Plan, number: int, Dv: np.ndarray, Dnv: np.ndarray) -> None:
    """Endmembers of both layers, scaled units, as dictionary `number`."""
    require_own(plan)
    group = new_group(plan.work / f"dictionary-{number:06d}", overwrite=True)
    for name, D in (("Dv", Dv), ("Dnv", Dnv)):
        write_values(group, name, np.asarray(D, np.float64), ("atom", "energy"))


def save_start(plan: Plan, D: np.ndarray, n_held: int) -> None:
    """Keep the endmembers the dictionary steps begin with, (k, n_channel), scaled: they are held to them; and
    of how many hidden ones, the first, the abundances are held."""
    group = open_group(plan.work / _FOLDER, mode="r+")
    _put(group, "held", np.array([n_held]), ("one",))
    _put(group, "start", D, ("atom", "energy"))


def load_start(plan: Plan) -> np.ndarray:
    """As saved."""
    return _get(plan, "start", (None, plan.n_channel))


def load_held(plan: Plan) -> int:
    """As saved."""
    return int(_get(plan, "held")[0])


def new_spots(plan: Plan, name: str, n: int, patches: Iterable[str] | None = None) -> None:
    """An empty (spot_y, spot_x, n) array for every patch, or for some, chunked like its counts."""
    require_own(plan)
    spots = open_group(plan.work / _FOLDER / "spots", mode="r+")
    rmtree(plan.work / _FOLDER / "spots" / name)
    group = spots.create_group(name)
    for patch in plan.painting.patches:
        if patches is not None and patch.name not in patches:
            continue
        new_array(
            group,
            patch.name,
            shape=(*patch.shape[:2], n),
            dtype="f4",
            chunks=(*patch.counts().chunks[:2], n),
            dims=(f"{patch.name}_y", f"{patch.name}_x", "value"),
        )


def open_spots(plan: Plan, name: str, patch: str) -> zarr.Array:
    """One of `SPOT_ARRAYS` of a patch."""
    shape = (*plan.painting.patch(patch).shape[:2], None)
    return open_array(open_group(_path(plan, name), mode="r+"), patch, shape)


def new_weights(plan: Plan, grid: tuple[int, int], most: int) -> None:
    """Room for the weights of at most so many spots around each block, (block_y, block_x, spot, 2 score); those
    that an interrupted pass left are kept."""
    each, dims = (most, 2 * len(_get(plan, f"{LEARNED}/scale"))), ("block_y", "block_x", "spot", "weight")
    shape, folder = (*grid, *each), plan.work / _WEIGHTS
    if (folder / NAME).is_file() and (folder / "weight" / NAME).is_file() and open_weights(plan).shape == shape:
        return
    require_own(plan)
    group = new_group(folder, overwrite=True)
    new_array(group, "weight", shape=shape, dtype="f4", chunks=(1, 1, *each), dims=dims)


def open_weights(plan: Plan) -> zarr.Array:
    """Weights of the spots around every block, zeros after the last."""
    return open_array(open_group(plan.work / _WEIGHTS, mode="r+"), "weight")


def new_evidence(plan: Plan) -> None:
    """An empty (y, x) map of evidence."""
    group = open_group(plan.work / _FOLDER, mode="r+")
    if not (plan.work / EVIDENCE / NAME).is_file():
        chunks = (plan.cell, plan.cell)
        new_array(group, "evidence", shape=plan.painting.shape, dtype="f4", chunks=chunks, dims=("y", "x"))


def open_evidence(plan: Plan) -> zarr.Array:
    """Evidence of every pixel, while a run is in progress."""
    return open_array(open_group(plan.work / _FOLDER, mode="r+"), "evidence")


def _path(plan: Plan, name: str) -> Place:
    return plan.work / _FOLDER / "spots" / name


def _put(group: zarr.Group, name: str, values: np.ndarray, dims: tuple[str, ...]) -> None:
    rmtree(place_of(group) / name)
    write_values(group, name, np.asarray(values), dims)


def _get(plan: Plan, name: str, shape: tuple[int | None, ...] | None = None) -> np.ndarray:
    return read_finite(open_array(open_group(plan.work / _FOLDER), name, shape))
