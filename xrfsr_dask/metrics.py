"""RMSE, PSNR and SAM of the paper, (23) to (25), as sums that tiles add up; correlation of maps.

Everything is summed in float64 and kept per region. Sums of tiles are added with ``+``; nothing as large as
the cube is ever held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xrfsr_dask.errors import InputError

WHOLE = "whole"
"""Name of the row of a table that holds all regions together."""

_BLOCK = 2**21  # entries of one block of rows in float64


@dataclass(frozen=True)
class Sums:
    """What RMSE, PSNR and SAM need to know of some pixels."""

    regions: tuple[str, ...]
    """Names; a pixel labelled i belongs to the i-th. Pixels with a negative label are left out."""
    pixels: np.ndarray
    """int64 (n_region,): pixels compared."""
    squared: np.ndarray
    """float64 (n_region, n_channel): squared differences, summed over pixels."""
    degrees: np.ndarray
    """float64 (n_region,): spectral angles, summed over pixels."""
    peak: float
    """Largest entry of the truth in any region."""

    def __add__(self, other: Sums) -> Sums:
        if self.regions != other.regions or self.squared.shape != other.squared.shape:
            raise InputError("sums of other regions or channels cannot be added.")
        return Sums(
            self.regions,
            self.pixels + other.pixels,
            self.squared + other.squared,
            self.degrees + other.degrees,
            max(self.peak, other.peak),
        )

    def table(self) -> list[dict[str, Any]]:
        """One row for the whole and one for each region that has pixels.

        Returns
        -------
        list of dict with ``region``, ``pixels``, ``rmse`` (counts), ``psnr_db``, ``sam_deg``
            PSNR refers to the largest entry of the whole truth in every row; it is inf where RMSE is 0.
        """
        rows = [self._row(WHOLE, np.ones(len(self.regions), bool))]
        if len(self.regions) > 1:
            rows += [self._row(name, np.arange(len(self.regions)) == i) for i, name in enumerate(self.regions)]
        return [row for row in rows if row["pixels"]]

    def rmse_per_channel(self, region: str = WHOLE) -> np.ndarray:
        """RMSE of each channel over the pixels of a region, float64 (n_channel,), counts."""
        at = np.array([region in (WHOLE, name) for name in self.regions])
        return np.sqrt(self.squared[at].sum(axis=0) / self.pixels[at].sum())

    def psnr_per_channel(self, region: str = WHOLE) -> np.ndarray:
        """PSNR of each channel, float64 (n_channel,), dB, against the one peak of the whole truth."""
        return psnr(self.peak, self.rmse_per_channel(region))

    def _row(self, name: str, at: np.ndarray) -> dict[str, Any]:
        n = int(self.pixels[at].sum())
        entries = max(n * self.squared.shape[1], 1)
        rmse = float(np.sqrt(self.squared[at].sum() / entries))
        return {
            "region": name,
            "pixels": n,
            "rmse": rmse,
            "psnr_db": float(psnr(self.peak, rmse)),
            "sam_deg": float(self.degrees[at].sum() / max(n, 1)),
        }


def row_sums(
    estimate: np.ndarray,
    truth: np.ndarray,
    labels: np.ndarray | None = None,
    regions: Sequence[str] = (WHOLE,),
) -> Sums:
    """Compare spectra with the truth, row by row.

    Parameters
    ----------
    estimate, truth : arrays of shape (n, n_channel), counts per measured spot
    labels : int array of shape (n,), optional
        Region of each row; negative: leave it out, for instance where no patch measured. None: all are 0.
    regions : sequence of str
        Names of the regions.

    Raises
    ------
    InputError
        Shapes that differ, or an estimate that is not finite in a row that counts.
    """
    if estimate.shape != truth.shape or estimate.ndim != 2:
        raise InputError(
            f"the estimate has shape {estimate.shape}, the truth {truth.shape}; both are (n, channel)."
        )
    labels = _checked_labels(labels, len(truth), regions)
    total = no_sums(regions, truth.shape[1])
    for rows in _blocks(len(truth), truth.shape[1]):
        total = total + _block_sums(estimate[rows], truth[rows], labels[rows], total.regions)
    return total


def factor_sums(
    abundance: np.ndarray,
    endmember: np.ndarray,
    true_abundance: np.ndarray,
    true_endmember: np.ndarray,
    labels: np.ndarray | None = None,
    regions: Sequence[str] = (WHOLE,),
) -> Sums:
    """`row_sums` of ``abundance @ endmember`` and ``true_abundance @ true_endmember``, never multiplied out.

    With Z = [A, A_true] and E = [D; -D_true], the squared differences of a channel c are ``E_c^T (Z^T Z) E_c``
    and the products that angles need are those of rows of A and A_true with Gram matrices of D and D_true.

    Parameters
    ----------
    abundance, true_abundance : arrays of shape (n, n_atom), (n, n_true)
    endmember, true_endmember : arrays of shape (n_atom, n_channel), (n_true, n_channel)
    labels, regions
        As in `row_sums`.
    """
    names = tuple(regions)
    labels = _checked_labels(labels, len(abundance), names)
    D, T = np.asarray(endmember, np.float64), np.asarray(true_endmember, np.float64)
    if len(abundance) != len(true_abundance) or D.shape[1] != T.shape[1]:
        raise InputError(
            f"{len(abundance)} pixels of {D.shape[1]} channels cannot be compared with {len(true_abundance)} "
            f"pixels of {T.shape[1]} channels."
        )
    if not (labels >= 0).any():
        return no_sums(names, D.shape[1])
    degrees, gram = _factor_statistics(abundance, D, true_abundance, T, labels, len(names))
    E = np.vstack([D, -T])
    squared = np.array([np.einsum("kc,kc->c", E, one @ E) for one in gram])
    pixels = np.bincount(labels[labels >= 0], minlength=len(names))
    return Sums(names, pixels, np.maximum(squared, 0.0), degrees, factor_peak(true_abundance[labels >= 0], T))


def no_sums(regions: Sequence[str], n_channel: int) -> Sums:
    """The sums of no pixels at all, to begin adding with."""
    n = len(regions)
    return Sums(tuple(regions), np.zeros(n, np.int64), np.zeros((n, n_channel)), np.zeros(n), -np.inf)


def added(parts: Iterable[Sums]) -> Sums:
    """All parts together, added in their order."""
    first, *rest = parts
    for part in rest:
        first = first + part
    return first


def psnr(peak: float, rmse: Any) -> Any:
    """(24), ``20 log10(peak / rmse)`` in dB; inf where `rmse` is 0, NaN where the truth has no peak above 0."""
    if not peak > 0:
        return np.full(np.shape(rmse), np.nan)
    with np.errstate(divide="ignore"):
        return 20.0 * (np.log10(peak) - np.log10(rmse))


def spectral_angles(estimate: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(25) for each row, float64 (n,), degrees; two zero rows are 0 apart, a zero row and another 90."""
    products = (
        np.einsum("nc,nc->n", a, b) for a, b in ((estimate, truth), (estimate, estimate), (truth, truth))
    )
    return _degrees(*products)


