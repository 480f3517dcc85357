import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import Transformer

from weft_geo.errors import CrsError, InputError, VectorError
from weft_geo.geo.aoi import read_aoi
from weft_geo.geo.raster import open_raster
from weft_geo.geo.raster_info import RasterInfo

MakeRaster = Callable[..., Path]
UTM = Affine(0.5, 0.0, 500_000.0, 0.0, -0.5, 5_000_000.0)


def describe(path: Path) -> RasterInfo:
    with open_raster(path) as raster:
        return raster.info


@pytest.fixture
def info(make_raster: MakeRaster) -> RasterInfo:
    """64 × 96 pixels of 0.5 m."""
    return describe(make_raster())


def test_a_box_in_the_scenes_crs(info: RasterInfo) -> None:
    aoi = read_aoi("500010,4999980,500020.2,4999995", info)
    assert (aoi.top, aoi.left, aoi.height, aoi.width) == (10, 20, 30, 21)
    inside = aoi.mask(10, 20, 30, 21)
    assert inside[:, :20].all()
    assert not inside[:, 20].any()  # 0.4 of a pixel, its centre outside
    np.testing.assert_array_equal(aoi.mask(17, 25, 5, 12), inside[7:12, 5:17])


def test_a_box_may_stick_out(info: RasterInfo) -> None:
    aoi = read_aoi((0.0, 0.0, 1e6, 1e7), info)
    assert (aoi.top, aoi.left, aoi.height, aoi.width) == (0, 0, 64, 96)
    assert aoi.mask(0, 0, 64, 96).all()


@pytest.mark.parametrize("transform", [UTM, UTM @ Affine.rotation(30), Affine(0.5, 0, 500_000, 0, 0.5, 5_000_000)])
@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326", "EPSG:3857"])
def test_a_layer_in_any_crs_on_any_grid(make_raster: MakeRaster, tmp_path: Path, transform: Affine, crs: str) -> None:
    info = describe(make_raster(transform=transform))
    in_pixels = shapely.Polygon([(20, 10), (70, 12), (60, 50), (25, 40)])
    placed = shapely.transform(in_pixels, lambda xy: np.array([transform @ tuple(point) for point in xy]))
    layer = geopandas.GeoDataFrame(geometry=[placed], crs="EPSG:32633").to_crs(crs)
    layer.to_file(tmp_path / "area.gpkg")
    aoi = read_aoi(tmp_path / "area.gpkg", info)
    assert shapely.hausdorff_distance(aoi.geometry, in_pixels) < 0.01
    inside = aoi.mask(0, 0, 64, 96)
    touched = np.zeros((64, 96), bool)
    touched[aoi.top : aoi.top + aoi.height, aoi.left : aoi.left + aoi.width] = True
    assert not (inside & ~touched).any()
    cols, rows = np.meshgrid(np.arange(96) + 0.5, np.arange(64) + 0.5)
    clear = shapely.distance(in_pixels.exterior, shapely.points(cols, rows)) > 0.05
    np.testing.assert_array_equal(inside[clear], shapely.contains_xy(in_pixels, cols, rows)[clear])


def test_a_layer_may_be_geoparquet(info: RasterInfo, tmp_path: Path) -> None:
    """Predict writes them, and GDAL reads them only where it was built so."""
    layer = geopandas.GeoDataFrame(geometry=[shapely.box(500_010, 4_999_980, 500_020, 4_999_990)], crs="EPSG:32633")
    layer.to_parquet(tmp_path / "area.parquet")
    assert read_aoi(tmp_path / "area.parquet", info).geometry.equals(shapely.box(20, 20, 40, 40))


@pytest.mark.skipif(sys.platform == "win32", reason="pyogrio takes names that begin with a drive as they are")
def test_a_name_that_pyogrio_would_take_for_another_is_refused(info: RasterInfo, tmp_path: Path) -> None:
    layer = geopandas.GeoDataFrame(geometry=[shapely.box(500_010, 4_999_980, 500_020, 4_999_990)], crs="EPSG:32633")
    layer.to_file(tmp_path / "area.gpkg")
    (tmp_path / "area.gpkg").rename(tmp_path / "my!area.gpkg")
    with pytest.raises(VectorError, match=r"my!area\.gpkg' would be taken for another file"):
        read_aoi(tmp_path / "my!area.gpkg", info)


