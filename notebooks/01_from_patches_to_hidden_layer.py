# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # From patches to the hidden layer
#
# A room is painted over a sitter whom nobody sees. A scanner takes four coarse patches of it; together with the
# photograph they give the whole painting at the photograph's resolution, and the sitter back. All of it is a
# phantom, so every map can be held beside its truth.
#
# To paint from a photograph of your own, set `XRFSR_PHOTO` to its path before you run this, or write it here in
# place of `None`. It takes about a minute.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.colors import to_rgb
from PIL import Image

import xrfsr_dask as xs
from xrfsr_dask.options import BedroomOptions
from xrfsr_dask.phantom import write_painting

PHOTO = os.environ.get("XRFSR_PHOTO") or None

folder = Path("figures")
folder.mkdir(exist_ok=True)
scene = BedroomOptions.small()
photo = None
if PHOTO is not None:
    picture = Image.open(PHOTO).convert("RGB")
    picture.thumbnail((scene.shape[1], scene.shape[1]))
    photo = np.asarray(picture)
store = folder / f"{'room' if PHOTO is None else Path(PHOTO).stem}.zarr"
if not store.exists():
    write_painting(store, scene, photo=photo)

# %% [markdown]
# ## What the scanner gives
#
# Each patch has a thousand spots and a spectrum in each. They lie a little turned on the painting, and overlap.
# Chromium is in the yellow and in one of the greens.

# %%
rgb = xr.open_dataset(store, group="rgb/0", engine="zarr", consolidated=False).image
names = [patch.name for patch in xs.open_painting(store).patches]
patches = {name: xs.open_patch(store, name) for name in names}
chromium = {name: patch.xrf.element("Cr").compute() for name, patch in patches.items()}
brightest = max(float(values.quantile(0.997)) for values in chromium.values())
sizes = patches[names[0]].sizes
print(f"{len(names)} patches of {sizes['spot_x']} x {sizes['spot_y']} spots, {sizes['energy']} channels")


def upright(ax, title):
    """The whole painting in mm, its top on top."""
    ax.set(title=title, xlabel="x (mm)", ylabel="y (mm)", aspect="equal", facecolor="0.85")
    ax.set_xlim(0, float(rgb.x[-1] + rgb.x[0]))
    ax.set_ylim(float(rgb.y[-1] + rgb.y[0]), 0)


fig, axes = plt.subplots(1, 2, figsize=(13, 4.9), layout="constrained")
for ax in axes:
    rgb.plot.imshow(ax=ax, rgb="band", add_labels=False, alpha=1.0 if ax is axes[0] else 0.0)
for name, values in chromium.items():
    edge = [values.isel(spot_y=i, spot_x=j) for i, j in ((0, 0), (0, -1), (-1, -1), (-1, 0), (0, 0))]
    x, y = ([float(corner[axis]) for corner in edge] for axis in "xy")
    axes[0].plot(x, y, color="black", lw=2.2)
    axes[0].plot(x, y, color="white", lw=1.1)
    axes[0].text(x[0] + 2, y[0] + 8, name, color="white", weight="bold")
    drawn = axes[1].pcolormesh(
        values.x, values.y, values, cmap="magma", vmin=0, vmax=brightest, shading="nearest"
    )
fig.colorbar(drawn, ax=axes[1], label="counts per spot", shrink=0.9)
upright(axes[0], "the photograph, and where the patches lie")
upright(axes[1], "Cr Kα as measured")
fig.savefig(folder / "01-measured.png", dpi=90)

# %% [markdown]
# ## The whole painting at the photograph's resolution
#
# One call. In a terminal it is `xrfsr solve room.zarr`.

# %%
ds = xs.open_result(store) if (store / "results" / "joint").exists() else xs.super_resolve(store)
truth = xs.open_result(store, "truth")
measured = ds.coverage.compute() > 0
print(f"{ds.sizes['x']} x {ds.sizes['y']} px of {ds.sizes['energy']} channels: {ds.cube.nbytes / 1e9:.1f} GB")
print(f"kept as factors of {(ds.abundance.nbytes + ds.endmember.nbytes) / 1e6:.0f} MB")


def drawn_map(ax, values, title, top):
    image = values.where(measured).plot.imshow(
        ax=ax, cmap="magma", vmin=0, vmax=top, add_labels=False, add_colorbar=False
    )
    upright(ax, title)
    return image


fig, axes = plt.subplots(2, 2, figsize=(13, 9.6), layout="compressed")
for row, element in zip(axes, ("Cr", "Pb"), strict=True):
    line = ds.xrf.element(element).compute(), truth.xrf.element(element).compute()
    top = float(line[1].quantile(0.997))
    drawn_map(row[0], line[0], f"{element}, super-resolved", top)
    last = drawn_map(row[1], line[1], f"{element}, truth", top)
    fig.colorbar(last, ax=row, label="counts per spot", shrink=0.9)
