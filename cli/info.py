"""`weft-geo info`: what a scene, a model or a layer is, and whether scene and model fit each other."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import VECTOR_SUFFIXES, crs_option, json_option
from .progress import Console

if TYPE_CHECKING:
    from weft_geo.geo.contract import ModelContract
    from weft_geo.geo.raster_info import RasterInfo

FOR_PROGRAMS = ("height", "width", "band_count", "dtype", "epsg", "crs_wkt", "bounds", "pixel_m", "transform")
"""What JSON has beside the sentences. Bounds are min x, min y, max x, max y; sizes and pixels down before across."""


@click.command(short_help="Say what a scene, a model or a layer is, and whether scene and model fit.")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option(
    "--model", default="embedded", show_default=True, metavar="NAME|PATH", help="What scenes are held against."
)
@crs_option
@json_option
@click.pass_obj
def info(console: Console, /, paths: tuple[str, ...], model: str, crs: str | None, as_json: bool) -> None:
    """Describe scenes (any raster), models (embedded, or .onnx), checkpoints (.safetensors), runs and vector layers.

    Scenes are held against the model among the paths, or else against --model. Of an output of weft-geo it says how
    that came about. Exit code 2 says that scene and model do not fit, or that a path cannot be read; the others are
    told of all the same.
    """
    from weft_geo.errors import CheckpointError, ContractError, InputError, WeftGeoError
    from weft_geo.geo.fit import check_fit
    from weft_geo.geo.ground import parse_crs

    from .contracts import is_model, read_contract

    if crs is not None:
        parse_crs(crs)
    report: dict[str, dict[str, Any]] = {}
    scenes: dict[str, RasterInfo] = {}
    models: dict[str, ModelContract] = {}
    unreadable: list[WeftGeoError] = []
    for path in paths:
        try:
            if is_model(path):
                report[path], models[path] = _describe_model(path)
            else:
                report[path], scene = _describe(path, crs)
                scenes |= {path: scene} if scene else {}
        except WeftGeoError as error:
            report[path] = {"kind": "unreadable", "error": str(error)}
            unreadable.append(error)
    name, contract = next(iter(models.items()), (model, None))
    missing = ""
    if scenes and contract is None and not any(map(is_model, paths)):
        try:
            contract = read_contract(model)
        except CheckpointError as error:
            if model != "embedded":
                raise
            missing = str(error)
    refused = []
    for path, scene in scenes.items():
        notes = [] if contract is None else check_fit(scene, contract)
        report[path] |= {"model": None if contract is None else name, "fit": [asdict(note) for note in notes]}
        refused += [note.message for note in notes if note.level == "error"]
    if as_json:
        console.result(json.dumps(report, ensure_ascii=False, default=str))
    else:
        for path, facts in report.items():
            if len(paths) > 1 or not unreadable:
                _print(console, path, facts)
    if missing:
        console.warn(missing)
    if unreadable and len(paths) == 1:
        raise unreadable[0]
    if unreadable:
        raise InputError(f"{len(unreadable)} of {len(paths)} paths cannot be read: {unreadable[0]}")
    if refused:
        raise ContractError(f"scene and model do not fit: {refused[0]}")


def _describe_model(path: str) -> tuple[dict[str, Any], ModelContract]:
    from .contracts import read_contract, read_trunk_hash

    contract = read_contract(path)
    facts: dict[str, Any] = {"kind": "model", "contract": asdict(contract)}
    if trunk := read_trunk_hash(path):
        facts |= {"kind": "adapter", "trunk_sha256": trunk}
    return facts, contract


def _describe(path: str, crs: str | None) -> tuple[dict[str, Any], RasterInfo | None]:
    """A raster, or a layer; with what is to be held against a model. A file may be either, whatever its suffix."""
    from weft_geo.errors import RasterError, VectorError
    from weft_geo.geo.access import is_there

    from .layer_facts import describe_layer

    rather_layer = Path(path).suffix.lower() in VECTOR_SUFFIXES
    try:
        return (describe_layer(path), None) if rather_layer else _describe_raster(path, crs)
    except (RasterError, VectorError):
        if is_there(path):
            with suppress(RasterError, VectorError):
                return _describe_raster(path, crs) if rather_layer else (describe_layer(path), None)
        raise


def _describe_raster(path: str, crs: str | None) -> tuple[dict[str, Any], RasterInfo | None]:
    from weft_geo.geo.raster import open_raster
    from weft_geo.vector.polygonize import read_origin

    with open_raster(path, crs) as raster:
        scene = raster.info
    facts = {**_sentences(scene), **_numbers(scene)}
    if origin := read_origin(path):
        return {"kind": "mask" if scene.nodata is not None else "probability", **facts, "origin": origin}, None
    return {"kind": "scene", **facts}, scene


def _sentences(scene: RasterInfo) -> dict[str, Any]:
    from weft_geo.errors import CrsError
    from weft_geo.geo.ground import crs_name, describe_pixel

    try:
        pixel: str | None = describe_pixel(scene.pixel)
    except CrsError:
        pixel = None
    return {
        "format": scene.driver,
        "size": f"{scene.height} × {scene.width} px",
        "bands": f"{scene.bands} ({', '.join(scene.colors)}), {scene.dtype}",
        "crs": crs_name(scene.crs) if scene.crs else None,
        "pixel": pixel,
        "nodata": scene.nodata if scene.nodata is None or math.isfinite(scene.nodata) else str(scene.nodata),
        "mask": "band" if scene.masked else None,
        "blocks": f"{scene.block_shape[0]} × {scene.block_shape[1]} px",
        "overviews": list(scene.overviews),
    }


def _numbers(scene: RasterInfo) -> dict[str, Any]:
    """What `FOR_PROGRAMS` lists; the transform is (column, row) → (x, y) as rasterio orders it: a, b, c, d, e, f."""
    from weft_geo.errors import CrsError

    try:
        pixel: list[float] | None = list(scene.pixel)
    except CrsError:
        pixel = None
    corners = [scene.transform @ (col, row) for col in (0, scene.width) for row in (0, scene.height)]
    xs, ys = zip(*corners, strict=True)
    return {
        "height": scene.height,
        "width": scene.width,
        "band_count": scene.bands,
        "dtype": scene.dtype,
        "epsg": scene.crs.to_epsg() if scene.crs else None,
        "crs_wkt": scene.crs.to_wkt() if scene.crs else None,
        "bounds": [min(xs), min(ys), max(xs), max(ys)],
        "pixel_m": pixel,
        "transform": list(scene.transform)[:6],
    }


def _print(console: Console, /, path: str, facts: dict[str, Any]) -> None:
    trunk = facts.get("trunk_sha256")
    console.result(f"{path}: {facts['kind']}{f' of the trunk with SHA-256 {trunk[:12]}…' if trunk else ''}")
    known = {"scene": ("model", "fit"), "objects": ("fields",)}.get(facts["kind"], ())
    skipped = ("kind", *FOR_PROGRAMS, *known)
    for key, value in (facts.get("contract") or facts).items():
        if key not in skipped and value not in (None, [], {}, ""):
            console.result(f"  {key:<12} {_words(value)}")
    if facts.get("fit"):
        console.result(f"  with the model {facts['model']}:")
        marks = {"ok": "+", "warning": "!", "error": "x"}
        for note in facts["fit"]:
            console.result(f"    {marks[note['level']]} {note['message']}")


def _words(value: Any) -> str:
    """Lists and what JSON has as objects, without brackets; what is not set is left out."""
    if isinstance(value, dict):
        parts = [f"{key} {_words(inner)}" for key, inner in value.items() if inner not in (None, [], {}, "")]
        return "; ".join(parts) if any(", " in part for part in parts) else ", ".join(parts)
    return ", ".join(map(_words, value)) if isinstance(value, list | tuple) else str(value)