def test_refuses_what_is_no_area(info: RasterInfo, tmp_path: Path) -> None:
    for aoi, says in [
        ("1,2,3,x", "minx,miny,maxx,maxy in the scene's CRS"),
        ("3,2,1,4", "min below max"),
        ("0,0,1,1", "does not overlap scene.tif"),
    ]:
        with pytest.raises(InputError, match=says):
            read_aoi(aoi, info)
    with pytest.raises(VectorError, match="cannot be read as a vector layer"):
        read_aoi(tmp_path / "missing.gpkg", info)
    points = geopandas.GeoDataFrame(geometry=[shapely.Point(500_010, 4_999_990)], crs="EPSG:32633")
    points.to_file(tmp_path / "points.gpkg")
    with pytest.raises(VectorError, match="holds no polygons"):
        read_aoi(tmp_path / "points.gpkg", info)
    shapefile = points.buffer(5).to_frame("geometry")
    shapefile.to_file(tmp_path / "area.shp")
    (tmp_path / "area.prj").unlink()
    with pytest.raises(CrsError, match=r"area\.shp has no CRS"):
        read_aoi(tmp_path / "area.shp", info)


@pytest.mark.parametrize("of", [shapely.MultiPolygon, geopandas.GeoSeries])
def test_polygons_come_in_a_file(info: RasterInfo, of: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match=rf"an object of type {of.__name__}; write polygons to a file first"):
        read_aoi(of([shapely.box(0, 0, 1, 1)]), info)


def test_a_box_in_another_crs(info: RasterInfo) -> None:
    here = read_aoi("500010,4999980,500020,4999995", info)
    there = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)
    west, south, east, north = there.transform_bounds(500010, 4999980, 500020, 4999995)
    box = read_aoi(f"{west},{south},{east},{north},EPSG:4326", info)
    assert shapely.hausdorff_distance(box.geometry, here.geometry) < 0.1
    with pytest.raises(CrsError, match="EPSG:nonsense"):
        read_aoi("0,0,1,1,EPSG:nonsense", info)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
def test_an_area_may_reach_beyond_what_the_scenes_crs_can_tell(info: RasterInfo, tmp_path: Path, crs: str) -> None:
    world = geopandas.GeoDataFrame(geometry=[shapely.box(-180, -89.9, 180, 89.9)], crs="EPSG:4326").to_crs(crs)
    world.to_file(tmp_path / "world.gpkg")
    aoi = read_aoi(tmp_path / "world.gpkg", info)
    assert (aoi.top, aoi.left, aoi.height, aoi.width) == (0, 0, 64, 96)
    assert aoi.mask(0, 0, 64, 96).all()


def test_an_area_elsewhere_does_not_overlap(info: RasterInfo, tmp_path: Path) -> None:
    layer = geopandas.GeoDataFrame(geometry=[shapely.box(100, -50, 101, -49)], crs="EPSG:4326")
    layer.to_file(tmp_path / "elsewhere.gpkg")
    with pytest.raises(InputError, match="does not overlap"):
        read_aoi(tmp_path / "elsewhere.gpkg", info)


def test_polygons_inside_of_collections_count(info: RasterInfo, tmp_path: Path) -> None:
    box = shapely.box(500_010, 4_999_980, 500_020, 4_999_995)
    mixed = shapely.GeometryCollection([shapely.MultiPolygon([box]), shapely.Point(500_001, 4_999_999)])
    geopandas.GeoDataFrame(geometry=[mixed], crs="EPSG:32633").to_file(tmp_path / "area.gpkg")
    aoi = read_aoi(tmp_path / "area.gpkg", info)
    assert (aoi.top, aoi.left, aoi.height, aoi.width) == (10, 20, 30, 20)


@pytest.mark.parametrize("aoi", ["-inf,-inf,inf,inf", "0,0,inf,1", "-180,-90,inf,90,EPSG:4326"])
def test_a_box_has_finite_sides(info: RasterInfo, aoi: str) -> None:
    with pytest.raises(InputError, match="minx,miny,maxx,maxy"):
        read_aoi(aoi, info)


@pytest.mark.parametrize("shape", [(-20.0, -30.0, 0.0, -5.0), (-20.0, 0.0, 0.0, 5.0)])  # an edge, a corner
def test_what_touches_the_scene_from_outside_takes_no_pixels(
    info: RasterInfo, tmp_path: Path, shape: tuple[float, ...]
) -> None:
    left, top = info.transform.c, info.transform.f
    inside = shapely.box(left + 10, top - 20, left + 20, top - 10)
    outside = shapely.box(left + shape[0], top + shape[1], left + shape[2], top + shape[3])
    areas = []
    for shapes in ([inside], [inside, outside]):
        geopandas.GeoDataFrame(geometry=shapes, crs=info.crs).to_file(tmp_path / "a.gpkg")
        areas.append(read_aoi(tmp_path / "a.gpkg", info))
    assert (areas[0].top, areas[0].left) == (areas[1].top, areas[1].left)
    np.testing.assert_array_equal(*(area.mask(0, 0, info.height, info.width) for area in areas))
