# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Bring your own scan
#
# What is needed: one photograph of the whole painting and its width in mm; one or more scans as the instrument
# exports them; for each scan the place of its top left corner on the photograph, the step between spots and how
# far it is turned. Put your own files into the next cell. As it stands it writes two files such as an
# instrument gives, of a small painted phantom, so that the notebook runs anywhere (in about half a minute).

# %%
import shlex
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.lines import Line2D
from PIL import Image

import xrfsr_dask as xs
from xrfsr_dask.cli import main
from xrfsr_dask.phantom import aligned_painting

folder = Path("figures")
folder.mkdir(exist_ok=True)

scene = aligned_painting(shape=(180, 240), factor=4, n_channel=512, counts_per_spot=6000)
Image.fromarray(scene.photo).save(folder / "photo.png")
WIDTH_MM, STEP_MM = 120.0, 2.0
OFFSET, GAIN = scene.energy_kev[0], scene.energy_kev[1] - scene.energy_kev[0]

left = scene.counts[:, :36].astype("<u2")  # (y, x, channel)
left.tofile(folder / "left.raw")
ny, nx, n_channel = left.shape
(folder / "left.rpl").write_text(
    f"key\tvalue\nwidth\t{nx}\nheight\t{ny}\ndepth\t{n_channel}\noffset\t0\ndata-length\t2\n"
    "data-type\tunsigned\nbyte-order\tlittle-endian\nrecord-by\tvector\n"
)
right = np.random.default_rng(1).binomial(scene.counts[:, 26:].astype(int), 0.8)  # a weaker tube
np.save(folder / "right.npy", right.astype("u2"))
np.savetxt(folder / "right.txt", [[STEP_MM, 0, 53.0], [0, STEP_MM, 1.0], [0, 0, 1]])

# %% [markdown]
# ## A store to try in
#
# `xrfsr("info room.zarr")` below does what `xrfsr info room.zarr` does in a terminal; `xrfsr add --help` lists
# all that can be said of a scan. A patch that was added stays as it was added, so the first store is for
# trying.
#
# The left scan is placed by its corner, step and turn. Its Lispix header holds no energy axis, so the keV of
# channel 0 and the keV per channel are given; they stand in the instrument's software, and in any `.spx`
# spectrum of the same session, which can be given in their place. The right scan is placed by a 3x3 matrix, as
# a program that registers images writes it: (column, row, 1) of a spot to (x mm, y mm, 1), spot centres at
# integers.


# %%
def xrfsr(words):
    """Run one command of the program; what is wrong with it is printed, and ends the notebook."""
    if main(shlex.split(words)) != 0:
        raise SystemExit(f"`xrfsr {words}` did not work; the line above says why")


def add_both(store, gain_of_right):
    xrfsr(f"new {store} --rgb {folder / 'photo.png'} --width-mm {WIDTH_MM}")
    axis = f"--calibration={OFFSET},{GAIN}"
    xrfsr(f"add {store} {folder / 'left.rpl'} --name left --at 0,0 --step-mm {STEP_MM} --rotation 0 {axis}")
    place = f"--transform {folder / 'right.txt'}"
    xrfsr(f"add {store} {folder / 'right.npy'} --name right {place} {axis} --gain {gain_of_right}")


trial = folder / "trial.zarr"
if not trial.exists():
    add_both(trial, gain_of_right=1)

# %% [markdown]
# ## Is the energy axis right?
#
# Strong peaks must stand on lines of elements that a painting holds: here calcium, iron, zinc and lead. With an
# offset of 0 in place of the true one, all of them would stand beside their lines.

# %%
LINES = {"Ca": 3.69, "Ba": 4.47, "Cr": 5.41, "Fe": 6.40, "Cu": 8.05, "Zn": 8.64, "Pb": 12.61}  # keV

left, right = (xs.open_patch(trial, name) for name in ("left", "right"))
mean = left.xrf.mean_spectrum().clip(0.3)
fig, ax = plt.subplots(figsize=(12, 3.8), layout="constrained")
ax.plot(mean.energy - OFFSET, mean, color="0.7", lw=1, label="with an offset of 0")
ax.plot(mean.energy, mean, color="black", lw=1.2, label="with the axis as given")
for name, energy in LINES.items():
    ax.axvline(energy, color="firebrick", lw=0.7, ls=":")
    ax.annotate(
        name, (energy, 1), xycoords=ax.get_xaxis_transform(), color="firebrick", ha="center", va="bottom"
    )
