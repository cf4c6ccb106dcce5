"""From a painting to a result: Algorithm 1 over all patches at once, out of core.

`METHOD.md` beside this file is the model as built.
"""

from xrfsr_dask.solver.outer import solve
from xrfsr_dask.solver.planning import fitting_workers, plan_run
from xrfsr_dask.solver.run import Plan

__all__ = ["Plan", "fitting_workers", "plan_run", "solve"]
