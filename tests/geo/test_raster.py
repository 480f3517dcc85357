import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import rasterio.shutil
import shapely
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.env import hasenv
from rasterio.rpc import RPC
from rasterio.windows import Window

from weft_geo.errors import CrsError, RasterError, RunError
from weft_geo.geo import decimated
from weft_geo.geo.decimated import MOST_SAMPLED_ROWS
from weft_geo.geo.ground import Resampling
from weft_geo.geo.mosaic import write_mosaic
from weft_geo.geo.raster import open_raster

MakeRaster = Callable[..., Path]

UTM = Affine(0.5, 0.0, 500_000.0, 0.0, -0.5, 5_000_000.0)
BOUNDS = (500_000.0, 4_999_968.0, 500_048.0, 5_000_000.0)
RGBA = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)


def test_says_what_it_is(make_raster: MakeRaster) -> None:
    path = make_raster(dtype="uint16", nodata=7, tiled=True, blockxsize=32, blockysize=16)
    with open_raster(path) as raster:
        info = raster.info
    assert (info.height, info.width, info.bands, info.dtype, info.nodata) == (64, 96, 3, "uint16", 7.0)
    assert (info.block_shape, info.masked, info.driver, info.name) == ((16, 32), False, "GTiff", "scene.tif")
    assert info.transform == UTM
    assert info.pixel.mean_m == pytest.approx(0.5, rel=1e-3)


def hole(height: int = 64, width: int = 96) -> np.ndarray:
    valid = np.ones((height, width), bool)
    valid[10:30, 20:50] = False
    return valid


def with_nodata(make: MakeRaster) -> Path:
    values = np.full((3, 64, 96), 100)
    values[:, ~hole()] = 0
    values[0, 50:] = 0  # in one band alone 0 is a value like any other
    return make(values, nodata=0)


def with_alpha(make: MakeRaster) -> Path:
    values = np.full((4, 64, 96), 100)
    values[3] = hole() * 255
    return make(values, colors=RGBA)


def with_mask(make: MakeRaster) -> Path:
    return make(100, mask=hole())


def with_nan(make: MakeRaster) -> Path:
    values = np.full((3, 64, 96), 100.0)
    values[1, ~hole()] = np.nan
    return make(values, dtype="float32")


def with_nan_as_nodata(make: MakeRaster) -> Path:
    values = np.full((3, 64, 96), 100.0)
    values[:, ~hole()] = np.nan
    return make(values, dtype="float64", nodata=np.nan)


KINDS = [with_nodata, with_alpha, with_mask, with_nan, with_nan_as_nodata]


@pytest.mark.parametrize("kind", KINDS)
def test_knows_which_pixels_are_valid(make_raster: MakeRaster, kind: Any) -> None:
    with open_raster(kind(make_raster)) as raster:
        values = raster.read((1, 2, 3), 5, 10, 40, 60)
        np.testing.assert_array_equal(raster.valid(5, 10, 40, 60, values), hole()[5:45, 10:70])
        _, sampled = raster.sample((1, 2, 3), max_side=48)
        assert sampled.shape == (32, 48)
        np.testing.assert_array_equal(sampled, hole()[1::2, 1::2])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factor", [2.0, 0.5, 1.0 / 3.0])
def test_resampling_takes_nothing_from_invalid_pixels(make_raster: MakeRaster, kind: Any, factor: float) -> None:
    with (
        open_raster(kind(make_raster)) as raster,
        raster.resampled(Resampling(factor, factor, "")) as grid,
    ):
        info = grid.info
        assert (info.height, info.width) == (64 / factor, 96 / factor)
        values = grid.read((2, 3), 0, 0, info.height, info.width)
        valid = grid.valid(0, 0, info.height, info.width, values)
        rows, cols = ((np.arange(size) + 0.5) * factor for size in (info.height, info.width))
        expected = hole()[np.ix_(rows.astype(int), cols.astype(int))]
        if kind is with_nan:  # undeclared NaNs spread by half a kernel
            assert not valid[~expected].any()
        else:
            np.testing.assert_array_equal(valid, expected)
        np.testing.assert_allclose(values[:, valid], 100)


