"""Your own scenes in training: seen as `predict` sees them, and never learnt where they validate."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from affine import Affine
from shapely.geometry import box

torch = pytest.importorskip("torch", reason="needs the train extra")

from weft_geo.datasets.areas import split_by_area  # noqa: E402
from weft_geo.datasets.datamodules import ScenesDataModule  # noqa: E402
from weft_geo.datasets.scene_datasets import SceneImages, ScenePolygons  # noqa: E402
from weft_geo.errors import VectorError  # noqa: E402
from weft_geo.geo.contract import SCENE_SCALE, ModelContract  # noqa: E402
from weft_geo.geo.ground import choose_resampling  # noqa: E402
from weft_geo.geo.normalize import measure_normalizer  # noqa: E402
from weft_geo.geo.raster import open_raster  # noqa: E402
from weft_geo.samplers import CoveringGeoSampler  # noqa: E402

UTM = Affine(0.5, 0.0, 500_000.0, 0.0, -0.5, 5_000_000.0)
OWN_RANGE = ModelContract(bands=3, scale=SCENE_SCALE)


def whole_chip(images: SceneImages, raster: int = 0) -> np.ndarray:
    """A raster through the data set at its resolution, [3, h, w]."""
    (x0, y0, x1, y1), (step_x, step_y) = images.areas()[raster], images.res
    time = images.index.index[0]
    return images[slice(x0, x1, step_x), slice(y0, y1, step_y), slice(time.left, time.right)]["image"].numpy()


def as_predict_sees_it(path: Path, gsd_m: float) -> np.ndarray:
    """The same as the engine reads and scales it."""
    with open_raster(path) as raster:
        normalizer = measure_normalizer(raster, (1, 2, 3), OWN_RANGE)
        with raster.resampled(choose_resampling(raster.info.pixel, gsd_m, None)) as coarse:
            return normalizer(*coarse.whole((1, 2, 3)))


@pytest.mark.parametrize("gsd_m", [1.0, 1.5])
def test_training_averages_what_predict_averages(make_raster: Callable[..., Path], gsd_m: float) -> None:
    pixel = SceneImages([make_raster(height=120, width=180)]).gsd_m
    path = make_raster(height=120, width=180)
    seen = whole_chip(SceneImages([path], gsd_m * pixel / 0.5))
    wanted = as_predict_sees_it(path, gsd_m * pixel / 0.5)
    assert seen.shape == wanted.shape
    np.testing.assert_allclose(seen, wanted, atol=1)  # uint8 averages are rounded


def test_a_finer_raster_beside_a_coarse_one_is_averaged(make_raster: Callable[..., Path]) -> None:
    coarse = make_raster(name="a.tif", transform=UTM @ Affine.scale(4))
    fine = make_raster(name="b.tif", height=128, width=128, transform=Affine.translation(400, 0) @ UTM)
    images = SceneImages([coarse, fine])
    np.testing.assert_allclose(whole_chip(images, 1), as_predict_sees_it(fine, images.gsd_m), atol=1)


def test_pixels_of_a_gsd_are_square_on_the_ground(make_raster: Callable[..., Path]) -> None:
    path = make_raster(height=240, width=300, crs="EPSG:4326", transform=Affine(5e-6, 0, 10, 0, -5e-6, 60))
    seen, wanted = whole_chip(SceneImages([path], 1.0)), as_predict_sees_it(path, 1.0)
    assert seen.shape == wanted.shape == (3, 134, 84)
    # 68° north `predict` makes them square by itself, for a model of the mean of both sides.
    path = make_raster(
        name="n.tif", height=240, width=300, crs="EPSG:4326", transform=Affine(5e-6, 0, 10, 0, -5e-6, 68)
    )
    images = SceneImages([path])
    assert whole_chip(images).shape == as_predict_sees_it(path, images.gsd_m).shape


@pytest.mark.parametrize("apart", [False, True])
def test_what_validates_is_not_learnt_where_rasters_overlap(
    make_raster: Callable[..., Path], tmp_path: Path, apart: bool
) -> None:
    one = make_raster(name="a.tif", height=128, width=128)
    two = make_raster(name="b.tif", height=128, width=128, transform=Affine.translation(32, 0) @ UTM)
    shapes = [box(x, 5e6 - y - 5, x + 5, 5e6 - y) for x in range(500_004, 500_090, 8) for y in range(4, 56, 8)]
    gpd.GeoDataFrame(geometry=shapes, crs="EPSG:32633").to_file(tmp_path / "objects.gpkg")
    rasters, kept = ([one], [two]) if apart else ([one, two], None)
    data = ScenesDataModule(
        rasters, [tmp_path / "objects.gpkg"], val_images=kept, chip=32, batch_size=1, num_workers=0, samples=200,
        scales=(1, 1), vary=False,
    )  # fmt: skip
    data.setup("fit")
    learnt, validated = (labelled(loader) for loader in (data.train_dataloader(), data.val_dataloader()))
    assert learnt.sum() > 4000
    assert validated.sum() > 4000
    assert not (learnt & validated).any()


def labelled(loader) -> np.ndarray:
    """Pixels from the first raster's corner on that have a label in any chip, of pixels of 0.5 m."""
    seen = np.zeros((256, 384), bool)
    for query in loader.sampler:
        rows, columns = np.nonzero(loader.dataset[query]["mask"].numpy() != 255)
        seen[rows + round((5_000_000 - query[1].stop) * 2), columns + round((query[0].start - 500_000) * 2)] = True
    return seen


