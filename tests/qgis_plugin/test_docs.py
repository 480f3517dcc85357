from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PICTURES = re.findall(r"!\[[^]]+\]\(([^)]+)\)", (DOCS / "qgis.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_there_and_light(name):
    assert (DOCS / name).stat().st_size < 200_000


def test_every_picture_is_shown():
    assert len(PICTURES) >= 4
    assert {path.name for path in (DOCS / "images").iterdir()} == {Path(name).name for name in PICTURES}
