"""What docs/training.md shows must exist: commands, options, choices and links."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from weft_geo_cli.main import weft_geo

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "training.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (weft-geo .+)$", PAGE, re.MULTILINE)
LINKS = re.findall(r"\]\((?!https?:)([^)#]+)", PAGE)


@pytest.mark.parametrize("line", COMMANDS)
def test_command_lines_are_understood(line: str) -> None:
    _, name, *words = shlex.split(line)
    command = weft_geo.commands[name]
    if isinstance(command, click.Group):
        name, *words = words
        command = command.commands[name]
    with click.Context(command) as context:
        command.parse_args(context, words)


def test_options_in_the_text_exist() -> None:
    known = {flag for option in weft_geo.commands["train"].params for flag in option.opts}
    named = set(re.findall(r"`(--[\w-]+)", PAGE))
    assert len(named) > 10
    assert named <= known


def test_links_lead_somewhere() -> None:
    assert all((DOCS / link).exists() for link in LINKS)
