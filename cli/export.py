"""`weft-geo export`: a checkpoint to ONNX."""

from __future__ import annotations

from pathlib import Path

import click

from .options import overwrite_option
from .progress import Console


@click.command(short_help="Turn a checkpoint into an ONNX model that runs without torch.")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(readable=False, path_type=Path), help="The .onnx file to write."
)
@click.option("--trunk", type=click.Path(path_type=Path), help="The trunk that an adapter-only checkpoint belongs to.")
@click.option("--check", is_flag=True, help="Run both and fail if their probabilities differ by more than 0.001.")
@overwrite_option
@click.pass_obj
def export(
    console: Console, /, checkpoint: Path, output: Path, trunk: Path | None, check: bool, overwrite: bool
) -> None:
    """Write CHECKPOINT as ONNX with its input contract inside. Needs the train extra.

    CHECKPOINT is a .safetensors file, a run's folder, or embedded.

    An adapter needs its trunk here; the ONNX file then holds both, and weft-geo predict --model runs it.
    """
    from weft_geo.errors import CheckpointError
    from weft_geo.geo.access import what_hinders
    from weft_geo.geo.whole_files import check_output
    from weft_geo.inference.backends import NAMED_MODELS

    check_output(output, overwrite=overwrite, suffixes=(".onnx",))
    if str(checkpoint) not in NAMED_MODELS and (hindrance := what_hinders(checkpoint)):
        raise CheckpointError(f"the checkpoint {checkpoint} {hindrance}")
    from weft_geo.models import load_checkpoint
    from weft_geo.models.export import export_onnx

    report = export_onnx(load_checkpoint(checkpoint, trunk), output, check=check)
    checked = "" if report.largest_difference is None else f", differs from torch by {report.largest_difference:.1e}"
    console.note(f"{checkpoint} → {output} ({report.bytes / 1e6:.1f} MB{checked})")
