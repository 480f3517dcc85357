import math

import pytest
from affine import Affine
from rasterio.crs import CRS

from weft_geo.errors import CrsError, InputError
from weft_geo.geo.ground import PixelSize, choose_resampling, measure_pixel, parse_gsd


def at(crs: str, x: float, y: float, across: float, down: float, angle: float = 0.0) -> PixelSize:
    transform = Affine.translation(x, y) @ Affine.rotation(angle) @ Affine.scale(across, -down)
    return measure_pixel(transform, CRS.from_string(crs), 10, 10)


def test_utm_pixels_are_as_long_as_they_say_but_for_the_scale_factor() -> None:
    assert at("EPSG:32633", 500_000, 5_000_000, 0.5, 0.5) == pytest.approx((0.5 / 0.9996, 0.5 / 0.9996), rel=1e-6)


def test_web_mercator_is_not_believed() -> None:
    """At 60° a metre of EPSG:3857 is half a metre on the ground."""
    y = 6_378_137 * math.log(math.tan(math.pi / 4 + math.radians(60) / 2))
    assert at("EPSG:3857", 0, y, 1.0, 1.0).mean_m == pytest.approx(0.5, rel=5e-3)


def test_degrees_are_measured_in_metres_each_way() -> None:
    pixel = at("EPSG:4326", 10, 60, 1e-5, 1e-5)
    assert pixel.down_m == pytest.approx(1.114, rel=1e-3)
    assert pixel.across_m == pytest.approx(0.5580, rel=1e-3)


def test_rotation_and_south_up_change_nothing() -> None:
    straight = at("EPSG:32633", 500_000, 5_000_000, 0.5, 0.25)
    assert at("EPSG:32633", 500_000, 5_000_000, 0.5, 0.25, angle=30) == pytest.approx(straight, rel=1e-6)
    assert at("EPSG:32633", 500_000, 5_000_000, 0.5, -0.25) == pytest.approx(straight, rel=1e-6)


def test_feet_are_not_metres() -> None:
    """EPSG:2263 counts in US survey feet."""
    assert at("EPSG:2263", 984_000, 200_000, 1.0, 1.0).mean_m == pytest.approx(0.3048, rel=1e-3)


def test_the_ellipsoid_may_be_another_planets() -> None:
    moon = "+proj=longlat +R=1737400 +no_defs"
    assert at(moon, 0, 0, 0.001, 0.001).down_m == pytest.approx(2 * math.pi * 1_737_400 / 360_000, rel=1e-6)


def test_refuses_a_place_outside_of_the_crs() -> None:
    with pytest.raises(CrsError, match=r"--crs EPSG|cannot be measured"):
        at("EPSG:32633", 5e8, 5e8, 1, 1)


def test_refuses_a_crs_that_is_not_tied_to_the_earth() -> None:
    local = CRS.from_wkt('LOCAL_CS["workshop",UNIT["metre",1]]')
    with pytest.raises(CrsError, match="workshop"):
        measure_pixel(Affine.identity(), local, 10, 10)


@pytest.mark.parametrize("ratio", [1 / 1.49, 1.0, 1.49])
def test_auto_tolerates_half_as_much_again(ratio: float) -> None:
    assert choose_resampling(PixelSize(0.3 * ratio, 0.3 * ratio), "auto", 0.3) is None


@pytest.mark.parametrize("ratio", [1 / 1.6, 1.6])
def test_auto_resamples_beyond(ratio: float) -> None:
    change = choose_resampling(PixelSize(0.3 * ratio, 0.3 * ratio), "auto", 0.3)
    assert change is not None
    assert change.down == pytest.approx(1 / ratio)
    assert change.coarser == (ratio < 1)
    assert "the model expects 0.3 m" in change.reason


def test_auto_looks_at_both_sides() -> None:
    """Degrees at 60°: right on average, wrong each way."""
    change = choose_resampling(PixelSize(0.48, 0.21), "auto", 0.3)
    assert change is not None
    assert (change.down, change.across) == pytest.approx((0.3 / 0.48, 0.3 / 0.21))


def test_auto_enlarges_no_more_than_eight_times() -> None:
    change = choose_resampling(PixelSize(10, 5), "auto", 0.3)
    assert change is not None
    assert (change.down, change.across) == pytest.approx((1 / 8, 2 / 8))
    assert "no more" in change.reason


def test_native_never_and_a_number_always() -> None:
    pixel = PixelSize(10, 10)
    assert choose_resampling(pixel, "native", 0.3) is None
    assert choose_resampling(pixel, "auto", None) is None
    change = choose_resampling(pixel, 0.5, None)
    assert change is not None
    assert change.size(3, 1) == (60, 20)
    assert choose_resampling(pixel, "10", 0.3) is None


def test_refuses_to_enlarge_by_more_than_a_hundred() -> None:
    assert choose_resampling(PixelSize(10, 5), 0.1, None) is not None
    with pytest.raises(InputError, match=r"0\.05 m would enlarge it 200 times, and 100 is the most; give --gsd 0\.1"):
        choose_resampling(PixelSize(5, 10), 0.05, None)
    change = choose_resampling(PixelSize(50, 50), "auto", 0.3)
    assert change is not None
    assert "insists" not in change.reason


@pytest.mark.parametrize("gsd", ["coarse", "-1", 0.0, math.inf])
def test_refuses_what_is_no_distance(gsd: str | float) -> None:
    with pytest.raises(InputError, match="gsd must be auto, native, or a positive number"):
        parse_gsd(gsd)
