"""How long a user waits before anything happens."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.measure import say, seconds


def startup() -> None:
    """Importing the package, and the command's help."""
    for name, command in {
        "import xrfsr_dask, s": [sys.executable, "-c", "import xrfsr_dask"],
        "xrfsr --help, s": [sys.executable, "-m", "xrfsr_dask", "--help"],
    }.items():
        bare = seconds(lambda: subprocess.run([sys.executable, "-c", ""], check=True))
        whole = seconds(lambda c=command: subprocess.run(c, check=True, stdout=subprocess.DEVNULL))
        say(name, whole, beyond_a_bare_interpreter=round(whole - bare, 3))
