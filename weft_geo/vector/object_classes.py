"""What the objects of two layers are said to be, in the same words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from weft_geo.errors import VectorError

if TYPE_CHECKING:
    import geopandas

CLASS = "class"
"""The attribute of our own layers that says what an object is."""

Names = npt.NDArray[np.object_]


def read_classes(
    predicted: geopandas.GeoDataFrame, truth: geopandas.GeoDataFrame, by: str | None
) -> tuple[Names, Names]:
    """The class of every object of both layers.

    Args:
        predicted: its attribute is `by`, or `class` if it has none of that name.
        truth: with the attribute `by`, unless it is empty.
        by: name of the attribute; None says that all objects are of one class.

    Returns:
        Two arrays of words; whole numbers are written without a point, whatever their type.

    Raises:
        VectorError: an attribute is missing, or some objects have none.
    """
    if by is None:
        return np.full(len(predicted), "", dtype=object), np.full(len(truth), "", dtype=object)
    own = by if by in predicted.columns else CLASS
    return _filled(predicted, own, "predicted"), _filled(truth, by, "true")


def find_class_field(predicted: geopandas.GeoDataFrame, truth: geopandas.GeoDataFrame) -> tuple[str | None, str]:
    """Whether two layers tell classes apart, where nobody has said what to go by.

    They do if both have the attribute `class` and there is more than one between them, unless all objects of one layer
    are of one class that the other does not have ("object", say): such a layer tells no classes.

    Returns:
        "class", or None; and in words why it is None although both layers have it, else nothing.
    """
    layers = {"predicted": predicted, "true": truth}
    if any(len(layer) and CLASS not in layer.columns for layer in layers.values()):
        return None, ""
    for which, layer in layers.items():
        if len(layer) and (empty := int(layer[CLASS].isna().sum())):
            return None, f"{empty} of {len(layer)} {which} objects have no class, so classes are left aside; fill it in"
    found, true = (set(as_words(layer, CLASS)) for layer in layers.values())
    for which, some, others in (("predicted", found, true), ("true", true, found)):
        if len(some) == 1 and others and not some & others:
            return None, (
                f"all {which} objects are {min(some)!r}, which is no class of the other layer, so classes are left "
                f"aside; --class-field {CLASS} heeds them"
            )
    return (CLASS if len(found | true) > 1 else None), ""


def _filled(layer: geopandas.GeoDataFrame, field: str, which: str) -> Names:
    if len(layer) and field not in layer.columns:
        fields = ", ".join(str(name) for name in layer.columns if name != layer.geometry.name)
        raise VectorError(
            f"the {which} objects have no attribute {field!r} for the class; they have {fields or 'none'}"
        )
    if len(layer) and (empty := int(layer[field].isna().sum())):
        raise VectorError(
            f"{empty} of {len(layer)} {which} objects have no {field!r}; fill it in, or leave these objects out"
        )
    return as_words(layer, field)


def as_words(layer: geopandas.GeoDataFrame, field: str) -> Names:
    """An attribute as words, None where it is empty; whole numbers are written without a point, whatever their type."""
    if not len(layer):  # a GeoJSON without objects has no attributes either
        return np.empty(0, dtype=object)
    words = np.array([_word(value) for value in layer[field].tolist()], dtype=object)
    words[layer[field].isna().to_numpy()] = None
    return words


def _word(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
