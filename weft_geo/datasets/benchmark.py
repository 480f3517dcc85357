"""Benchmarks of pictures and masks as torchgeo datasets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from weft_geo.datasets.facts import Benchmark
from weft_geo.datasets.layouts import Pair, find_pairs
from weft_geo.datasets.pictures import read_image, read_mask
from weft_geo.datasets.verify import different_sizes
from weft_geo.errors import DatasetError, MissingExtraError

try:
    import torch
    from torch import Tensor
    from torchgeo.datasets import NonGeoDataset
except ImportError as error:
    raise MissingExtraError("a benchmark as a torchgeo dataset", "train") from error

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class BenchmarkDataset(NonGeoDataset):  # type: ignore[misc]  # torchgeo is not type-checked here
    """Pictures with one mask each.

    Items are dicts in torchgeo's manner: "image" float32 [3, H, W] on 0…255, red, green, blue; "mask" int64 [H, W],
    0 background, 1 object, 255 unknown. Sizes differ from item to item.

    Args:
        root: the benchmark's folder, in any layout that `layouts` understands, or a folder with several benchmarks.
        split: one of `benchmark.splits`.
        transforms: applied to every item.

    Attributes:
        benchmark: what is known of it: classes, counts, source, licence.
        pairs: the files, by name.
        classes: object classes, background left out.
        mean: of red, green, blue on 0…255, for this split.
        std: likewise.

    Raises:
        DatasetError: the split is not there, or pictures or masks have no partner.
    """

    benchmark: ClassVar[Benchmark]

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        transforms: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None,
    ) -> None:
        self.root, self.split, self.transforms = Path(root), split, transforms
        found = find_pairs(self.benchmark, root, split)
        if found.lone_images or found.lone_masks:
            raise DatasetError(self._without_partner(found.lone_images, found.lone_masks))
        self.pairs: list[Pair] = found.pairs
        self.classes = self.benchmark.classes
        statistics = self.benchmark.statistics_of(split)
        self.mean, self.std = statistics.mean, statistics.std

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """An item.

        Raises:
            DatasetError: a file is damaged, or picture and mask have different sizes.
        """
        pair = self.pairs[index]
        image, mask = read_image(pair.image), read_mask(pair.mask)
        if image.shape[1:] != mask.shape:
            raise DatasetError(different_sizes(pair, image.shape[1:], mask.shape))
        item = {"image": torch.from_numpy(image).float(), "mask": torch.from_numpy(mask).long()}
        return item if self.transforms is None else self.transforms(item)

    def plot(self, sample: dict[str, Tensor], show_titles: bool = True, suptitle: str | None = None) -> Figure:
        """Draw an item: picture, mask and, where the item has one, "prediction" [H, W]."""
        from matplotlib import pyplot as plt

        panels: list[tuple[str, Any, dict[str, Any]]] = [
            ("Picture", sample["image"].permute(1, 2, 0).clamp(0, 255).byte().numpy(), {}),
            ("Mask", sample["mask"].numpy(), {"cmap": "gray", "vmin": 0, "vmax": len(self.classes)}),
        ]
        if "prediction" in sample:
            panels.append(("Prediction", sample["prediction"].numpy(), {"cmap": "gray", "vmin": 0, "vmax": 1}))
        figure: Figure = plt.figure(figsize=(4 * len(panels), 4), layout="constrained")
        for axis, (title, values, options) in zip(figure.subplots(1, len(panels)), panels, strict=True):
            axis.imshow(values, interpolation="nearest", **options)
            axis.axis("off")
            if show_titles:
                axis.set_title(title)
        if suptitle is not None:
            figure.suptitle(suptitle)
        return figure

    def _without_partner(self, images: list[Path], masks: list[Path]) -> str:
        kind, partner, lone = ("picture", "mask", images) if images else ("mask", "picture", masks)
        more = f", and {len(lone) - 1} more" if len(lone) > 1 else ""
        return (
            f"{lone[0]} is a {kind} without a {partner} of the same name{more}; add the {partner}, or remove it. "
            f"weft-geo datasets verify {self.benchmark.name} --data-root {self.root} lists all"
        )