@pytest.mark.parametrize(
    "transform",
    [UTM, UTM @ Affine.rotation(25), Affine(0.5, 0, 500_000, 0, 0.5, 5_000_000), UTM @ Affine.scale(1, 2)],
    ids=["north-up", "rotated", "south-up", "oblong"],
)
def test_resampling_keeps_place_and_picture(make_raster: MakeRaster, transform: Affine) -> None:
    ramp = np.add.outer(np.arange(64.0), 2 * np.arange(96.0))
    path = make_raster(np.stack([ramp] * 3), dtype="float32", transform=transform)
    with open_raster(path) as raster, raster.resampled(Resampling(2.0, 4.0, "")) as grid:
        assert (grid.info.height, grid.info.width) == (32, 24)
        corner = (grid.info.transform @ (24, 32), transform @ (96, 64))
        assert corner[0] == pytest.approx(corner[1], rel=1e-12)
        expected = ramp.reshape(32, 2, 24, 4).mean(axis=(1, 3))
        np.testing.assert_allclose(grid.read((1,), 0, 0, 32, 24)[0], expected, rtol=1e-5)


def assert_valid_only_as_stored(path: Path, why: str) -> None:
    """The nodata of a raster is heeded on its own grid; on another one, and in a mosaic, it would not be."""
    with open_raster(path) as raster:
        np.testing.assert_array_equal(raster.valid(0, 0, 64, 96), hole())
        with (
            pytest.raises(RasterError, match=f"{why}, so it cannot be resampled; give --gsd native"),
            raster.resampled(Resampling(2.0, 2.0, "")),
        ):
            pass
    with pytest.raises(RasterError, match=f"{why}, so it cannot be a tile of a mosaic"):
        write_mosaic([path], path.with_name("mosaic.vrt"))


def test_nodata_values_that_differ_from_band_to_band_hold_or_are_refused(make_raster: MakeRaster) -> None:
    values = np.full((3, 64, 96), 100)
    values[:, ~hole()] = np.array([[0], [1], [2]])
    path = make_raster(values, driver="ENVI", name="scene.dat")
    with rasterio.open(path) as dataset:
        bands = "".join(
            f'<VRTRasterBand dataType="Byte" band="{band}"><NoDataValue>{band - 1}</NoDataValue><SimpleSource>'
            f'<SourceFilename relativeToVRT="1">scene.dat</SourceFilename><SourceBand>{band}</SourceBand>'
            "</SimpleSource></VRTRasterBand>"
            for band in (1, 2, 3)
        )
        place = ", ".join(map(str, dataset.transform.to_gdal()))
        head = (
            f'<VRTDataset rasterXSize="96" rasterYSize="64"><SRS>EPSG:32633</SRS><GeoTransform>{place}</GeoTransform>'
        )
    vrt = path.with_suffix(".vrt")
    vrt.write_text(f"{head}{bands}</VRTDataset>")
    assert_valid_only_as_stored(vrt, r"nodata values \(0, 1, 2\)")


@pytest.mark.parametrize("dtype", ["uint64", "int64"])
def test_a_nodata_value_too_large_for_a_float_is_heeded_or_refused(make_raster: MakeRaster, dtype: str) -> None:
    values, most = np.ones((1, 64, 96), dtype), np.iinfo(dtype).max
    values[0][~hole()] = most
    path = make_raster(values, dtype=dtype)
    note = f'<PAMRasterBand band="1"><NoDataValue>{most}</NoDataValue></PAMRasterBand>'
    Path(f"{path}.aux.xml").write_text(f"<PAMDataset>{note}</PAMDataset>")
    assert_valid_only_as_stored(path, "has a nodata value too large for a float")


