"""Data modules: what batches hold, and that a stopped run can go on exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.vrt import WarpedVRT
from shapely.geometry import box

torch = pytest.importorskip("torch", reason="needs the train extra")

from torchgeo.datasets import GeoDataset  # noqa: E402

from weft_geo.datasets.areas import split_by_area  # noqa: E402
from weft_geo.datasets.augment import ResearchAugmentation, augment, distort_colours, resize_to_fit  # noqa: E402
from weft_geo.datasets.datamodules import ScenesDataModule, SegmentationDataModule  # noqa: E402
from weft_geo.datasets.labels import IGNORE  # noqa: E402
from weft_geo.errors import CrsError, DatasetError, InputError, RasterError, VectorError  # noqa: E402
from weft_geo.samplers import CoveringGeoSampler, ObjectBalancedGeoSampler  # noqa: E402

from .trees import draw_tree  # noqa: E402

UTM = Affine(0.5, 0.0, 500_000.0, 0.0, -0.5, 5_000_000.0)
SMALL = ResearchAugmentation(long_side=256, short_side=64, crop=64)


def module(root: Path, **options) -> SegmentationDataModule:
    data = SegmentationDataModule("orssd", root, 2, 0, SMALL, **options)
    data.setup("fit")
    return data


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = draw_tree(tmp_path_factory.mktemp("data"), "train/images", "train/masks", 5)
    return draw_tree(root, "test/images", "test/masks", 3)


def test_batches(tree: Path) -> None:
    data = module(tree)
    batches = list(data.train_dataloader())
    assert len(batches) == 2
    assert batches[0]["image"].shape == (2, 3, 64, 64)
    assert batches[0]["mask"].dtype == torch.int64
    assert set(torch.cat([b["mask"].unique() for b in batches]).tolist()) <= {0, 1, IGNORE}
    assert 0 <= batches[0]["image"].min() <= batches[0]["image"].max() <= 255
    assert [tuple(b["image"].shape) for b in data.val_dataloader()] == [(1, 3, 40, 60)] * 3
    assert (data.mean, data.test_mean) == ((81.25, 87.39, 79.41), (83.62, 91.04, 82.90))


def test_a_stopped_run_goes_on_exactly(tree: Path) -> None:
    whole = [b["image"] for b in module(tree, samples=18).train_dataloader()]
    assert len(whole) == 9
    again = module(tree, samples=18)
    again.start_samples = 6
    rest = [b["image"] for b in again.train_dataloader()]
    assert len(rest) == 6
    assert all(torch.equal(a, b) for a, b in zip(whole[3:], rest, strict=True))
    assert not torch.equal(whole[0], module(tree, samples=18, seed=1).train_dataloader().__iter__().__next__()["image"])


def test_processes_together_see_what_one_sees_with_their_batches_joined(tree: Path) -> None:
    whole = [b["image"] for b in module(tree, samples=8).train_dataloader()]
    shares = []
    for rank in (0, 1):
        part = module(tree, samples=8)
        part.batch_size = 1
        part.trainer = SimpleNamespace(global_rank=rank, world_size=2)
        shares.append([b["image"] for b in part.train_dataloader()])
        assert len(part.val_dataloader()) == 2 - rank  # of three pictures, each once
    assert len(shares[0]) == len(shares[1]) == len(whole)
    for batch, *parts in zip(whole, *shares, strict=True):
        assert torch.equal(batch, torch.cat(parts))


def test_epochs_differ_and_show_every_picture(tree: Path) -> None:
    sampler = module(tree).train_dataloader().sampler
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(first) == list(range(5))
    assert sorted(second) == list(range(5, 10))
    assert [key % 5 for key in second] != first


def test_damaged_files_stop_it_in_setup(tmp_path: Path) -> None:
    draw_tree(draw_tree(tmp_path, "train/images", "train/masks", 3), "test/images", "test/masks", 1)
    bad = tmp_path / "train/images/0001.jpg"
    bad.write_bytes(bad.read_bytes()[:-300])
    with pytest.raises(DatasetError, match=r"0001\.jpg is damaged"):
        module(tmp_path)
    with pytest.raises(InputError, match="batch_size must be at least 1"):
        SegmentationDataModule("orssd", tmp_path, batch_size=0)


def test_research_sizes() -> None:
    image, mask = torch.zeros(3, 300, 400), torch.zeros(300, 400, dtype=torch.long)
    assert resize_to_fit(image, mask, 2048, 512)[0].shape == (3, 512, 683)
    assert resize_to_fit(torch.zeros(3, 100, 800), mask[:100].repeat(1, 2), 2048, 512)[1].shape == (256, 2048)


def test_crops_avoid_one_class_and_padding_is_unknown() -> None:
    mask = torch.zeros(256, 256, dtype=torch.long)
    mask[:, :128] = 1
    how = ResearchAugmentation(long_side=256, short_side=256, crop=64, scales=(1, 1), photometric=False)
    shares = []
    for seed in range(40):
        _, cut = augment(np.random.default_rng(seed), torch.zeros(3, 256, 256), mask, how, (1.0, 2.0, 3.0))
        shares.append(bool(0.25 < cut.float().mean() < 0.75))
    assert sum(shares) > 28  # of 40; a crop at random has a share of less than 75 % in one case of six
    small = ResearchAugmentation(long_side=64, short_side=64, crop=96, scales=(1, 1), photometric=False)
    image, cut = augment(np.random.default_rng(0), torch.full((3, 64, 64), 9.0), mask[:64, :64], small, (1.0, 2.0, 3.0))
    assert (cut == IGNORE).sum() == 96 * 96 - 64 * 64
    assert image[:, -1, -1].tolist() == [1, 2, 3]


def test_colours_stay_in_range_and_grey_stays_grey() -> None:
    image = torch.rand(1, 32, 32).repeat(3, 1, 1) * 255
    for seed in range(20):
        changed = distort_colours(np.random.default_rng(seed), image.clone())
        assert 0 <= changed.min() <= changed.max() <= 255
        assert (changed - changed.mean(dim=0)).abs().max() < 0.01


def scene(make_raster: Callable[..., Path], tmp_path: Path, **options) -> tuple[Path, Path]:
    """A raster of 200 × 300 px whose objects are brighter, and their layer in degrees, with a class field."""
    shapes = [
        box(500_000 + x, 4_999_900 + y, 500_006 + x, 4_999_906 + y) for x in range(5, 140, 20) for y in (10, 40, 80)
    ]
    values = np.full((3, 200, 300), 50, np.uint8)
    rows, columns = np.mgrid[0:200, 0:300]
    for shape in shapes:
        x0, y0, x1, y1 = shape.bounds
        xs, ys = 500_000.25 + columns * 0.5, 4_999_999.75 - rows * 0.5
        values[:, (xs > x0) & (xs < x1) & (ys > y0) & (ys < y1)] = 200
    layer = gpd.GeoDataFrame({"kind": ["tank", "roof", "roof"] * 7}, geometry=shapes, crs="EPSG:32633").to_crs(4326)
    path = tmp_path / "objects.gpkg"
    layer.to_file(path)
    return make_raster(values, transform=UTM, **options), path


def scenes(images: Path, labels: Path, **options) -> ScenesDataModule:
    options = {"batch_size": 4, "num_workers": 0, "chip": 64, "vary": False, "class_field": "kind", **options}
    data = ScenesDataModule([images], [labels], **options)
    data.setup("fit")
    return data


def test_scenes(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    data = scenes(*scene(make_raster, tmp_path), samples=16, scales=(1.0, 1.0))
    assert data.classes == ("roof", "tank")
    bright = dark = 0
    for batch in data.train_dataloader():
        assert batch["image"].shape == (4, 3, 64, 64)
        objects = (batch["mask"] > 0) & (batch["mask"] != IGNORE)
        bright += batch["image"][:, 0][objects].mean()
        dark += batch["image"][:, 0][batch["mask"] == 0].mean()
    assert bright / 4 > 190
    assert dark / 4 < 60
    known = sum(int((b["mask"] != IGNORE).sum()) for b in data.val_dataloader())
    assert known == 0.2 * 200 * 300
    stored = 57.56  # the scene's own range makes 42.5 of 50, the ground, and 212.5 of 200, the objects
    assert data.mean == pytest.approx((42.5 + (stored - 50) * 170 / 150,) * 3, abs=0.1)


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:3857", "EPSG:4326"])
def test_half_a_small_polygon_is_the_least_area(make_raster: Callable[..., Path], tmp_path: Path, crs: str) -> None:
    images, labels = scene(make_raster, tmp_path)
    with rasterio.open(images) as source, WarpedVRT(source, crs=crs) as warped:
        rasterio.shutil.copy(warped, tmp_path / "warped.tif", driver="GTiff")
    assert scenes(tmp_path / "warped.tif", labels).min_area_m2 == 18  # of 6 × 6 m


def test_training_and_validation_share_no_pixel(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    data = scenes(*scene(make_raster, tmp_path))
    ((train,), (val,)) = data.areas.train, data.areas.val
    assert box(*train).intersection(box(*val)).area == 0
    assert box(*train).union(box(*val)).area == pytest.approx(100 * 150)
    held = data.polygons.objects.clip(box(*val)).area.sum() / data.polygons.objects.area.sum()
    assert 0.05 < held < 0.4


def test_chips_depend_on_seed_and_number_alone(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    images, labels = scene(make_raster, tmp_path)
    whole = [b["image"] for b in scenes(images, labels, samples=12, vary=True).train_dataloader()]
    again = scenes(images, labels, samples=12, vary=True)
    again.start_samples = 4
    rest = [b["image"] for b in again.train_dataloader()]
    assert all(torch.equal(a, b) for a, b in zip(whole[1:], rest, strict=True))


def test_classes_are_drawn_alike(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    data = scenes(*scene(make_raster, tmp_path), object_share=1.0, samples=300)
    sampler = data._sampler()
    assert len(sampler._by_class[0]) > len(sampler._by_class[1])
    tanks = data.polygons.objects[data.polygons.objects["class"] == "tank"].geometry
    near = 0
    for x, y, _ in sampler:
        near += tanks.intersects(box(x.start, y.start, x.stop, y.stop)).any()
    assert near > 130  # of 300; every object alike would show a tank in 100


def test_nodata_is_unknown(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    mask = np.ones((200, 300), bool)
    mask[:, :100] = False
    data = scenes(*scene(make_raster, tmp_path, mask=mask), samples=40)
    assert any(int((b["mask"] == IGNORE).sum()) for b in data.train_dataloader())
    assert (data.mean[0], data.std[0]) != (50, 0)


def test_what_cannot_be_used_is_said_at_once(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    images, labels = scene(make_raster, tmp_path)
    with pytest.raises(CrsError, match=r"bare\.tif has no CRS, so polygons cannot be laid over it; assign one"):
        scenes(make_raster(name="bare.tif", crs=None), labels)
    with pytest.raises(VectorError, match=r"no polygon of .*objects\.gpkg lies on .*far\.tif"):
        scenes(make_raster(name="far.tif", transform=Affine.translation(9_000, 0) @ UTM), labels)
    with pytest.raises(VectorError, match=r"has no field 'sort' for the class; it has kind"):
        scenes(images, labels, class_field="sort")
    with pytest.raises(RasterError, match="does not exist"):
        scenes(tmp_path / "none.tif", labels)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RasterError, match="empty holds no rasters"):
        scenes(tmp_path / "empty", labels)
    with pytest.raises(InputError, match="between 0 and 1, got 1"):
        scenes(images, labels, val_share=1)


class OneScene(GeoDataset):
    """Where a scene of half-metre pixels lies; without any."""

    def __init__(self, bounds: tuple[float, float, float, float]) -> None:
        time = pd.IntervalIndex.from_tuples([(pd.Timestamp(0), pd.Timestamp(1))], closed="both")
        self.index = gpd.GeoDataFrame(index=time, geometry=[box(*bounds)], crs="EPSG:32633")
        self._res = (0.5, 0.5)

    def __getitem__(self, query: object) -> dict[str, object]:
        raise AssertionError("nothing is to be read")


@given(
    extent=st.tuples(st.floats(5, 400), st.floats(5, 400)),
    share=st.floats(0.05, 0.6),
    size=st.sampled_from([32, 64, 160]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=30, deadline=None)
def test_no_chip_to_train_on_shows_what_is_validated(
    extent: tuple[float, float], share: float, size: int, seed: int
) -> None:
    """But where the area is smaller than a chip: that one is laid over the whole of it, and the rest is unknown."""
    scene = (1000.0, 2000.0, 1000 + extent[0], 2000 + extent[1])
    rng = np.random.default_rng(seed)
    centres = rng.uniform(scene[:2], scene[2:], (12, 2))
    shapes = np.array([box(x - 2, y - 2, x + 2, y + 2) for x, y in centres])
    areas = split_by_area([scene], gpd.GeoDataFrame(geometry=shapes, crs="EPSG:32633"), share)
    (train,), (val,) = areas.train, areas.val
    assert box(*train).intersection(box(*val)).area == pytest.approx(0, abs=1e-6)
    assert box(*train).area + box(*val).area == pytest.approx(extent[0] * extent[1])

    dataset = OneScene(scene)
    labels = np.ones(len(shapes), np.int64)
    sampler = ObjectBalancedGeoSampler(dataset, [train], shapes, labels, size, 40, scales=(0.75, 1.5), seed=seed)
    for x, y, _ in sampler:
        assert (x.stop - x.start) / x.step == pytest.approx(size)
        for low, high, start, stop in ((*train[::2], x.start, x.stop), (*train[1::2], y.start, y.stop)):
            if stop - start < high - low:
                assert low - 1e-6 <= start
                assert stop <= high + 1e-6
            else:  # it covers the area, but for the pixel that the grid of the area takes
                assert start <= low + x.step
                assert stop >= high - x.step

    covering = CoveringGeoSampler(dataset, [val], size)
    covered = sum(box(x.start, y.start, x.stop, y.stop).intersection(box(*val)).area for x, y, _ in covering)
    assert covered == pytest.approx(box(*val).area)  # once, for chips do not overlap


def test_the_split_is_repeatable() -> None:
    objects = gpd.GeoDataFrame(geometry=[box(0, 0, 1, 1), box(8, 8, 9, 9)], crs="EPSG:32633")
    areas = split_by_area([(0, 0, 10, 10)], objects, 0.5)
    assert areas == split_by_area([(0, 0, 10, 10)], objects, 0.5)
