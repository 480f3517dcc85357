from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError

from weft_geo.errors import RunError
from weft_geo.geo import cog as cog_module
from weft_geo.geo import copy_as_cog
from weft_geo.geo.cog import CogWriter

UTM = Affine(0.5, 0.0, 500_000.0, 0.0, -0.5, 5_000_000.0)


def writer(path: Path, values: np.ndarray, **options: Any) -> CogWriter:
    bands, height, width = values.shape
    defaults: dict[str, Any] = {
        "crs": CRS.from_epsg(32633),
        "transform": UTM,
        "nodata": None,
        "average": True,
        "descriptions": tuple(f"class {band}" for band in range(bands)),
        "tags": {"KEY": "value"},
    }
    return CogWriter(path, bands=bands, height=height, width=width, **defaults | options)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 700, 31), (2, 1300, 1100)])
@pytest.mark.parametrize("strip", [1300, 384, 7])
@pytest.mark.parametrize("nodata", [None, 255])
def test_strips_of_any_height_become_one_cog(
    tmp_path: Path, shape: tuple[int, int, int], strip: int, nodata: int | None
) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 255, shape, np.uint8)
    valid = rng.random(shape[1:]) < 0.7
    if nodata is not None:
        values[:, ~valid] = nodata
    path = tmp_path / "out.tif"
    with writer(path, values, nodata=nodata) as cog:
        for top in range(0, shape[1], strip):
            cog.write(values[:, top : top + strip], valid[top : top + strip])
        cog.finish()
        assert not path.exists()
        cog.commit()
    assert list(tmp_path.iterdir()) == [path]
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.read(), values)
        np.testing.assert_array_equal(dataset.dataset_mask() != 0, valid)
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert (dataset.nodata, dataset.transform, dataset.crs.to_epsg()) == (nodata, UTM, 32633)
        assert dataset.descriptions == tuple(f"class {band}" for band in range(shape[0]))
        assert dataset.tags()["KEY"] == "value"
        assert bool(dataset.overviews(1)) == (max(shape) > 512)


def test_a_process_of_its_own_makes_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 255, (2, 700, 900), np.uint8)
    files = []
    for quick in (cog_module.QUICK_BYTES, 0):
        monkeypatch.setattr(cog_module, "QUICK_BYTES", quick)
        with writer(tmp_path / "out.tif", values) as cog:
            cog.write(values, values[0] > 100)
            cog.finish()
            cog.commit()
        files.append((tmp_path / "out.tif").read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize("quick", [1 << 20, 0])
def test_a_layout_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: int) -> None:
    monkeypatch.setattr(cog_module, "QUICK_BYTES", quick)
    values = np.ones((1, 8, 8), np.uint8)
    with writer(tmp_path / "out.tif", values) as cog:
        cog.write(values, values[0] > 0)
        cog._dataset.close()
        next(tmp_path.rglob("strips.tif")).write_bytes(b"no raster")
        with pytest.raises(RunError, match=r"out\.tif cannot be written: .*strips\.tif"):
            cog.finish()
    assert not list(tmp_path.iterdir())


def test_what_the_disk_did_not_take_to_its_end_is_no_copy(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="Windows sets no limit to files")
    values = np.random.default_rng(0).integers(0, 255, (2, 600, 600), np.uint8)
    source, target = tmp_path / "source.tif", tmp_path / "target.tif"
    profile = {
        "driver": "GTiff",
        "count": 2,
        "height": 600,
        "width": 600,
        "dtype": "uint8",
        "crs": CRS.from_epsg(32633),
    }
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(source, "w", transform=UTM, **profile) as dataset:
        dataset.write(values)
        dataset.write_mask(values[0] > 100)
    options = {"compress": "deflate", "blocksize": 512}
    copy_as_cog.copy(str(source), str(target), options)
    whole, limits, refused = target.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE), 0
    for missing in range(1, 250_000, 12_000):
        target.unlink(missing_ok=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) - missing, limits[1]))
        try:
            copy_as_cog.copy(str(source), str(target), options)
        except RasterioError:
            refused += 1
        else:
            assert target.read_bytes() == whole
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert refused


@pytest.mark.parametrize("transform", [UTM @ Affine.rotation(30), Affine(0.5, 0, 0, 0, 0.5, 0)])
def test_keeps_rotated_and_south_up_transforms(tmp_path: Path, transform: Affine) -> None:
    values = np.ones((1, 8, 8), np.uint8)
    with writer(tmp_path / "out.tif", values, transform=transform) as cog:
        cog.write(values, values[0] > 0)
        cog.finish()
        cog.commit()
    with rasterio.open(tmp_path / "out.tif") as dataset:
        assert dataset.transform.almost_equals(transform)


@pytest.mark.parametrize("stage", ["start", "write", "finish"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_leaves_nothing_behind_and_the_old_file_in_place(
    tmp_path: Path, stage: str, error: type[BaseException]
) -> None:
    path = tmp_path / "out.tif"
    path.write_text("old")
    values = np.ones((1, 600, 600), np.uint8)

    def run() -> None:
        with writer(path, values) as cog:
            if stage != "start":
                cog.write(values, values[0] > 0)
            if stage == "finish":
                cog.finish()
            raise error("stop")

    with pytest.raises(error, match="stop"):
        run()
    assert [item.name for item in tmp_path.iterdir()] == ["out.tif"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5])
def test_classes_are_neither_colours_nor_opacity(tmp_path: Path, bands: int, capfd: pytest.CaptureFixture[str]) -> None:
    values = np.random.default_rng(0).integers(0, 255, (bands, 700, 900), np.uint8)
    with rasterio.Env(GDAL_NUM_THREADS="2"), writer(tmp_path / "out.tif", values) as cog:
        cog.write(values, np.ones((700, 900), bool))
        cog.finish()
        cog.commit()
    with rasterio.open(tmp_path / "out.tif") as dataset:
        assert dataset.colorinterp == (ColorInterp.gray, *[ColorInterp.undefined] * (bands - 1))
        np.testing.assert_array_equal(dataset.read(), values)
    assert capfd.readouterr().err == ""