@pytest.mark.parametrize(("driver", "part"), [("Zarr", "0.0"), ("MRF", "scene.ppg"), ("MRF", "scene.idx")])
def test_the_files_of_a_raster_are_those_with_its_pixels(
    make_raster: MakeRaster, tmp_path: Path, driver: str, part: str
) -> None:
    scene = tmp_path / f"scene.{driver.lower()}"
    rasterio.shutil.copy(make_raster(bands=1), scene, driver=driver)
    with open_raster(scene) as raster:
        assert part in [Path(file).name for file in raster.files]


@pytest.mark.parametrize("which", ["mask", "alpha", "both"])
def test_a_pixel_needs_both_a_mask_and_an_alpha_band(make_raster: MakeRaster, which: str) -> None:
    values, mask = np.full((4, 64, 96), 100), np.ones((64, 96), bool)
    values[3] = 255
    if which != "mask":
        values[3, 10:20, 20:50] = 0
    if which != "alpha":
        mask[20:30, 20:50] = False
    with open_raster(make_raster(values, mask=mask, colors=RGBA)) as raster:
        expected = mask & (values[3] != 0)
        np.testing.assert_array_equal(raster.valid(0, 0, 64, 96), expected)
        np.testing.assert_array_equal(raster.sample((1, 2, 3), max_side=48)[1], expected[1::2, 1::2])
        with pytest.raises(RasterError, match="a mask beside its alpha band"), raster.resampled(Resampling(2, 2, "")):
            pass


def test_a_resampled_rectangle_does_not_depend_on_its_surroundings(make_raster: MakeRaster) -> None:
    with open_raster(make_raster()) as raster, raster.resampled(Resampling(0.37, 0.41, "")) as grid:
        whole = grid.read((1, 2, 3), 0, 0, grid.info.height, grid.info.width)
        np.testing.assert_array_equal(grid.read((1, 2, 3), 31, 57, 40, 90), whole[:, 31:71, 57:147])


def test_a_crs_can_be_given(make_raster: MakeRaster) -> None:
    with open_raster(make_raster(crs=None)) as raster, pytest.raises(CrsError, match=r"scene.tif has no CRS.*--crs"):
        _ = raster.info.required_crs
    with open_raster(make_raster(crs=None), crs="EPSG:32633") as raster:
        assert raster.info.required_crs.to_epsg() == 32633
        assert raster.info.stored_crs is None
    with pytest.raises(CrsError, match="'nonsense' is not a CRS"), open_raster(make_raster(), crs="nonsense"):
        pass


def test_a_plain_picture_is_told_from_a_map(make_raster: MakeRaster) -> None:
    path = make_raster(crs=None, transform=Affine.identity(), driver="PNG", name="photo.png")
    with open_raster(path) as raster:
        assert not raster.info.georeferenced
        with pytest.raises(CrsError, match=r"neither a CRS nor a transform.*gdal_translate"):
            _ = raster.info.pixel


@pytest.mark.parametrize("crs", ["", "<SRS>EPSG:32633</SRS>"])
def test_control_points_are_not_taken_for_pixels_as_units(make_raster: MakeRaster, tmp_path: Path, crs: str) -> None:
    path = make_raster(crs=None, transform=Affine.identity())
    corners = zip(((0, 0), (96, 0), (0, 64)), (UTM @ (0, 0), UTM @ (96, 0), UTM @ (0, 64)), strict=True)
    points = "".join(f'<GCP Pixel="{c}" Line="{r}" X="{x}" Y="{y}"/>' for (c, r), (x, y) in corners)
    rasterio.shutil.copy(path, tmp_path / "scene.vrt", driver="VRT")
    text = (tmp_path / "scene.vrt").read_text()
    placed = f'{crs}<GCPList Projection="EPSG:32633">{points}</GCPList>'
    (tmp_path / "scene.vrt").write_text(text.replace("<VRTRasterBand", f"{placed}<VRTRasterBand", 1))
    with pytest.raises(RasterError, match="ground control points only"), open_raster(tmp_path / "scene.vrt"):
        pass


