"""Procedural scenes with exact truth: for the demo, for tests, and as training data that needs no download.

noise → canvas → palette, layout → ground, roofs → buildings → plants, vehicles → camera → scene → files
"""

from __future__ import annotations

from weft_geo.datasets.synthetic.scene import CLASSES, SyntheticScene, draw_scene

__all__ = ["CLASSES", "SyntheticScene", "draw_scene"]
