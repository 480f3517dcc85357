"""Procedural scenes with exact truth: for the demo, for tests, and as training data that needs no download.

noise → canvas → palette, layout → ground → footprints → roofs, rooftop → buildings → ships, clutter, plants → camera →
scene → files
"""

from __future__ import annotations

from weft_geo.datasets.synthetic.files import SampleFiles, write_scene
from weft_geo.datasets.synthetic.scene import CLASSES, SyntheticScene, draw_scene

__all__ = ["CLASSES", "SampleFiles", "SyntheticScene", "draw_scene", "write_scene"]
