"""What a model expects of an image and what it gives back.

The contract travels inside the model file (ONNX ``metadata_props``, checkpoint config), so a scene can be checked
against the model, scaled, and resampled to it, before a single window is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from numbers import Real
from typing import Literal

from weft_geo.errors import ContractError

METADATA_KEY = "weft_geo.contract"
"""Key of the contract's JSON among an ONNX file's ``metadata_props``."""

NAME_KEY = "weft_geo.name"
"""Key of the model's name among an ONNX file's ``metadata_props``."""

SCENE_SCALE: Literal["scene"] = "scene"
"""The ``scale`` that a scene's own values decide."""

Scale = tuple[float, float] | Literal["scene"] | None
"""See ``ModelContract.scale``."""

MAX_CLASSES = 254
"""A uint8 mask holds the background as 0, nodata as 255, and classes in between."""


@dataclass(frozen=True)
class ModelContract:
    """Input and output of a segmentation model, as the engine must honour them.

    The model is called with float32 ``[B, bands, H, W]``, ``(scaled − mean) / std`` with ``scaled`` on 0..255, and
    answers float32 ``[B, len(classes), H, W]`` probabilities in [0, 1].

    Attributes:
        bands: Number of input bands. Three mean red, green, blue, in this order.
        classes: Names of the object classes, background left out.
        window: Side of the square input window in pixels; a multiple of ``multiple_of``.
        overlap: Pixels that neighbouring windows share; 0 ≤ overlap < window.
        multiple_of: Height and width of an input must be multiples of this.
        gsd_m: Ground sampling distance of the training images, metres per pixel on the ground; None if unknown.
        scale: ``(low, high)``, the value range that is mapped to 0..255; ``"scene"`` takes it from the scene itself,
            whatever its type, all bands alike (see ``weft_geo.geo.normalize.scene_range``); None takes uint8 as it is
            and any other type band by band, from the scene's own 2nd to its 98th percentile.
        mean: Per band, on the 0..255 scale; one number serves all bands.
        std: Per band, on the 0..255 scale; one number serves all bands.
        name: The model's name.
        threshold: Probability from which a pixel counts as an object, unless the user says otherwise.
        min_area_m2: Objects that are smaller on the ground are not to be believed, and left out, unless the user says
            otherwise; 0 keeps all.

    Raises:
        ContractError: If a value is out of its range.
    """

    bands: int = 3
    classes: tuple[str, ...] = ("object",)
    window: int = 512
    overlap: int = 128
    multiple_of: int = 32
    gsd_m: float | None = None
    scale: Scale = None
    mean: tuple[float, ...] | float = 0.0
    std: tuple[float, ...] | float = 1.0
    name: str = ""
    threshold: float = 0.5
    min_area_m2: float = 0.0

    def __post_init__(self) -> None:
        for count in ("bands", "window", "multiple_of"):
            object.__setattr__(self, count, _whole(count, getattr(self, count), at_least=1))
        object.__setattr__(self, "overlap", _whole("overlap", self.overlap, at_least=0))
        if isinstance(self.classes, str):
            raise ContractError(f"classes must be a list of names, not the single string {self.classes!r}")
        object.__setattr__(self, "classes", tuple(str(name) for name in self.classes))
        object.__setattr__(self, "mean", _per_band("mean", self.mean, self.bands))
        object.__setattr__(self, "std", _per_band("std", self.std, self.bands))
        if not 1 <= len(self.classes) <= MAX_CLASSES or len(set(self.classes)) != len(self.classes):
            raise ContractError(f"classes must be 1 to {MAX_CLASSES} different names, got {list(self.classes)}")
        if self.window % self.multiple_of:
            raise ContractError(f"window must be a multiple of {self.multiple_of}, got {self.window}")
        if self.overlap >= self.window:
            raise ContractError(f"overlap must be smaller than the window of {self.window} px, got {self.overlap}")
        if self.gsd_m is not None and not (math.isfinite(self.gsd_m) and self.gsd_m > 0):
            raise ContractError(f"gsd_m must be a positive number of metres or None, got {self.gsd_m}")
        if self.scale not in (None, SCENE_SCALE):
            object.__setattr__(self, "scale", _range(self.scale))
        if any(value <= 0 for value in self.stds):
            raise ContractError(f"std must be positive in every band, got {list(self.stds)}")
        if not 0 < self.threshold <= 1:
            raise ContractError(f"threshold must lie in (0, 1], got {self.threshold}")
        if not (math.isfinite(self.min_area_m2) and self.min_area_m2 >= 0):
            raise ContractError(f"min_area_m2 must be 0 or a number of square metres, got {self.min_area_m2}")
        for number in ("gsd_m", "threshold", "min_area_m2"):
            if (value := getattr(self, number)) is not None:
                object.__setattr__(self, number, float(value))  # JSON holds no numbers of NumPy's

    @property
    def summary(self) -> str:
        """What it finds, and in what, in a few words."""
        pixels = f"trained at {self.gsd_m:g} m a pixel" if self.gsd_m else "any pixel size"
        return f"{', '.join(self.classes)}; {self.bands} bands, {pixels}"

    @property
    def means(self) -> tuple[float, ...]:
        """``mean``, one value a band."""
        return self.mean if isinstance(self.mean, tuple) else (self.mean,) * self.bands

    @property
    def stds(self) -> tuple[float, ...]:
        """``std``, one value a band."""
        return self.std if isinstance(self.std, tuple) else (self.std,) * self.bands

    def to_json(self) -> str:
        """The contract as one line of JSON, the form stored in model files."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> ModelContract:
        """Reads what ``to_json`` wrote.

        Keys of a newer version are refused rather than ignored: they may change how the model must be fed.

        Raises:
            ContractError: If the text is not a contract.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ContractError(f"the model's contract is not JSON: {error}") from error
        if not isinstance(values, dict):
            raise ContractError(f"the model's contract must be a JSON object, got {type(values).__name__}")
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ContractError(
                f"the model's contract holds {', '.join(unknown)}, unknown to this version. "
                "Update weft-geo, or export the model again"
            )
        try:
            return cls(**values)
        except TypeError as error:
            raise ContractError(f"the model's contract cannot be read: {error}") from error


def _whole(name: str, value: object, at_least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Real) or value % 1 != 0 or value < at_least:
        raise ContractError(f"{name} must be a whole number of at least {at_least}, got {value!r}")
    return int(float(value))


def _per_band(name: str, value: object, bands: int) -> tuple[float, ...]:
    if isinstance(value, Real):
        values: tuple[float, ...] = (float(value),) * bands
    elif isinstance(value, Iterable):
        values = tuple(float(item) for item in value)
    else:
        raise ContractError(f"{name} must be one number or {bands} numbers, got {value!r}")
    if len(values) != bands or not all(math.isfinite(item) for item in values):
        raise ContractError(f"{name} must be one number or {bands} finite numbers, one a band, got {list(values)}")
    return values


def _range(scale: object) -> tuple[float, float]:
    values = () if isinstance(scale, str) or not isinstance(scale, Iterable) else tuple(float(item) for item in scale)
    if len(values) != 2 or not all(math.isfinite(item) for item in values) or values[0] >= values[1]:
        raise ContractError(f'scale must be (low, high) with low < high, "scene" or None, got {scale!r}')
    return values[0], values[1]
