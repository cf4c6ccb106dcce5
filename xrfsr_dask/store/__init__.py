"""The painting store: one Zarr v3 hierarchy that holds photograph, patches, results and work.

Readable with plain ``xarray.open_datatree(path, engine="zarr", consolidated=False)``.
"""

from xrfsr_dask.store.adding import add_patch
from xrfsr_dask.store.painting import Painting, create_painting, open_painting
from xrfsr_dask.store.patches import Patch, PatchSpec, placement

__all__ = ["Painting", "Patch", "PatchSpec", "add_patch", "create_painting", "open_painting", "placement"]