def test_rational_polynomials_are_not_taken_for_pixels_as_units(make_raster: MakeRaster) -> None:
    path = make_raster(crs=None, transform=Affine.identity())
    one, east, south = [1.0] + [0.0] * 19, [0.0, 1.0] + [0.0] * 18, [0.0, 0.0, -1.0] + [0.0] * 17
    with rasterio.open(path, "r+") as dataset:
        dataset.rpcs = RPC(0, 100, 45, 0.001, south, one, 32, 32, 15, 0.001, east, one, 48, 48)
    with pytest.raises(RasterError, match=r"placed by RPCs only; warp it first \(gdalwarp -rpc"), open_raster(path):
        pass


def test_what_cannot_be_opened(make_raster: MakeRaster, tmp_path: Path) -> None:
    make_raster()
    (tmp_path / "text.tif").write_text("no raster")
    for path, says in [
        ("other.tif", "in that folder there are scene.tif"),
        ("", "a folder"),
        ("text.tif", "as a raster"),
    ]:
        with pytest.raises(RasterError, match=says), open_raster(tmp_path / path):
            pass
    with tarfile.open(tmp_path / "bundle.tar", "w") as bundle:
        bundle.add(tmp_path / "scene.tif", "B4.tif")
    listed = r"give the raster in it: /vsitar/.*bundle\.tar/B4\.tif"
    with pytest.raises(RasterError, match=listed), open_raster(tmp_path / "bundle.tar"):
        pass
    with pytest.raises(RasterError, match="cannot be opened as a raster"), open_raster('NETCDF:"scene.nc":band'):
        pass
    complex_numbers = make_raster(np.ones((1, 8, 8)), dtype="complex64", name="radar.tif")
    with pytest.raises(RasterError, match="complex numbers"), open_raster(complex_numbers):
        pass


def test_radar_as_pairs_of_integers_cannot_be_opened(tmp_path: Path) -> None:
    with rasterio.open(
        tmp_path / "radar.tif", "w", driver="GTiff", height=8, width=8, count=1, dtype="complex_int16", transform=UTM
    ):
        pass
    with pytest.raises(RasterError, match="complex numbers"), open_raster(tmp_path / "radar.tif"):
        pass


def test_a_tile_index_whose_missing_tiles_would_read_as_0_is_refused(make_raster: MakeRaster, tmp_path: Path) -> None:
    tile = make_raster()
    index = geopandas.GeoDataFrame({"location": [str(tile)]}, geometry=[shapely.box(*BOUNDS)], crs="EPSG:32633")
    index.to_file(tmp_path / "index.gpkg")
    with pytest.raises(RasterError, match=r"tile index.*gdalbuildvrt"), open_raster(f"GTI:{tmp_path / 'index.gpkg'}"):
        pass


def test_names_the_rasters_of_a_file_that_holds_several(make_raster: MakeRaster, tmp_path: Path) -> None:
    scene, several = make_raster(colors=RGBA[:3]), tmp_path / "several.gpkg"
    for number in range(5):
        append = {"APPEND_SUBDATASET": "YES"} if number else {}
        rasterio.shutil.copy(scene, several, driver="GPKG", RASTER_TABLE=f"t{number}", **append)
    place = re.escape(str(several))
    listed = f"holds no bands itself but 5 rasters; give one: GPKG:{place}:T0 or GPKG:{place}:T1 or .*T3 …$"
    with pytest.raises(RasterError, match=listed), open_raster(several):
        pass


def test_a_file_cut_short_fails_where_it_ends(make_raster: MakeRaster) -> None:
    path = make_raster(height=256, width=256, tiled=True, blockxsize=64, blockysize=64)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with open_raster(path) as raster, pytest.raises(RunError, match=r"scene\.tif cannot be read in rows 0 to 255"):
        raster.read((1, 2, 3), 0, 0, 256, 256)


def test_opens_a_virtual_raster(make_raster: MakeRaster, tmp_path: Path) -> None:
    path = make_raster()
    rasterio.shutil.copy(path, tmp_path / "scene.vrt", driver="VRT")
    with open_raster(tmp_path / "scene.vrt") as raster, rasterio.open(path) as plain:
        np.testing.assert_array_equal(raster.read((1,), 0, 0, 64, 96)[0], plain.read(1))


