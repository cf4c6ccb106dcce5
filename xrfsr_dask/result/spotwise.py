"""Lines fitted together in every spot of a patch, by products that all spots share."""

from __future__ import annotations

import numpy as np

from xrfsr_dask.lines.axis import Axis
from xrfsr_dask.lines.fitting import LineFit, shared_weights
from xrfsr_dask.lines.uncertainty import doubt


def shown(fit: LineFit) -> list[str]:
    """The elements that some of the spectra of a fit show."""
    there = fit.photons.max(axis=0) > 0
    found = [shell.element for shell, n in zip(fit.axis.shells, there, strict=True) if n]
    return [element for element in dict.fromkeys(found) if element != "tube"]


def without_gaps(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts (ny, nx, n_channel) with zeros in spots that hold some that are not finite; which do not (ny, nx).

    A spot that was taken out of a patch, as by `patch.where(...)`, is no spectrum: it was not measured.
    """
    there = np.isfinite(counts.sum(axis=2, dtype=np.float64))
    return (counts if there.all() else np.where(there[..., None], counts, 0)), there


def products(axis: Axis, spectra: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What turns counts into products with all that is drawn, float32 (n_channel, k), and its Gram (k, k).

    Weights are the same for every spot, of which `spectra` (n, n_channel) are means, `share` (n,) by share.
    """
    weights = shared_weights(share @ spectra, doubt(spectra, axis), axis, 1.0)
    return (axis.drawn * weights).T.astype(np.float32), axis.gram(weights).astype(np.float32)


def net_counts(counts: np.ndarray, P: np.ndarray, G: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Net counts (ny, nx, ...) of lines in spots (ny, nx, n_channel), by `products`, `shares`; NaN in gaps."""
    from xrfsr_dask.kernels.nonnegative import abundances  # numba takes a second to import; results do without

    counts, there = without_gaps(counts)
    C = counts.reshape(-1, counts.shape[2]).astype(np.float32) @ P
    photons = abundances(C, G)[:, : len(shares)]
    out = np.asarray((photons @ shares).reshape(*counts.shape[:2], *shares.shape[1:]))
    out[~there] = np.nan
    return out
