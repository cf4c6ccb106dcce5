"""Files that other programs open: cubes piece by piece, maps as pictures and pyramids."""

from xrfsr_dask.writers.protocol import FORMATS, Format, Part, format_of

__all__ = ["FORMATS", "Format", "Part", "format_of"]
