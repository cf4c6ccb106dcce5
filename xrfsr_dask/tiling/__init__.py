"""Many tiles: planning them, and handing plain functions of them to Dask. Knows no physics."""
