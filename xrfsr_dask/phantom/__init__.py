"""Paintings with known truth: the paper's scene, and a painted bedroom as ten overlapping scans."""

from xrfsr_dask.phantom.aligned import AlignedScene, aligned_painting
from xrfsr_dask.phantom.chart import ChartScene, resolution_chart
from xrfsr_dask.phantom.painted import REGIONS, PaintedScene
from xrfsr_dask.phantom.room import paint_room
from xrfsr_dask.phantom.write import OWN_PICTURE, TRUTH, unpainted, write_painting

__all__ = [
    "OWN_PICTURE",
    "REGIONS",
    "TRUTH",
    "AlignedScene",
    "ChartScene",
    "PaintedScene",
    "aligned_painting",
    "paint_room",
    "resolution_chart",
    "unpainted",
    "write_painting",
]
