"""Bare numbers in a file, in any order of their axes: some rows and columns of a cube, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_IMAGES = 64  # images mapped and turned into spectra at once: a cache line holds as many channels


@dataclass(frozen=True, eq=False)
class Numbers:
    """Where the counts of a cube lie in a file."""

    path: Path
    dtype: np.dtype[Any]
    offset: int
    """Bytes before the first number."""
    shape: tuple[int, ...]
    """Sizes of the three axes as they lie in the file, the slowest first."""
    axes: tuple[int, int, int]
    """Which of them are y, x and channel."""

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Counts (rows, columns, n_channel), as they are in the file.

        The file is mapped anew each time, so that pages once read do not pile up in the process; where the
        channels do not lie together, a few of them at a time, for one map would hold pages of every image.
        """
        if self.axes[2] == 2:
            return self._mapped(rows, columns, slice(None))
        n_channel = self.shape[self.axes[2]]
        part = self._mapped(rows, columns, slice(0, 0)).shape[:2]
        out = np.empty((*part, n_channel), self.dtype)
        for first in range(0, n_channel, _IMAGES):
            channels = slice(first, min(first + _IMAGES, n_channel))
            out[..., channels] = self._mapped(rows, columns, channels)
        return out

    def _mapped(self, *region: slice) -> np.ndarray:
        """A view (y, x, channel) of a map of the whole file; only the pages that are touched are read."""
        whole = np.asarray(np.memmap(self.path, self.dtype, "r", self.offset, self.shape))
        return whole.transpose(self.axes)[region]
