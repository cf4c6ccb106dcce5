"""`xrfsr new`: a painting store around one photograph."""

from __future__ import annotations

from pathlib import Path

from xrfsr_dask.readers import read_photograph
from xrfsr_dask.store import Painting, create_painting


def new(
    path: str | Path, photo: str | Path, *, width_mm: float, transfer: str = "srgb"
) -> tuple[Painting, tuple[str, ...]]:
    """Create a store at `path` around the photograph in the file `photo`.

    Parameters
    ----------
    path : str or Path
        Where the store is to be; nothing may be there yet.
    photo : str or Path
        TIFF, PNG or JPEG of the whole painting.
    width_mm : float
        Width of what the photograph shows, mm.
    transfer : {"srgb", "linear"}
        How the photograph's values relate to light.

    Returns
    -------
    (painting, notes)
        The opened store, and what was dropped or turned in the photograph, a sentence each.
    """
    photograph = read_photograph(photo)
    painting = create_painting(
        path, photograph.image, width_mm=width_mm, transfer=transfer, source=photograph.source
    )
    return painting, photograph.notes
