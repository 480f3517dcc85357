"""What the README shows must exist: commands, options, files and Python names."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import click
import pytest

import weft_geo as package
from weft_geo_cli.main import weft_geo

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = sorted(set(re.findall(r"^    (weft-geo .+)$", README, re.MULTILINE)))
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
LINKS = sorted(set(re.findall(r"\]\((?!https?:)([^)]+)\)", README)))


@pytest.mark.parametrize("line", COMMANDS)
def test_command_lines_are_understood(line):
    _, name, *words = shlex.split(line, comments=True)
    command = weft_geo.commands[name]
    options = {flag for option in command.params if isinstance(option, click.Option) for flag in option.opts}
    assert {word for word in words if word.startswith("-")} <= options
    with click.Context(command) as context:
        command.parse_args(context, words)


def test_the_table_lists_every_command():
    assert re.findall(r"^\| `weft-geo (\w+)", README, re.MULTILINE) == list(weft_geo.commands)


@pytest.mark.parametrize("code", PYTHON)
def test_python_names_exist(code):
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module == "weft_geo":
            assert {alias.name for alias in node.names} <= set(package.__all__)


@pytest.mark.parametrize("link", LINKS)
def test_links_lead_somewhere(link):
    assert (ROOT / link).exists()


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`make ([\w-]+)`|^    make ([\w-]+)", README, re.MULTILINE)):
        assert f"\n{''.join(target)}:" in makefile
