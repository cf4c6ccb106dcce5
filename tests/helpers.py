"""Checks and small paintings shared by all tests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from xrfsr_dask.beams import spot_window
from xrfsr_dask.store import Painting, Patch, PatchSpec, add_patch, create_painting, open_painting, placement
from xrfsr_dask.store.patches import CHUNK_SPOTS

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def adjoint_test(
    forward: Callable[[np.ndarray], np.ndarray],
    adjoint: Callable[[np.ndarray], np.ndarray],
    shape_in: tuple[int, ...],
    shape_out: tuple[int, ...],
    seed: int = 0,
) -> None:
    """<forward(a), b> = <a, adjoint(b)> for random a, b."""
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal(shape_in).astype("f4"), rng.standard_normal(shape_out).astype("f4")
    left, right = np.vdot(forward(a).astype(float), b), np.vdot(a.astype(float), adjoint(b))
    scale = np.linalg.norm(a) * np.linalg.norm(b)
    assert abs(left - right) < 1e-6 * scale


def gradient_test(
    value: Callable[[np.ndarray], float], gradient: np.ndarray, at: np.ndarray, seed: int = 0
) -> None:
    """A gradient against central differences along random directions, in float64."""
    rng = np.random.default_rng(seed)
    for _ in range(5):
        direction = rng.standard_normal(at.shape)
        h = 1e-5
        slope = (value(at + h * direction) - value(at - h * direction)) / (2 * h)
        assert np.isclose(slope, np.vdot(gradient, direction), rtol=1e-5, atol=1e-7 * np.linalg.norm(gradient))


PLACES = {
    "a": (placement(at_mm=(5, 5), step_mm=5), (36, 30), "box", None),
    "b": (placement(at_mm=(12, 15), step_mm=4.7, rotation_deg=1.7), (40, 29), "box", None),
    "c": (placement(at_mm=(100, 25), step_mm=4.7, rotation_deg=-1.2), (20, 20), "gaussian", 6.0),
}
"""Patches of the small painting: transform, spots, beam, spot size in mm; 1 mm is 1 px."""


def small_truth(ny: int = 230, nx: int = 170, n_channel: int = 64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Abundance (ny, nx, 4), endmembers (4, n_channel) in counts, and a photograph (ny, nx, 3) uint8."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:ny, :nx]
    blob = np.exp(-((y - 60.0) ** 2 + (x - 60.0) ** 2) / 2000)
    A = np.stack([blob, 0.5 + 0.5 * np.sin(x / 9.0), (y > 120) * 1.0, 0.2 + 0 * y], -1)
    A /= A.sum(-1, keepdims=True)
    D = 40 * rng.random((4, n_channel)) ** 6
    photo = (255 * np.clip(A @ rng.random((4, 3)), 0, 1)).astype("u1")
    return A.astype("f4"), D, photo


def overpainted(A: np.ndarray, D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A truth with one more endmember, of one peak, in a shape that the photograph does not show."""
    y, x = np.ogrid[: A.shape[0], : A.shape[1]]
    beneath = ((abs(y - 110) < 25) & (abs(x - 70) < 20)) | (abs(x - 0.7 * A.shape[1]) < 8)
    channel = np.arange(D.shape[1])
    peak = 60 * np.exp(-((channel - 0.6 * len(channel)) ** 2) / 4)
    return np.concatenate([A, beneath[..., None].astype("f4")], -1), np.concatenate([D, peak[None]])


@contextlib.contextmanager
def levels_from(side: int) -> Iterator[None]:
    """Results of more than `side` px have levels, here and in what this process has workers do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xrfsr_dask.store.results._SMALLEST_LEVEL", side)
        yield


def small_painting(path: Path, patches: str = "abc", *, gain: float = 1.0, n_channel: int = 64) -> Painting:
    """A painting of 230 x 170 px with aligned, turned and Gaussian patches of known truth."""
    A, D, photo = small_truth(n_channel=n_channel)
    create_painting(path, photo, width_mm=float(photo.shape[1]), transfer="linear")
    for name in patches:
        small_patch(path, name, A, D, gain=gain)
    return open_painting(path)


def small_patch(path: Path, name: str, A: np.ndarray, D: np.ndarray, *, gain: float = 1.0) -> None:
    """Add one patch of `PLACES` with Poisson counts, the same whatever else is in the store."""
    transform, spots, footprint, spot_mm = PLACES[name]
    spec = PatchSpec(
        shape=(*spots, D.shape[1]),
        dtype="u2",
        transform=transform,
        energy_kev=0.1 + 0.2 * np.arange(D.shape[1]),
        spot_mm=spot_mm,
        footprint=footprint,  # type: ignore[arg-type]
        gain=gain,
    )
    painted_patch(path, name, spec, A, D)


def painted_patch(path: Path, name: str, spec: PatchSpec, A: np.ndarray, D: np.ndarray) -> None:
    """Add a patch as its beam sees a truth, with Poisson counts that its name decides."""
    placed = Patch(
        "", name, spec.shape, spec.transform, spec.spot_mm, spec.footprint, spec.gain, "poisson", 0.0, 0.0
    )
    window = spot_window(open_painting(path), placed)
    mean = spec.gain * window.downsample(A[window.slices]) @ D
    counts = np.random.default_rng(ord(name)).poisson(mean).reshape(spec.shape).astype("u2")
    rows = range(0, spec.shape[0], CHUNK_SPOTS)
    add_patch(path, name, spec, ((r, counts[r : r + CHUNK_SPOTS]) for r in rows))


def tree_bytes(path: Path) -> dict[str, bytes]:
    """Every file of a folder with its bytes, to show that nothing was touched."""
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


M6_SPECTRUM = SHARED / "m6" / "bruker_m6_jetstream_file_example.spx"
"""A real spectrum of a million counts; tests that need it skip where it is not."""


def counts_of_m6() -> np.ndarray:
    """The counts of `M6_SPECTRUM`, float64 (n_channel,); the test is skipped where it cannot be read."""
    if not M6_SPECTRUM.exists():
        pytest.skip("needs the real .spx of ../shared/data/m6")
    rsciio = pytest.importorskip("rsciio.bruker")
    return np.asarray(rsciio.file_reader(str(M6_SPECTRUM))[0]["data"], float)
