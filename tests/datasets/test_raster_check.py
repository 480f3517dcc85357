"""Damage inside of a raster is told before a training, with the block it is in."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from weft_geo.datasets.raster_check import require_readable
from weft_geo.errors import RasterError

MakeRaster = Callable[..., Path]


def damage(path: Path, row: int, column: int) -> None:
    """Overwrite the block of the first band that holds a pixel."""
    with rasterio.open(path) as dataset:
        height, width = dataset.block_shapes[0]
        place = dataset.get_tag_item(f"BLOCK_OFFSET_{column // width}_{row // height}", "TIFF", bidx=1)
        size = dataset.get_tag_item(f"BLOCK_SIZE_{column // width}_{row // height}", "TIFF", bidx=1)
    with path.open("r+b") as file:
        file.seek(int(place))
        file.write(b"\xff" * int(size))


def big(make_raster: MakeRaster, name: str = "scene.tif", **options: object) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (3, 512, 640), dtype=np.uint8)
    tiles = {"tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate", "interleave": "pixel"}
    return make_raster(noise, name=name, **(tiles | options))


def test_the_block_is_named(make_raster: MakeRaster) -> None:
    sound, bad, worse = (big(make_raster, f"{name}.tif") for name in ("sound", "bad", "worse"))
    heard: list[tuple[str, int, int]] = []
    require_readable([str(sound)], progress=lambda event, _, done, total, __: heard.append((event, done, total)))
    assert heard[0] == ("start", 0, 1)
    assert heard[-1] == ("done", 1, 1)
    damage(bad, 300, 200)
    damage(worse, 0, 0)
    words = r"bad\.tif is damaged in rows 256 to 383, columns 128 to 255: .*Fetch or write it again, or leave it out"
    with pytest.raises(RasterError, match=words + r" \(1 more rasters are damaged\)") as told:
        require_readable([str(path) for path in (sound, bad, worse)], workers=2)
    assert "\n" not in str(told.value)


def test_every_part_of_a_raster_is_read(make_raster: MakeRaster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weft_geo.datasets.raster_check._PIXELS", 128 * 128 * 2)
    for number, (row, column) in enumerate([(0, 639), (511, 0), (511, 639), (200, 300)]):
        path = big(make_raster, f"{number}.tif")
        damage(path, row, column)
        top, left = row // 128 * 128, column // 128 * 128
        with pytest.raises(RasterError, match=re.escape(f"rows {top} to {top + 127}, columns {left} to {left + 127}")):
            require_readable([str(path)])
    strips = big(make_raster, "strips.tif", tiled=False, blockxsize=None, blockysize=7)
    damage(strips, 511, 0)
    with pytest.raises(RasterError, match="rows 511 to 511, columns 0 to 639"):
        require_readable([str(strips)])


def test_damage_that_overviews_hide_stops_a_training_before_it_starts(make_raster: MakeRaster, tmp_path: Path) -> None:
    pytest.importorskip("lightning.pytorch", reason="needs the train extra")
    import geopandas
    from shapely import box

    from weft_geo.datasets.datamodules import ScenesDataModule

    noise = np.random.default_rng(0).integers(0, 255, (3, 2304, 512), dtype=np.uint8)
    path = make_raster(noise, tiled=True, blockxsize=256, blockysize=256, compress="deflate", interleave="pixel")
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4])
    damage(path, 1000, 300)
    labels = tmp_path / "labels.gpkg"
    x, y = 500_000, 5_000_000
    shapes = [box(x + 20 * i, y - 1000, x + 20 * i + 9, y - 20) for i in range(1, 10)]
    geopandas.GeoDataFrame(geometry=shapes, crs="EPSG:32633").to_file(labels)
    data = ScenesDataModule([path], [labels], batch_size=2, num_workers=0, chip=64)
    with pytest.raises(RasterError, match=r"scene\.tif is damaged in rows 768 to 1023, columns 256 to 511"):
        data.setup("fit")
    ScenesDataModule([path], [labels], batch_size=2, num_workers=0, chip=64, check=False).setup("fit")
