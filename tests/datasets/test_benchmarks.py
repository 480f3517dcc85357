"""Benchmarks in the layouts in which they are met, and what is said of those that cannot be used."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="needs the train extra")

from weft_geo.datasets.catalogue import BENCHMARKS  # noqa: E402
from weft_geo.datasets.labels import IGNORE  # noqa: E402
from weft_geo.datasets.layouts import find_pairs, pair_folders  # noqa: E402
from weft_geo.datasets.picture_folders import list_folders  # noqa: E402
from weft_geo.datasets.pictures import read_map, read_mask  # noqa: E402
from weft_geo.datasets.registry import DATASETS, load_dataset  # noqa: E402
from weft_geo.datasets.verify import check_archives, require_sound, verify_split  # noqa: E402
from weft_geo.errors import DatasetError, UnknownNameError  # noqa: E402

from .trees import draw_pair, draw_tree  # noqa: E402

LAYOUTS = {
    "authors": ("train-images", "train-labels", "test-images", "test-labels"),
    "a folder below": ("EORSSD dataset/train/image", "EORSSD dataset/train/GT", "x/test/image", "x/test/GT"),
    "mmsegmentation": ("images/training", "annotations/training", "images/validation", "annotations/validation"),
    "camel case": ("TrainSet/Imgs", "TrainSet/Masks", "TestSet/Imgs", "TestSet/Masks"),
    "DUTS": ("E-TR/E-TR-Image", "E-TR/E-TR-Mask", "E-TE/E-TE-Image", "E-TE/E-TE-Mask"),
    "COD10K": ("Train/Image", "Train/GT_Object", "Test/Image", "Test/GT_Object"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("suffixes", "top"), [((".jpg", ".png"), 255), ((".png", ".bmp"), 1), ((".tif", ".tif"), 255)])
def test_layouts_in_the_wild(tmp_path: Path, layout: str, suffixes: tuple[str, str], top: int) -> None:
    train_images, train_masks, test_images, test_masks = LAYOUTS[layout]
    draw_tree(tmp_path, train_images, train_masks, 3, suffixes, top)
    draw_tree(tmp_path, test_images, test_masks, 2, suffixes, top)
    train, test = (load_dataset("eorssd", tmp_path, split) for split in ("train", "test"))
    assert (len(train), len(test)) == (3, 2)
    item = train[0]
    assert item["image"].shape == (3, 40, 60)
    assert item["image"].dtype == torch.float32
    assert item["mask"].unique().tolist() == [0, 1]
    assert item["image"][:, item["mask"] == 1].mean() > item["image"][:, item["mask"] == 0].mean() + 60
    assert train.mean == (89.35, 96.94, 91.85)
    assert test.mean == (93.46, 99.73, 94.31)


def test_several_sets_in_one_tree(tmp_path: Path) -> None:
    for name, number in (("CAMO", 3), ("COD10K", 2), ("EORSSD", 4), ("ORSSD", 5)):
        draw_tree(tmp_path, f"TestDataset/{name}/Imgs", f"TestDataset/{name}/GT", number)
    assert len(load_dataset("camo", tmp_path, "test")) == 3
    assert len(load_dataset("orssd", tmp_path, "test")) == 5
    with pytest.raises(DatasetError, match="no pictures of CHAMELEON"):
        load_dataset("chameleon", tmp_path, "test")


def test_polyp_training_pictures_are_told_apart_by_name(tmp_path: Path) -> None:
    for name in ("cju0qkwl35piu0993l0dewei2", "ck2bxskgxxzfv08386xkqtqdy", "1", "612"):
        draw_pair(tmp_path / f"TrainDataset/image/{name}.png", tmp_path / f"TrainDataset/masks/{name}.png")
    assert [pair.name[:2] for pair in load_dataset("kvasir", tmp_path).pairs] == ["ck", "cj"][::-1]
    assert [pair.name for pair in load_dataset("cvc-clinicdb", tmp_path).pairs] == ["1", "612"]


def test_pictures_and_masks_side_by_side(tmp_path: Path) -> None:
    draw_tree(tmp_path, "PASCAL-S", "PASCAL-S", 4)
    data = load_dataset("pascal-s", tmp_path, "test")
    assert [(p.image.suffix, p.mask.suffix) for p in data.pairs] == [(".jpg", ".png")] * 4


AUTHORS = {
    # As the sets are met: name, split, pictures and masks of each pair, what else lies there, expected stems.
    "ORSIs-4199": (
        "orsis4199", "test",
        [("ORSI-4199/testset/images/0003.jpg", "ORSI-4199/testset/gt/0003.png"),
         ("ORSI-4199/trainset/images/0001.jpg", "ORSI-4199/trainset/gt/0001.png")],
        ["ORSI-4199/testset/edge/0003.png"], ["0003"],
    ),
    "ORSIs-4199, by attribute as well": (
        "orsis4199", "test",
        [("testset/images/0003.jpg", "testset/gt/0003.png"),
         ("testset/BSO/images/0003.jpg", "testset/BSO/gt/0003.png")],
        [], ["0003"],
    ),
    "CAMO's masks are undivided": (
        "camo", "train",
        [("CAMO-V.1.0-CVIU2019/Images/Train/camourflage_00001.jpg", "CAMO-V.1.0-CVIU2019/GT/camourflage_00001.png"),
         ("CAMO-V.1.0-CVIU2019/Images/Test/camourflage_00012.jpg", "CAMO-V.1.0-CVIU2019/GT/camourflage_00012.png")],
        ["CAMO-V.1.0-CVIU2019/Non-Camouflage/Images/Train/000000000009.jpg"], ["camourflage_00001"],
    ),
    "COD10K-v3": (
        "cod10k", "train",
        [("COD10K-v3/Train/Image/COD10K-CAM-1-Aquatic-3-Crab-29.jpg",
          "COD10K-v3/Train/GT_Object/COD10K-CAM-1-Aquatic-3-Crab-29.png")],
        ["COD10K-v3/Train/Image/COD10K-NonCAM-3-Flying-1515.jpg",
         "COD10K-v3/Train/GT_Instance/COD10K-CAM-1-Aquatic-3-Crab-29.png"], ["COD10K-CAM-1-Aquatic-3-Crab-29"],
    ),
    "NC4K": ("nc4k", "test", [("NC4K/Imgs/2.jpg", "NC4K/GT/2.png")], ["NC4K/Instance/2.png"], ["2"]),
    "PASCAL-S": (
        "pascal-s", "test",
        [("salObj/datasets/imgs/pascal/1.jpg", "salObj/datasets/masks/pascal/1.png")], [], ["1"],
    ),
    "DUTS": (
        "duts", "train", [("DUTS-TR/DUTS-TR-Image/a.jpg", "DUTS-TR/DUTS-TR-Mask/a.png"),
                          ("DUTS-TE/DUTS-TE-Image/b.jpg", "DUTS-TE/DUTS-TE-Mask/b.png")], [], ["a"],
    ),
    "HKU-IS": ("hku-is", "test", [("HKU-IS/imgs/0004.png", "HKU-IS/gt/0004.png")], [], ["0004"]),
    "DUT-OMRON with a picture that was withdrawn": (
        "dut-omron", "test", [("DUT-OMRON-image/im005.jpg", "pixelwiseGT-new-PNG/im005.png")],
        ["DUT-OMRON-image/img_561715398.jpg"], ["im005"],
    ),
    "CVC-ClinicDB": (
        "cvc-clinicdb", "test",
        [(f"CVC-ClinicDB/Original/{n}.tif", f"CVC-ClinicDB/Ground Truth/{n}.tif") for n in range(62)], [],
        [str(n) for n in range(62)],
    ),
    "CVC-ColonDB": (
        "cvc-colondb", "test", [("1.bmp", "p1.bmp"), ("10.bmp", "p10.bmp")], ["c1.bmp", "s1.bmp"], ["1", "10"],
    ),
    "ETIS": (
        "etis", "test",
        [("ETIS-LaribPolypDB/ETIS-LaribPolypDB/1.tif", "ETIS-LaribPolypDB/Ground Truth/p1.tif")], [], ["1"],
    ),
    "PraNet's bundle": (
        "etis", "test",
        [("TestDataset/ETIS-LaribPolypDB/images/1.png", "TestDataset/ETIS-LaribPolypDB/masks/1.png"),
         ("TestDataset/CVC-300/images/150.png", "TestDataset/CVC-300/masks/150.png")], [], ["1"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", AUTHORS)
def test_the_layouts_of_the_authors(tmp_path: Path, case: str) -> None:
    name, split, pairs, others, stems = AUTHORS[case]
    for image, mask in pairs:
        draw_pair(tmp_path / image, tmp_path / mask)
    for other in others:
        (tmp_path / other).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / pairs[0][1], tmp_path / other)
    data = load_dataset(name, tmp_path, split)
    assert [pair.name for pair in data.pairs] == stems
    assert data[0]["mask"].unique().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("lists", "train", "test"),
    [
        ({"train.txt": "0000\n0001\n", "test.txt": "0002\n"}, ["0000", "0001"], ["0002"]),
        ({"ORSSD-test.txt": "0001\n0002"}, ["0000", "0003"], ["0001", "0002"]),
        (
            {"lists/train.txt": "images/0003.jpg labels/0003.png\n", "lists/val.txt": "images\\0000.jpg\n"},
            ["0003"],
            ["0000"],
        ),
    ],
)
def test_undivided_folders_are_divided_by_lists(
    tmp_path: Path, lists: dict[str, str], train: list[str], test: list[str]
) -> None:
    draw_tree(tmp_path, "images", "labels", 4)
    for name, text in lists.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    for split, stems in (("train", train), ("test", test)):
        assert [pair.name for pair in load_dataset("orssd", tmp_path, split).pairs] == stems


def test_a_picture_without_a_mask_is_told_also_where_masks_are_undivided(tmp_path: Path) -> None:
    for n in (1, 2):
        draw_pair(tmp_path / f"Images/Test/camourflage_{n}.jpg", tmp_path / f"GT/camourflage_{n}.png")
    (tmp_path / "GT/camourflage_1.png").unlink()
    with pytest.raises(DatasetError, match=r"camourflage_1\.jpg is a picture without a mask"):
        load_dataset("camo", tmp_path, "test")


def test_a_set_without_training_pictures_is_divided(tmp_path: Path) -> None:
    draw_tree(tmp_path / "ECSSD", "images", "ground_truth_mask", 20)
    names = {
        split: {p.name for p in load_dataset("ecssd", tmp_path, split).pairs} for split in ("train", "holdout", "test")
    }
    assert [len(names[split]) for split in names] == [18, 2, 20]
    assert names["train"] | names["holdout"] == names["test"]
    assert not names["train"] & names["holdout"]


def test_the_real_ecssd(real_data) -> None:
    data = load_dataset("ecssd", real_data("ECSSD"), "test")
    assert len(data) == 1000
    assert data[0]["image"].shape[1:] == data[0]["mask"].shape


def test_plot(tmp_path: Path) -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    data = load_dataset("ecssd", draw_tree(tmp_path, "images", "masks", 1), "test")
    figure = data.plot(data[0] | {"prediction": data[0]["mask"].float()}, suptitle="x")
    assert [axis.get_title() for axis in figure.axes] == ["Picture", "Mask", "Prediction"]
    plt.close(figure)


def test_registry_and_catalogue_agree() -> None:
    assert set(DATASETS) == set(BENCHMARKS)
    assert all(DATASETS[name].benchmark.name == name for name in DATASETS)
    for known in BENCHMARKS.values():
        assert known.licence
        assert known.layout
        assert known.source.startswith("http")
    with pytest.raises(UnknownNameError, match=r"unknown data set 'orsd'; known: camo, .* orssd"):
        load_dataset("orsd", ".")


def test_what_is_on_disk_is_said_before_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"is not a folder.*ORSSD"):
        find_pairs(BENCHMARKS["orssd"], tmp_path / "none", "train")
    with pytest.raises(DatasetError, match=r"holds no pictures of ORSSD; download it from"):
        find_pairs(BENCHMARKS["orssd"], tmp_path, "train")
    (tmp_path / "ORSSD.zip").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"holds ORSSD\.zip but no pictures; unpack it"):
        find_pairs(BENCHMARKS["orssd"], tmp_path, "train")
    draw_tree(tmp_path, "train/images", "train/masks", 2)
    with pytest.raises(DatasetError, match=r"no test split of ORSSD; there are train/images \(2 files\)"):
        find_pairs(BENCHMARKS["orssd"], tmp_path, "test")
    shutil.rmtree(tmp_path / "train/masks")
    with pytest.raises(DatasetError, match="has no masks of ORSSD's train split"):
        find_pairs(BENCHMARKS["orssd"], tmp_path, "train")


def test_masks(tmp_path: Path) -> None:
    values = np.array([[0, 1, 255]], np.uint8)
    Image.fromarray(values).save(tmp_path / "known.png")
    assert read_mask(tmp_path / "known.png").tolist() == [[0, 1, IGNORE]]
    Image.fromarray(np.array([[0, 128, 129, 255]], np.uint8)).save(tmp_path / "soft.png")
    assert read_mask(tmp_path / "soft.png").tolist() == [[0, 0, 1, 1]]
    Image.fromarray(np.array([[False, True]])).save(tmp_path / "bits.png")
    assert read_mask(tmp_path / "bits.png").tolist() == [[0, 1]]
    Image.fromarray(np.array([[0, 65535]], np.uint16)).save(tmp_path / "deep.png")
    assert read_map(tmp_path / "deep.png").tolist() == [[0, 1]]


@pytest.mark.parametrize("values", [[0, 2], [0, 1, 6], [0, 127]])
def test_a_mask_in_which_nothing_would_be_an_object_is_refused(tmp_path: Path, values: list[int]) -> None:
    Image.fromarray(np.array([values], np.uint8)).save(tmp_path / "classes.png")
    with pytest.raises(
        DatasetError, match=rf"classes\.png is a mask of 0 … {max(values)}; expected 0 and 255, or 0 and 1"
    ):
        read_mask(tmp_path / "classes.png")
    Image.fromarray(np.zeros((1, 3), np.uint8)).save(tmp_path / "empty.png")
    assert not read_mask(tmp_path / "empty.png").any()


def broken_tree(root: Path) -> Path:
    """One problem of every kind, and one pair that is fine."""
    draw_tree(root, "images", "masks", 6)
    (root / "masks/0000.png").unlink()
    draw_pair(root / "other/a.png", root / "masks/0001.png", size=(41, 60))
    shutil.rmtree(root / "other")
    Image.fromarray(np.zeros((40, 60), np.uint16)).save(root / "masks/0002.png")
    jpeg = root / "images/0003.jpg"
    jpeg.write_bytes(jpeg.read_bytes()[:-400])
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(
        root / "masks/0004.png"
    )
    return root


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    report = verify_split(BENCHMARKS["ecssd"], broken_tree(tmp_path), "test", workers=1)
    told = "\n".join(report.problems)
    for words in (
        r"images/0000.jpg has no mask of the same name",
        r"masks/0001.png is 60 × 41 px but its picture",
        r"masks/0002.png is a 16-bit mask; expected 8 bits",
        r"images/0003.jpg is damaged",
        r"masks/0004.png is a coloured mask",
    ):
        assert words in told
    assert len(report.problems) == 5
    assert all("\n" not in problem for problem in report.problems)
    assert report.pairs == 5
    assert "published with 1,000" in report.notes[0]


def test_bad_files_stop_a_run_before_it_starts(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"0000\.jpg is a picture without a mask of the same name"):
        load_dataset("ecssd", broken_tree(tmp_path), "test")
    (tmp_path / "images/0000.jpg").unlink()
    pairs = load_dataset("ecssd", tmp_path, "test").pairs
    with pytest.raises(DatasetError, match=r"0001\.png is 60 × 41 px .* \(3 more files have problems"):
        require_sound(pairs, workers=1)


def test_a_damaged_archive_is_told(tmp_path: Path) -> None:
    draw_tree(tmp_path, "DUT-OMRON-image", "pixelwiseGT-new-PNG", 1)
    (tmp_path / "DUT-OMRON-image.zip").write_bytes(b"cut short")
    (problem,) = check_archives(BENCHMARKS["dut-omron"], tmp_path)
    assert re.search(r"DUT-OMRON-image\.zip has MD5 \w{32}, expected a8951\w+; .*Fetch it again", problem)
    assert check_archives(BENCHMARKS["ecssd"], tmp_path) == []


def test_statistics_are_those_of_all_pixels(tmp_path: Path) -> None:
    data = load_dataset("ecssd", draw_tree(tmp_path, "images", "masks", 3, (".png", ".png")), "test")
    pixels = torch.cat([data[i]["image"].flatten(1) for i in range(3)], dim=1)
    report = verify_split(BENCHMARKS["ecssd"], tmp_path, "test", workers=1)
    assert report.mean == pytest.approx(pixels.mean(dim=1).tolist(), abs=0.01)
    assert report.std == pytest.approx(pixels.std(dim=1, correction=0).tolist(), abs=0.01)


def test_class_numbers_beside_255_are_no_mask(tmp_path: Path) -> None:
    values = np.zeros((32, 32), np.uint8)
    values[:8], values[8:20], values[20:22] = 1, 3, 255
    Image.fromarray(values).save(tmp_path / "classes.png")
    with pytest.raises(DatasetError, match=r"holds the numbers 0, 1, 3, 255: it seems to number classes"):
        read_mask(tmp_path / "classes.png")
    values[values == 3] = 0  # 0, 1, unknown: as it was
    Image.fromarray(values).save(tmp_path / "binary.png")
    assert set(np.unique(read_mask(tmp_path / "binary.png"))) == {0, 1, 255}
    values = np.zeros((32, 32), np.uint8)
    values[8:24, 8:24], values[7, 8:24] = 255, 40  # a box with a faint edge
    Image.fromarray(values).save(tmp_path / "smooth.png")
    assert read_mask(tmp_path / "smooth.png").sum() == 256


@pytest.mark.skipif(sys.platform == "win32", reason="its folders have other rights")
@pytest.mark.parametrize("rights", [0o000, 0o111])
def test_pictures_in_a_folder_that_may_not_be_looked_into_are_not_left_out(ordinary_folder: Path, rights: int) -> None:
    closed = ordinary_folder / "EORSSD"
    closed.mkdir()
    closed.chmod(rights)
    for look in (
        lambda: list(list_folders(ordinary_folder)),
        lambda: find_pairs(BENCHMARKS["eorssd"], closed, "train"),
        lambda: pair_folders(ordinary_folder, ordinary_folder),
    ):
        with pytest.raises(DatasetError, match="EORSSD cannot be looked into: Permission denied; see to it"):
            look()


def test_a_picture_that_may_not_be_read_is_not_called_damaged(ordinary_folder: Path) -> None:
    picture = ordinary_folder / "a.png"
    Image.new("L", (8, 8)).save(picture)
    picture.chmod(0)
    with pytest.raises(
        DatasetError, match=r"a\.png cannot be read: Permission denied; see to it that you may read it$"
    ):
        read_mask(picture)
