"""Super-resolve X-ray fluorescence scans of whole paintings, out of core, on Dask."""

__version__ = "0.1.0"
