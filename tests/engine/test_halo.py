"""The halo of a visit: as wide as what is wrong at its edge can come in k steps, and no pixel less."""

import numpy as np
import pytest

from xrfsr_dask.beams import beam_of
from xrfsr_dask.kernels.abundance import abundance_steps, step_matrices
from xrfsr_dask.kernels.abundance_spots import TileSpots
from xrfsr_dask.kernels.sampling import Beam, needed_bounds, touching
from xrfsr_dask.store import Patch, placement

SHAPE = (230, 240)
CORE = (100, 130, 105, 135)
N_V, N_NV = 4, 3


KINDS = [
    *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("aligned", "turned", "gaussian")),
    "all three",
]


def beams_of(kind: str) -> list[Beam]:
    found = {
        "aligned": Beam(np.array([[5.0, 0, 22], [0, 5, 27], [0, 0, 1]]), (36, 36), SHAPE),
        "turned": made(4.7, 1.7, "box", None),
        "gaussian": made(5.3, -1.2, "gaussian", 6.5),
    }
    return list(found.values()) if kind == "all three" else [found[kind]]


def made(step, turn, footprint, spot) -> Beam:
    n = int(170 / step)
    place = placement(at_mm=(28, 30), step_mm=step, rotation_deg=turn)
    patch = Patch("", "p", (n, n, 1), place, spot, footprint, 1.0, "poisson", 1.0, 1.0)
    return beam_of(patch, SHAPE, 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_wrong_outside_the_halo_never_reaches_the_tile(kind):
    """k = 1 ... 12: the inside is bitwise that of one whole tile; the wrong ring ends at the tile's border."""
    rng = np.random.default_rng(0)
    beams = beams_of(kind)
    windows = [b.windows() for b in beams]
    A = rng.dirichlet(np.ones(N_V + N_NV), SHAPE).astype("f4")
    photo = rng.random((*SHAPE, 3)).astype("f4")
    C = [rng.random((len(w), N_NV)).astype("f4") for w in windows]
    Dv, Dnv, Drgb = rng.random((N_V, 9)), rng.random((N_NV, 9)), rng.random((N_V, 3))
    m = step_matrices(Dnv @ Dnv.T, Dv @ Dnv.T, Drgb, lam=0.1, gamma=1.01, exact=False)

    def spots(bounds):
        index = [touching(w, bounds) for w in windows]
        parts = zip(beams, windows, C, index, strict=True)
        return [TileSpots(b.footprints(i), w[i], np.ascontiguousarray(c[i]), 0.8) for b, w, c, i in parts]

    def stepped(start, steps):
        whole = (0, SHAPE[0], 0, SHAPE[1])
        return abundance_steps(start.copy(), photo, spots(whole), m, [whole] * (steps + 1), shape=SHAPE)

    widths = []
    for steps in range(1, 13):
        regions = needed_bounds(CORE, windows, steps=steps, margin=1, shape=SHAPE)
        y0, y1, x0, x1 = regions[-1]
        assert y0 > 0
        assert y1 < SHAPE[0]
        halo = max(CORE[0] - y0, y1 - CORE[1], CORE[2] - x0, x1 - CORE[3])
        right = stepped(A, steps)
        core = slice(*CORE[:2]), slice(*CORE[2:])
        cut = np.ascontiguousarray(A[y0:y1, x0:x1]), np.ascontiguousarray(photo[y0:y1, x0:x1])
        got = abundance_steps(cut[0], cut[1], spots(regions[-2]), m, regions, shape=SHAPE)
        inside = slice(CORE[0] - y0, CORE[1] - y0), slice(CORE[2] - x0, CORE[3] - x0)
        np.testing.assert_array_equal(got[inside], right[core])
        other = rng.dirichlet(np.ones(N_V + N_NV), SHAPE).astype("f4")
        other[y0:y1, x0:x1] = A[y0:y1, x0:x1]  # wrong everywhere but in tile and halo
        wrong = (stepped(other, steps) != right).any(axis=2)
        assert not wrong[core].any()
        ring = np.argwhere(~wrong[y0:y1, x0:x1])
        reached = max(
            ring.min(axis=0).max(), min(y1 - y0 - 1 - ring[:, 0].max(), x1 - x0 - 1 - ring[:, 1].max())
        )
        widths.append((steps, int(halo), int(reached)))
        assert reached <= halo
        assert reached >= 1  # there is a ring; further in, what is wrong drowns in the rounding
    print(kind, "(steps, halo px, wrong ring px):", widths)
