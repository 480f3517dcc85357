"""Random chips: where they are from, and that they can be drawn again."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from weft_geo.datasets.chips import Augmentation, RandomChips, WholeScenes  # noqa: E402
from weft_geo.datasets.scenes import IGNORE, LabelledScene  # noqa: E402

AS_IT_IS = Augmentation(
    scale=(1.0, 1.0), turn=False, brightness=0, contrast=0, gamma=0, colour=0, grey=0, blur=0, noise=0
)


@pytest.fixture
def scene() -> LabelledScene:
    """A scene whose first two bands are its row and column, with one object in the middle."""
    rows, columns = np.mgrid[0:80, 0:100].astype(np.uint8)
    labels = np.zeros((80, 100), np.uint8)
    labels[30:50, 40:60] = 1
    return LabelledScene("grid", np.stack((rows, columns, rows)), labels, 0.5)


def test_an_item_depends_on_seed_and_index_alone(scene: LabelledScene) -> None:
    one, again, other = (RandomChips([scene], 32, 8, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one[5]["image"], again[5]["image"])
    assert not torch.equal(one[5]["image"], other[5]["image"])
    assert not torch.equal(one[5]["image"], one[6]["image"])


def test_labels_stay_on_their_pixels(scene: LabelledScene) -> None:
    chips = RandomChips([scene], 32, 40, AS_IT_IS)
    inside = 0
    for item in map(chips.__getitem__, range(40)):
        rows, columns, mask = item["image"][0], item["image"][1], item["mask"]
        known = mask != IGNORE
        expected = (rows > 29.5) & (rows < 49.5) & (columns > 39.5) & (columns < 59.5)
        clear = ((rows - 29.5).abs() > 1) & ((rows - 49.5).abs() > 1) & ((columns - 39.5).abs() > 1)
        clear &= ((columns - 59.5).abs() > 1) & known
        assert torch.equal(mask[clear] == 1, expected[clear])
        inside += int((mask == 1).any())
    assert inside > 20  # half of the chips are drawn around an object


def test_turned_and_scaled_chips_keep_image_and_labels_together(scene: LabelledScene) -> None:
    painted = LabelledScene("p", np.repeat(scene.labels[None] * 200, 3, axis=0), scene.labels, 0.5)
    change = Augmentation(brightness=0, contrast=0, gamma=0, colour=0, grey=0, blur=0, noise=0)
    chips = RandomChips([painted], 48, 30, change)
    agree = []
    for item in map(chips.__getitem__, range(30)):
        known = item["mask"] != IGNORE
        agree.append(((item["image"][0] > 100) == (item["mask"] == 1))[known].float().mean())
    assert torch.stack(agree).mean() > 0.98


def test_pixels_outside_the_scene_are_unknown(scene: LabelledScene) -> None:
    chip = RandomChips([scene], 256, 1, AS_IT_IS)[0]
    assert (chip["mask"] != IGNORE).sum() <= 80 * 100
    assert chip["image"].isfinite().all()


def test_whole_scenes(scene: LabelledScene) -> None:
    (item,) = [WholeScenes([scene])[0]]
    assert item["image"].shape == (3, 80, 100)
    assert item["mask"].unique().tolist() == [0, 1]
