"""Which shapes of arrays contradict those of the photograph, counts and abundances that they belong to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xrfsr_dask.store.patches import SQUARE_MEAN, squares_of
from xrfsr_dask.store.results import MEAN, PHOTONS

Shape = tuple[int, ...]


def misfits(shapes: Mapping[str, Shape]) -> Iterator[tuple[str, Shape, Shape]]:
    """Arrays that contradict others.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Shapes of the arrays of a painting by their paths inside it; one that is not there contradicts nothing.

    Yields
    ------
    (path, shape, shape that was expected)
    """
    for path, expected in _expected(shapes):
        if path in shapes and shapes[path] != expected:
            yield path, shapes[path], expected


def _expected(shapes: Mapping[str, Shape]) -> Iterator[tuple[str, Shape]]:
    photo = shapes.get("rgb/0/image", ())
    for path, shape in shapes.items():
        top, _, rest = path.partition("/")
        name, _, array = rest.partition("/")
        if (top, array) == ("rgb", "image") and len(shape) == 3:
            yield from _of_level(name, shape, shapes)
        elif (top, array) == ("patches", "counts") and len(shape) == 3:
            yield f"patches/{name}/energy", shape[2:]
            yield f"patches/{name}/mean_spectrum", shape[2:]
            yield f"patches/{name}/{SQUARE_MEAN}", squares_of((shape[0], shape[1], shape[2]))
        elif (top, array) == ("results", "abundance") and len(shape) == 3:
            if len(photo) == 3:
                yield path, (*photo[:2], shape[2])
            yield from _of_result(f"results/{name}", shape, shapes)


def _of_level(level: str, shape: Shape, shapes: Mapping[str, Shape]) -> Iterator[tuple[str, Shape]]:
    """Of one level of the photograph: its axes, and the level below it."""
    yield f"rgb/{level}/y", shape[:1]
    yield f"rgb/{level}/x", shape[1:2]
    if level.isdecimal():
        yield f"rgb/{int(level) + 1}/image", (-(-shape[0] // 2), -(-shape[1] // 2), shape[2])


def _of_result(place: str, abundance: Shape, shapes: Mapping[str, Shape]) -> Iterator[tuple[str, Shape]]:
    grid, atoms = abundance[:2], abundance[2:]
    endmember = shapes.get(f"{place}/endmember", ())
    yield f"{place}/endmember", (*atoms, *shapes.get(f"{place}/energy", endmember[1:]))
    for name in ("layer", MEAN):
        yield f"{place}/{name}", atoms
    for name in ("coverage", "evidence", "region"):
        yield f"{place}/{name}", grid
    for name, n in zip("yx", grid, strict=True):
        yield f"{place}/{name}", (n,)
    yield f"{place}/{PHOTONS}", (*atoms, *shapes.get(f"{place}/{PHOTONS}", ())[1:])
    series = [path for path in shapes if path.startswith(f"{place}/history/")]
    for path in series:
        yield path, (shapes[series[0]] or (1,))[:1]
    for path in shapes:
        _, _, patch = path.partition(f"{place}/fit/")
        name, _, array = patch.partition("/")
        if array == "chi_square":
            yield path, shapes.get(f"patches/{name}/counts", shapes[path])[:2]
