# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # How far to trust it
#
# A super-resolved map shows more than was measured, so it has to be doubted. Four questions, each with what
# answers it: was it measured here at all (coverage)? Does the result explain the counts (chi-square)? How much
# of a pixel rests on counts and how much on the photograph (evidence)? What does the method make of a scan
# whose other half is kept back (`evaluate`)? The phantom's truth then shows what these answers are worth. It
# takes about a minute and a half.

# %%
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from PIL import Image

import xrfsr_dask as xs
from xrfsr_dask.cli import main
from xrfsr_dask.options import BedroomOptions
from xrfsr_dask.phantom import aligned_painting, write_painting

folder = Path("figures")
folder.mkdir(exist_ok=True)
store = folder / "room.zarr"
if not store.exists():
    write_painting(store, BedroomOptions.small())
ds = xs.open_result(store) if (store / "results" / "joint").exists() else xs.super_resolve(store)

# %% [markdown]
# ## Coverage, chi-square, evidence
#
# Coverage is how many measured spots lie over a pixel. Chi-square is of each spot, per degree of freedom: 1
# where the result, seen through the beam, differs from the counts by no more than their noise. Evidence is the
# share of a pixel's uncertainty, given the photograph, that the counts take away. `xrfsr report` draws all
# three.

# %%
height, width = (float(axis[-1] + axis[0]) for axis in (ds.y, ds.x))
measured = ds.coverage.compute() > 0
fig, axes = plt.subplots(1, 3, figsize=(15, 4.3), layout="constrained", sharey=True)
covered = ds.coverage.where(measured).plot.imshow(
    ax=axes[0], cmap="viridis", add_labels=False, add_colorbar=False
)
names = [patch.name for patch in xs.open_painting(store).patches]
for name in names:
    at = xs.open_patch(store, name)
    group = f"results/{ds.attrs['result']}/fit/{name}"
    chi = xr.open_dataset(store, group=group, engine="zarr", consolidated=False).chi_square
    fit = axes[1].pcolormesh(at.x, at.y, chi, cmap="RdBu_r", vmin=0, vmax=2, shading="nearest")
seen = ds.evidence.where(measured).plot.imshow(
    ax=axes[2], cmap="cividis", vmin=0.5, vmax=1, add_labels=False, add_colorbar=False
)
about = (
    (covered, "coverage", "measured spots over a pixel"),
    (fit, "chi-square of each spot", "per degree of freedom"),
    (seen, "evidence", "share of uncertainty removed"),
)
for ax, (image, title, unit) in zip(axes, about, strict=True):
    ax.set(title=title, xlabel="x (mm)", ylabel="", aspect="equal", facecolor="0.85")
    ax.set(xlim=(0, width), ylim=(height, 0))
    fig.colorbar(image, ax=ax, label=unit, shrink=0.75, format="%g")
axes[0].set_ylabel("y (mm)")
fig.savefig(folder / "04-coverage-fit-evidence.png", dpi=90)

# %% [markdown]
# ## What evidence is worth
#
# Pixels are sorted by evidence into eight parts of equal size, and each part's maps are held against the truth.
# The lower the evidence, the larger the errors, for every element: evidence tells where to look twice, though
# not how large an error is.

# %%
truth = xs.open_result(store, "truth")
evidence = ds.evidence.values[measured.values]
parts = np.array_split(np.argsort(evidence), 8)
middle = [float(np.median(evidence[part])) for part in parts]
fig, ax = plt.subplots(figsize=(7.5, 4.6), layout="constrained")
for element, colour in {"Pb": "black", "Cu": "seagreen", "Cr": "goldenrod", "Zn": "steelblue"}.items():
    found, true = (result.xrf.element(element).values[measured.values] for result in (ds, truth))
    error = [float(np.sqrt(np.mean((found - true)[part] ** 2)) / true.std()) for part in parts]
    ax.plot(middle, error, marker="o", ms=4, color=colour)
    ax.annotate(element, (middle[-1], error[-1]), xytext=(7, -3), textcoords="offset points", color=colour)
ax.set(xlabel="evidence", ylabel="error of the map, in standard deviations of its truth", ylim=(0, None))
ax.spines[["top", "right"]].set_visible(False)
fig.savefig(folder / "04-evidence-and-error.png", dpi=90)

# %% [markdown]
# ## What chi-square does not see
#
# One aligned scan is solved twice: with its photograph, and with the photograph out of place by 0.4 of a spot
# along both axes, as a careless registration leaves it. Chi-square hardly moves; the error against the truth is
# three times as large. But where a scan fits its photograph is found from its own spots, to a few hundredths of
# a pixel: `displacement_px` says by how much it is out, a `PlacementWarning` names it, and the photograph is
# smoothed as much, so that no details are drawn in the wrong place. Details come back once it is placed anew.

