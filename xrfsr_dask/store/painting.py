"""Create and open a painting: its photograph and the list of its patches."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr

from xrfsr_dask.errors import DamagedStoreError, InputError, OptionError, StoreError
from xrfsr_dask.store.arrays import (
    new_array,
    new_group,
    open_array,
    open_group,
    pixel_centres_mm,
    read,
    require_last_chunk,
    write_coordinate,
)
from xrfsr_dask.store.contents import half_moved, lost, seal_whole
from xrfsr_dask.store.links import refuse_links
from xrfsr_dask.store.metadata import CHECKSUM, NAME, seal
from xrfsr_dask.store.patches import Patch, open_patch
from xrfsr_dask.store.places import Place, as_place, folders, has_room, is_left_of_a_move
from xrfsr_dask.store.plausible import check_place
from xrfsr_dask.store.staging import partial_of
from xrfsr_dask.values import is_number, is_one_of, shown

FORMAT = "xrfsr painting"
FORMAT_VERSION = 2
"""2: metadata carry checksums; 1 had none, and kept its work in a group ``work``."""
GROUPS = ("rgb", "patches", "results")
TRANSFERS = ("srgb", "linear")
MOST_PX = 10**10
"""Pixels of a photograph at most."""

_PHOTO_CHUNK = 512  # px
_BANDS = (1, 3)
_MOST_MM = 1e9  # of a pixel
_SMALLEST_LEVEL = 512  # px; the pyramid stops once a level fits this
_ROWS = 64  # of a photograph that are halved at a time


@dataclass(frozen=True, repr=False)
class Painting:
    """An opened painting store; small, picklable, opens its arrays only when asked."""

    path: str
    """Path of the store, absolute, or ``s3://bucket/key``."""
    shape: tuple[int, int]
    """(ny, nx) of the photograph, which is the HR grid, in px."""
    n_band: int
    """Bands of the photograph: 3 for RGB, 1 for a grey one."""
    pitch_mm: float
    """Side of one HR pixel, mm."""
    transfer: str
    """``"srgb"`` or ``"linear"``: how stored values relate to light."""
    patches: tuple[Patch, ...]
    """All patches, ordered by name, so that the order of adding never matters."""

    def __repr__(self) -> str:
        (ny, nx), names = self.shape, ", ".join(patch.name for patch in self.patches)
        height, width = ny * self.pitch_mm, nx * self.pitch_mm
        size = f"{nx} x {ny} px, {width:.1f} x {height:.1f} mm"
        return f"<Painting {self.place.name}: {size}; patches: {names or 'none'}>"

    @property
    def place(self) -> Place:
        """Where the store lies."""
        return as_place(self.path)

    def patch(self, name: str) -> Patch:
        """The patch called `name`; `StoreError` lists those there are."""
        for patch in self.patches:
            if patch.name == name:
                return patch
        known = ", ".join(patch.name for patch in self.patches) or "none"
        raise StoreError(f"{self.path} holds no patch '{name}'; it holds: {known}.")

    @property
    def energy_kev(self) -> np.ndarray:
        """The common energy axis of all patches, float64 of shape (n_channel,), keV."""
        if not self.patches:
            raise StoreError(f"{self.path} holds no patch yet; add one with `xrfsr add`.")
        return self.patches[0].energy_kev()

    def photograph(self, region: tuple[slice, slice] | None = None) -> np.ndarray:
        """Linear light in [0, 1] of a region (y, x) of the photograph, float32 of shape (ny, nx, n_band)."""
        return linear_light(read(self.image(), ... if region is None else region), self.transfer)

    def image(self) -> zarr.Array:
        """The photograph as stored, (y, x, band)."""
        return open_array(open_group(self.path), "rgb/0/image")


def refuse_inside(path: str | Place) -> None:
    """`StoreError` where a place lies inside a store, where only its own arrays may."""
    place = absolute(path)
    stores = [folder for folder in (place, *place.parents) if (folder / NAME).is_file()]
    if stores:
        raise StoreError(
            f"{path}: {stores[-1]} is a store, and nothing else may lie inside it; choose another place."
        )