def test_strips_are_of_whole_pixels() -> None:
    scene = (500_000.0, 4_999_898.5, 500_064.0, 5_000_000.0)
    low = gpd.GeoDataFrame(
        geometry=[box(500_010, 4_999_900, 500_020, 4_999_910), box(500_010, 4_999_940, 500_020, 4_999_980)]
    )
    ((_, y0, _, y1),) = split_by_area([scene], low, 0.2, (0.5, 0.5)).val
    assert (y0, y1) == (scene[1], scene[1] + 20.5)
    areas = split_by_area([scene], low, 1e-4, (0.5, 0.5))
    assert areas.val[0] != scene
    assert min(areas.val[0][2] - areas.val[0][0], areas.val[0][3] - areas.val[0][1]) == 0.5


def test_a_band_without_contrast(make_raster: Callable[..., Path]) -> None:
    values = np.random.default_rng(0).integers(0, 255, (3, 64, 64))
    values[2] = 7
    mean, std = SceneImages([make_raster(values)]).statistics()
    ModelContract(bands=3, mean=mean, std=std)
    assert std[2] == 1.0


def test_nan_takes_no_neighbours_along(make_raster: Callable[..., Path]) -> None:
    values = np.random.default_rng(0).random((3, 40, 60))
    values[:, 20, 30] = np.nan
    images = SceneImages([make_raster(values, dtype="float32")])
    time = images.index.index[0]
    x, y = slice(500_000.25, 500_029.75, 0.5), slice(4_999_980.25, 4_999_999.75, 0.5)
    valid = images[x, y, slice(time.left, time.right)]["valid"]
    assert int((~valid).sum()) <= 1


def test_statistics_of_many_pixels_are_exact(make_raster: Callable[..., Path]) -> None:
    values = np.random.default_rng(0).integers(120, 126, (3, 1024, 1024))
    images = SceneImages([make_raster(values)])
    seen = whole_chip(images).astype(np.float64)
    mean, std = images.statistics()
    np.testing.assert_allclose(mean, seen.mean(axis=(1, 2)), atol=0.006)
    np.testing.assert_allclose(std, seen.std(axis=(1, 2)), atol=0.006)


def test_what_is_known_of_rasters_takes_no_more_memory_where_they_are_large(make_raster: Callable[..., Path]) -> None:
    """It is held for every raster, and goes to every process that reads."""
    small, large = (SceneImages([make_raster(height=side, width=side, name=f"{side}.tif")]) for side in (16, 512))
    assert len(pickle.dumps(large)) == pytest.approx(len(pickle.dumps(small)), abs=100)


def test_a_raster_that_validation_covers_leaves_nothing_to_learn(
    make_raster: Callable[..., Path], tmp_path: Path
) -> None:
    one, two = make_raster(name="a.tif"), make_raster(name="b.tif")
    gpd.GeoDataFrame(geometry=[box(500_004, 4_999_980, 500_012, 4_999_990)], crs="EPSG:32633").to_file(
        tmp_path / "objects.gpkg"
    )
    data = ScenesDataModule([one], [tmp_path / "objects.gpkg"], val_images=[two], chip=32, num_workers=0)
    with pytest.raises(VectorError, match="no polygon lies in the area to train on"):
        data.setup("fit")


def test_images_and_polygons_go_through_a_loader_as_torchgeos_own_do(
    make_raster: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch.utils.data import DataLoader
    from torchgeo.datasets import stack_samples
    from torchgeo.samplers import GeoSampler

    if "__init__" in vars(GeoSampler):  # torchgeo 0.10 has none, and takes tensors alone
        monkeypatch.delattr(GeoSampler, "__init__")
    path = make_raster(height=64, width=128, transform=UTM)
    left, _, _, top = box(*SceneImages([path]).areas()[0]).bounds
    gpd.GeoDataFrame(geometry=[box(left, top - 10, left + 5, top)], crs="EPSG:32633").to_file(tmp_path / "labels.gpkg")
    images = SceneImages([path])
    data = images & ScenePolygons([tmp_path / "labels.gpkg"], images)
    sampler = CoveringGeoSampler(data, images.areas(), 64)
    (batch,) = DataLoader(data, batch_size=2, sampler=sampler, collate_fn=stack_samples)
    assert {name: tuple(part.shape) for name, part in batch.items()} == {
        "image": (2, 3, 64, 64), "valid": (2, 64, 64), "mask": (2, 64, 64), "transform": (2, 9),
    }  # fmt: skip
    assert batch["mask"].sum(dim=(1, 2)).tolist() == [10 * 20, 0]
    grids = [Affine(*numbers[:6]) for numbers in batch["transform"].tolist()]
    assert grids == [UTM, UTM @ Affine.translation(64, 0)]


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        ({"class": ["building", "building"]}, "building"),
        ({"class": ["building", None]}, "object"),
        ({"class": ["house", "shed"]}, "object"),
        ({"class": [3, 3]}, "object"),
        ({"kind": ["building", "building"]}, "object"),
    ],
)
def test_one_class_bears_the_name_that_all_objects_have(
    make_raster: Callable[..., Path], tmp_path: Path, attributes: dict[str, list[object]], name: str
) -> None:
    images = SceneImages([make_raster(height=64, width=128, transform=UTM)])
    left, _, _, top = images.areas()[0]
    shapes = [box(left + start, top - 10, left + start + 5, top) for start in (0, 20)]
    gpd.GeoDataFrame(attributes, geometry=shapes, crs="EPSG:32633").to_file(tmp_path / "labels.gpkg")
    polygons = ScenePolygons([tmp_path / "labels.gpkg"], images)
    assert polygons.classes == (name,)
    assert len(polygons.objects) == 2
    assert ScenePolygons([tmp_path / "labels.gpkg"], images, classes=["roof"]).classes == ("roof",)
