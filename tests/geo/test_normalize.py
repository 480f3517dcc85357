from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.enums import ColorInterp

from weft_geo.errors import ContractError, InputError
from weft_geo.geo.contract import ModelContract
from weft_geo.geo.normalize import HEADROOM, Normalizer, measure_normalizer, parse_bands, scene_range, select_bands
from weft_geo.geo.raster import open_raster
from weft_geo.geo.raster_info import RasterInfo

MakeRaster = Callable[..., Path]

RED, GREEN, BLUE, GRAY, ALPHA, UNDEFINED = (
    getattr(ColorInterp, name) for name in ("red", "green", "blue", "gray", "alpha", "undefined")
)


def describe(make: MakeRaster, colors: tuple[ColorInterp, ...]) -> RasterInfo:
    options = {"alpha": "yes"} if ALPHA in colors else {}
    with open_raster(make(bands=len(colors), colors=colors, **options)) as raster:
        return raster.info


@pytest.mark.parametrize(
    ("colors", "wanted", "bands", "warns"),
    [
        ((RED, GREEN, BLUE), 3, (1, 2, 3), ""),
        ((BLUE, GREEN, RED), 3, (3, 2, 1), ""),
        ((RED, GREEN, BLUE, ALPHA), 3, (1, 2, 3), ""),
        ((GRAY, UNDEFINED, UNDEFINED), 3, (1, 2, 3), ""),
        ((GRAY, UNDEFINED, UNDEFINED, UNDEFINED), 3, (1, 2, 3), "4 bands and does not say which"),
        ((UNDEFINED, RED, GREEN, BLUE), 3, (2, 3, 4), ""),
        ((GRAY,), 3, (1, 1, 1), "serves as red, green and blue"),
        ((GRAY, ALPHA), 3, (1, 1, 1), "serves as red, green and blue"),
        ((GRAY,), 1, (1,), ""),
        ((RED, GREEN, BLUE, UNDEFINED), 4, (1, 2, 3, 4), ""),
    ],
)
def test_chooses_bands(
    make_raster: MakeRaster, colors: tuple[ColorInterp, ...], wanted: int, bands: tuple[int, ...], warns: str
) -> None:
    chosen, warnings = select_bands(describe(make_raster, colors), wanted)
    assert chosen == bands
    assert len(warnings) == bool(warns)
    assert all(warns in warning for warning in warnings)


@pytest.mark.parametrize(
    ("names", "bands", "warns"),
    [
        (("blue", "green", "red"), (3, 2, 1), False),
        (("Blue", "Green", "Red", "NIR"), (3, 2, 1), False),
        (("coastal_blue", "blue", "green_i", "green", "yellow", "red", "rededge", "nir"), (6, 4, 2), False),
        (("B2", "B3", "B4", "B8"), (1, 2, 3), True),
    ],
)
def test_the_names_of_bands_tell_their_colours(
    make_raster: MakeRaster, names: tuple[str, ...], bands: tuple[int, ...], warns: bool
) -> None:
    path = make_raster(bands=len(names), dtype="uint16")
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = names
    with open_raster(path) as raster:
        chosen, warnings = select_bands(raster.info, 3)
    assert (chosen, bool(warnings)) == (bands, warns)


def test_obeys_a_request(make_raster: MakeRaster) -> None:
    info = describe(make_raster, (RED, GREEN, BLUE, UNDEFINED))
    assert select_bands(info, 3, "4,1,2") == ((4, 1, 2), [])
    assert select_bands(info, 2, (4, 4)) == ((4, 4), [])


@pytest.mark.parametrize(
    ("colors", "requested", "error", "says"),
    [
        ((GRAY, UNDEFINED), None, ContractError, r"has 2\. Give which to use with --bands"),
        ((RED, GREEN, BLUE), "1,2", ContractError, "takes 3 bands, but 2 were given"),
        ((RED, GREEN, BLUE), "1,2,4", InputError, "has bands 1 to 3, but 4"),
        ((RED, GREEN, BLUE), "0,1,2", InputError, "has bands 1 to 3, but 0"),
        ((RED, GREEN, BLUE), "r,g,b", InputError, "band numbers such as 3,2,1"),
    ],
)
def test_refuses_bands_that_do_not_fit(
    make_raster: MakeRaster,
    colors: tuple[ColorInterp, ...],
    requested: str | None,
    error: type[InputError],
    says: str,
) -> None:
    with pytest.raises(error, match=says):
        select_bands(describe(make_raster, colors), 3, requested)


def test_refuses_palette_numbers(make_raster: MakeRaster) -> None:
    path = make_raster(bands=1)
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {0: (0, 0, 0), 1: (255, 0, 0)})
    with open_raster(path) as raster, pytest.raises(ContractError, match="expand it first"):
        select_bands(raster.info, 3)


def test_reads_bands() -> None:
    assert parse_bands(" 3, 2,1") == (3, 2, 1)


def measure(path: Path, contract: ModelContract, bands: tuple[int, ...] = (1, 2, 3)) -> Normalizer:
    with open_raster(path) as raster:
        return measure_normalizer(raster, bands, contract)


