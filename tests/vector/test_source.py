"""What the numbers of a raster mean."""

import json
import os

import geopandas
import numpy as np
import pandas.testing
import pytest
import rasterio
import rasterio.shutil
import shapely
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from weft_geo.errors import CrsError, InputError, RasterError, RunError
from weft_geo.geo.raster import Raster
from weft_geo.vector import VectorOptions, polygonize, vectorize_raster

BLOCK = np.zeros((20, 30), np.uint8)
BLOCK[3:9, 4:12] = 1
BLOCK[12:16, 20:25] = 1


def vectorize(raster, tmp_path, **options):
    out = tmp_path / "objects.gpkg"
    count = vectorize_raster(raster, out, overwrite=True, **options)
    objects = geopandas.read_file(out)
    assert count == len(objects)
    return objects


@pytest.mark.parametrize(
    ("values", "dtype"),
    [(BLOCK, "uint8"), (BLOCK * 255, "uint8"), (BLOCK, "int16"), (BLOCK, "float32"), (BLOCK * 200, "uint8")],
)
def test_masks_and_probabilities(values, dtype, make_raster, tmp_path):
    objects = vectorize(make_raster(values, dtype=dtype), tmp_path)
    assert objects["class"].tolist() == ["object", "object"]
    assert objects["area_m2"].to_numpy() == pytest.approx([12, 5], rel=2e-3)
    assert objects["score"].to_numpy() == pytest.approx([200 / 255 if values.max() == 200 else 1.0] * 2)


@pytest.mark.parametrize(("threshold", "found"), [(0.5, 2), (0.78, 2), (0.79, 0), (1.0, 0)])
def test_the_threshold_of_bytes(threshold, found, make_raster, tmp_path):
    raster = make_raster(BLOCK * 200)
    assert len(vectorize(raster, tmp_path, options=VectorOptions(threshold=threshold))) == found


def test_classes_by_number_name_or_tag(make_raster, tmp_path):
    values = BLOCK.copy()
    values[3:9, 12:20] = 3
    assert vectorize(make_raster(values), tmp_path)["class"].tolist() == ["1", "3", "1"]
    names = ["roof", "road", "tree"]
    assert vectorize(make_raster(values), tmp_path, classes=names)["class"].tolist() == ["roof", "tree", "roof"]
    raster = make_raster(values, name="tagged.tif", nodata=255)
    with rasterio.open(raster, "r+") as dataset:
        dataset.update_tags(CLASSES=json.dumps(["background", *names]))
    assert vectorize(raster, tmp_path)["class"].tolist() == ["roof", "tree", "roof"]
    with pytest.raises(InputError, match=r"outside 0…2"):
        vectorize(raster, tmp_path, classes=["roof", "road"])


def test_a_band_for_each_class(make_raster, tmp_path):
    values = np.stack([BLOCK * 255, np.roll(BLOCK, 9, axis=1) * 180])
    raster = make_raster(values)
    with rasterio.open(raster, "r+") as dataset:
        dataset.descriptions = ("roof", "road")
        dataset.update_tags(SCALE="probability = value / 255")
    assert set(vectorize(raster, tmp_path)["class"]) == {"roof", "road"}
    assert set(polygonize(raster)["class"]) == {"roof", "road"}
    assert set(polygonize(values)["class"]) == {"1", "2"}


def test_a_scaled_raster_with_nothing_certain_is_no_class_map(make_raster, tmp_path):
    raster = make_raster(BLOCK * 5)
    assert len(vectorize(raster, tmp_path)) == 2
    with rasterio.open(raster, "r+") as dataset:
        dataset.update_tags(SCALE="probability = value / 255")
    assert len(vectorize(raster, tmp_path)) == 0


