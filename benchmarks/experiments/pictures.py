"""The paper's Fig. 6 to 9 on our scenes: PSNR of every channel, maps of a region, a spectrum."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.experiments.runs import Shown, figures_of
from benchmarks.experiments.scenes import SCENES, Scene
from xrfsr_dask.view import figures
from xrfsr_dask.view.panels import Panel, Spot, draw_spectra

CURVES = ("cubic", "paper", "baseline1", "baseline2", "csusr", "hysure", "palette", "joint")
MAPS = ("cubic", "nssr", "csusr", "hysure", "guided", "palette", "paper", "joint")


def draw(folder: Path, pictures: Path, name: str) -> list[Path]:
    """All pictures of one scene, from what its table kept."""
    scene = SCENES[name](0)
    return [
        _curves(folder, pictures / f"{name}-psnr-per-channel.png", name, scene),
        _maps(folder, pictures / f"{name}-maps.png", name, scene),
        _spectra(folder, pictures / f"{name}-spectra.png", name, scene),
    ]


def _curves(folder: Path, path: Path, name: str, scene: Scene) -> Path:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    ax = figure.subplots()
    width = max(1, len(scene.energy_kev) // 128)
    for method in CURVES:
        found = figures_of(folder, name, 0, method)
        if "left_out" not in found:
            values = np.array(found["psnr_per_channel"])
            smooth = np.convolve(values, np.ones(width) / width, mode="same")
            ax.plot(scene.energy_kev, smooth, lw=1.8 if method == "joint" else 0.9, label=method)
    ax.set_xlabel("energy (keV)")
    ax.set_ylabel(f"PSNR (dB), mean of {width} channels")
    ax.legend(frameon=False, ncols=2, fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    return figures.save(figure, path, dpi=90)


def _maps(folder: Path, path: Path, name: str, scene: Scene) -> Path:
    """The channels of what lies hidden, in the part of the scene around its middle."""
    shown, f = Shown.of(scene), scene.factor
    ny, nx = scene.photo.shape[:2]
    y0, x0 = int(0.3 * ny) // f * f, int(0.28 * nx) // f * f
    part = slice(y0, y0 + 24 * f), slice(x0, x0 + 30 * f)
    low_part = slice(y0 // f, y0 // f + 24), slice(x0 // f, x0 // f + 30)
    y, x = np.arange(part[0].start, part[0].stop) + 0.5, np.arange(part[1].start, part[1].stop) + 0.5
    low = scene.counts[low_part][..., shown.channels].sum(axis=2)
    truth = scene.truth.abundance[part] @ scene.truth.endmember[:, shown.channels].sum(axis=1)
    panels = [
        Panel(
            values=low, y_mm=y.reshape(-1, f).mean(axis=1), x_mm=x.reshape(-1, f).mean(axis=1), title="counts"
        ),
        Panel(values=scene.photo[part] / 255.0, y_mm=y, x_mm=x, title="photograph"),
    ]
    for method in MAPS:
        kept = folder / f"{name}-0-{method}.npz"
        if kept.exists():
            panels.append(Panel(values=np.load(kept)["map"][part], y_mm=y, x_mm=x, title=method))
    panels.append(Panel(values=truth, y_mm=y, x_mm=x, title="truth"))
    energy = scene.energy_kev[shown.channels]
    title = f"{energy[0]:.2f} to {energy[-1]:.2f} keV"
    return figures.save(figures.comparison(panels, title=title, columns=4, unit="px"), path, dpi=80)


def _spectra(folder: Path, path: Path, name: str, scene: Scene) -> Path:
    """One pixel of every region: its spot as measured, `paper`, `joint` and the truth."""
    from matplotlib.figure import Figure

    shown = Shown.of(scene)
    figure = Figure(figsize=(9, 3.4 * len(shown.pixels)), layout="constrained")
    for i, ax in enumerate(figure.subplots(len(shown.pixels), 1, squeeze=False).flat):
        y, x = shown.pixels[i]
        spectra = {
            "truth": scene.truth.abundance[y, x] @ scene.truth.endmember,
            "spot as measured": scene.counts[y // scene.factor, x // scene.factor],
        }
        for method in ("paper", "joint"):
            kept = folder / f"{name}-0-{method}.npz"
            if kept.exists():
                spectra[method] = np.load(kept)["spectra"][i]
        title = f"{scene.truth.regions[i]}: pixel ({y}, {x})"
        draw_spectra(ax, Spot(y_mm=y, x_mm=x, title=title, energy_kev=scene.energy_kev, spectra=spectra))
        for line, colour in zip(ax.get_lines(), ("0.6", "tab:blue", "#c8443a"), strict=False):
            line.set_color(colour)
        ax.legend(frameon=False, loc="upper right", fontsize=8)
    return figures.save(figure, path, dpi=80)