@pytest.mark.parametrize("interleave", ["band", "pixel"])
def test_tells_which_blocks_a_sparse_file_holds(tmp_path: Path, interleave: str) -> None:
    profile = {"driver": "GTiff", "count": 2, "height": 40, "width": 70, "dtype": "uint8", "interleave": interleave}
    profile |= {
        "tiled": True,
        "blockxsize": 32,
        "blockysize": 32,
        "sparse_ok": True,
        "transform": Affine(1, 0, 9, 0, -1, 9),
    }
    with rasterio.open(tmp_path / "sparse.tif", "w", **profile) as out:
        out.write(np.ones((8, 6), np.uint8), 2, window=Window(64, 32, 6, 8))
    with open_raster(tmp_path / "sparse.tif") as raster:
        stored = raster.stored_blocks((1, 2))
        assert stored is not None
        assert stored.tolist() == [[False, False, False], [False, False, True]]
        assert np.array_equal(raster.stored_blocks((1,)), stored & (interleave == "pixel"))


def test_does_not_tell_of_blocks_where_the_file_may_have_others(make_raster: MakeRaster, tmp_path: Path) -> None:
    with open_raster(make_raster(np.zeros((40, 70), np.uint8))) as raster:
        assert raster.stored_blocks((1,)) is None
    rasterio.shutil.copy(make_raster(np.zeros((40, 70), np.uint8)), tmp_path / "scene.vrt", driver="VRT")
    with open_raster(tmp_path / "scene.vrt") as raster:
        assert raster.stored_blocks((1,)) is None


@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize(("dtype", "nodata"), [("uint8", None), ("uint16", 3), ("float32", None)])
@pytest.mark.parametrize(
    ("height", "width", "max_side"), [(700, 1100, 48), (513, 512, 100), (300, 901, 7), (1, 999, 90), (257, 3, 256)]
)
def test_pixels_picked_from_whole_blocks_are_those_of_gdals_nearest_neighbour(
    make_raster: MakeRaster,
    monkeypatch: pytest.MonkeyPatch,
    height: int,
    width: int,
    max_side: int,
    dtype: str,
    nodata: float | None,
    interleave: str,
) -> None:
    values = np.random.default_rng(0).integers(0, 9, (3, height, width)).astype(dtype)
    if dtype == "float32":
        values[:, values[0] == 5] = np.nan
    values[:, values[1] == 3] = 3
    options = {"tiled": True, "blockxsize": 128, "blockysize": 256, "interleave": interleave}
    path = make_raster(values, dtype=dtype, nodata=nodata, **options)
    ways = []
    for most_rows in (MOST_SAMPLED_ROWS, 0):
        monkeypatch.setattr("weft_geo.geo.decimated.MOST_SAMPLED_ROWS", most_rows)
        with open_raster(path) as raster:
            ways.append(raster.sample((3, 1, 2), max_side))
    np.testing.assert_array_equal(ways[0][0], ways[1][0])
    np.testing.assert_array_equal(ways[0][1], ways[1][1])
    assert max(ways[0][1].shape) <= max_side
    assert ways[0][1].all() == (nodata is None and dtype != "float32")


def test_a_sparse_file_is_not_made_up_to_pick_from_it(make_raster: MakeRaster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decimated, "_picked", lambda *_: pytest.fail("all of it was read"))
    options = {"tiled": True, "blockxsize": 128, "blockysize": 128, "sparse_ok": True}
    path = make_raster(np.zeros((3, 600, 600)), **options)
    with open_raster(path) as raster:
        assert raster.sample((1, 2, 3), 100)[0].sum() == 0


