from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PICTURES = {
    page.name: re.findall(r"!\[[^]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8")) for page in DOCS.glob("*.md")
}
ALL = sorted(name for names in PICTURES.values() for name in names)


@pytest.mark.parametrize("name", ALL)
def test_pictures_are_there_and_light(name):
    assert (DOCS / name).stat().st_size < 200_000


def test_every_picture_is_shown():
    assert len(PICTURES["qgis.md"]) >= 4
    assert {path.name for path in (DOCS / "images").iterdir()} == {Path(name).name for name in ALL}
