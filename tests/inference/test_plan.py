import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.env import get_gdal_config

from weft_geo.errors import ContractError, CrsError, InputError
from weft_geo.geo.memory import parse_memory
from weft_geo.geo.raster import Raster
from weft_geo.inference import CallablePredictor, estimate, plan_scene, predict_scene
from weft_geo.inference import plan as plan_module

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
    assert plan_scene(scene, oracle(window=64, overlap=16), window=np.uint8(32)).overlap == 8
    assert plan_scene(scene, oracle(window=64, overlap=16), window=32, overlap=0).overlap == 0


def test_a_batch_holds_no_more_windows_than_there_are(make_raster: MakeRaster, oracle: Oracle) -> None:
    scene = make_raster(height=60, width=100)
    few = plan_scene(scene, oracle(window=64, overlap=0), batch_size=1_000_000)
    assert (few.windows, few.batch_size) == (2, 2)
    assert few.memory_bytes == plan_scene(scene, oracle(window=64, overlap=0), batch_size=2).memory_bytes


@pytest.mark.parametrize(("window", "batch_size"), [(512, 1), (256, 4), (128, 4)])
def test_a_cpu_gets_small_batches(make_raster: MakeRaster, oracle: Oracle, window: int, batch_size: int) -> None:
    scene = make_raster(bands=1, height=600, width=1600)
    assert plan_scene(scene, oracle(window=window, overlap=0)).batch_size == batch_size


def test_an_image_marked_as_alpha_is_said(make_raster: MakeRaster, oracle: Oracle) -> None:
    colors = tuple(getattr(ColorInterp, name) for name in ("red", "green", "blue", "alpha"))
    values = np.random.default_rng(0).integers(0, 200, (4, 64, 96))
    (said,) = plan_scene(make_raster(values, colors=colors, alpha="yes"), oracle(), gsd="native").warnings
    assert said.startswith("band 4 of scene.tif is marked as alpha and looks like an image")
    values[3] = np.where(values[3] > 20, 255, values[3])  # soft edges
    assert plan_scene(make_raster(values, colors=colors, alpha="yes"), oracle(), gsd="native").warnings == ()


def test_a_plan_refuses_what_a_run_would(make_raster: MakeRaster, oracle: Oracle) -> None:
    with pytest.raises(CrsError, match="has no CRS"):
        plan_scene(make_raster(crs=None), oracle())
    with pytest.raises(ContractError, match="takes 3 bands"):
        plan_scene(make_raster(bands=2), oracle())
    with pytest.raises(InputError, match="does not overlap"):
        plan_scene(make_raster(), oracle(), aoi="0,0,1,1")
    wrong: list[dict[str, Any]] = [{"gsd": None}, {"window": 64.0}, {"overlap": "8"}, {"batch_size": 1.5}]
    for arguments in [*wrong, {"window": "64"}, {"workers": 2.0}, {"workers": 0}, {"window": 0}]:
        with pytest.raises(InputError, match=next(iter(arguments)).replace("_", " ")):
            plan_scene(make_raster(), oracle(), **arguments)


MEASURE = """
import sys
import numpy as np
from weft_geo.inference import plan as plan_module
from weft_geo.inference import CallablePredictor, ModelContract, plan_scene, predict_scene

predictor = CallablePredictor(lambda images: images[:, :1] / np.float32(255), ModelContract(threshold=0.5))
scene, objects, mask, wanted = sys.argv[1:]
plan = plan_scene(scene, predictor, objects=wanted == "both", mask=True)
report = predict_scene(scene, predictor, objects if wanted == "both" else None, mask)
print(plan.memory_bytes, report.peak_memory_bytes)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the peak is not known there")
@pytest.mark.parametrize("wanted", ["both", "mask"])
def test_the_memory_estimate_is_honest(make_raster: MakeRaster, tmp_path: Path, wanted: str) -> None:
    down, right = np.ogrid[:1100, :8192]
    discs = 200 * ((down % 64 - 32) ** 2 + (right % 64 - 32) ** 2 < 400).astype(np.uint8)
    scene = make_raster(np.stack([discs] * 3), tiled=True, compress="deflate")
    command = [sys.executable, "-c", MEASURE, scene, tmp_path / "objects.gpkg", tmp_path / "mask.tif", wanted]
    estimate, peak = map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    assert peak == pytest.approx(estimate, rel=0.25)


def test_a_scene_too_wide_for_the_memory_is_worked_on_in_blocks(
    make_raster: MakeRaster, oracle: Oracle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (estimate, plan_module):
        monkeypatch.setattr(module, "measure_model", lambda predictor, job: 0)
    scene = make_raster(height=300, width=16000)
    contract: dict[str, Any] = {"window": 256, "overlap": 64}
    fixed: dict[str, Any] = {"batch_size": 1}
    layers = {"objects": False, "probability": True}
    whole = plan_scene(scene, oracle(**contract), **layers, **fixed)
    assert whole.blocks == 1
    tight = whole.memory_bytes - (20 << 20)
    plan = plan_scene(scene, oracle(**contract), max_memory=tight, **layers, **fixed)
    assert plan.blocks > 1
    assert plan.memory_bytes <= tight
    one = predict_scene(scene, oracle(**contract), probability=tmp_path / "one.tif")
    arguments = fixed | {"probability": tmp_path / "many.tif", "max_memory": tight}
    many = predict_scene(scene, oracle(**contract), **arguments)
    assert many.windows > one.windows
    with rasterio.open(tmp_path / "one.tif") as first, rasterio.open(tmp_path / "many.tif") as second:
        np.testing.assert_array_equal(first.read(), second.read())


def test_memory_that_cannot_be_enough_is_refused(make_raster: MakeRaster, oracle: Oracle) -> None:
    with pytest.raises(InputError, match=r"needs at least \d+ MiB with this model, .*--max-memory is 1 MiB"):
        plan_scene(make_raster(), oracle(), max_memory="1MB")


@pytest.mark.parametrize(
    ("text", "size"), [("4GB", 4 << 30), ("500 MiB", 500 << 20), ("1.5g", 3 << 29), (4096, 4096), ("7kb", 7 << 10)]
)
def test_amounts_of_memory(text: str | int, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["much", "-4GB", "4XB", "0", ""])
def test_amounts_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="memory must be an amount such as 4GB"):
        parse_memory(text)


def test_what_tells_the_range_of_a_scene_does_not_fill_gdals_cache(
    make_raster: MakeRaster, oracle: Oracle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself GDAL takes 5 % of the machine's memory, which then counts as the model's."""
    allowed: dict[str, set[int]] = {"sample": set(), "run": set()}
    sample, valid = Raster.sample, Raster.valid

    def note(kind: str) -> None:
        allowed[kind].add(int(get_gdal_config("GDAL_CACHEMAX")))

    def sample_and_note(raster: Raster, *arguments: Any) -> Any:
        note("sample")
        monkeypatch.setattr(Raster, "valid", valid)
        found = sample(raster, *arguments)
        monkeypatch.setattr(Raster, "valid", lambda raster, *arguments: (note("run"), valid(raster, *arguments))[1])
        return found

    monkeypatch.setattr(Raster, "sample", sample_and_note)
    scene = make_raster(height=64, width=60_000, tiled=True, blockxsize=512, blockysize=512)
    predict_scene(scene, oracle(scale="scene"), mask=tmp_path / "m.tif")
    assert allowed == {"sample": {2 * 512 * 60_000 * 3}, "run": {plan_module.LEAST_CACHE_BYTES}}
