import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from weft_geo.errors import ContractError, CrsError, InputError
from weft_geo.inference import CallablePredictor, plan_scene, predict_scene

MakeRaster = Callable[..., Path]
Oracle = Callable[..., CallablePredictor]


def test_a_plan_says_what_a_run_then_does(make_raster: MakeRaster, oracle: Oracle, tmp_path: Path) -> None:
    scene = make_raster(bands=4, height=200, width=300)
    arguments: dict[str, Any] = {"window": 48, "overlap": 7, "gsd": 1.0}
    plan = plan_scene(scene, oracle(), mask=True, **arguments)
    assert (plan.height, plan.width, plan.window, plan.overlap) == (100, 150, (48, 48), 7)
    assert (plan.crs, plan.pixel, plan.bands, plan.model) == ("EPSG:32633", "1 m", (1, 2, 3), "oracle")
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]
    report = predict_scene(scene, oracle(), mask=tmp_path / "m.tif", **arguments)
    assert (report.windows, report.batch_size, report.warnings) == (plan.windows, plan.batch_size, plan.warnings)
    assert len(plan.warnings) == 2


def test_the_models_overlap_keeps_its_share_of_another_window(make_raster: MakeRaster, oracle: Oracle) -> None:
    scene = make_raster(height=200, width=200)
    assert plan_scene(scene, oracle(window=64, overlap=16), window=32).overlap == 8
    assert plan_scene(scene, oracle(window=64, overlap=16), window=32, overlap=0).overlap == 0


@pytest.mark.parametrize(("window", "batch_size"), [(512, 1), (256, 4), (128, 4)])
def test_a_cpu_gets_small_batches(make_raster: MakeRaster, oracle: Oracle, window: int, batch_size: int) -> None:
    scene = make_raster(bands=1, height=600, width=1600)
    assert plan_scene(scene, oracle(window=window, overlap=0)).batch_size == batch_size


def test_a_plan_refuses_what_a_run_would(make_raster: MakeRaster, oracle: Oracle) -> None:
    with pytest.raises(CrsError, match="has no CRS"):
        plan_scene(make_raster(crs=None), oracle())
    with pytest.raises(ContractError, match="takes 3 bands"):
        plan_scene(make_raster(bands=2), oracle())
    with pytest.raises(InputError, match="does not overlap"):
        plan_scene(make_raster(), oracle(), aoi="0,0,1,1")


MEASURE = """
import sys
import numpy as np
from weft_geo.inference import CallablePredictor, ModelContract, plan_scene, predict_scene

predictor = CallablePredictor(lambda images: images[:, :1] / np.float32(255), ModelContract(threshold=1.0))
scene, mask = sys.argv[1:]
plan = plan_scene(scene, predictor, mask=True)
report = predict_scene(scene, predictor, mask=mask)
print(plan.memory_bytes, report.peak_memory_bytes)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the peak is not known there")
def test_the_memory_estimate_is_honest(make_raster: MakeRaster, tmp_path: Path) -> None:
    scene = make_raster(200, bands=3, height=1100, width=8192, tiled=True, compress="deflate")
    command = [sys.executable, "-c", MEASURE, scene, tmp_path / "mask.tif"]
    estimate, peak = map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    assert peak == pytest.approx(estimate, rel=0.25)
