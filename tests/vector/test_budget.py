"""What `--max-memory` of `weft-geo vectorize` does."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine

from weft_geo.errors import InputError
from weft_geo.geo.memory import resident_memory_bytes
from weft_geo.geo.raster import open_raster
from weft_geo.vector import vectorize_raster
from weft_geo.vector.budget import BUDGETS, choose_budget


@pytest.fixture
def discs(tmp_path: Path) -> Path:
    row, col = np.ogrid[:2048, :1024]
    mask = ((row % 64 - 32) ** 2 + (col % 64 - 32) ** 2 < 400).astype(np.uint8)
    path = tmp_path / "discs.tif"
    profile = {"driver": "GTiff", "count": 1, "height": 2048, "width": 1024, "dtype": "uint8", "crs": "EPSG:32645"}
    profile |= {"transform": Affine(0.3, 0, 3e5, 0, -0.3, 3e6), "tiled": True, "blockxsize": 256, "blockysize": 256}
    with rasterio.open(path, "w", **profile) as target:
        target.write(mask, 1)
    return path


def test_the_same_objects_in_less_memory(discs: Path, tmp_path: Path) -> None:
    layers = []
    for name in ("free", "limited"):
        with open_raster(str(discs)) as raster:
            needed = [budget.bytes_needed(raster.info) for budget in BUDGETS]
            assert needed == sorted(needed, reverse=True)
            limit = None if name == "free" else needed[-1] + (16 << 20)
            assert (choose_budget(raster.info, limit) == BUDGETS[0]) == (name == "free")
        assert vectorize_raster(discs, tmp_path / f"{name}.fgb", max_memory=limit) == 512
        layers.append(geopandas.read_file(tmp_path / f"{name}.fgb").sort_values("id", ignore_index=True))
    assert layers[0].equals(layers[1])


def test_too_little_memory_is_told_before_any_work(discs: Path, tmp_path: Path) -> None:
    assert resident_memory_bytes() > 1 << 20
    with pytest.raises(InputError, match=r"discs\.tif needs at least \d+ MiB to be outlined; --max-memory is 1 MiB"):
        vectorize_raster(discs, tmp_path / "o.gpkg", max_memory="1MB")
    with pytest.raises(InputError, match="memory must be an amount"):
        vectorize_raster(discs, tmp_path / "o.gpkg", max_memory="much")
    assert [path.name for path in tmp_path.iterdir()] == ["discs.tif"]
