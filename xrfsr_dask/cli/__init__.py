"""The command line: words -> options -> one call per command."""

from xrfsr_dask.cli.door import main

__all__ = ["main"]
