"""`weft-geo train`: a benchmark, or your own images and polygons, to a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import overwrite_option, progress_option
from .progress import Console

if TYPE_CHECKING:
    from weft_geo.trainers.config import DataConfig, TrainConfig
    from weft_geo.trainers.train import TrainReport

STRATEGIES = ("weft", "full", "frozen", "lora", "vpt", "adapter")
TABLES = ("ablation", "experts", "strategies")
# Where each option goes in the configuration.
PLACES = {
    "dataset": "data", "data_root": "data", "images": "data", "labels": "data", "val_images": "data",
    "class_field": "data", "gsd_m": "data", "val_share": "data", "crop": "data", "limit": "data", "overfit": "data",
    "workers": "data", "check": "data",
    "weights": "model", "backbone": "model", "strategy": "model", "ablate": "model", "experts": "model",
    "freeze_trunk": "model",
    "lr": "optimizer", "max_steps": "optimizer", "warmup_steps": "optimizer",
    "seed": "run", "batch_size": "run", "accumulate": "run", "device": "run", "devices": "run", "parallel": "run",
    "precision": "run", "gradient_checkpointing": "run", "val_every": "run", "save_every": "run", "patience": "run",
}  # fmt: skip


def split_list(context: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    """Read `twe,esto` as a list."""
    return None if value is None else [part.strip() for part in value.split(",") if part.strip()]


@click.command(short_help="Train a model on a benchmark, or on your own images and polygons.")
@click.option("--dataset", metavar="NAME", help="A benchmark; weft-geo datasets lists them.")
@click.option("--data-root", type=click.Path(), help="The folder it is in.")
@click.option("--images", multiple=True, metavar="A.tif", help="A raster of your own; repeat for more, or list them.")
@click.argument("more_images", nargs=-1, metavar="[B.tif]...")
@click.option("--labels", multiple=True, metavar="X.gpkg", help="The polygons on them, in any CRS and vector format.")
@click.option("--val-images", multiple=True, metavar="V.tif", help="Rasters to validate on, not a share of the area.")
@click.option("--class-field", metavar="NAME", help="Attribute that says what a polygon is.  [default: one class]")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="YAML; options here come before it.")
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, readable=False, path_type=Path), help="Folder of the run."
)
@click.option("--model", metavar="NAME", help="weft-large or weft-tiny.  [default: large for benchmarks, else tiny]")
@click.option("--weights", metavar="FILE|URL#sha256=…|pretrained", help="Values to start from.")
@click.option("--backbone", metavar="NAME", help="uni-perceiver, or timm/NAME for a plain vision transformer.")
@click.option("--strategy", type=click.Choice(STRATEGIES), help="How the trunk is fine-tuned.  [default: weft]")
@click.option("--ablate", callback=split_list, metavar="twe,esto,see", help="Parts of WEFT to leave out.")
@click.option("--experts", type=click.IntRange(1, 7), help="Wavelet experts that are active.  [default: 4]")
@click.option("--freeze-trunk", is_flag=True, default=None, help="Keep the trunk of a small model as it is, too.")
@click.option("--table", type=click.Choice(TABLES), help="Train each row of a table of the paper and write it.")
@click.option(
    "--regime",
    type=click.Choice(["paper", "research", "small"]),
    help="Defaults of everything else.  [default: paper for its own data sets and weft-large, else small]",
)
@click.option("--max-steps", type=click.IntRange(1), help="Optimisation steps.")
@click.option("--warmup-steps", type=click.IntRange(0), help="Of them with a rising rate.")
@click.option("--lr", type=click.FloatRange(0, min_open=True), help="Learning rate.")
@click.option("--find-lr", is_flag=True, help="Try rising rates, suggest one, and stop.")
@click.option("--batch-size", type=click.IntRange(1), help="Images in a step on one device.")
@click.option("--accumulate", type=click.IntRange(1), help="Batches that make a step.")
@click.option("--crop", type=click.IntRange(64), help="Side of a training crop, in pixels.")
@click.option("--gsd", "gsd_m", type=click.FloatRange(0, min_open=True), help="Metres per pixel for your own images.")
@click.option("--val-share", type=click.FloatRange(0, 1, True, True), help="Share of their area for validation.")
@click.option("--limit", type=click.IntRange(1), help="Only so many images of each split of a benchmark.")
@click.option("--overfit", type=click.IntRange(1), help="Learn so many images by heart, to see that all is well.")
@click.option("--device", help="As Lightning's accelerator: auto, cpu, gpu …")
@click.option("--devices", help="As Lightning's devices: how many, or which.")
@click.option("--parallel", help="As Lightning's strategy: auto, ddp …")
@click.option("--precision", help="As Lightning's precision: 32-true, bf16-mixed, 16-mixed …")
@click.option(
    "--gradient-checkpointing",
    is_flag=False,
    flag_value="all",
    type=click.Choice(["adapter", "all"]),
    callback=lambda context, parameter, value: {"all": True}.get(value, value),
    help="Less memory for more time: run the adapter, or the trunk's layers too, again backwards.",
)
@click.option("--workers", type=click.IntRange(0), help="Processes that read beside the training.")
@click.option("--check/--no-check", default=None, help="Read every file before the training starts.  [default: check]")
@click.option("--val-every", type=click.IntRange(1), help="Steps between validations.")
@click.option("--save-every", type=click.IntRange(1), help="Steps between checkpoints to go on from.")
@click.option("--patience", type=click.IntRange(0), help="Stop after so many validations without a better one.")
@click.option("--seed", type=click.IntRange(0), help="Of everything that is drawn at random.")
@click.option("--print-config", is_flag=True, help="Print every field as YAML, and stop.")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Go on with the run in the folder.")
@overwrite_option
@progress_option
@click.pass_obj
def train(
    console: Console,
    /,
    config_file: Path | None,
    output: Path | None,
    model: str | None,
    more_images: tuple[str, ...],
    table: str | None,
    regime: str | None,
    find_lr: bool,
    print_config: bool,
    resume: bool,
    overwrite: bool,
    **options: Any,
) -> None:
    """Train on a benchmark (--dataset NAME --data-root DIR), or on your own (--images A.tif B.tif --labels X.gpkg).

    A run that was stopped, however, goes on when the same command is given again, or just the folder with -o. Your own
    images give model.onnx, which weft-geo predict --model runs. Needs the train extra.
    """
    from weft_geo.errors import InputError
    from weft_geo.geo.access import require_writable

    config = configure(config_file, output, model, regime, more_images, options)
    if print_config:
        console.result(config.to_yaml().rstrip())
        return
    if output is None:
        raise InputError("the run needs a folder; give -o runs/NAME")
    require_writable(output)
    require_data(config.data)
    if find_lr:
        from weft_geo.trainers.learning_rate import suggest_rate

        suggestion = suggest_rate(config, output)
        console.result(f"{suggestion.lr:.1e}")
        console.note(
            f"suggested learning rate; the curve is in {suggestion.picture}. Go on with --lr {suggestion.lr:.1e}"
        )
    elif table:
        from weft_geo.trainers.comparison import compare

        if not resume:
            raise InputError(
                "a table keeps the rows that are done; --overwrite begins it anew, in place of --no-resume"
            )
        console.result(compare(config, table, output, console.progress, overwrite=overwrite).to_markdown())
    else:
        from weft_geo.datasets.datamodules import is_first_process
        from weft_geo.trainers.train import train as run

        first = is_first_process()  # of a parallel run, it alone speaks
        report = run(config, output, resume=resume, overwrite=overwrite, progress=console.progress if first else None)
        if first:
            console.result(tell(report))


def configure(
    config_file: Path | None,
    output: Path | None,
    model: str | None,
    regime: str | None,
    more_images: tuple[str, ...],
    options: dict[str, Any],
) -> TrainConfig:
    """The configuration that a command line asks for: options, over the file, over the regime."""
    from weft_geo.geo.access import is_there
    from weft_geo.trainers.config import build_config, read_values

    given = {name: value for name, value in options.items() if value is not None and value != ()}
    if given.get("images") or more_images:
        given["images"] = [*given.get("images", ()), *more_images]
    if config_file is None and output is not None and not {"dataset", "images"} & set(given):
        of_run = output / "config.yaml"
        if is_there(of_run) or not (given or model):
            config_file = of_run
    values = read_values(config_file) if config_file else {}
    for name, value in given.items():
        values.setdefault(PLACES[name], {})[name] = value
    if model:
        values.setdefault("model", {})["name"] = model
    return build_config(values, regime)


def require_data(data: DataConfig) -> None:
    """Refuse rasters, layers and benchmarks that are not there before torch and torchgeo load, which takes a while."""
    from weft_geo.datasets.catalogue import find_benchmark
    from weft_geo.datasets.layouts import find_pairs
    from weft_geo.datasets.scenes import require_layer
    from weft_geo.geo.raster import open_raster

    if data.dataset and data.data_root:
        find_pairs(find_benchmark(data.dataset), data.data_root, "train")
    for path in (*data.images, *data.val_images):
        with open_raster(path):
            pass
    for path in data.labels:
        require_layer(path)


def tell(report: TrainReport) -> str:
    """A report as lines of text."""
    classes = ", ".join(f"{name} {iou:.3f}" for name, iou in report.val_iou.items())
    speed = "" if report.images_per_second is None else f"{report.images_per_second:.2f} images/s, "
    lines = [
        f"val mIoU   {report.val_miou:.4f}   {classes} (IoU), at step {report.best_step} of {report.steps}",
        f"objects    from a probability of {report.threshold:g} and {report.min_area_m2:g} m² on",
        f"trained    {report.trainable:,} of {report.total:,} values ({report.trainable_share:.2%}); {report.start}",
        f"took       {report.seconds:.0f} s, {speed}peak memory {report.peak_memory_bytes / 2**20:,.0f} MiB on "
        f"{report.device}",
        *(f"{kind:<10} {path}" for kind, path in report.files.items()),
    ]
    return "\n".join(lines)
