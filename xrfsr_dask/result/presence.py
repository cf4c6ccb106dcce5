"""Which elements there are, how much they count, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from xrfsr_dask.lines.axis import Axis
from xrfsr_dask.lines.fitting import LineFit
from xrfsr_dask.lines.peaks import Shell, known_by, shells_on
from xrfsr_dask.lines.recognition import CERTAIN, TUBE_KV
from xrfsr_dask.result.source import Source

LIKELY, POSSIBLE = 5.0, 3.0
"""Standard errors from which an element is called so, and certain from `CERTAIN`; below the last it is not
listed."""

_OVERLAP = 0.1  # share of a line's own counts that a neighbour must have in its core to be named


def elements_table(
    source: Source, evidence: Sequence[Source], among: Sequence[str] | None = None, *, part: bool = False
) -> pd.DataFrame:
    """The elements of a source, most counts first; none that has no counts in it.

    Parameters
    ----------
    source : Source
        What the counts are taken from.
    evidence : sequence of Source
        What says whether an element is there: the patches a result was made of, where they are at hand.
    among : sequence of str, optional
        Chemical symbols to list; all that show where not given. Others are fitted beside them all the same.
    part : bool
        The source is a layer or a piece of what the evidence speaks of: its own spectra must show an element
        too, as surely as is told.

    Returns
    -------
    pandas.DataFrame indexed by element, with columns
        ``line``; ``counts``: net counts of that line in the mean spectrum, per spot; ``errors``: how many
        standard errors it stands above nothing where it is clearest (of counting and of all that
        `uncertainty.doubt` doubts; the clearest of many is clear by chance, which is taken off); ``sure``:
        "certain", "likely" or "possible"; ``overlaps``: the lines it was taken apart from there.
    """
    seen = _fits(evidence, among or ())
    own = _fits([source], [s.element for s in seen[0].axis.shells if s.element != "tube"])[0] if part else None
    chance = 2.0 * np.log(max(sum(len(found.photons) for found in seen), 1))
    found = (s.element for s in seen[0].axis.shells if s.element != "tube")
    every = dict.fromkeys(found if among is None else among)
    shells = shells_on(source.energy_kev, every, "", TUBE_KV)
    rows = []
    for element in every:
        shell = known_by(element, shells)
        of_it = [found for found in seen if shell in found.axis.shells]
        if shell is not None and of_it:
            errors, overlaps = max(_clearest(found, shell) for found in of_it)
            errors = min(errors, _clearest(own, shell)[0]) if own else errors
            errors = float(np.sqrt(max(errors**2 - chance, 0.0)))
            line = shell.name.split()[1]
            counts = source.mean_counts(element, line) if errors >= POSSIBLE else 0.0
            rows.append((element, line, counts, errors, _word(errors), ", ".join(overlaps)))
    columns = ["element", "line", "counts", "errors", "sure", "overlaps"]
    table = pd.DataFrame(rows, columns=columns).set_index("element")
    shown = (table.errors >= POSSIBLE) & (table.counts > 0)
    return table[shown].sort_values("counts", ascending=False, kind="stable")


def _fits(sources: Sequence[Source], named: Sequence[str]) -> list[LineFit]:
    """Some sources taken apart, the rare elements that one shows looked for in all."""
    fits = [source.fit(named) for source in sources]
    every = dict.fromkeys(s.element for fit in fits for s in fit.axis.shells if s.element != "tube")
    return [
        fit if {s.element for s in fit.axis.shells} >= set(every) else source.fit(tuple(every))
        for source, fit in zip(sources, fits, strict=True)
    ]


def _clearest(fit: LineFit, shell: Shell) -> tuple[float, list[str]]:
    """Standard errors of a shell in the spectrum that shows it best, and what it overlaps with there."""
    at = fit.axis.shells.index(shell)
    errors = fit.photons[:, at] / np.maximum(fit.error[:, at], 1e-30)
    best = int(errors.argmax())
    return float(errors[best]), _neighbours(fit.axis, fit.photons[best], at)


def _word(errors: float) -> str:
    return "certain" if errors >= CERTAIN else "likely" if errors >= LIKELY else "possible"


def _neighbours(axis: Axis, photons: np.ndarray, at: int) -> list[str]:
    """Names of the shells that have counts in the core of another's main line."""
    counts = axis.shapes[:, axis.cores[at]].sum(axis=1) * photons
    near = np.flatnonzero(counts > _OVERLAP * counts[at])
    return [f"{axis.shells[i].element} {axis.shells[i].shell}" for i in near if i != at]