# %%
scene = aligned_painting(shape=(150, 200), factor=5, n_channel=512)
true = scene.abundance @ scene.endmember
results = {}
for name, shift in (("in place", 0), ("0.4 spots out of place", 2)):
    photo = np.roll(scene.photo, (shift, shift), axis=(0, 1))
    results[name] = xs.fuse(scene.counts, photo, factor=5, energy=scene.energy_kev, step_mm=2.0)
    print(name, results[name].attrs["displacement_px"])

fig, axes = plt.subplots(1, 3, figsize=(15, 4.3), layout="constrained")
hidden = [result.xrf.roi(1.0, 20.0, layer="hidden").compute() for result in results.values()]
top = float(hidden[0].quantile(0.995))
colours = ("steelblue", "firebrick")
for ax, values, colour, (name, result) in zip(axes, hidden, colours, results.items(), strict=False):
    image = values.plot.imshow(ax=ax, cmap="magma", vmin=0, vmax=top, add_labels=False, add_colorbar=False)
    error = float(np.sqrt(np.mean((result.cube.values - true) ** 2)))
    ax.set(title=f"hidden, photograph {name}", xlabel="x (mm)", ylabel="y (mm)", aspect="equal", ylim=(60, 0))
    chi = result.chi_square.values.ravel()
    label = f"{name}:\nmedian {np.median(chi):.2f}, error {error:.1f} counts"
    axes[2].hist(chi, bins=np.linspace(0.5, 3, 51), histtype="stepfilled", alpha=0.6, color=colour, label=label)
fig.colorbar(image, ax=axes[1], label="hidden counts per spot, 1 to 20 keV", shrink=0.75)
axes[2].set(title="chi-square of the spots", xlabel="chi-square per degree of freedom", ylabel="spots")
axes[2].legend(frameon=False)
axes[2].spines[["top", "right"]].set_visible(False)
fig.savefig(folder / "04-out-of-place.png", dpi=90)

# %% [markdown]
# ## `evaluate`: a scan judges the method
#
# The best judge is a scan of your own instrument whose grid is finer than needed. Its counts are split by a
# fair coin into two halves with independent noise; one is binned to coarse spots and super-resolved, the other
# says how well. Here a phantom's scan of 160 x 120 spots stands for yours.
#
# The kept half has noise of its own, which no method can know: no RMSE falls below the dashed line. Chi-square
# is against the half that was given: far below 1, as the spline's, the noise was copied; above, counts were
# missed.

# %%
fine = aligned_painting(shape=(120, 160), factor=1, n_channel=512, counts_per_spot=1500, seed=1)
np.save(folder / "fine.npy", fine.counts.astype("u2"))
Image.fromarray(fine.photo).save(folder / "fine.png")
options = [
    f"--calibration={fine.energy_kev[0]},{fine.energy_kev[1] - fine.energy_kev[0]}",
    "--methods=cubic,guided,joint",
    "--elements=Cr,Fe,Cu,Zn,Pb,Hg",
    f"--out={folder / 'evaluate'}",
]
files = [str(folder / "fine.npy"), "--photo", str(folder / "fine.png")]
if main(["evaluate", *files, "--factor", "4", *options]) != 0:
    raise SystemExit("the line above says what is wrong")

# %%
found = json.loads((folder / "evaluate" / "evaluate.json").read_text())
rows = {row["method"]: row for row in found["metrics"]}
noise = (found["counts_per_spot"] / fine.counts.shape[2]) ** 0.5
fig, axes = plt.subplots(1, 2, figsize=(11, 2.9), layout="constrained", sharey=True)
for ax, key, at, what in (
    (axes[0], "rmse", noise, "RMSE against the kept half, counts"),
    (axes[1], "chi_square", 1.0, "chi-square of the given half"),
):
    values = [row[key] for row in rows.values()]
    bars = ax.barh(list(rows), values, height=0.55, color=["0.7", "goldenrod", "firebrick"])
    ax.bar_label(bars, fmt="%.2f", padding=4)
    ax.axvline(at, color="black", lw=1, ls="--")
    ax.set(xlabel=what, xlim=(0, 1.15 * max(values)))
    ax.spines[["top", "right"]].set_visible(False)
axes[0].annotate("noise of the kept half", (noise, 2.45), xytext=(6, 0), textcoords="offset points", fontsize=9)
axes[1].annotate(
    "only noise is left", (1, 2.45), xytext=(-6, 0), textcoords="offset points", ha="right", fontsize=9
)
axes[0].set_ylim(2.75, -0.5)
fig.savefig(folder / "04-evaluate.png", dpi=90)

# %% [markdown]
# `figures/evaluate/` also holds the map with most structure by every method, and all figures as text, CSV and
# JSON. With a scan of your own: `xrfsr evaluate map.bcf --photo embedded --factor 8`.
