"""Options that several commands share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import click

from .progress import MODES, Console

Command = TypeVar("Command", bound=Callable[..., Any])

VECTOR_SUFFIXES = (".gpkg", ".fgb", ".parquet", ".geojson", ".shp")


def _choose_mode(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(Console).mode = value


def _choose_verbosity(context: click.Context, parameter: click.Parameter, given: bool) -> None:
    if given:
        louder = parameter.name == "verbose"
        context.ensure_object(Console).verbosity = 1 if louder else -1
        logging.getLogger().setLevel(logging.INFO if louder else logging.ERROR)


def add_verbosity(command: click.Command, hidden: bool = False) -> None:
    """Let `-v` and `-q` stand anywhere on the line: before a command's name, where help shows them, and after it."""
    for flags, text in (
        (("-v", "--verbose"), "Say more; show where an error came from."),
        (("-q", "--quiet"), "Say nothing but errors."),
    ):
        option = click.Option(
            flags, is_flag=True, help=text, hidden=hidden, expose_value=False, callback=_choose_verbosity
        )
        command.params.append(option)
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            add_verbosity(inner, hidden=True)


progress_option = click.option(
    "--progress",
    type=click.Choice(MODES),
    default=None,
    callback=_choose_mode,
    expose_value=False,
    help="How to show progress on stderr; json is one object a line.  [default: bar on a terminal, else none]",
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace outputs that are there.")
crs_option = click.option(
    "--crs", metavar="EPSG:N", default=None, help="CRS for a raster without one, or instead of its own."
)
tta_option = click.option(
    "--tta",
    type=click.Choice(["none", "flips", "d4"]),
    default="none",
    show_default=True,
    help="Average over mirrored (4 runs of the model) or also turned (8) windows.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


threshold_option = click.option(
    "--threshold",
    type=click.FloatRange(0, 1, min_open=True),
    default=None,
    help="Probability from which a pixel is an object's.  [default: the model's if there is one, else 0.5]",
)
least_area_option = click.option(
    "--min-area-m2",
    type=click.FloatRange(min=0),
    default=None,
    metavar="M2",
    help="Drop smaller objects.  [default: the model's if there is one, else 0]",
)


def vector_options(command: Command) -> Command:
    """Add how objects are made from probabilities: the same for `predict` and `vectorize`."""
    area = click.FloatRange(min=0)
    options = [
        threshold_option,
        click.option(
            "--outline",
            type=click.Choice(["pixel", "subpixel"]),
            default="pixel",
            show_default=True,
            help="Follow pixel edges exactly, or run between pixels where the probability crosses the threshold.",
        ),
        least_area_option,
        click.option("--min-hole-m2", type=area, default=0.0, metavar="M2", help="Fill smaller holes."),
        click.option(
            "--simplify",
            "simplify_m",
            type=area,
            default=0.0,
            metavar="METRES",
            help="Simplify by this tolerance; shared edges stay shared.",
        ),
        click.option("--regularize", is_flag=True, help="Give objects right angles where that changes them little."),
    ]
    for option in reversed(options):
        command = option(command)
    return command
