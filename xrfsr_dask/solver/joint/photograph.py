"""The photograph as `joint` looks at it: smoothed where a scan lies out of place."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.ndimage import gaussian_filter

from xrfsr_dask.solver.joint import model
from xrfsr_dask.solver.run import Plan
from xrfsr_dask.tiling.grid import Rect

_REACH = 2.0  # standard deviations


def smoothing_px(plan: Plan, patches: Iterable[str]) -> float:
    """How far the photograph is smoothed where these patches speak, px; 0 where all lie as they should."""
    chosen = model.load_placing(plan)["smoothed_px"]
    return max((chosen.get(name, 0.0) for name in patches), default=0.0)


def photograph(plan: Plan, area: Rect, smoothing: float) -> np.ndarray:
    """Linear light (ny, nx, n_band) of an area, smoothed over `smoothing` px."""
    if not smoothing:
        return plan.painting.photograph(area.slices)
    around = area.grown(int(_REACH * smoothing + 0.5), plan.painting.shape)
    image = plan.painting.photograph(around.slices)
    smooth = gaussian_filter(image, (smoothing, smoothing, 0.0), truncate=_REACH, mode="nearest")
    return np.ascontiguousarray(smooth[area.within((around.y0, around.x0))])