def correlation(estimate: np.ndarray, truth: np.ndarray) -> float:
    """Pearson's correlation of two maps of one shape; NaN where either does not vary.

    Pixels where either map is not finite (not measured) are left out.
    """
    if np.shape(estimate) != np.shape(truth):
        raise InputError(f"maps of one shape are needed, got {np.shape(estimate)} and {np.shape(truth)}.")
    pair = np.stack([np.ravel(estimate), np.ravel(truth)]).astype(np.float64)
    pair = pair[:, np.isfinite(pair).all(axis=0)]
    if pair.shape[1] < 2 or (np.ptp(pair, axis=1) == 0).any():
        return float("nan")
    a, b = pair - pair.mean(axis=1, keepdims=True)
    return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1.0, 1.0))


def factor_peak(abundance: np.ndarray, endmember: np.ndarray) -> float:
    """Largest entry of ``abundance @ endmember``; channels that cannot hold it are never multiplied out.

    No entry of channel c exceeds the largest ``|A|_1`` of a row times the largest ``|D|`` of that channel, so
    channels are tried in falling order of this bound until the bound is no more than what was found.
    """
    D = np.asarray(endmember, np.float64)
    bound = np.abs(abundance).sum(axis=1, dtype=np.float64).max() * np.abs(D).max(axis=0)
    best = -np.inf
    for channel in np.argsort(-bound, kind="stable"):
        if bound[channel] <= best:
            break
        best = max(best, float((abundance @ D[:, channel]).max()))
    return best


