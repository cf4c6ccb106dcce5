"""Comparison methods, one file each: what super-resolution has to beat. `docs/methods.md` describes them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xrfsr_dask.methods.protocol import Estimate, Scene


def super_resolve(method: str, scene: Scene, *, atoms: int, seed: int, memory: int, **options: Any) -> Estimate:
    """Run one of `options.IN_MEMORY`; its module is imported only now.

    Parameters
    ----------
    method : str
        Name of a method, which is that of its module.
    scene : Scene
    atoms : int
        Atoms, endmembers or directions; those that choose from the data take this many at most.
    seed : int
        Seed of whatever is drawn.
    memory : int
        Bytes the method may need.
    options
        The method's own, as its module describes them.

    Raises
    ------
    MemoryBudgetError
        The scene does not fit; raised before any work.
    """
    return _module(method).super_resolve(scene, atoms=atoms, seed=seed, memory=memory, **options)


def require_room(method: str, scene: Scene, *, atoms: int, memory: int) -> None:
    """Raise the `MemoryBudgetError` that `super_resolve` would raise, without any work.

    Parameters
    ----------
    method, scene, atoms, memory
        As for `super_resolve`.
    """
    from xrfsr_dask.methods.protocol import require_memory

    require_memory(method, scene, _module(method).bytes_needed(scene, atoms), memory)


def _module(method: str) -> Any:
    return importlib.import_module(f"xrfsr_dask.methods.{method}")
