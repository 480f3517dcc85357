"""What all tests share: a factory of small rasters, and the way to real scenes where there are any."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning

UTM = Affine(0.5, 0.0, 500_000.0, 0.0, -0.5, 5_000_000.0)

MakeRaster = Callable[..., Path]


def write_raster(
    path: Path,
    values: Any = None,
    *,
    height: int = 64,
    width: int = 96,
    bands: int = 3,
    dtype: str = "uint8",
    crs: str | None = "EPSG:32633",
    transform: Affine = UTM,
    nodata: float | None = None,
    mask: Any = None,
    colors: tuple[ColorInterp, ...] | None = None,
    **profile: Any,
) -> Path:
    """Writes a GeoTIFF.

    `values` is [C, H, W], [H, W], one number for all, or None for repeatable noise; `mask` is bool [H, W], True where
    valid.
    """
    if values is None:
        noise = np.random.default_rng(0).random((bands, height, width))
        kind = np.dtype(dtype)
        values = noise if kind.kind == "f" else np.floor(noise * min(np.iinfo(kind).max, 4000))
    elif np.ndim(values) == 0:
        values = np.full((bands, height, width), values)
    values = np.asarray(values) if np.ndim(values) == 3 else np.asarray(values)[None]
    bands, height, width = values.shape
    options: dict[str, Any] = {"driver": "GTiff"} | profile
    if options["driver"] == "GTiff":
        options |= {"photometric": "minisblack"}
    with (
        warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning),
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path,
            "w",
            count=bands,
            height=height,
            width=width,
            dtype=dtype,
            crs=crs,
            transform=transform,
            nodata=nodata,
            **options,
        ) as dataset,
    ):
        dataset.write(values.astype(dtype))
        if colors is not None:
            dataset.colorinterp = colors
        if mask is not None:
            dataset.write_mask(np.asarray(mask, bool))
    return path


@pytest.fixture
def make_raster(tmp_path: Path) -> MakeRaster:
    """A factory of rasters of any size, type, CRS, transform and nodata: see `write_raster`."""

    def make(values: Any = None, *, name: str = "scene.tif", **options: Any) -> Path:
        return write_raster(tmp_path / name, values, **options)

    return make


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """The path of a real scene; skips where it is not at hand. WEFT_GEO_DATA says where to look."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("WEFT_GEO_DATA", default))

    def find(name: str) -> Path:
        if not (root / name).exists():
            pytest.skip(f"the real scene {name} is not at hand (set WEFT_GEO_DATA)")
        return root / name

    return find


def pytest_configure() -> None:
    """A script that starts the tests with `&` lets SIGINT be ignored, and those that send one would wait for ever."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def name_lasting_threads() -> str:
    """The threads that keep this process from ending, ten seconds given."""
    left = [thread for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()]
    for thread in left:
        thread.join(timeout=10)
    return ", ".join(thread.name for thread in left if thread.is_alive())


@pytest.fixture(scope="session", autouse=True)
def threads_end_with_the_tests() -> Iterator[None]:
    """A fixture rather than a hook, for what a hook says in a worker of xdist is not heard."""
    yield
    names = name_lasting_threads()
    assert not names, f"threads that outlive the tests: {names}"


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """A thread that outlives the tests has been named, and would keep this process forever."""
    if name_lasting_threads():
        os._exit(1)


@pytest.fixture
def two_workers() -> Iterator[None]:
    """A Ray cluster of this machine with room for two workers."""
    ray = pytest.importorskip("ray")
    handler = signal.getsignal(signal.SIGTERM)
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    signal.signal(signal.SIGTERM, handler)  # Ray's own would outlive it, and end the tests of interruptions
    yield
    ray.shutdown()


@pytest.fixture
def ordinary_folder() -> Iterator[Path]:
    """A folder of an ordinary user, who runs the test: root, who may do all, becomes one for as long as it takes.

    The folders of pytest are closed to all but who started it.
    """
    path = Path(tempfile.mkdtemp(prefix="weft-geo-"))
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(path, 65534, -1)
        os.seteuid(65534)
    try:
        yield path
    finally:
        if is_root:
            os.seteuid(0)
        for place in path.iterdir():
            if place.is_dir():
                place.chmod(0o700)
        shutil.rmtree(path)
