"""Paintings with known truth."""

from __future__ import annotations

from dataclasses import dataclass

from xrfsr_dask.options.checks import seed
from xrfsr_dask.values import is_number, require, shown, whole


@dataclass(frozen=True, kw_only=True)
class ChartOptions:
    """The paper's synthetic scene (its section V-C): a resolution chart over hidden rectangles."""

    shape: tuple[int, int] = (345, 490)
    """(ny, nx) HR px."""
    factor: int = 5
    """HR px per spot along each axis; divides both sizes."""
    n_channel: int = 1024
    """Channels of the spectra."""
    snr_db: float = 35.0
    """Mean square of the spots' spectra over that of the Gaussian noise, dB."""
    seed: int = 0
    """Seed of the noise."""

    def __post_init__(self) -> None:
        whole("factor", self.factor, least=1)
        whole("n_channel", self.n_channel, least=64)
        seed(self.seed)
        require(min(self.shape) >= 40, f"the chart needs at least 40 x 40 px, got {self.shape}.")
        fits = not any(n % self.factor for n in self.shape)
        require(fits, f"factor {self.factor} does not divide a chart of {self.shape} px.")
        require(is_number(self.snr_db), f"snr_db must be finite, got {shown(self.snr_db)}.")


@dataclass(frozen=True, kw_only=True)
class BedroomOptions:
    """The painted phantom: a photograph, paints with real lines, layers beneath, overlapping patches."""

    shape: tuple[int, int] = (1320, 1686)
    """(ny, nx) px of our own picture; a given photograph brings its own."""
    width_mm: float = 923.0
    """Width of the painting, mm."""
    n_patches: int = 10
    """Number of scans."""
    spots: tuple[int, int] = (96, 85)
    """(ny, nx) spots of each scan."""
    n_channel: int = 4096
    """Channels of each spectrum."""
    overlap_spots: tuple[int, int] = (6, 10)
    """Least and largest overlap of neighbours, spots, at the middle of their common edge."""
    max_turn_deg: float = 2.0
    """Each patch is turned by up to this, either way."""
    dwell_s: float = 0.05
    """Time per spot, s."""
    counts_per_s: float = 120_000.0
    """Count rate on an average colour, 1/s."""
    hidden: bool = True
    """Whether a figure, stretcher bars and tacks lie beneath."""
    seed: int = 0
    """Seed of picture, layers, places and counts."""

    def __post_init__(self) -> None:
        require(min(self.shape) >= 16, f"the picture needs at least 16 x 16 px, got {self.shape}.")
        require(min(self.spots) >= 1, f"a patch needs at least one spot, got {self.spots}.")
        whole("n_patches", self.n_patches, least=1)
        whole("n_channel", self.n_channel, least=16, most=4096)
        least, most = self.overlap_spots
        shortest = min(self.spots)
        fits = 0 <= least <= most < shortest or self.n_patches == 1
        require(fits, f"overlap_spots must rise from 0 to below {shortest}, got {self.overlap_spots}.")
        turns = is_number(self.max_turn_deg) and 0 <= self.max_turn_deg <= 45
        require(turns, f"max_turn_deg must be 0 to 45, got {shown(self.max_turn_deg)}.")
        for name in ("width_mm", "dwell_s", "counts_per_s"):
            value = getattr(self, name)
            require(is_number(value) and value > 0, f"{name} must be more than 0, got {shown(value)}.")
        require(self.counts_per_spot <= 1e7, f"{self.counts_per_spot:g} counts per spot are more than 1e7.")
        seed(self.seed)

    @property
    def counts_per_spot(self) -> float:
        """Counts of one spot on an average colour."""
        return self.dwell_s * self.counts_per_s

    @classmethod
    def small(cls, *, seed: int = 0) -> BedroomOptions:
        """A study of the room: four patches, 1024 channels, solved within minutes."""
        return cls(
            shape=(304, 388), width_mm=212.0, n_patches=4, spots=(34, 40), n_channel=1024, seed=seed
        )  # fmt: skip

    @classmethod
    def bedroom(cls, *, seed: int = 0) -> BedroomOptions:
        """The whole painting: ten patches of 96 x 85 spots with 4096 channels, over 2 million px."""
        return cls(seed=seed)
