"""What lies under the lines: SNIP, the statistics-sensitive peak clipping of Ryan et al. (1988)."""

from __future__ import annotations

import numpy as np

WIDTH_FWHM = 2.0
"""Half width of the widest clipping window, in FWHM: wider than a line, narrower than a slope."""

HATS = 24
"""How many hats over the energies `varied` multiplies a background with."""

_SMOOTH = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0


def snip(spectra: np.ndarray, fwhm_channels: np.ndarray) -> np.ndarray:
    """Background of spectra, at most the spectra as smoothed, float64 (n, n_channel).

    Each channel is clipped to the mean of its neighbours at p channels on both sides, for p from `WIDTH_FWHM`
    down to 1, on log log square roots of the counts: peaks narrower than that go, what is wider stays.

    Parameters
    ----------
    spectra : float array of shape (n, n_channel), counts, >= 0
        Of many counts a channel: on single counts the clipping ends up below the background.
    fwhm_channels : float array of shape (n_channel,)
        Full width at half maximum of a line at each channel, in channels.

    References
    ----------
    C. G. Ryan et al., Nucl. Instrum. Methods B 34 (1988) 396.
    """
    counts = np.maximum(np.asarray(spectra, float), 0.0)
    level = (
        np.maximum(counts.max(axis=1, keepdims=True), 1e-30) * 1e-4
    )  # log log needs a unit: that of a spectrum
    padded = np.pad(counts, ((0, 0), (2, 2)), mode="edge")
    smooth = sum(w * padded[:, i : i + counts.shape[1]] for i, w in enumerate(_SMOOTH)) / level
    v = np.log(np.log(np.sqrt(smooth + 1.0) + 1.0) + 1.0)
    reach = np.maximum(1, np.rint(WIDTH_FWHM * fwhm_channels)).astype(int)
    n, rising = counts.shape[1], np.maximum.accumulate(reach)  # lines are as wide or wider at higher energies
    for p in range(int(reach.max()), 0, -1):
        first, last = max(p, int(np.searchsorted(rising, p))), n - p
        if first < last:
            beside = v[:, first - p : last - p] + v[:, first + p : last + p]
            np.minimum(v[:, first:last], 0.5 * beside, out=v[:, first:last])
    out = ((np.exp(np.exp(v) - 1.0) - 1.0) ** 2 - 1.0) * level
    return np.asarray(np.maximum(out, 0.0))


def varied(background: np.ndarray, energy_kev: np.ndarray, lowest_kev: float) -> np.ndarray:
    """A background times hats that add up to one: its slow variations are non-negative mixtures of these.

    SNIP clips a spectrum of few counts too low; its background is that of many, slowly varied. The hats are
    four and more times wider than a line.

    Parameters
    ----------
    background, energy_kev : float arrays of shape (n_channel,)
    lowest_kev : float, keV
        Where the first hat peaks.

    Returns
    -------
    float64 array of shape (HATS, n_channel)
    """
    knots = np.geomspace(max(lowest_kev, 0.3), energy_kev[-1], HATS)
    return np.array([np.interp(energy_kev, knots, hat) for hat in np.eye(HATS)]) * background
