"""One method on one scene, run once: its figures are kept, so that an interrupted series goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import xrfsr_dask as xs
from benchmarks.experiments.scenes import SCENES, Scene
from xrfsr_dask.api import Compared
from xrfsr_dask.errors import MemoryBudgetError

MEMORY = 2 * 10**9


def kept(folder: Path, name: str, make: Callable[[], Any]) -> Any:
    """What `make` gives, as JSON in a file of this name; read back where it is there already."""
    path = folder / f"{name}.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        found = make()
        unfinished = path.with_suffix(".partial")
        unfinished.write_text(json.dumps(found, indent=1))
        unfinished.rename(path)
    return json.loads(path.read_text())


def kept_rows(folder: Path, series: str, names: Iterable[str], make: Callable[[str], Any]) -> list[Any]:
    """What `make` gives for every name, each kept by its number in the series."""
    return [kept(folder, f"{series}-{i:02d}", partial(make, name)) for i, name in enumerate(names)]


def judged(scene: Scene, method: str, **options: Any) -> Compared:
    """A method's answer to a scene, against its truth."""
    truth = scene.truth
    found = xs.compare(
        scene.counts,
        scene.photo,
        factor=scene.factor,
        energy=scene.energy_kev,
        noise=scene.noise,  # type: ignore[arg-type]
        methods=(method,),
        truth=(truth.abundance, truth.endmember),
        labels=truth.region,
        regions=truth.regions,
        memory=MEMORY,
        **options,
    )
    return found[method]


def figures_of(folder: Path, scene_name: str, seed: int, method: str) -> dict[str, Any]:
    """RMSE, PSNR, SAM by region, PSNR of each channel, seconds; a reason where a method cannot run."""

    def make() -> dict[str, Any]:
        scene = SCENES[scene_name](seed)
        try:
            found = judged(scene, method)
        except MemoryBudgetError as error:
            return {"left_out": str(error)}
        keep_rows(folder / f"{scene_name}-{seed}-{method}.npz", scene, found)
        assert found.sums is not None
        return {
            "figures": found.figures,
            "seconds": found.seconds,
            "psnr_per_channel": found.sums.psnr_per_channel().tolist(),
        }

    return dict(kept(folder, f"{scene_name}-{seed}-{method}", make))


def keep_rows(path: Path, scene: Scene, found: Compared) -> None:
    """Keep what the pictures show of an estimate: channels of a map, and spectra of a few pixels."""
    shown = Shown.of(scene)
    ny = scene.photo.shape[0]
    parts = [slice(y, min(y + 16, ny)) for y in range(0, ny, 16)]
    values = np.concatenate([found.estimate.rows(part)[..., shown.channels] for part in parts])
    spectra = [found.estimate.rows(slice(y, y + 1))[0, x] for y, x in shown.pixels]
    np.savez_compressed(path, map=values.sum(axis=2), spectra=spectra)


class Shown:
    """Which channels and pixels of a scene the pictures show."""

    def __init__(self, channels: slice, pixels: list[tuple[int, int]]) -> None:
        self.channels, self.pixels = channels, pixels

    @classmethod
    def of(cls, scene: Scene) -> Shown:
        """Channels around that in which what lies hidden varies most above noise, and each region's middle."""
        truth = scene.truth
        hidden = truth.layer == 1
        share = np.cov(truth.abundance[..., hidden].reshape(-1, hidden.sum()).T).reshape(hidden.sum(), -1)
        E = truth.endmember[hidden].astype(np.float64)
        usual = truth.abundance.mean(axis=(0, 1)) @ truth.endmember
        peak = int((np.einsum("kc,kl,lc->c", E, share, E) / (usual + 1e-6)).argmax())
        width = max(2, len(usual) // 128)
        pixels = []
        for region in range(len(truth.regions)):
            at = np.argwhere(truth.region == region)
            middle = at.mean(axis=0)
            pixels.append(tuple(int(v) for v in at[np.square(at - middle).sum(axis=1).argmin()]))
        return cls(slice(max(0, peak - width), peak + width + 1), pixels)  # type: ignore[arg-type]
