from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from weft_geo.errors import InputError
from weft_geo.geo.contract import ModelContract
from weft_geo.inference import CallablePredictor, predict_scene
from weft_geo.inference.augment import augment
from weft_geo.inference.provenance import read_provenance


def lean(images: np.ndarray) -> np.ndarray:
    """Not the same in all directions: each pixel says what its left neighbour is."""
    return np.roll(images[:, :1], 1, axis=3) / np.float32(255)


@pytest.mark.parametrize(("mode", "count"), [("flips", 4), ("d4", 8)])
@pytest.mark.parametrize("shape", [(64, 64), (32, 96)])
def test_the_mean_favours_no_direction(mode: str, count: int, shape: tuple[int, int]) -> None:
    calls = []

    def say(images: np.ndarray) -> np.ndarray:
        calls.append(images.shape)
        return lean(images)

    predictor = augment(CallablePredictor(say, ModelContract(), sha256="ab"), mode)
    images = np.random.default_rng(0).integers(0, 256, (2, 3, *shape)).astype(np.float32)
    said = predictor(images)
    assert len(calls) == count
    assert said.shape == (2, 1, *shape)
    np.testing.assert_allclose(predictor(images[..., ::-1])[..., ::-1], said, atol=1e-6)
    np.testing.assert_allclose(predictor(images[:, :, ::-1])[:, :, ::-1], said, atol=1e-6)
    if mode == "d4":
        turned = np.rot90(predictor(np.rot90(images, axes=(2, 3))), -1, axes=(2, 3))
        np.testing.assert_allclose(turned, said, atol=1e-6)
    assert predictor.sha256 == f"ab+{mode}"


def test_a_model_without_direction_says_the_same(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    predictor = CallablePredictor(lambda images: images[:, :1] / np.float32(255), ModelContract(window=64, overlap=16))
    scene = make_raster(height=100, width=150)
    plain = predict_scene(scene, predictor, tmp_path / "o.gpkg")
    both = [predict_scene(scene, predictor, tmp_path / f"{mode}.gpkg", tta=mode) for mode in ("flips", "d4")]
    assert {report.objects for report in both} == {plain.objects}


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(InputError, match="tta must be one of none, flips, d4, got 'all'"):
        augment(CallablePredictor(lean, ModelContract()), "all")


@pytest.mark.parametrize(
    ("sha256", "expected"), [("v1.0+cu121", ("v1.0+cu121", None)), ("v1.0+cu121+fp16", ("v1.0+cu121", "fp16"))]
)
def test_provenance_names_the_model_itself(
    make_raster: Callable[..., Path], tmp_path: Path, sha256: str, expected: tuple[str, str | None]
) -> None:
    model = CallablePredictor(lean, ModelContract(window=64, overlap=16), sha256=sha256)
    predict_scene(make_raster(), model, mask=tmp_path / "m.tif", tta="flips")
    said = read_provenance(tmp_path / "m.tif")
    assert (said["model_sha256"], said["parameters"]["precision"]) == expected
