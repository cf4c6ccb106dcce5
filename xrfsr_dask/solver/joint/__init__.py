"""`method="joint"`: co-kriging of all patches with the photograph, then non-negative factors of both layers.

`METHOD.md` one floor up, section "joint", is the model as built.
"""

from xrfsr_dask.solver.joint.stages import run, task_count

__all__ = ["run", "task_count"]