ax.set(
    yscale="log", xlim=(2, 15), ylim=(0.3, None), xlabel="energy (keV)", ylabel="counts per spot and channel"
)
ax.set_title("mean spectrum of the left scan", loc="left", pad=18)
ax.legend(frameon=False, loc="upper right", ncols=2)
fig.savefig(folder / "03-energy-axis.png", dpi=90)
print(left.xrf.elements().head(6).round(1).to_string())

# %% [markdown]
# ## Does each scan lie where it belongs?
#
# Contours of an element that follows the picture, drawn over the photograph: they must run along its edges. On
# the right, what two spots too far to the left look like. An error of more than half a spot costs more than the
# photograph gives (`docs/joint.md`).

# %%
SCANS = {"left": "black", "right": "mediumblue"}

rgb = xr.open_dataset(trial, group="rgb/0", engine="zarr", consolidated=False).image
fig, axes = plt.subplots(1, 2, figsize=(13, 5.7), layout="constrained", sharey=True)
for ax, shift in zip(axes, (0.0, -2 * STEP_MM), strict=True):
    rgb.plot.imshow(ax=ax, rgb="band", add_labels=False, alpha=0.55)
    for scan, colour in zip((left, right), SCANS.values(), strict=True):
        lead = scan.xrf.element("Pb").compute()
        levels = [float(lead.quantile(q)) for q in (0.15, 0.85)]
        ax.contour(scan.x + shift, scan.y, lead, levels=levels, colors=colour, linewidths=1.1)
    ax.set(xlabel="x (mm)", aspect="equal", xlim=(0, WIDTH_MM), ylim=(float(rgb.y[-1] + rgb.y[0]), 0))
    ax.set_title("as given" if shift == 0 else f"{-shift:g} mm too far to the left")
axes[0].set_ylabel("y (mm)")
handles = [Line2D([], [], color=colour, label=f"Pb, {name} scan") for name, colour in SCANS.items()]
fig.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
fig.savefig(folder / "03-placed.png", dpi=90)

# %% [markdown]
# ## How strong is one scan against the other?
#
# Where scans overlap they saw the same paint, so the ratio of their counts there is the gain of one against the
# other: dwell, current and distance in one number.

# %%
edge = 0.5 * STEP_MM
over_left = left.x.values > float(right.x.min()) - edge
over_right = right.x.values < float(left.x.max()) + edge
mean_left, mean_right = left.xrf.spectrum(mask=over_left), right.xrf.spectrum(mask=over_right)
gain = float(mean_right.sum() / mean_left.sum())
print(f"{over_left.sum()} spots of the left scan, {over_right.sum()} of the right: gain {gain:.3f}")

# %% [markdown]
# ## The store for good, and the result
#
# In a terminal: `xrfsr solve mine.zarr`, and `xrfsr report mine.zarr` for one page that holds everything.

# %%
store = folder / "mine.zarr"
if not store.exists():
    add_both(store, gain_of_right=gain)
xrfsr(f"info {store}")
ds = xs.open_result(store) if (store / "results" / "joint").exists() else xs.super_resolve(store)
print(ds.xrf.elements().head(8).round(1).to_string())

# %%
top = float(ds.xrf.element("Pb").quantile(0.997))
fig, axes = plt.subplots(1, 2, figsize=(13, 5.2), layout="compressed", sharey=True)
for scan, strength in ((left, 1.0), (right, gain)):
    lead = scan.xrf.element("Pb").compute() / strength
    axes[0].pcolormesh(scan.x, scan.y, lead, cmap="magma", vmin=0, vmax=top, shading="nearest")
axes[0].set_title("Pb as measured, each scan divided by its gain")
drawn = ds.xrf.element("Pb").plot.imshow(
    ax=axes[1], cmap="magma", vmin=0, vmax=top, add_labels=False, add_colorbar=False
)
axes[1].set_title("Pb, super-resolved")
for ax in axes:
    ax.set(xlabel="x (mm)", aspect="equal", xlim=(0, WIDTH_MM), ylim=(float(rgb.y[-1] + rgb.y[0]), 0))
axes[0].set_ylabel("y (mm)")
fig.colorbar(drawn, ax=axes, label="counts per spot", shrink=0.8)
fig.savefig(folder / "03-result.png", dpi=90)

# %% [markdown]
# ## Other files
#
# The same words take Bruker `.bcf`, HyperSpy `.hspy` and `.zspy`, HDF5 and NeXus (with `--inside` for the path
# of the cube in the file) and `.npy`. How far to trust what came out is asked in `04_how_far_to_trust_it.py`.
