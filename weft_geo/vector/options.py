"""What may be asked of the outlines, in one validated value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

from weft_geo.errors import InputError

OUTLINES = ("pixel", "subpixel")


@dataclass(frozen=True)
class VectorOptions:
    """How probabilities become polygons.

    Every length is in metres on the ground and every area in square metres on the ellipsoid, whatever the unit of the
    raster's CRS.

    Attributes:
        threshold: an object pixel has a probability of at least this, in (0, 1].
        outline: "pixel" follows the pixel edges exactly; "subpixel" runs between the pixel centres where the
            probability crosses the threshold (marching squares).
        min_area_m2: objects smaller than this are dropped (0 keeps all).
        min_hole_m2: holes smaller than this are filled (0 keeps all). An object in such a hole stays and overlaps it.
        simplify_m: tolerance of the simplification (0 leaves the outline as it is): a vertex goes when the triangle
            it makes with its neighbours has less area than the square of this. Touching objects keep shared edges.
        regularize: give objects right angles, where that changes them little.
        connectivity: 8 joins object pixels over corners, 4 over edges alone.

    Raises:
        InputError: a value is out of its range.
    """

    threshold: float = 0.5
    outline: str = "pixel"
    min_area_m2: float = 0.0
    min_hole_m2: float = 0.0
    simplify_m: float = 0.0
    regularize: bool = False
    connectivity: int = 8

    @property
    def has_new_outlines(self) -> bool:
        """Whether outlines are redrawn, so that they might overlap."""
        return self.simplify_m > 0 or self.regularize

    def __post_init__(self) -> None:
        if not (isinstance(self.threshold, Real) and 0.0 < self.threshold <= 1.0):
            raise InputError(f"threshold is {self.threshold!r}; give a probability above 0 and up to 1")
        if self.outline not in OUTLINES:
            raise InputError(f"outline is {self.outline!r}; known: {', '.join(OUTLINES)}")
        for name in ("min_area_m2", "min_hole_m2", "simplify_m"):
            value = getattr(self, name)
            if not (isinstance(value, Real) and math.isfinite(value) and value >= 0):
                raise InputError(f"{name} is {value!r}; give a number of 0 or more")
        if self.connectivity not in (4, 8):
            raise InputError(f"connectivity is {self.connectivity!r}; give 4 or 8")
        for name in ("threshold", "min_area_m2", "min_hole_m2", "simplify_m"):
            object.__setattr__(self, name, float(getattr(self, name)))  # provenance holds no numbers of NumPy's
        object.__setattr__(self, "connectivity", int(self.connectivity))
