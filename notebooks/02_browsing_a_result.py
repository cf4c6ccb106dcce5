# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Browsing a result with xarray
#
# A small painted phantom is scanned and super-resolved (a minute), then looked at. Put the path of your own
# store in place of `store` and go on from the second cell. Open this file as a notebook with Jupytext, or
# run it with Python: the figures then lie beside it in `figures/`.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import xrfsr_dask as xs
from xrfsr_dask.options import BedroomOptions
from xrfsr_dask.phantom import write_painting

folder = Path("figures")
folder.mkdir(exist_ok=True)
store = folder / "room.zarr"
if not store.exists():
    write_painting(store, BedroomOptions.small())
    xs.super_resolve(store)

# %% [markdown]
# ## One labelled Dataset
#
# `open_result` computes nothing. The cube is there as `ds.cube (y, x, energy)`, but only what is asked of
# it is ever multiplied out; y and x are in mm from the top left corner, energies in keV.

# %%
ds = xs.open_result(store)
print(ds)

# %% [markdown]
# ## Which elements are there?
#
# Counts per measured spot of each element's line, and by how many standard errors it stands out in the
# measured patches, all lines fitted together. "overlaps" names what it had to be told apart from.

# %%
elements = ds.xrf.elements()
print(elements.round(1).to_string())

# %% [markdown]
# ## Element maps, by layer
#
# "visible" is what the photograph shows, "hidden" what it does not. `As` is told apart from `Pb`, whose La
# line lies within 10 eV of As Ka. Some hundredths of an element stray into the other layer: of what has no
# larger share there, believe nothing.

# %%
fig, axes = plt.subplots(3, 3, figsize=(13, 8.8), layout="compressed", sharex=True, sharey=True)
for row, element in zip(axes, ("Pb", "As", "Hg"), strict=True):
    for ax, layer in zip(row, ("all", "visible", "hidden"), strict=True):
        shown = ds.xrf.element(element, layer=layer).where(ds.coverage > 0)
        shown.plot.imshow(
            ax=ax,
            yincrease=False,
            cmap="magma",
            robust=True,
            vmin=0,
            cbar_kwargs={"label": "counts per spot", "shrink": 0.7},
        )
        ax.set_title(f"{element}, {'both layers' if layer == 'all' else layer}")
        ax.set_aspect("equal")
fig.savefig(folder / "02-maps.png", dpi=90)

# %% [markdown]
# ## Spectra: at a place, over a region, along a line
#
# The brightest place of the hidden copper is where the overpainted coat is.

# %%
copper = ds.xrf.element("Cu", layer="hidden").where(ds.coverage > 0).compute()
smooth = copper.rolling(y=9, x=9, center=True).mean()
at = smooth.isel(smooth.argmax(("y", "x")))
y, x = float(at.y), float(at.x)
region = (smooth > 0.5 * smooth.max()).values

fig, axes = plt.subplots(2, 1, figsize=(11, 7.5), layout="constrained")
for layer, colour in (("all", "black"), ("visible", "seagreen"), ("hidden", "firebrick")):
    ds.xrf.spectrum(y=y, x=x, layer=layer).plot(ax=axes[0], color=colour, label=layer, lw=1)
    ds.xrf.spectrum(mask=region, layer=layer).plot(ax=axes[1], color=colour, label=layer, lw=1)
for ax, title in zip(
    axes, (f"at x {x:.0f} mm, y {y:.0f} mm", "mean where hidden copper is strong"), strict=True
):
    ax.set(title=title, yscale="log", ylim=(1e-2, None), xlim=(0, 22), ylabel="counts per spot and channel")
    ax.legend(frameon=False)
fig.savefig(folder / "02-spectra.png", dpi=90)

# %%
width = float(ds.x[-1])
line = ds.xrf.profile((y, 5.0), (y, width - 5.0))
fig, ax = plt.subplots(figsize=(11, 4), layout="constrained")
np.log10(line.clip(1e-2)).plot.imshow(
    ax=ax,
    x="distance",
    y="energy",
    ylim=(1, 15),
    cmap="viridis",
    cbar_kwargs={"label": "log10 counts per spot"},
)
ax.set_title(f"all spectra along y = {y:.0f} mm")
fig.savefig(folder / "02-profile.png", dpi=90)

# %% [markdown]
# ## Does it agree with what was measured?
#
# `compare` looks at the result as a patch's beam would, and subtracts that from the counts: what is left
# should be noise. The same questions can be put to the patch itself.

# %%
compared = ds.xrf.compare("p02")
chi_square = float((compared.residual**2).sum() / compared.model.sum())
print(f"chi-square per channel of p02: {chi_square:.2f}")
patch = xs.open_patch(store, "p02")
print(patch.xrf.elements().head(5).round(1).to_string())

# %% [markdown]
# ## Out of the notebook
#
# `xrfsr report` writes all this as one page, `xrfsr maps` the maps as TIFF, `xrfsr export` the cube for
# HyperSpy or PyMca, and `ds.xrf.explore()` (or `xrfsr browse`) opens a page to click and lasso in.
