"""``python -m xrfsr_dask`` is the command ``xrfsr``."""

import sys

from xrfsr_dask.cli import main

sys.exit(main())
