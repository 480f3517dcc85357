"""Rasters and polygons, brought to one grid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from affine import Affine
from shapely.geometry import GeometryCollection, MultiPolygon, Point, box

from weft_geo.datasets.scenes import IGNORE, burn_objects, load_scene, read_polygons
from weft_geo.errors import VectorError

UTM = Affine(0.5, 0.0, 500_000.0, 0.0, -0.5, 5_000_000.0)


def layer(path: Path, shapes: list[object], crs: str | None = "EPSG:32633") -> Path:
    gpd.GeoDataFrame(geometry=shapes, crs=crs).to_file(path)
    return path


def test_polygons_in_another_crs_land_on_their_pixels(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    raster = make_raster(height=40, width=60, crs="EPSG:32633", transform=UTM)
    square = gpd.GeoSeries([box(500_005, 4_999_990, 500_010, 4_999_995)], crs="EPSG:32633").to_crs(4326)
    scene = load_scene(raster, layer(tmp_path / "a.geojson", list(square), "EPSG:4326"), 0.5)
    expected = np.zeros((40, 60), np.uint8)
    expected[10:20, 10:20] = 1
    np.testing.assert_array_equal(scene.labels, expected)
    assert scene.image.shape == (3, 40, 60)


def test_a_coarser_grid_and_nodata(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    values = np.full((3, 40, 60), 100, np.uint8)
    values[:, :, :20] = 0
    raster = make_raster(values, crs="EPSG:32633", transform=UTM, nodata=0)
    scene = load_scene(raster, layer(tmp_path / "a.gpkg", [box(500_020, 4_999_990, 500_025, 4_999_995)]), 1.0)
    assert scene.labels.shape == (20, 30)
    assert (scene.labels[:, :10] == IGNORE).all()
    assert (scene.labels == 1).sum() == 25
    assert set(np.unique(scene.image[:, :, 10:])) == {100}


def test_polygons_in_a_collection_count_and_points_do_not(tmp_path: Path) -> None:
    one, other = box(500_000, 4_999_990, 500_005, 5_000_000), box(500_006, 4_999_990, 500_010, 5_000_000)
    deep = GeometryCollection([MultiPolygon([other]), Point(500_001, 4_999_995)])
    mixed = GeometryCollection([one, GeometryCollection([GeometryCollection([deep])])])
    shapes = [mixed, GeometryCollection([Point(500_001, 4_999_995)]), Point(500_001, 4_999_995), None]
    (found,) = read_polygons(layer(tmp_path / "a.gpkg", shapes), "EPSG:32633").geometry
    assert found.equals(MultiPolygon([one, other]))
    assert not len(read_polygons(layer(tmp_path / "none.geojson", [None]), "EPSG:32633"))


def test_touching_objects_are_parted(tmp_path: Path) -> None:
    shapes = [box(500_000, 4_999_990, 500_005, 5_000_000), box(500_005, 4_999_990, 500_010, 5_000_000)]
    labels = burn_objects(layer(tmp_path / "a.gpkg", shapes), 20, 20, UTM, "EPSG:32633")
    np.testing.assert_array_equal(labels[0], [1] * 9 + [0, 0] + [1] * 9)


def test_polygons_elsewhere_and_without_a_crs(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    raster = make_raster(crs="EPSG:32633", transform=UTM)
    with pytest.raises(VectorError, match=r"far\.gpkg meets the raster"):
        load_scene(raster, layer(tmp_path / "far.gpkg", [box(0, 0, 10, 10)]), 0.5)
    with pytest.warns(UserWarning, match="crs"):
        bare = layer(tmp_path / "bare.gpkg", [box(0, 0, 10, 10)], None)
    with pytest.raises(VectorError, match="has no CRS"):
        load_scene(raster, bare, 0.5)
    with pytest.raises(VectorError, match="does not exist"):
        load_scene(raster, tmp_path / "none.gpkg", 0.5)
