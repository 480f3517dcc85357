"""`weft-geo evaluate MODEL --images A.tif --labels X.gpkg`: a model on your own scenes, through the whole engine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from weft_geo.errors import InputError, VectorError

from .object_scores import as_facts, as_text, provenance, warn_of_strangers
from .progress import Console

if TYPE_CHECKING:
    import geopandas
    from rasterio.crs import CRS

    from weft_geo.inference import Predictor
    from weft_geo.metrics.pixels import PixelScores
    from weft_geo.vector.layer_file import LayerFile

RUN_OPTIONS = ("aoi", "threshold", "min_area_m2", "tta")
"""Of the engine, as `predict` has them."""

LONGEST_SIDE_PX = 4096
"""Of the picture of its valid pixels that the outline of a scene is taken from."""


@dataclass(frozen=True)
class _Truth:
    """What is there.

    Attributes:
        objects: polygons with "class" and "id".
        classes: those of the model, and behind them those that it does not know.
        by: the attribute that tells classes; None if all objects are of the model's only class.
    """

    objects: geopandas.GeoDataFrame
    classes: list[str]
    by: str | None


@dataclass(frozen=True)
class _Outcome:
    """What the model made of a scene.

    Attributes:
        found: its objects.
        ground: outline of its valid pixels.
        pixels: what `count_pixels` counted.
    """

    found: geopandas.GeoDataFrame
    ground: geopandas.GeoDataFrame
    pixels: Any


def score_scenes(console: Console, options: dict[str, Any], images: Sequence[str], errors: LayerFile | None) -> None:
    """Run the model over the scenes, and compare its pixels and its objects with the polygons."""
    from weft_geo.geo.raster import open_raster
    from weft_geo.inference import load_predictor
    from weft_geo.metrics.pixels import score_pixels
    from weft_geo.vector.errors_layer import write_errors
    from weft_geo.vector.match import score_pairs
    from weft_geo.vector.pairs import pair_objects

    labels, iou = options["labels"], options["iou"]
    how = {name: options[name] for name in RUN_OPTIONS}
    predictor = load_predictor(options["checkpoint"], options["device"])
    with open_raster(images[0]) as raster:
        crs = raster.info.required_crs
    truth = _read_truth(console, labels, options["class_field"], predictor.contract.classes, crs)
    with TemporaryDirectory(prefix="weft-geo-") as folder:
        outcomes = [
            _run(console, image, predictor, truth, Path(folder) / str(number), how)
            for number, image in enumerate(images)
        ]
        found, ground = _together([some.found for some in outcomes]), _together([some.ground for some in outcomes])
        if not len(truth.objects.sindex.query(ground.geometry.union_all(), predicate="intersects")):
            raise VectorError(f"no polygon of {', '.join(labels)} lies on {', '.join(images)}; are they of one place?")
        if ground.area.sum() > 1.0001 * ground.geometry.union_all().area:
            console.warn("some scenes overlap; what lies on several of them counts several times")
        ground.to_file(area := Path(folder) / "ground.gpkg")
        pairs = pair_objects(found, truth.objects, iou, truth.by, area)
    scores = score_pairs(pairs, by_class=truth.by is not None)
    pixels = score_pixels(sum(some.pixels for some in outcomes), truth.classes)
    known = int(sum(some.pixels.sum() for some in outcomes))
    if truth.by:
        warn_of_strangers(console, scores)
    settings = {"model": options["checkpoint"], "images": list(images), "labels": list(labels), "iou_threshold": iou}
    settings |= {"class_field": options["class_field"] or truth.by, **how}
    if errors:
        count = write_errors(errors, found, truth.objects, pairs, truth.by, provenance(settings))
        console.note(f"{count} objects, found and true → {options['errors']}")
    if options["as_json"]:
        facts = {"count": known, "classes": {name: asdict(some) for name, some in pixels.items()}}
        console.result(json.dumps(settings | {"pixels": facts, "objects": as_facts(scores)}, ensure_ascii=False))
        return
    scenes = images[0] if len(images) == 1 else f"{len(images)} scenes"
    title = f"{options['checkpoint']} on {scenes}: {known:,} pixels of the size that the model sees"
    console.result("\n".join([title, "", *_pixel_rows(pixels), "", as_text(scores, iou)]))


def _read_truth(
    console: Console, labels: Sequence[str], field: str | None, classes: tuple[str, ...], crs: CRS
) -> _Truth:
    """The polygons in the CRS of the first scene, each with its class in words."""
    import geopandas
    import numpy as np

    from weft_geo.datasets.scenes import read_polygons
    from weft_geo.geo.contract import MAX_CLASSES
    from weft_geo.vector.errors_layer import ID_FIELDS, read_attribute
    from weft_geo.vector.object_classes import CLASS, find_class_field, read_classes

    model = geopandas.GeoDataFrame({CLASS: list(classes)}, geometry=[None] * len(classes), crs=crs.to_wkt())
    layers = []
    by: list[str | None] = []
    for path in labels:
        layer = read_polygons(path, crs)
        own = field
        if own is None:
            own, why_not = find_class_field(model, layer)
            if why_not:
                console.warn(f"{path}: {why_not}")
        if own is None and len(classes) > 1:
            raise InputError(
                f"the model tells {len(classes)} classes ({', '.join(classes)}), and {path} does not say which of them "
                "its polygons are; give the attribute that does with --class-field"
            )
        words = np.full(len(layer), classes[0], dtype=object) if own is None else read_classes(model, layer, own)[1]
        columns = {CLASS: words, "id": read_attribute(layer, ID_FIELDS)}
        layers.append(geopandas.GeoDataFrame(columns, geometry=layer.geometry.to_numpy(), crs=layer.crs))
        by.append(own)
    objects = _together(layers)
    known = [*classes, *sorted(set(objects[CLASS]) - set(classes))]
    if len(known) > MAX_CLASSES:
        raise VectorError(f"{field or CLASS!r} holds {len(known)} classes; expected at most {MAX_CLASSES}")
    return _Truth(objects, known, CLASS if any(by) else None)


def _run(
    console: Console, image: str, predictor: Predictor, truth: _Truth, place: Path, how: dict[str, Any]
) -> _Outcome:
    """One scene by the engine, into temporary files; `how` holds the options of `predict_scene`."""
    import geopandas
    import numpy as np
    import rasterio
    from affine import Affine
    from rasterio.features import shapes
    from shapely.geometry import shape

    from weft_geo.inference import predict_scene
    from weft_geo.metrics.pixels import count_pixels

    objects, mask = place.with_suffix(".gpkg"), place.with_suffix(".tif")
    predict_scene(image, predictor, objects, mask, progress=console.progress, **how)
    with rasterio.open(mask) as raster:
        here = truth.objects.to_crs(raster.crs.to_wkt())
        smaller = max(raster.height, raster.width, LONGEST_SIDE_PX) / LONGEST_SIDE_PX
        valid = raster.read_masks(1, out_shape=(round(raster.height / smaller), round(raster.width / smaller)))
        pixel = raster.transform @ Affine.scale(raster.width / valid.shape[1], raster.height / valid.shape[0])
        outlines = shapes(valid, valid > 0, transform=pixel)
        ground = geopandas.GeoDataFrame(geometry=[shape(outline) for outline, _ in outlines], crs=here.crs)
    numbers = np.array([truth.classes.index(name) + 1 for name in here["class"]], dtype=np.uint8)
    pixels = count_pixels(mask, here.geometry.to_numpy(), numbers, len(truth.classes))
    found = geopandas.read_file(objects, layer="objects")[["class", "geometry"]]
    return _Outcome(found.to_crs(truth.objects.crs), ground.to_crs(truth.objects.crs), pixels)


def _together(layers: Sequence[geopandas.GeoDataFrame]) -> geopandas.GeoDataFrame:
    """Layers with the same attributes, in one CRS, as one."""
    import geopandas
    import numpy as np

    columns = {
        name: np.concatenate([layer[name].to_numpy(dtype=object) for layer in layers])
        for name in layers[0].columns
        if name != "geometry"
    }
    shapes = np.concatenate([layer.geometry.to_numpy() for layer in layers])
    return geopandas.GeoDataFrame(columns, geometry=shapes, crs=layers[0].crs)


def _pixel_rows(pixels: dict[str, PixelScores]) -> list[str]:
    width = max(len("pixels"), *map(len, pixels))
    head = ("IoU", "precision", "recall", "F1", "found", "true")
    rows = [f"{'pixels':<{width}}  " + "  ".join(f"{word:>9}" for word in head)]
    for name, some in pixels.items():
        shares = [f"{share:>9.3f}" for share in (some.iou, some.precision, some.recall, some.f1)]
        rows.append(f"{name:<{width}}  " + "  ".join([*shares, f"{some.found:>9}", f"{some.true:>9}"]))
    if len(pixels) > 1:
        rows.append(f"{'mean':<{width}}  {sum(some.iou for some in pixels.values()) / len(pixels):>9.3f}")
    return rows