fig.savefig(folder / "01-super-resolved.png", dpi=90)

# %% [markdown]
# ## What the photograph does not show
#
# The hidden layer is what the counts hold and the colours do not explain. Mercury is in the sitter's flesh,
# copper in the coat, and the wood of the stretcher scatters the tube's light. Each becomes a light of its own
# colour, dark at the median of its map and brightest at its 99.5th percentile.


# %%
LIGHTS = {"flesh (Hg Lα)": "#ff8f73", "coat (Cu Kα)": "#4fc98a", "wood (scatter)": "#8d7bff"}


def hidden_colours(result):
    """Flesh, coat and wood of the hidden layer, each as a light of its colour: (y, x, band) from 0 to 1."""
    hidden = (
        result.xrf.element("Hg", layer="hidden"),
        result.xrf.element("Cu", layer="hidden"),
        result.xrf.roi(15.0, 19.5, layer="hidden"),
    )
    out = np.zeros((*measured.shape, 3))
    for values, light in zip(hidden, LIGHTS.values(), strict=True):
        inside = values.where(measured).compute()
        low, high = inside.quantile(0.5), inside.quantile(0.995)
        out += ((inside - low) / (high - low)).clip(0, 1).fillna(0).values[..., None] * np.array(to_rgb(light))
    return xr.DataArray(out.clip(0, 1), dims=("y", "x", "band"), coords={"y": result.y, "x": result.x})


fig, axes = plt.subplots(1, 3, figsize=(15, 4.6), layout="compressed", sharey=True)
rgb.plot.imshow(ax=axes[0], rgb="band", add_labels=False)
upright(axes[0], "what is seen")
for ax, result, title in zip(axes[1:], (ds, truth), ("what lies beneath", "its truth"), strict=True):
    hidden_colours(result).plot.imshow(ax=ax, rgb="band", add_labels=False)
    upright(ax, title)
    ax.set_ylabel("")
for line, (name, light) in enumerate(LIGHTS.items()):
    axes[1].text(0.69, 0.88 - 0.07 * line, name, color=light, transform=axes[1].transAxes, weight="bold")
fig.savefig(folder / "01-hidden-layer.png", dpi=110)

# %% [markdown]
# ## One place, both layers
#
# Over the coat the spectrum comes apart: the paint that is seen, and manganese, iron, copper and arsenic under
# it. Look at calcium: the ground lies beneath everything, and what is hidden everywhere cannot be told from
# what is visible everywhere, so it is counted as visible (`docs/joint.md`). The sum of both layers does not
# depend on that.

# %%
copper = truth.xrf.element("Cu", layer="hidden").where(measured).compute()
smooth = copper.rolling(y=15, x=15, center=True).mean()
at = smooth.isel(smooth.argmax(("y", "x")))
y, x = float(at.y), float(at.x)
LINES = {"Ca": 3.69, "Mn": 5.90, "Fe": 6.40, "Cu": 8.05, "Zn": 8.64, "As, Pb": 10.55, "Pb": 12.61}  # keV

fig, axes = plt.subplots(2, 1, figsize=(12, 7.5), layout="constrained", sharex=True)
for ax, layer in zip(axes, ("visible", "hidden"), strict=True):
    true = truth.xrf.spectrum(y=y, x=x, layer=layer).clip(1e-3)
    ax.fill_between(true.energy, 1e-3, true, color="0.8", step="mid", label="truth")
    ds.xrf.spectrum(y=y, x=x, layer=layer).clip(1e-3).plot(
        ax=ax, color="firebrick", lw=1, label="super-resolved"
    )
    for name, energy in LINES.items():
        ax.axvline(energy, color="0.5", lw=0.6, ls=":")
        ax.annotate(name, (energy, 1), xycoords=ax.get_xaxis_transform(), ha="center", va="bottom", fontsize=9)
    ax.set(
        yscale="log",
        xlim=(0, 22),
        ylim=(1e-2, None),
        xlabel="energy (keV)",
        ylabel="counts per spot and channel",
    )
    ax.set_title("")
    ax.set_title(f"{layer} layer at x {x:.0f} mm, y {y:.0f} mm", loc="left", pad=16)
    ax.legend(frameon=False)
axes[0].set_xlabel("")
fig.savefig(folder / "01-spectra.png", dpi=90)

# %% [markdown]
# ## Go on
#
# `02_browsing_a_result.py` asks this result more questions, `04_how_far_to_trust_it.py` doubts it, and
# `03_bring_your_own_scan.py` does the same with files of an instrument.