def test_uint8_goes_as_it_is(make_raster: MakeRaster) -> None:
    normalize = measure(make_raster(), ModelContract(mean=(10, 20, 30), std=(1, 2, 4)))
    values = np.arange(3 * 2 * 2, dtype=np.uint8).reshape(3, 2, 2)
    expected = (values - np.array([10, 20, 30])[:, None, None]) / np.array([1, 2, 4])[:, None, None]
    np.testing.assert_allclose(normalize(values, np.ones((2, 2), bool)), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint32", "int32", "float32", "float64", "int8"])
def test_other_types_are_stretched_by_the_scenes_own_percentiles(make_raster: MakeRaster, dtype: str) -> None:
    noise = np.random.default_rng(1).random((3, 200, 200)) * np.array([50, 80, 100])[:, None, None]
    normalize = measure(make_raster(noise, dtype=dtype), ModelContract())
    for band in range(3):
        limits = np.percentile(noise[band].astype(dtype), (2, 98))
        assert (normalize.low[band], normalize.high[band]) == pytest.approx(limits)
    out = normalize(noise.astype(dtype), np.ones((200, 200), bool))
    assert (out.dtype, out.min(), out.max()) == (np.float32, 0.0, 255.0)
    assert out.mean() == pytest.approx(127.5, abs=3)


def test_nodata_takes_no_part_in_the_percentiles(make_raster: MakeRaster) -> None:
    values = np.random.default_rng(1).uniform(100, 200, (3, 100, 100))
    values[:, :60] = -9999
    normalize = measure(make_raster(values, dtype="float32", nodata=-9999), ModelContract())
    assert normalize.low[0] == pytest.approx(102, abs=0.5)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 7, 32]))
def test_a_window_is_scaled_as_the_whole_is(seed: int, side: int) -> None:
    """Peers stretch each tile by its own extremes: the same value then means something else in each."""
    values = np.random.default_rng(seed).integers(0, 4000, (3, 32, 32)).astype(np.uint16)
    normalize = Normalizer((100.0,) * 3, (3000.0,) * 3, (127.0,) * 3, (50.0,) * 3)
    valid = np.random.default_rng(seed).random((32, 32)) < 0.9
    whole = normalize(values, valid)
    np.testing.assert_array_equal(normalize(values[:, :side, :side], valid[:side, :side]), whole[:, :side, :side])


def test_the_contracts_range_comes_first(make_raster: MakeRaster) -> None:
    normalize = measure(make_raster(), ModelContract(scale=(0, 10)))
    values = np.array([0, 5, 10, 200], np.uint8).reshape(1, 1, 4).repeat(3, axis=0)
    np.testing.assert_allclose(normalize(values, np.ones((1, 4), bool))[0, 0], [0, 127.5, 255, 255])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_the_scenes_own_range_undoes_its_exposure_and_keeps_its_colours(make_raster: MakeRaster, dtype: str) -> None:
    noise = np.random.default_rng(1).random((3, 200, 200)) * np.array([60, 80, 100])[:, None, None]
    contract, valid = ModelContract(scale="scene"), np.ones((200, 200), bool)
    seen = []
    for name, values in (("dark.tif", noise), ("bright.tif", noise * 2.5)):
        stored = values.astype(dtype)
        normalize = measure(make_raster(stored, dtype=dtype, name=name), contract)
        assert len(set(normalize.low)) == len(set(normalize.high)) == 1
        seen.append(normalize(stored, valid))
    assert np.abs(seen[0] - seen[1]).mean() < 2
    free = 255 * HEADROOM / (1 + 2 * HEADROOM)
    assert np.percentile(seen[0], (2, 98)) == pytest.approx((free, 255 - free), abs=2)


def test_nodata_takes_no_part_in_the_scenes_own_range() -> None:
    values = np.array([0] * 500 + list(range(100, 200)))
    low, high = scene_range(values, nodata=0)
    assert (low, high) == pytest.approx((102 - 24, 197 + 24), abs=1)


def test_invalid_pixels_become_the_mean_whatever_they_hold(make_raster: MakeRaster) -> None:
    normalize = Normalizer((0.0,), (1.0,), (100.0,), (50.0,))
    values = np.array([[[np.nan, np.inf, -1e300, 0.5]]])
    out = normalize(values, np.array([[False, False, False, True]]))
    np.testing.assert_allclose(out[0, 0], [0, 0, 0, 0.55])


def test_wide_types_keep_small_differences_on_a_large_offset() -> None:
    normalize = Normalizer((1e9,), (1e9 + 255,), (0.0,), (1.0,))
    values = (1_000_000_000 + np.arange(256, dtype=np.int64)).reshape(1, 16, 16)
    np.testing.assert_allclose(normalize(values, np.ones((16, 16), bool)).ravel(), np.arange(256), atol=1e-4)


@pytest.mark.parametrize("value", [5, np.nan])
def test_a_constant_or_empty_band_has_some_range(make_raster: MakeRaster, value: float) -> None:
    normalize = measure(make_raster(np.full((3, 8, 8), value), dtype="float32"), ModelContract())
    assert all(high == low + 1 for low, high in zip(normalize.low, normalize.high, strict=True))
