"""Command lines of weft-geo from plain values. Knows nothing of QGIS.

Values go as `--option=value`, so that one that starts with a minus is not taken for an option.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from .errors import PluginError
from .translation import tr


@dataclass(frozen=True)
class Outlines:
    """What makes an object of probabilities; the names are those of weft-geo. None leaves the choice to weft-geo."""

    threshold: float | None = None
    min_area_m2: float | None = None
    min_hole_m2: float = 0.0
    simplify_m: float = 0.0
    regularize: bool = False
    subpixel: bool = False

    def words(self) -> list[str]:
        """As options."""
        return [
            *([] if self.threshold is None else [f"--threshold={self.threshold:g}"]),
            *([] if self.min_area_m2 is None else [f"--min-area-m2={self.min_area_m2:g}"]),
            *([f"--min-hole-m2={self.min_hole_m2:g}"] if self.min_hole_m2 else []),
            *([f"--simplify={self.simplify_m:g}"] if self.simplify_m else []),
            *(["--regularize"] if self.regularize else []),
            *(["--outline=subpixel"] if self.subpixel else []),
        ]


@dataclass(frozen=True)
class Predict:
    """A run of `weft-geo predict`."""

    scene: str
    output: Path
    model: str = "embedded"
    outlines: Outlines = field(default_factory=Outlines)
    aoi: str = ""
    crs: str = ""
    bands: str = ""
    device: str = ""
    more: str = ""

    def words(self) -> list[str]:
        """As a command line."""
        given = {"aoi": self.aoi, "crs": self.crs, "bands": self.bands, "device": self.device}
        return [
            "predict",
            self.scene,
            f"--output={self.output}",
            f"--model={self.model}",
            *self.outlines.words(),
            *(f"--{name}={value}" for name, value in given.items() if value),
            *_split(self.more),
            "--overwrite",
            "--progress=json",
        ]


@dataclass(frozen=True)
class Vectorize:
    """A run of `weft-geo vectorize`."""

    raster: str
    output: Path
    outlines: Outlines = field(default_factory=Outlines)
    classes: str = ""
    crs: str = ""

    def words(self) -> list[str]:
        """As a command line."""
        return [
            "vectorize",
            self.raster,
            f"--output={self.output}",
            *self.outlines.words(),
            *([f"--classes={self.classes}"] if self.classes else []),
            *([f"--crs={self.crs}"] if self.crs else []),
            "--overwrite",
            "--progress=json",
        ]


@dataclass(frozen=True)
class Train:
    """A run of `weft-geo train` on a raster and polygons; without them, it goes on with the run in the folder."""

    output: Path
    images: str = ""
    labels: Path | None = None
    steps: int | None = None
    more: str = ""

    def words(self) -> list[str]:
        """As a command line."""
        return [
            "train",
            *([f"--images={self.images}"] if self.images else []),
            *([f"--labels={self.labels}"] if self.labels else []),
            f"--output={self.output}",
            *([f"--max-steps={self.steps}"] if self.steps else []),
            *_split(self.more),
            "--progress=json",
        ]


@dataclass(frozen=True)
class Evaluate:
    """A run of `weft-geo evaluate` on two layers."""

    objects: Path
    truth: Path
    iou: float = 0.5
    class_field: str = ""
    aoi: str = ""
    errors: str = ""

    def words(self) -> list[str]:
        """As a command line."""
        given = {"class-field": self.class_field, "aoi": self.aoi, "errors": self.errors}
        return [
            "evaluate",
            f"--objects={self.objects}",
            f"--truth={self.truth}",
            f"--iou={self.iou:g}",
            *(f"--{name}={value}" for name, value in given.items() if value),
            *(["--overwrite"] if self.errors else []),
            "--json",
            "--progress=json",
        ]


def _split(more: str) -> list[str]:
    try:
        return shlex.split(more)
    except ValueError as error:
        raise PluginError(
            tr(
                "Further options cannot be read ({error}): close every quotation mark in {more}.",
                error=error,
                more=more,
            )
        ) from error