def test_nodata_is_no_object(make_raster, tmp_path):
    values = BLOCK * 255
    values[5:7, 6:8] = 99
    objects = vectorize(make_raster(values, nodata=99), tmp_path)
    assert objects["touches_nodata"].tolist() == [True, False]
    assert len(objects.geometry[0].interiors) == 1
    valid = np.ones(BLOCK.shape, bool)
    valid[12:, :] = False
    assert len(vectorize(make_raster(BLOCK * 255, mask=valid), tmp_path)) == 1
    floats = np.where(BLOCK, 0.9, -9999).astype(np.float32)
    assert len(vectorize(make_raster(floats, dtype="float32", nodata=-9999), tmp_path)) == 2
    three = np.where(valid, BLOCK, 255).astype(np.uint8)
    assert vectorize(make_raster(three, nodata=255), tmp_path)["score"].tolist() == [1.0]


@pytest.mark.parametrize("dtype", ["uint64", "int64"])
def test_a_nodata_value_too_large_for_a_float_is_no_object(dtype, make_raster, tmp_path):
    values, most = BLOCK.astype(dtype), np.iinfo(dtype).max
    values[12:] = most
    mask = make_raster(values, dtype=dtype)
    note = f'<PAMRasterBand band="1"><NoDataValue>{most}</NoDataValue></PAMRasterBand>'
    mask.with_name(f"{mask.name}.aux.xml").write_text(f"<PAMDataset>{note}</PAMDataset>")
    assert len(vectorize(mask, tmp_path)) == 1


def test_a_nodata_value_of_0_is_the_background(make_raster, tmp_path):
    objects = vectorize(make_raster(BLOCK * 255, nodata=0), tmp_path)
    assert objects["touches_nodata"].tolist() == [False, False]


def test_an_alpha_band_is_a_mask(make_raster, tmp_path):
    values = np.stack([BLOCK * 255, np.where(np.indices(BLOCK.shape)[0] < 10, 255, 0)])
    raster = make_raster(values, colors=(ColorInterp.gray, ColorInterp.alpha), alpha="yes")
    assert len(vectorize(raster, tmp_path)) == 1


@pytest.mark.parametrize("block", [{}, {"tiled": True, "blockxsize": 16, "blockysize": 16}, {"blockysize": 1}])
@pytest.mark.parametrize("rows", [1, 5, 100])
def test_any_blocks_and_strips(block, rows, make_raster, strip_rows):
    mask = (np.random.default_rng(0).random((50, 70)) < 0.4).astype(np.uint8)
    expected = polygonize(mask)
    strip_rows(rows, 70)
    objects = polygonize(make_raster(mask, crs=None, **block))
    assert objects["id"].tolist() == expected["id"].tolist()
    assert objects["area_m2"].to_numpy() == pytest.approx(expected["area_m2"].to_numpy() / 4)


def test_progress_and_provenance(make_raster, tmp_path):
    import sqlite3

    told = []
    raster = make_raster(BLOCK)
    vectorize(raster, tmp_path, progress=lambda *event: told.append(event))
    assert told[0][:4] == ("start", "vectorize", 0, 20)
    assert told[-1][:4] == ("done", "vectorize", 20, 20)
    assert "2 objects" in told[-1][4]
    database = sqlite3.connect(tmp_path / "objects.gpkg")
    (metadata,) = database.execute("select metadata from gpkg_metadata").fetchone()
    database.close()
    assert "scene.tif" in metadata
    assert "connectivity" in metadata


def test_a_raster_that_lies_nowhere(make_raster):
    raster = make_raster(BLOCK, crs=None, transform=Affine.identity())
    with pytest.raises(InputError, match="transform is for arrays"):
        polygonize(raster, transform=Affine.scale(2))
    objects = polygonize(raster)
    assert objects.crs is None
    assert objects["area_m2"].tolist() == [48.0, 20.0]


@pytest.mark.parametrize("given", ["objects.gpkg", "objects.vrt"])
def test_a_layer_never_takes_the_place_of_its_raster(given, make_raster, tmp_path):
    source = tmp_path / "objects.gpkg"
    rasterio.shutil.copy(make_raster(BLOCK * 255), source, driver="GPKG")
    rasterio.shutil.copy(source, tmp_path / "objects.vrt", driver="VRT")
    before = source.read_bytes()
    with pytest.raises(InputError, match=r"is read from .*objects\.gpkg"):
        vectorize(tmp_path / given, tmp_path)
    assert source.read_bytes() == before


