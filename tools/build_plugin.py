"""Builds the zip that QGIS installs: the plugin under its own name, the licence, and weft-geo's wheel to install from.

The same sources give the same bytes.
"""

from __future__ import annotations

import argparse
import configparser
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "qgis_plugin"
NAME = "weft_geo_qgis"
SUFFIXES = (".py", ".txt", ".svg", ".png", ".qm")


def build_wheel(folder: Path) -> Path:
    """Build weft-geo's wheel into a folder."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("weft_geo-*.whl")
    return wheel


def build_zip(target: Path, wheel: Path | None) -> None:
    """Write the zip.

    Args:
        target: The .zip to write.
        wheel: The wheel to put in; None leaves the plugin to install weft-geo by name.
    """
    files = {path.relative_to(SOURCE).as_posix(): path for path in SOURCE.rglob("*") if path.suffix in SUFFIXES}
    files["LICENSE"] = ROOT / "LICENSE"
    if wheel is not None:
        files[f"wheel/{wheel.name}"] = wheel
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{NAME}/{name}", date_time=(2026, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name].read_bytes())


def main() -> None:
    """Build `dist/weft_geo_qgis-VERSION.zip`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--output", type=Path, default=None, help="the zip; dist/weft_geo_qgis-VERSION.zip by default")
    parser.add_argument("--wheel", type=Path, default=None, help="a wheel that is built already")
    options = parser.parse_args()
    metadata = configparser.ConfigParser(interpolation=None)
    metadata.read(SOURCE / "metadata.txt", encoding="utf-8")
    target = options.output or ROOT / "dist" / f"{NAME}-{metadata['general']['version']}.zip"
    with tempfile.TemporaryDirectory() as folder:
        build_zip(target, options.wheel or build_wheel(Path(folder)))
    print(f"{target} ({target.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