def create_painting(
    path: str | Place, image: np.ndarray, *, width_mm: float, transfer: str = "srgb", source: str = ""
) -> Painting:
    """Create a store at `path` around a photograph.

    Parameters
    ----------
    path : str or Path
        Where the store is to be; nothing may be there yet.
    image : uint8 or uint16 array of shape (ny, nx, band) or (ny, nx)
        The photograph, row 0 at the top. One or three bands.
    width_mm : float
        Width of what the photograph shows, mm; fixes the size of an HR pixel.
    transfer : {"srgb", "linear"}
        How stored values relate to light.
    source : str
        Where the photograph came from, kept in the store.

    Raises
    ------
    StoreError
        Something is already at `path`.
    InputError
        The image has another type, number of bands, or no pixels.

    Examples
    --------
    >>> painting = xs.create_painting("still-life.zarr", rgb, width_mm=412.0)
    >>> painting.pitch_mm == 412.0 / rgb.shape[1]
    True
    """
    target = absolute(path)
    image = _checked_image(image, source or "photograph")
    if not is_one_of(transfer, TRANSFERS):
        raise OptionError(f"transfer must be one of {', '.join(TRANSFERS)}, got {shown(transfer)}.")
    if not is_number(width_mm) or not 1e-6 <= width_mm <= 1e6:
        raise OptionError(
            f"the photograph's width must be more than 0 mm (1e-6 to 1e6 mm), got {shown(width_mm)}."
        )
    width_mm = float(width_mm)
    if (target.exists() or target.is_symlink()) and not is_left_of_a_move(target):
        raise StoreError(f"{path} already exists; choose another name or remove it.")
    refuse_inside(path)
    if not has_room(target.parent):
        raise StoreError(f"{path}: the folder {target.parent} does not exist; create it first.")
    with partial_of(target) as partial:
        root = new_group(partial, attributes=_root_attributes())
        for name in GROUPS:
            root.create_group(name)
        _write_pyramid(root["rgb"], image, width_mm=width_mm, transfer=transfer, source=source)  # type: ignore[arg-type]
        seal_whole(partial / "rgb")
        seal(partial)
        partial.rename(target)
    return open_painting(target)


def open_painting(path: str | Place) -> Painting:
    """Open a store and check that it is one this version reads.

    Raises
    ------
    StoreError
        `path` is missing, is not a painting store, or was written by a newer version.
    OptionError
        `path` is empty.

    Examples
    --------
    >>> [patch.name for patch in xs.open_painting("bedroom.zarr").patches]
    ['p01', 'p02', 'p03']
    """
    target = absolute(path)
    if not target.exists():
        raise StoreError(f"{path} does not exist; create it with `xrfsr new`.")
    if target.is_file():
        raise StoreError(f"{path} is a file; a painting store is a folder, which `xrfsr new` makes.")
    if not (target / "zarr.json").is_file():
        raise StoreError(f"{path} is not a painting store: it holds no zarr.json.")
    refuse_links(target)
    root = open_group(target)
    found = root.attrs.get("format"), root.attrs.get("format_version")
    if found[0] != FORMAT:
        raise StoreError(f"{path} is a Zarr group but not a painting store (its format is {found[0]!r}).")
    if type(found[1]) is not int or found[1] < 1:
        raise DamagedStoreError(
            f"{path} is damaged: its format_version is {json.dumps(found[1])}, a whole number from 1 to "
            f"{FORMAT_VERSION} was expected."
        )
    if found[1] > FORMAT_VERSION:
        raise StoreError(
            f"{path} was written in store format {found[1]}, this version reads up to {FORMAT_VERSION}; "
            "update xrfsr_dask."
        )
    for name in GROUPS:
        if not (target / name / "zarr.json").is_file():
            raise DamagedStoreError(f"{path} is damaged: its group '{name}' is missing.")
    level = open_group(target / "rgb" / "0")
    image = require_last_chunk(open_array(level, "image"))
    small = image.ndim == 3 and math.prod(image.shape[:2]) <= MOST_PX and image.shape[2] in _BANDS
    if not small or image.dtype not in (np.uint8, np.uint16):
        raise DamagedStoreError(
            f"{path} is damaged: its photograph has shape {image.shape} and type {image.dtype}; 8- or 16-bit "
            f"(y, x, band) with at most {MOST_PX:g} px of one or three bands was expected."
        )
    ny, nx, n_band = image.shape
    pitch_mm, transfer = level.attrs.get("pitch_mm"), level.attrs.get("transfer")
    if not isinstance(pitch_mm, int | float) or not 0 < pitch_mm < _MOST_MM or transfer not in TRANSFERS:
        raise DamagedStoreError(
            f"{path} is damaged: rgb/0 says pitch_mm {pitch_mm!r} and transfer {transfer!r}, "
            f"a length and one of {', '.join(TRANSFERS)} were expected."
        )
    if gone := lost(target, "patches"):
        raise DamagedStoreError(
            f"{path} is damaged: the folder of patch '{gone[0]}' is gone; put patches/{gone[0]} back, or, "
            f"if it was removed on purpose, take its name and '{CHECKSUM}' out of patches/zarr.json."
        )
    patches = tuple(open_patch(target, name) for name in names_of(target / "patches"))
    for patch in patches:
        try:
            check_place(
                f"patch '{patch.name}'",
                patch.shape,
                patch.transform,
                spot_mm=patch.spot_mm,
                gain=patch.gain,
                photo=(ny, nx),
                pitch_mm=float(pitch_mm),
            )
        except (InputError, OptionError) as error:
            raise DamagedStoreError(f"{path} is damaged: {error}") from error
    return Painting(
        path=str(target),
        shape=(ny, nx),
        n_band=n_band,
        pitch_mm=float(pitch_mm),
        transfer=str(transfer),
        patches=patches,
    )