@pytest.mark.parametrize("interleave", ["band", "pixel"])
@pytest.mark.parametrize("bands", [(1, 1, 1), (2, 1, 2), (3, 2, 1)])
def test_a_band_asked_for_twice_is_the_same_twice(
    make_raster: MakeRaster, bands: tuple[int, ...], interleave: str
) -> None:
    path = make_raster(height=160, width=320, tiled=True, blockxsize=16, blockysize=16, interleave=interleave)
    with rasterio.open(path) as dataset:
        alone = np.stack([dataset.read(band) for band in bands])
    for _ in range(10):  # GDAL decodes in threads, and what they do in which order is chance
        with rasterio.Env(GDAL_NUM_THREADS="2"), open_raster(path) as raster:
            assert (raster.read(bands, 0, 0, 96, 320) == alone[:, :96]).all()


def test_a_mask_without_overviews_holds_on_a_coarser_grid(make_raster: MakeRaster, tmp_path: Path) -> None:
    size = 8192
    inside = np.ones((size, size), bool)
    inside[2008:2012, 2008:2012] = False  # smaller than what a decimated look at the mask is sure to see
    tiles = {"bands": 1, "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"}
    scene = make_raster(np.full((1, size, size), 7), name="scene & all.tif", **tiles)
    with rasterio.open(scene, "r+") as dataset:
        dataset.build_overviews([2, 4])
    masked = make_raster(np.full((1, size, size), 7), name="masked.tif", **tiles)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(masked, "r+") as dataset:
        dataset.write_mask(inside)
    (tmp_path / "masked.tif.msk").rename(tmp_path / "scene & all.tif.msk")
    with open_raster(scene) as raster, raster.resampled(Resampling(4, 4, "")) as coarse:
        np.testing.assert_array_equal(coarse.valid(0, 0, size // 4, size // 4), inside[::4, ::4])


def test_overviews_are_read_where_the_mask_has_them_too(make_raster: MakeRaster) -> None:
    inside = np.ones((512, 512), bool)
    inside[:128] = False
    scene = make_raster(np.full((1, 512, 512), 7), mask=inside)
    with rasterio.open(scene, "r+") as dataset:
        dataset.build_overviews([2])
    with rasterio.open(scene, "r+", overview_level=0) as overview:
        overview.write(np.full((1, 256, 256), 9, np.uint8))
    with open_raster(scene) as raster, raster.resampled(Resampling(2, 2, "")) as coarse:
        assert (coarse.read((1,), 64, 0, 192, 256) == 9).all()


def test_bands_of_several_types_cannot_be_read_together(make_raster: MakeRaster, tmp_path: Path) -> None:
    band = (
        '<VRTRasterBand dataType="{}" band="{}"><SimpleSource><SourceFilename>{}</SourceFilename>'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
    )
    kinds = [("Byte", "uint8"), ("UInt16", "uint16"), ("UInt16", "uint16")]
    bands = [
        band.format(kind, number, make_raster(7, bands=1, dtype=dtype, name=f"{dtype}.tif"))
        for number, (kind, dtype) in enumerate(kinds, start=1)
    ]
    path = tmp_path / "mixed.vrt"
    path.write_text(f'<VRTDataset rasterXSize="96" rasterYSize="64">{"".join(bands)}</VRTDataset>')
    with open_raster(path) as raster:
        raster.require_one_type((1, 1, 1))
        for chosen in ((1, 2, 3), (2, 3, 3)):
            with pytest.raises(RasterError, match="several types, band 2 uint16 and the first uint8; convert"):
                raster.require_one_type(chosen)
            with pytest.raises(RasterError, match="several types"):
                raster.read(chosen, 0, 0, 1, 1)
            with pytest.raises(RasterError, match="several types"):
                raster.sample(chosen)


def test_a_scene_that_cannot_be_opened_leaves_no_settings_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what lies beside later scenes, their masks and world files, would not be seen."""
    monkeypatch.setattr("weft_geo.geo.remote.WAITS", ())
    for scene in ("http://127.0.0.1:9/none.tif", "none.tif"):
        with pytest.raises(RasterError), open_raster(scene):
            pass
        assert not hasenv()
