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
    module = importlib.import_module(f"xrfsr_dask.methods.{method}")
    return module.super_resolve(scene, atoms=atoms, seed=seed, memory=memory, **options)