def absolute(path: str | Place) -> Place:
    """The absolute path; an empty one, which would mean the current folder, and a bucket alone are errors."""
    if not str(path):
        raise OptionError("the name of the store is empty; give a path such as painting.zarr.")
    found = as_place(path)
    if isinstance(found, Path):
        return found.absolute()
    if found == found.parent:
        raise OptionError(f"{path} is a whole bucket; name a store in it, such as {found}/painting.zarr.")
    return found


def names_of(folder: Place) -> list[str]:
    """Names of the patches or results in their folder; one that lost its metadata is an error, never passed
    over."""
    passed = half_moved(folder.parent, folder.name)
    found = [path for path in folders(folder) if not path.name.startswith(".") and path.name not in passed]
    for path in found:
        if not (path / "zarr.json").is_file():
            raise DamagedStoreError(f"{path} is damaged: its zarr.json is missing; `xrfsr check` tells more.")
    return [path.name for path in found]


def linear_light(image: np.ndarray, transfer: str) -> np.ndarray:
    """Stored photograph values as linear light in [0, 1], float32 (sRGB: IEC 61966-2-1)."""
    values = image.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)
    if transfer == "linear":
        return values
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _root_attributes() -> dict[str, object]:
    from xrfsr_dask import __version__

    return {"format": FORMAT, "format_version": FORMAT_VERSION, "written_by": f"xrfsr_dask {__version__}"}


def _checked_image(image: np.ndarray, source: str) -> np.ndarray:
    if np.ma.is_masked(image):
        raise InputError(f"{source}: the photograph holds masked values; fill them.")
    image = np.asarray(image)
    image = image[..., None] if image.ndim == 2 else image
    if image.dtype not in (np.uint8, np.uint16) or image.ndim != 3 or image.shape[2] not in _BANDS:
        raise InputError(
            f"{source}: a photograph of shape {image.shape} and type {image.dtype} was found; "
            "8- or 16-bit with one or three bands is needed."
        )
    if 0 in image.shape:
        raise InputError(f"{source}: the photograph has no pixels (shape {image.shape}).")
    return image


def _write_pyramid(
    group: zarr.Group, image: np.ndarray, *, width_mm: float, transfer: str, source: str
) -> None:
    """Levels rgb/0, rgb/1, … each half the size of the one before, down to `_SMALLEST_LEVEL`."""
    pitch_mm = width_mm / image.shape[1]
    level = 0
    while True:
        attrs = {"pitch_mm": pitch_mm, "transfer": transfer, "source": source}
        part = group.create_group(str(level), attributes=attrs)
        array = new_array(
            part,
            "image",
            shape=image.shape,
            dtype=image.dtype,
            chunks=(_PHOTO_CHUNK, _PHOTO_CHUNK, image.shape[2]),
            dims=("y", "x", "band"),
            attrs={"long_name": "photograph"},
        )
        array[:] = image
        for axis, name in enumerate("yx"):
            centres = pixel_centres_mm(image.shape[axis], pitch_mm)
            write_coordinate(part, name, centres, units="mm", long_name=f"{name} on the painting")
        if max(image.shape[:2]) <= _SMALLEST_LEVEL:
            return
        image, pitch_mm, level = _halved(image), 2 * pitch_mm, level + 1


def _halved(image: np.ndarray) -> np.ndarray:
    """Mean of 2 x 2 blocks; an odd last row or column is repeated."""
    ny, nx, n_band = image.shape
    out = np.empty((-(-ny // 2), -(-nx // 2), n_band), image.dtype)
    for y in range(0, ny, _ROWS):  # so that no more than a few rows are wide enough for their sums
        rows = image[y : y + _ROWS]
        even = np.pad(rows, ((0, len(rows) % 2), (0, nx % 2), (0, 0)), mode="edge").astype(np.uint32)
        blocks = even.reshape(len(even) // 2, 2, even.shape[1] // 2, 2, n_band).sum(
            axis=(1, 3), dtype=np.uint32
        )
        out[y // 2 : y // 2 + len(blocks)] = (blocks + 2) // 4
    return out
