"""`weft-geo evaluate`: how good objects are, against the truth."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from .options import json_option
from .progress import Console


@click.command(short_help="Score objects against true ones.")
@click.option("--objects", required=True, metavar="A.gpkg", help="Objects that were found.")
@click.option("--truth", required=True, metavar="B.gpkg", help="Objects that are there, in any CRS.")
@click.option(
    "--iou",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.5,
    show_default=True,
    help="Least intersection over union of a found object and its true partner.",
)
@json_option
@click.pass_obj
def evaluate(console: Console, /, objects: str, truth: str, iou: float, as_json: bool) -> None:
    """Compare the polygons of two layers.

    Objects are paired one to one by their intersection over union (IoU). The area IoU compares the
    areas that all objects of each layer cover, whichever object they belong to.
    """
    from weft_geo.vector import match_objects

    from .layers import read_layer

    scores = match_objects(read_layer(objects), read_layer(truth), iou=iou)
    if as_json:
        console.result(json.dumps({"iou_threshold": iou, **asdict(scores)}))
        return
    found = scores.true_positives + scores.false_positives
    true = scores.true_positives + scores.false_negatives
    console.result(
        f"area IoU   {scores.area_iou:.3f}\n"
        f"object F1  {scores.f1:.3f}   at IoU ≥ {iou:g}\n"
        f"precision  {scores.precision:.3f}   {scores.true_positives} of {found} found objects are true\n"
        f"recall     {scores.recall:.3f}   {scores.true_positives} of {true} true objects are found\n"
        f"mean IoU   {scores.mean_iou:.3f}   of the pairs"
    )
