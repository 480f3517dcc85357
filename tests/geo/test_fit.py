from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from affine import Affine
from rasterio.enums import ColorInterp

from weft_geo.geo.contract import ModelContract
from weft_geo.geo.fit import check_fit
from weft_geo.geo.raster import open_raster

MakeRaster = Callable[..., Path]
RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


@pytest.mark.parametrize(
    ("raster", "contract", "level", "says"),
    [
        ({"colors": RGB}, {}, "ok", "bands 1, 2, 3 go to the model"),
        ({"bands": 1}, {}, "warning", "serves as red, green and blue"),
        ({"bands": 2}, {}, "error", "the model takes 3 bands"),
        ({}, {}, "ok", "uint8 values are used as they are"),
        ({"dtype": "uint16"}, {}, "ok", "uint16 values are stretched from the scene's own 2nd to 98th percentile"),
        ({"dtype": "uint16"}, {"scale": (0, 4095)}, "ok", "0 to 4095 are mapped"),
        ({}, {"scale": "scene"}, "ok", "scaled by the scene's own range"),
        ({}, {}, "ok", "placed in EPSG:32633, 0.5 m a pixel"),
        ({}, {}, "warning", "does not say at which ground sampling distance"),
        ({}, {"gsd_m": 0.4}, "ok", "near enough"),
        ({}, {"gsd_m": 0.1}, "warning", "the model expects 0.1 m"),
        ({"crs": None}, {}, "error", "has no CRS"),
        ({"crs": None, "transform": Affine.identity()}, {}, "error", "neither a CRS nor a transform"),
        ({}, {}, "ok", "padded by reflection"),
        ({}, {"window": 32, "overlap": 8}, "ok", "windows of 32 px that share 8 px"),
    ],
)
def test_says_whether_scene_and_model_fit(
    make_raster: MakeRaster, raster: dict[str, Any], contract: dict[str, Any], level: str, says: str
) -> None:
    with open_raster(make_raster(**raster)) as scene:
        notes = check_fit(scene.info, ModelContract(**contract))
    assert [note.level for note in notes if says in note.message] == [level]
