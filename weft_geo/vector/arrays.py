"""The arrays that outlines are made of; what their axes are is told in square brackets where they are named."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Shapes = npt.NDArray[np.object_]
"""Geometries of shapely."""