def _block_sums(estimate: np.ndarray, truth: np.ndarray, labels: np.ndarray, regions: tuple[str, ...]) -> Sums:
    counted = labels >= 0
    Y, T, labels = estimate[counted].astype(np.float64), truth[counted].astype(np.float64), labels[counted]
    if not len(labels):
        return no_sums(regions, truth.shape[1])
    if not (np.isfinite(Y).all() and np.isfinite(T).all()):
        raise InputError("a spectrum to be compared is not finite; give such pixels a negative label.")
    n, angles, difference = len(regions), spectral_angles(Y, T), Y - T
    squared = np.array([np.square(difference[labels == i]).sum(axis=0) for i in range(n)])
    degrees = np.bincount(labels, weights=angles, minlength=n)
    return Sums(regions, np.bincount(labels, minlength=n), squared, degrees, float(T.max()))


def _factor_statistics(
    abundance: np.ndarray, D: np.ndarray, true_abundance: np.ndarray, T: np.ndarray, labels: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sums of angles (n,) and Gram matrices (n, k, k) of [A, A_true], for each of `n` regions."""
    k = len(D) + len(T)
    degrees, gram = np.zeros(n), np.zeros((n, k, k))
    cross, own, true = D @ T.T, D @ D.T, T @ T.T
    for rows in _blocks(len(labels), k):
        at = np.flatnonzero(labels[rows] >= 0) + rows.start
        A, B = abundance[at].astype(np.float64), true_abundance[at].astype(np.float64)
        terms = ((A, cross, B), (A, own, A), (B, true, B))
        angles = _degrees(*(np.einsum("nk,nk->n", left @ middle, right) for left, middle, right in terms))
        degrees += np.bincount(labels[at], weights=angles, minlength=n)
        Z = np.hstack([A, B])
        gram += [Z[labels[at] == i].T @ Z[labels[at] == i] for i in range(n)]
    return degrees, gram


def _degrees(product: np.ndarray, square: np.ndarray, true_square: np.ndarray) -> np.ndarray:
    """Angles from products of spectra; a row of zeros lies at 0 from another such row, at 90 from the rest."""
    norms = np.sqrt(np.maximum(square, 0.0) * np.maximum(true_square, 0.0))
    both_zero = (square <= 0) & (true_square <= 0)
    cosine = np.divide(product, norms, out=both_zero.astype(np.float64), where=norms > 0)
    return np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))


def _checked_labels(labels: np.ndarray | None, n: int, regions: Sequence[str]) -> np.ndarray:
    labels = np.zeros(n, np.int64) if labels is None else np.asarray(labels).astype(np.int64)
    if labels.shape != (n,) or (n and labels.max() >= len(regions)):
        raise InputError(
            f"labels must be {n} integers below {len(regions)} (regions {', '.join(regions)}), got shape "
            f"{labels.shape} with a maximum of {labels.max() if labels.size else 'nothing'}."
        )
    return labels


def _blocks(n: int, width: int) -> Iterator[slice]:
    """Slices of rows of at most `_BLOCK` entries each."""
    step = max(1, _BLOCK // max(width, 1))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))
