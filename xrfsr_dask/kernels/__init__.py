"""One tile in memory: numpy in, numpy out. Knows no Dask and no Zarr."""
