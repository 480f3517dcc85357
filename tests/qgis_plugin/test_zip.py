"""The zip passes what the plugin site checks on upload (its validator.py); test_security_scan.py has the rest."""

from __future__ import annotations

import configparser
import importlib.util
import re
import zipfile
from pathlib import Path
from urllib.parse import urlparse

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME = "weft_geo_qgis"
REQUIRED = ("name", "description", "version", "qgisMinimumVersion", "author", "email", "about", "tracker", "repository")
BYTES_ALLOWED = 25_000_000


def load_builder():
    spec = importlib.util.spec_from_file_location("build_plugin", ROOT / "tools" / "build_plugin.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """The zip with something as heavy as the wheel inside: the embedded model does not shrink."""
    folder = tmp_path_factory.mktemp("zip")
    wheel = folder / "weft_geo-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in (ROOT / "weft_geo" / "weights").glob("*.onnx"):
            packed.write(path, path.name)
    load_builder().build_zip(folder / "plugin.zip", wheel)
    return folder / "plugin.zip"


@pytest.fixture(scope="module")
def metadata(archive) -> dict[str, str]:
    parser = configparser.ConfigParser()
    parser.optionxform = str
    with zipfile.ZipFile(archive) as opened:
        parser.read_string(opened.read(f"{NAME}/metadata.txt").decode("utf-8"))
    return dict(parser["general"])


def test_size(archive):
    assert archive.stat().st_size <= BYTES_ALLOWED


def test_names(archive):
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
        assert opened.testzip() is None
        permissions = {entry.external_attr >> 16 & 0o777 for entry in opened.infolist()}
    assert {name.split("/")[0] for name in names} == {NAME}
    assert NAME.isidentifier()
    assert {f"{NAME}/{name}" for name in ("__init__.py", "metadata.txt", "LICENSE", "icon.png", "icon.svg")} <= set(
        names
    )
    assert not [name for name in names if ".." in name or "\\" in name or name.startswith("/") or ".pyc" in name]
    assert not [name for name in names if {"__MACOSX", ".git", "__pycache__"} & set(name.split("/"))]
    assert not [name for name in names if re.search(r"(^|/)\.|resources(_rc)?\.py$|\.(so|dll|exe|qrc|sh|bat)$", name)]
    assert permissions == {0o644}


def test_metadata(metadata):
    assert not [key for key in REQUIRED if not metadata.get(key, "").strip()]
    assert metadata["hasProcessingProvider"] == "yes"
    assert "supportsQt6" not in metadata, "the site takes it for outdated"
    assert re.fullmatch(r"[^/]+", metadata["author"])
    assert re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", metadata["email"])
    assert (metadata["qgisMinimumVersion"], metadata["qgisMaximumVersion"]) == ("3.22", "4.99")
    for key in ("tracker", "repository", "homepage"):
        link = urlparse(metadata[key])
        assert link.scheme == "https", key
        assert link.netloc, key
        assert metadata[key] not in ("http://bugs", "http://repo", "http://homepage")


def test_the_version_is_that_of_the_package(metadata):
    text = (ROOT / "weft_geo" / "version.py").read_text()
    assert metadata["version"] in text, "plugin and package are released together"


def test_the_icon_is_a_picture(archive, metadata):
    with zipfile.ZipFile(archive) as opened:
        assert opened.read(f"{NAME}/{metadata['icon']}").startswith(b"\x89PNG\r\n")


def test_the_same_sources_give_the_same_bytes(tmp_path):
    builder = load_builder()
    for name in ("a.zip", "b.zip"):
        builder.build_zip(tmp_path / name, None)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
