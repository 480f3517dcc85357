"""`weft-geo models`: the models that are known by name."""

from __future__ import annotations

import json
from typing import Any

import click

from .options import json_option
from .progress import Console


@click.command(short_help="List the models that are known by name.")
@json_option
@click.pass_obj
def models(console: Console, /, as_json: bool) -> None:
    """List the models that come with the package, and those that can be trained."""
    shipped, trainable = _shipped(), _trainable()
    if as_json:
        console.result(json.dumps({"shipped": shipped, "trainable": trainable}, ensure_ascii=False))
        return
    console.result("Ready to predict (--model NAME, a path to .onnx or .safetensors, or a run's folder):")
    for model in shipped:
        console.result(f"  {model['name']:<12} {model['summary']}")
    console.result("To be built and trained (needs the train extra):")
    for name in trainable or ['not installed: pip install "weft-geo[train]"']:
        console.result(f"  {name}")


def _shipped() -> list[dict[str, Any]]:
    from weft_geo.errors import CheckpointError
    from weft_geo.inference.backends import NAMED_MODELS

    from .contracts import read_contract

    found: list[dict[str, Any]] = []
    for name, file in NAMED_MODELS.items():
        try:
            contract = read_contract(name)
        except CheckpointError as error:
            found.append({"name": name, "file": file, "installed": False, "summary": str(error)})
            continue
        facts = {"name": name, "file": file, "installed": True, "summary": contract.summary}
        found.append(facts | {"contract": json.loads(contract.to_json())})
    return found


def _trainable() -> list[str]:
    from weft_geo.models import is_installed, model_names

    return model_names() if is_installed() else []
