"""`weft-geo doctor`: whether this installation can work, and what it lacks."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click

from .options import json_option
from .progress import Console

BASE = ("affine", "numpy", "rasterio", "shapely", "pyproj", "pyogrio", "geopandas", "pyarrow", "onnxruntime", "click")
EXTRAS = {
    "train": (
        "torch", "torchvision", "torchgeo", "kornia", "pillow", "requests", "lightning", "timm", "peft", "jsonargparse",
        "pyyaml", "tensorboard", "matplotlib", "safetensors", "scipy", "pywavelets", "pytorch_wavelets", "setuptools",
        "onnx", "onnxscript",
    ),
    "metrics": ("pysodmetrics", "opencv-python-headless", "pillow"),
    "ray": ("ray",),
}  # fmt: skip
SAME = {
    "opencv-python-headless": ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "onnxruntime": ("onnxruntime-gpu",),  # which takes its place
}
"""What does as well as a package."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: `ok`, `missing` (optional, and how to get it) or `broken` (nothing works)."""

    level: Literal["ok", "missing", "broken"]
    topic: str
    text: str


@click.command(short_help="Check this installation: versions, devices, extras, write access.")
@json_option
@click.pass_obj
def doctor(console: Console, /, as_json: bool) -> None:
    """Look at what is installed, what it can use and what it lacks. Exit code 1 if predicting cannot work."""
    findings = [*_versions(), *_geospatial(), *_model(), *_devices(), *_extras(), *_places()]
    if as_json:
        console.result(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False))
    else:
        for finding in findings:
            mark = {"ok": "+", "missing": "-", "broken": "x"}[finding.level]
            console.result(f"{mark} {finding.topic:<12} {finding.text}")
    broken = [finding for finding in findings if finding.level == "broken"]
    if broken:
        from weft_geo.errors import RunError

        raise RunError(f"{broken[0].topic}: {broken[0].text}")


def _versions() -> list[Finding]:
    from weft_geo.version import __version__

    found = [version for name in BASE if (version := _version(name))]
    missing = [name for name in BASE if not _version(name)]
    system = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    findings = [Finding("ok", "weft-geo", f"{__version__}, {system}"), Finding("ok", "packages", ", ".join(found))]
    if missing:
        findings.append(Finding("broken", "packages", f"{', '.join(missing)} missing: pip install weft-geo again"))
    return findings


def _geospatial() -> list[Finding]:
    """GDAL and PROJ, whose data files are what other software on the machine may have hidden."""
    try:
        import pyogrio
        import pyproj
        import rasterio
        from rasterio.crs import CRS

        versions = f"GDAL {rasterio.__gdal_version__}, PROJ {pyproj.proj_version_str}"
        x, _ = pyproj.Transformer.from_crs(4326, 32645, always_xy=True).transform(87.0, 0.0, errcheck=True)
        if abs(x - 500_000) > 1 or CRS.from_epsg(32645).to_epsg() != 32645:
            raise RuntimeError("a known coordinate came out wrong")
        if "GPKG" not in pyogrio.list_drivers(write=True):
            raise RuntimeError("GDAL cannot write GeoPackages")
    except Exception as error:  # whatever breaks here, the finding is that it is broken
        hint = " ".join(
            f"{key}={os.environ[key]}" for key in ("PROJ_DATA", "PROJ_LIB", "GDAL_DATA") if key in os.environ
        )
        advice = f"; unset {hint}" if hint else ""
        return [Finding("broken", "geospatial", f"{type(error).__name__}: {error}{advice}")]
    return [Finding("ok", "geospatial", versions)]


def _model() -> list[Finding]:
    try:
        import numpy as np

        from weft_geo.inference import load_predictor

        predictor = load_predictor("embedded", device="cpu")
        side, bands = predictor.contract.window, predictor.contract.bands
        answer = predictor(np.zeros((1, bands, side, side), np.float32))
        text = f"{predictor.name} answers {answer.shape[1]} class(es) on {side} × {side} px"
    except Exception as error:  # as above
        return [Finding("broken", "model", f"{error}")]
    return [Finding("ok", "model", text)]


def _devices() -> list[Finding]:
    try:
        import onnxruntime

        providers = onnxruntime.get_available_providers()
    except Exception as error:  # as above
        return [Finding("broken", "devices", f"onnxruntime: {error}")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    findings = [Finding("ok", "devices", f"CPU with {cores} cores; onnxruntime: {', '.join(providers)}")]
    if "CUDAExecutionProvider" not in providers:
        advice = "ONNX models on a GPU need onnxruntime-gpu in place of onnxruntime"
        findings.append(Finding("missing", "devices", advice))
    else:
        findings.append(_onnx_on_gpu())
    return findings


def _onnx_on_gpu() -> Finding:
    """Whether CUDA does start; onnxruntime-gpu alone only brings the wish."""
    from weft_geo.errors import WeftGeoError
    from weft_geo.inference import load_predictor

    try:
        load_predictor("embedded", device="cuda")
    except WeftGeoError as error:
        advice = "it needs a driver, and CUDA and cuDNN: pip install 'onnxruntime-gpu[cuda,cudnn]'"
        return Finding("missing", "devices", f"{error.args[0].partition(';')[0]}; {advice}")
    return Finding("ok", "devices", "onnxruntime starts CUDA")


def _version(name: str) -> str | None:
    """A package, or what does as well, with its version; None if it is not there."""
    from importlib import metadata

    for one in (name, *SAME.get(name, ())):
        with suppress(metadata.PackageNotFoundError):
            return f"{one} {metadata.version(one)}"
    return None


def _extras() -> list[Finding]:
    from weft_geo.metrics import SOD_INSTEAD

    findings = []
    for extra, names in EXTRAS.items():
        versions = [version for name in names if (version := _version(name))]
        missing = [name for name in names if not _version(name)]
        if missing:
            how = SOD_INSTEAD if missing == ["pysodmetrics"] and SOD_INSTEAD else f'pip install "weft-geo[{extra}]"'
            text = f"{', '.join(missing)} not installed: {how}"
            findings.append(Finding("missing", f"extra {extra}", text))
        else:
            findings.append(Finding("ok", f"extra {extra}", ", ".join(versions) + _torch_devices(names)))
    return findings


def _torch_devices(names: tuple[str, ...]) -> str:
    if "torch" not in names:
        return ""
    try:
        import torch
    except Exception as error:  # a broken torch is worth a line, not a crash
        return f"; torch does not load: {error}"
    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return f"; torch sees {', '.join(devices)}" if devices else "; torch sees no GPU"


def _places() -> list[Finding]:
    findings = []
    for topic, find in (("this folder", Path.cwd), ("temporary", lambda: Path(tempfile.gettempdir()))):
        folder: Path | None = None
        try:
            folder = find()
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"x")
            findings.append(Finding("ok", topic, f"{folder} can be written to"))
        except OSError as error:
            what = "there is none" if folder is None else f"{folder} cannot be written to"
            advice = "let TMPDIR name another" if topic == "temporary" else "go elsewhere"
            findings.append(Finding("missing", topic, f"{what}: {error.strerror}; {advice}"))
    return findings
