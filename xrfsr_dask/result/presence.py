"""Which elements there are, how much they count, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from xrfsr_dask.result.fitting import Axis
from xrfsr_dask.result.peaks import ELEMENTS, known_by
from xrfsr_dask.result.source import Source

CERTAIN, LIKELY, POSSIBLE = 10.0, 5.0, 3.0
"""Standard errors from which an element is called so; below the last it is not listed."""

_OVERLAP = 0.1  # share of a line's own counts that a neighbour must have in its core to be named


def elements_table(source: Source, among: Sequence[str] = ELEMENTS) -> pd.DataFrame:
    """The elements of a source, most counts first.

    Parameters
    ----------
    source : Source
    among : sequence of str
        Chemical symbols to look for.

    Returns
    -------
    pandas.DataFrame indexed by element, with columns
        ``line``; ``counts``: net counts of that line in the mean spectrum, per spot; ``errors``: how many
        standard errors it stands above nothing where it is clearest (statistics, shapes of its neighbours off
        by 4 %, background off by 5 %); ``sure``: "certain", "likely" or "possible"; ``overlaps``: the lines it
        was taken apart from there.
    """
    fit, share, rows = source.fit(dict.fromkeys(among)), source.share(), []
    tried = 2.0 * np.log(max(len(share), 1))  # the clearest of many is clear by chance: that is taken off
    for element in dict.fromkeys(among):
        shell = known_by(element, fit.axis.shells)
        if shell is None:
            continue
        at = fit.axis.shells.index(shell)
        errors = fit.photons[:, at] / np.maximum(fit.error[:, at], 1e-30)
        best = int(errors.argmax())
        clear = float(np.sqrt(max(errors[best] ** 2 - tried, 0.0)))
        if clear >= POSSIBLE:
            line = shell.name.split()[1]
            rows.append(
                {
                    "element": element,
                    "line": line,
                    "counts": float(share @ fit.counts_of(element, line)),
                    "errors": clear,
                    "sure": _word(clear),
                    "overlaps": ", ".join(_neighbours(fit.axis, fit.photons[best], at)),
                }
            )
    columns = ["element", "line", "counts", "errors", "sure", "overlaps"]
    table = pd.DataFrame(rows, columns=columns).set_index("element")
    return table.sort_values("counts", ascending=False, kind="stable")


def _word(errors: float) -> str:
    return "certain" if errors >= CERTAIN else "likely" if errors >= LIKELY else "possible"


def _neighbours(axis: Axis, photons: np.ndarray, at: int) -> list[str]:
    """Names of the shells that have counts in the core of another's main line."""
    counts = axis.shapes[:, axis.cores[at]].sum(axis=1) * photons
    near = np.flatnonzero(counts > _OVERLAP * counts[at])
    return [f"{axis.shells[i].element} {axis.shells[i].shell}" for i in near if i != at]