@pytest.mark.parametrize(("scale", "offset"), [(0.01, 0.0), (1.0, -0.5)])
def test_packed_values_are_not_taken_as_they_are_stored(scale, offset, make_raster, tmp_path):
    raster = make_raster(BLOCK * 95)
    with rasterio.open(raster, "r+") as dataset:
        dataset.scales, dataset.offsets = (scale,), (offset,)
    with pytest.raises(RasterError, match=r"packed values.*-unscale"):
        vectorize(raster, tmp_path)
    with pytest.raises(RasterError, match=r"packed values.*-unscale"):
        polygonize(raster)


@pytest.mark.parametrize(("value", "name"), [(1, "object"), (40, "40"), (190, "190"), (255, "object")])
def test_colours_of_a_palette_are_classes_and_no_probabilities(value, name, make_raster, tmp_path):
    raster = make_raster(BLOCK * value, colors=(ColorInterp.palette,), photometric="palette")
    with rasterio.open(raster, "r+") as dataset:
        dataset.write_colormap(1, {0: (0, 0, 0, 255), value: (250, 0, 0, 255)})
    objects = vectorize(raster, tmp_path)
    assert objects["class"].tolist() == [name, name]
    assert objects["score"].tolist() == [1, 1]


def test_refusals(make_raster, tmp_path):
    with pytest.raises(CrsError, match="--crs"):
        vectorize(make_raster(BLOCK, crs=None), tmp_path)
    assert vectorize(make_raster(BLOCK, crs=None), tmp_path, crs="EPSG:32633").crs.to_epsg() == 32633
    image = make_raster(bands=3, colors=(ColorInterp.red, ColorInterp.green, ColorInterp.blue))
    with pytest.raises(RasterError, match="is an image"):
        vectorize(image, tmp_path)
    with pytest.raises(InputError, match="probabilities lie in"):
        vectorize(make_raster(BLOCK * 255.0, dtype="float32"), tmp_path)
    with pytest.raises(InputError, match="name the classes"):
        vectorize(make_raster(BLOCK.astype(np.uint16) * 4000, dtype="uint16"), tmp_path)
    with pytest.raises(InputError, match=r"outside 0…1"):
        polygonize(-BLOCK.astype(np.int16))
    with pytest.raises(InputError, match="3 classes were named"):
        polygonize(np.zeros((2, 5, 5), np.float32), classes=["a", "b", "c"])
    for array in (np.zeros((0, 5)), np.zeros(5), np.zeros((1, 1, 5, 5))):
        with pytest.raises(InputError, match="shape"):
            polygonize(array)
    with pytest.raises(InputError, match="complex"):
        polygonize(np.zeros((5, 5), complex))
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("nodata", [None, 0])
@pytest.mark.parametrize("bands", [1, 2])
@pytest.mark.parametrize(("height", "rows"), [(100, 1), (100, 16), (100, 1000), (16, 1000)])
def test_blocks_that_a_sparse_file_leaves_out(nodata, bands, height, rows, tmp_path, strip_rows, monkeypatch):
    """Objects over, beside and across the edges of the stored blocks are those of the whole array."""
    rng = np.random.default_rng(rows)
    stored = rng.random((-(-height // 16), 9)) < 0.4
    stored[2:4] = False
    values = rng.integers(0, 256, (bands, height, 140)) * (rng.random((height, 140)) < 0.7)
    values = (values * np.kron(stored, np.ones((16, 16)))[:height, :140]).astype(np.uint8)
    profile = {"driver": "GTiff", "count": bands, "height": height, "width": 140, "dtype": "uint8", "nodata": nodata}
    profile |= {"tiled": True, "blockxsize": 16, "blockysize": 16, "sparse_ok": True}
    with rasterio.open(
        tmp_path / "s.tif", "w", crs="EPSG:32633", transform=Affine(1, 0, 500, 0, -1, 900), **profile
    ) as out:
        for row, col in np.argwhere(stored):
            block = values[:, 16 * row : 16 * row + 16, 16 * col : 16 * col + 16]
            out.write(block, window=Window(16 * col, 16 * row, block.shape[2], block.shape[1]))
    read = []
    monkeypatch.setattr(Raster, "read", lambda self, *args, _read=Raster.read: read.append(args) or _read(self, *args))
    strip_rows(rows, 140)
    for outline in ("pixel", "subpixel"):
        expected = polygonize(values, Affine(1, 0, 500, 0, -1, 900), "EPSG:32633", outline=outline)
        read.clear()
        objects = polygonize(tmp_path / "s.tif", outline=outline)
        assert list(shapely.to_wkb(objects.geometry.array)) == list(shapely.to_wkb(expected.geometry.array))
        pandas.testing.assert_frame_equal(objects.drop(columns="geometry"), expected.drop(columns="geometry"))
        if (bands, nodata) == (2, 0):  # one band is read until it tells what its values mean
            assert sum(tall * wide for *_, tall, wide in read) < height * 140


@pytest.mark.parametrize("text", ["water, land", "5", "null", '{"a": 1}'])
def test_a_tag_of_another_program_is_no_list_of_classes(text, make_raster, tmp_path):
    path = make_raster(BLOCK * 2)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(CLASSES=text)
    assert set(vectorize(path, tmp_path)["class"]) == {"2"}


def test_more_classes_than_can_be_told_apart():
    with pytest.raises(InputError, match="255"):
        polygonize(np.full((2, 2), 256, np.uint16), classes=[str(k) for k in range(300)])
    with pytest.raises(InputError, match="255"):
        polygonize(np.ones((300, 2, 2), np.float32))


def test_bands_of_bool_and_masked_arrays_are_refused():
    with pytest.raises(InputError, match="bool"):
        polygonize(np.ones((2, 3, 3), bool))
    with pytest.raises(InputError, match="masked array"):
        polygonize(np.ma.MaskedArray(np.ones((3, 3), np.uint8), np.eye(3, dtype=bool)))


def test_classes_are_no_single_string():
    with pytest.raises(InputError, match="a list of names, not the single string 'water'"):
        polygonize(BLOCK, classes="water")


def test_what_lies_at_no_place_has_no_areas(make_raster):
    """They would be 0, and every object smaller than `min_area_m2`."""
    nowhere = Affine(1, 0, 1000, 0, -1, 500)
    with pytest.raises(CrsError, match=r"not a place in EPSG:4326"):
        polygonize(BLOCK, nowhere, "EPSG:4326")
    with pytest.raises(CrsError, match=r"not a place in EPSG:4326"):
        polygonize(make_raster(BLOCK, transform=nowhere, crs="EPSG:4326"))
    with pytest.raises(CrsError, match=r"not a place in EPSG:32633"):
        polygonize(BLOCK, Affine(0, 0, 500_000, 0, 0, 0), "EPSG:32633")


def test_what_is_neither_a_path_nor_an_array_is_named(make_raster, tmp_path):
    with rasterio.open(make_raster(BLOCK)) as dataset:
        with pytest.raises(InputError, match=r"a path or a NumPy array, not an object of type DatasetReader; give"):
            polygonize(dataset)
        with pytest.raises(RasterError, match="not an open dataset; give its name"):
            vectorize(dataset, tmp_path)
    with pytest.raises(InputError, match="not an object of type list"):
        polygonize(BLOCK.tolist())


def test_a_raster_is_opened_once(make_raster, tmp_path, monkeypatch):
    """Far away, each time may fail."""
    raster, plain, opened = make_raster(BLOCK), rasterio.open, []

    def noted(*args, **kwargs):
        opened.append(args[0])
        return plain(*args, **kwargs)

    monkeypatch.setattr(rasterio, "open", noted)
    vectorize_raster(raster, tmp_path / "objects.gpkg")
    assert len(opened) == 1


def test_a_raster_that_is_written_to_while_it_is_read_is_no_result(make_raster, tmp_path):
    raster = make_raster(BLOCK)

    def meddle(event, stage, done, total, message):
        if event == "progress":
            os.utime(raster, ns=(0, 0))

    with pytest.raises(RunError, match="was changed while it was read, so nothing was written"):
        vectorize_raster(raster, tmp_path / "objects.gpkg", progress=meddle)
    assert [path.name for path in tmp_path.iterdir()] == [raster.name]
