import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp

from weft_geo.errors import InputError, RasterError, RunError
from weft_geo.geo.mosaic import write_mosaic
from weft_geo.geo.raster import open_raster
from weft_geo.geo.remote import gdal_name

MakeRaster = Callable[..., Path]
UTM = Affine(0.5, 0.0, 500_000.0, 0.0, -0.5, 5_000_000.0)
RGBA = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)


def tiles(make_raster: MakeRaster, values: np.ndarray, mask: np.ndarray | None = None, **options: Any) -> list[Path]:
    """Three of the four quarters of an image, given in a shuffled order."""
    _, height, width = values.shape
    rows, cols = (slice(0, 40), slice(40, height)), (slice(0, 30), slice(30, width))
    paths = []
    for row, col in ((1, 1), (0, 0), (0, 1)):
        part = rows[row], cols[col]
        place = UTM @ Affine.translation(part[1].start, part[0].start)
        inside = None if mask is None else mask[part]
        name = f"tile {row}&{col}.tif"  # names that XML must escape
        paths.append(make_raster(values[:, *part], name=name, transform=place, mask=inside, **options))
    return paths


def covered(height: int, width: int) -> np.ndarray:
    there = np.ones((height, width), bool)
    there[40:, :30] = False
    return there


@pytest.mark.parametrize("kind", ["plain", "nodata", "mask", "alpha"])
def test_tiles_side_by_side_are_the_whole_image(make_raster: MakeRaster, tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(1, 256, (3, 100, 77))
    there, valid = covered(100, 77), rng.random((100, 77)) < 0.8
    options: dict[str, Any] = {}
    if kind == "plain":
        valid[:] = True
    elif kind == "nodata":
        values[:, ~valid] = 0
        options = {"nodata": 0}
    elif kind == "mask":
        options = {"mask": valid}
    else:
        values = np.concatenate([values, valid[None] * 255])
        options = {"colors": RGBA}
    with open_raster(write_mosaic(tiles(make_raster, values, **options), tmp_path / "m.vrt")) as mosaic:
        assert (mosaic.info.height, mosaic.info.width) == (100, 77)
        assert mosaic.info.transform == UTM
        assert mosaic.info.crs == "EPSG:32633"
        seen, seen_valid = mosaic.whole((1, 2, 3))
    np.testing.assert_array_equal(seen_valid, there & valid)
    np.testing.assert_array_equal(seen[:, seen_valid], values[:3, seen_valid])


def test_a_later_tile_covers_an_earlier_one(make_raster: MakeRaster, tmp_path: Path) -> None:
    one = make_raster(1, name="1.tif")
    two = make_raster(2, name="2.tif", transform=UTM @ Affine.translation(10, 20))
    with open_raster(write_mosaic([one, two], tmp_path / "m.vrt")) as mosaic:
        values, _ = mosaic.whole((1,))
    assert values.shape[1:] == (84, 106)
    assert values[0, 19, 10] == 1
    assert values[0, 20, 10] == 2


@pytest.mark.parametrize("kind", ["nodata", "mask", "alpha", "nodata of its own"])
def test_an_earlier_tile_is_seen_where_a_later_one_has_no_image(
    make_raster: MakeRaster, tmp_path: Path, kind: str
) -> None:
    """Tiles that were turned north-up overlap their neighbours with corners that hold nothing."""
    hole = np.zeros((64, 96), bool)
    hole[:30, :40] = True
    tiles = []
    for number in (1, 2):
        options: dict[str, Any] = {"name": f"{number}.tif"}
        values = np.where(hole & (number == 2), 0, number)[None].repeat(3, 0)
        if kind == "mask":
            options["mask"] = ~hole if number == 2 else np.ones_like(hole)
        elif kind == "alpha":
            values = np.concatenate([values, np.where(values[:1] > 0, 255, 0)])
            options["colors"] = RGBA
        else:
            options["nodata"] = 0 if kind == "nodata" or number == 2 else 9
        tiles.append(make_raster(values, **options))
    with open_raster(write_mosaic(tiles, tmp_path / "m.vrt")) as mosaic:
        values, valid = mosaic.whole((1, 2, 3))
    assert valid.all()
    np.testing.assert_array_equal(values, np.where(hole, 1, 2)[None].repeat(3, 0))


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"crs": "EPSG:32634"}, "has the CRS EPSG:32634, but 1.tif EPSG:32633; warp it"),
        ({"bands": 1}, "has bands 1 × uint8, but 1.tif 3 × uint8"),
        ({"transform": UTM @ Affine.scale(2)}, "has pixels of"),
        ({"transform": UTM @ Affine.translation(0.4, 0)}, "lies 0.40 pixels off the grid of 1.tif"),
    ],
)
def test_tiles_that_are_not_alike_are_refused(
    make_raster: MakeRaster, tmp_path: Path, other: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        write_mosaic([make_raster(name="1.tif"), make_raster(name="2.tif", **other)], tmp_path / "m.vrt")


def test_rotated_tiles_are_refused(make_raster: MakeRaster, tmp_path: Path) -> None:
    with pytest.raises(RasterError, match="is rotated or south-up"):
        write_mosaic([make_raster(transform=UTM @ Affine.rotation(3))], tmp_path / "m.vrt")


def test_a_mosaic_is_written_anew_only_if_a_tile_has_changed(make_raster: MakeRaster, tmp_path: Path) -> None:
    tile = make_raster()
    before = write_mosaic([tile], tmp_path / "m.vrt").stat().st_mtime_ns
    assert write_mosaic([tile], tmp_path / "m.vrt").stat().st_mtime_ns == before
    make_raster(7)
    assert write_mosaic([tile], tmp_path / "m.vrt").stat().st_mtime_ns > before


@pytest.mark.parametrize("threads", [None, "1", "4"])
@pytest.mark.parametrize("masked", [False, True])
def test_a_damaged_tile_is_not_read_as_black(
    make_raster: MakeRaster, tmp_path: Path, threads: str | None, masked: bool
) -> None:
    """GDAL would, where it reads tiles in threads, which it does from a million pixels on."""
    values = np.random.default_rng(0).integers(1, 256, (1, 1024, 1024))
    left = make_raster(values, name="left.tif", tiled=True, compress="deflate")
    mask = np.arange(1024 * 1024).reshape(1024, 1024) % 9 > 0 if masked else None
    place = UTM @ Affine.translation(1024, 0)
    right = make_raster(values, name="right.tif", mask=mask, transform=place, tiled=True, compress="deflate")
    content = bytearray(right.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 5000] = bytes(5000)
    right.write_bytes(content)
    settings = {} if threads is None else {"GDAL_NUM_THREADS": threads}
    with (
        rasterio.Env(**settings),
        open_raster(write_mosaic([left, right], tmp_path / "both.vrt")) as raster,
        pytest.raises(RunError, match=r"both\.vrt cannot be read in rows 0 to 1023: right\.tif, band 1: IReadBlock"),
    ):
        raster.read((1,), 0, 0, 1024, 2048)


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint64", "float64"])
def test_tiles_may_have_any_type(make_raster: MakeRaster, tmp_path: Path, dtype: str) -> None:
    tile = make_raster(np.arange(96).reshape(1, 1, 96).repeat(64, 1), dtype=dtype)
    with open_raster(write_mosaic([tile], tmp_path / "m.vrt")) as mosaic, open_raster(tile) as raster:
        assert mosaic.info.dtype == dtype
        np.testing.assert_array_equal(mosaic.whole((1,))[0], raster.whole((1,))[0])


def test_palette_tiles_remain_palette_tiles(make_raster: MakeRaster, tmp_path: Path) -> None:
    tile = make_raster(7, bands=1, colors=(ColorInterp.palette,))
    with rasterio.open(tile, "r+") as dataset:
        dataset.write_colormap(1, {7: (255, 0, 0)})
    with open_raster(write_mosaic([tile], tmp_path / "m.vrt")) as mosaic:
        assert mosaic.info.colors == ("palette",)


def test_a_nodata_value_of_one_tile_in_one_band_is_no_hole(make_raster: MakeRaster, tmp_path: Path) -> None:
    values = np.full((3, 64, 96), 9)
    values[0, 10:20] = 0  # as dark in one band as what is no image
    values[:, 30:40] = 0
    one = make_raster(values, name="1.tif", nodata=0)
    two = make_raster(values, name="2.tif", transform=UTM @ Affine.translation(96, 0))
    with open_raster(write_mosaic([one, two], tmp_path / "m.vrt")) as mosaic:
        valid = mosaic.whole((1, 2, 3))[1]
    assert valid[:, 96:].all()
    np.testing.assert_array_equal(valid[:, :96].all(1), (values != 0).any(0)[:, 0])


@pytest.mark.parametrize("scheme", ["file", "zip", "zip+file"])
def test_tiles_by_url(make_raster: MakeRaster, tmp_path: Path, scheme: str) -> None:
    tile = make_raster(7)
    with zipfile.ZipFile(tmp_path / "tiles.zip", "w") as archive:
        archive.write(tile, "in/tile.tif")
    name = f"{scheme}://{tile}" if scheme == "file" else f"{scheme}://{tmp_path}/tiles.zip!in/tile.tif"
    with open_raster(write_mosaic([name], tmp_path / "m.vrt")) as mosaic:
        assert (mosaic.whole((1,))[0] == 7).all()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("zip+https://a/b.zip!c.tif", "/vsizip//vsicurl/https://a/b.zip/c.tif"),
        ("tar+s3://bucket/b.tar!c.tif", "/vsitar//vsis3/bucket/b.tar/c.tif"),
        ("GPKG:a.gpkg:b", "GPKG:a.gpkg:b"),
    ],
)
def test_what_gdal_calls_a_url(url: str, name: str) -> None:
    assert gdal_name(url) == name


def test_a_mosaic_that_the_disk_does_not_take_is_one_clear_failure_and_leaves_nothing(
    make_raster: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = make_raster()

    def fill(path: Path, text: str, encoding: str) -> None:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fill)
    with pytest.raises(RunError, match=r"m\.vrt cannot be written: No space left on device"):
        write_mosaic([scene], tmp_path / "m.vrt")
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]
