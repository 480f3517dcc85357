"""`weft-geo info`: what a scene or a model is, and whether they fit each other."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from .options import crs_option, json_option
from .progress import Console

if TYPE_CHECKING:
    from weft_geo.geo.raster_info import RasterInfo


@click.command(short_help="Say what a scene or a model is, and whether they fit.")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option(
    "--model", default="embedded", show_default=True, metavar="NAME|PATH", help="What scenes are held against."
)
@crs_option
@json_option
@click.pass_obj
def info(console: Console, /, paths: tuple[str, ...], model: str, crs: str | None, as_json: bool) -> None:
    """Describe scenes (any raster), models (.onnx), checkpoints (.safetensors) and runs (folders).

    Scenes are held against the model among the paths, or else against --model. Exit code 2 says that they do not fit.
    """
    from weft_geo.errors import CheckpointError, ContractError
    from weft_geo.geo.fit import check_fit

    from .contracts import is_model, read_contract, read_trunk_hash

    models = {path: read_contract(path) for path in paths if is_model(path)}
    scenes = {path: _read_scene(path, crs) for path in paths if path not in models}
    name, contract = next(iter(models.items()), (model, None))
    missing = ""
    if scenes and contract is None:
        try:
            contract = read_contract(model)
        except CheckpointError as error:
            if model != "embedded":
                raise
            missing = str(error)
    report: dict[str, Any] = {}
    for path, known in models.items():
        report[path] = {"kind": "model", "contract": asdict(known)}
        if trunk := read_trunk_hash(path):
            report[path] |= {"kind": "adapter", "trunk_sha256": trunk}
    refused = []
    for path, scene in scenes.items():
        notes = [] if contract is None else check_fit(scene, contract)
        report[path] = {"kind": "scene", **_describe(scene), "model": name, "fit": [asdict(note) for note in notes]}
        refused += [note.message for note in notes if note.level == "error"]
    if as_json:
        console.result(json.dumps(report, ensure_ascii=False, default=str))
    else:
        for path, facts in report.items():
            _print(console, path, facts)
    if missing:
        console.warn(missing)
    if refused:
        raise ContractError(f"scene and model do not fit: {refused[0]}")


def _read_scene(path: str, crs: str | None) -> RasterInfo:
    from weft_geo.geo.raster import open_raster

    with open_raster(path, crs) as raster:
        return raster.info


def _describe(scene: RasterInfo) -> dict[str, Any]:
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
        "nodata": scene.nodata,
        "mask": "band" if scene.masked else None,
        "blocks": f"{scene.block_shape[0]} × {scene.block_shape[1]} px",
        "overviews": list(scene.overviews),
    }


def _print(console: Console, /, path: str, facts: dict[str, Any]) -> None:
    trunk = facts.get("trunk_sha256")
    console.result(f"{path}: {facts['kind']}{f' of the trunk with SHA-256 {trunk[:12]}…' if trunk else ''}")
    for key, value in (facts.get("contract") or facts).items():
        if key not in ("kind", "model", "fit") and value not in (None, [], ""):
            console.result(f"  {key:<12} {', '.join(map(str, value)) if isinstance(value, list | tuple) else value}")
    if facts.get("fit"):
        console.result(f"  with the model {facts['model']}:")
        marks = {"ok": "+", "warning": "!", "error": "x"}
        for note in facts["fit"]:
            console.result(f"    {marks[note['level']]} {note['message']}")
