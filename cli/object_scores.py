"""`weft-geo evaluate --objects A --truth B`: two layers against each other."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from weft_geo.version import __version__

from .progress import Console

if TYPE_CHECKING:
    from weft_geo.vector import ObjectScores
    from weft_geo.vector.layer_file import LayerFile


def score_objects(console: Console, options: dict[str, Any], errors: LayerFile | None) -> None:
    """Read both layers, pair their objects and say how well they agree."""
    from weft_geo.vector.errors_layer import write_errors
    from weft_geo.vector.match import score_pairs
    from weft_geo.vector.object_classes import find_class_field
    from weft_geo.vector.pairs import pair_objects

    from .layers import read_layer

    inputs = {name: options[name] for name in ("objects", "truth", "aoi")}
    found, truth = read_layer(options["objects"]), read_layer(options["truth"])
    field = options["class_field"]
    if field is None:
        field, why_not = find_class_field(found, truth)
        if why_not:
            console.warn(why_not)
    pairs = pair_objects(found, truth, options["iou"], field, options["aoi"])
    scores = score_pairs(pairs, by_class=field is not None)
    settings = {"iou_threshold": options["iou"], "class_field": field}
    facts = {"iou_threshold": options["iou"], **as_facts(scores), "class_field": field, "aoi": options["aoi"]}
    if errors:
        count = write_errors(errors, found, truth, pairs, field, provenance(inputs | settings))
        console.note(f"{count} objects of both layers → {options['errors']}")
    if field is not None:
        warn_of_strangers(console, scores)
    console.result(json.dumps(facts, ensure_ascii=False) if options["as_json"] else as_text(scores, options["iou"]))


def provenance(parameters: dict[str, Any]) -> dict[str, Any]:
    """How an errors layer came to be."""
    time = datetime.now(UTC).isoformat(timespec="seconds")
    return {"software": f"weft-geo {__version__}", "time": time, "parameters": parameters}


def warn_of_strangers(console: Console, scores: ObjectScores) -> None:
    """Say so where both layers have objects, but not of one common class: one of them may use other words."""
    found = [name for name, some in scores.classes.items() if some.true_positives + some.false_positives]
    true = [name for name, some in scores.classes.items() if some.true_positives + some.false_negatives]
    if found and true and not set(found) & set(true):
        console.warn(
            f"no class is in both layers: {_shortened(found)} among the found objects, {_shortened(true)} among the "
            "true ones; rename them, or give the right --class-field"
        )


def as_facts(scores: ObjectScores) -> dict[str, Any]:
    """Scores as JSON holds them: the total, and under `classes` each class."""
    total = asdict(scores)
    classes = {
        name: {key: value for key, value in some.items() if key != "classes"}
        for name, some in total.pop("classes").items()
    }
    return total | {"classes": classes}


def as_text(scores: ObjectScores, iou: float) -> str:
    """Scores as a person reads them: the total, and below it a row a class."""
    found = scores.true_positives + scores.false_positives
    true = scores.true_positives + scores.false_negatives
    lines = [
        f"area IoU   {scores.area_iou:.3f}",
        f"object F1  {scores.f1:.3f}   at IoU ≥ {iou:g}{', of one class' if scores.classes else ''}",
        f"precision  {scores.precision:.3f}   {scores.true_positives} of {found} found objects are true",
        f"recall     {scores.recall:.3f}   {scores.true_positives} of {true} true objects are found",
        f"mean IoU   {scores.mean_iou:.3f}   of the pairs",
    ]
    if scores.classes:
        width = max(len("class"), *map(len, scores.classes))
        head = ("area IoU", "object F1", "precision", "recall", "mean IoU", "pairs", "found", "true")
        lines += ["", f"{'class':<{width}}  " + "  ".join(f"{word:>9}" for word in head)]
        for name, some in scores.classes.items():
            shares = (some.area_iou, some.f1, some.precision, some.recall, some.mean_iou)
            pairs = some.true_positives
            counts = (pairs, pairs + some.false_positives, pairs + some.false_negatives)
            cells = [*(f"{share:>9.3f}" for share in shares), *(f"{count:>9}" for count in counts)]
            lines.append(f"{name:<{width}}  " + "  ".join(cells))
    return "\n".join(lines)


def _shortened(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
