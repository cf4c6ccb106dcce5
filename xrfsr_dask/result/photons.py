"""Photons of each shell in each endmember of a result: found in its mixtures, or read where a run left them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
import zarr

from xrfsr_dask.errors import DamagedStoreError, InputError
from xrfsr_dask.lines.peaks import Shell, share_of, shells_on
from xrfsr_dask.lines.recognition import TUBE_KV, usual_axis
from xrfsr_dask.result.levels import known_group
from xrfsr_dask.result.mixtures import Mixtures, mixtures_in, photons_in
from xrfsr_dask.store.arrays import holds, open_array, place_of, read_finite, write_values
from xrfsr_dask.store.painting import Painting
from xrfsr_dask.store.results import PHOTONS
from xrfsr_dask.tiling.blas import one_thread

RECOGNITION = 1
"""Raised whenever lines are recognised or fitted otherwise: what another number stored is found anew."""


@dataclass(frozen=True)
class Photons:
    """What each endmember adds to each shell in the mixtures it is in."""

    shells: list[Shell]
    of: np.ndarray
    """float64 (n_atom, n_shell), >= 0"""
    endmember: np.ndarray
    """float64 (n_atom, n_channel)"""

    def counts_of(self, element: str, line: str) -> np.ndarray:
        """Net counts of a line in each endmember, float64 (n_atom,)."""
        return np.asarray(self.of @ share_of(element, line, self.shells))


@one_thread()  # of several, small systems wait for one another
def found_photons(whole: Mixtures, energy_kev: np.ndarray, spots: float, named: Iterable[str] = ()) -> Photons:
    """Those of a whole result.

    Parameters
    ----------
    whole : Mixtures
    energy_kev : float array of shape (n_channel,), keV
    spots : float
        Measured spots that it speaks for.
    named : chemical symbols
        Looked for besides those that paintings are made of.

    Raises
    ------
    InputError
        The axis is too coarse to tell lines apart, or holds none.
    """
    axis = usual_axis(whole.share @ whole.spectra, energy_kev, named, spots)
    return Photons(axis.shells, photons_in(whole, axis, spots), whole.endmember)


def write_photons(group: zarr.Group, spots: float) -> None:
    """Store those of a result, whose levels are there, beside its endmembers.

    None where its axis tells no lines apart; no run of hours fails for want of them.
    """
    with contextlib.suppress(InputError, np.linalg.LinAlgError):
        found = found_photons(mixtures_in(group), read_finite(open_array(group, "energy")), spots)
        painted = [i for i, shell in enumerate(found.shells) if shell.element != "tube"]
        told = {"shells": [_name(found.shells[i]) for i in painted], "recognition": RECOGNITION}
        write_values(group, PHOTONS, found.of[:, painted], ("atom", "shell"), units="counts", **told)


def stored_photons(ds: xr.Dataset) -> Photons | None:
    """Those stored with the result that this is, or is a layer or a piece of.

    None where there are none, or they are of another recognition or another axis.
    """
    group = known_group(ds)
    if group is None or not holds(group, PHOTONS):
        return None
    endmember = read_finite(open_array(group, "endmember")).astype(float)
    energy = read_finite(open_array(group, "energy", endmember.shape[1:]))
    array = open_array(group, PHOTONS, (len(endmember), None))
    if array.attrs.get("recognition") != RECOGNITION or not np.array_equal(energy, ds.energy.values):
        return None
    shells, found = _shells(array, energy), read_finite(array)
    if found.size and found.min() < 0:
        raise DamagedStoreError(f"{place_of(array)} is damaged: there are fewer photons than none.")
    return Photons(shells, found, endmember)


def spots_of(painting: Painting) -> float:
    """Measured spots of all patches of a painting; its pixels where it holds no patch."""
    spots = sum(float(np.prod(patch.shape[:2])) for patch in painting.patches)
    return spots or float(np.prod(painting.shape))


def _shells(array: zarr.Array, energy_kev: np.ndarray) -> list[Shell]:
    names: Any = array.attrs.get("shells")
    with contextlib.suppress(AttributeError, InputError, LookupError, TypeError):
        elements = dict.fromkeys(name.split()[0] for name in names)
        known = {_name(shell): shell for shell in shells_on(energy_kev, elements, "", TUBE_KV)}
        if len(names) == array.shape[1]:
            return [known[name] for name in names]
    raise DamagedStoreError(f"{place_of(array)} is damaged: its {array.shape[1]} shells are not named.")


def _name(shell: Shell) -> str:
    return f"{shell.element} {shell.shell}"
