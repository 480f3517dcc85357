import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_geo.errors import InputError
from weft_geo.geo.windows import WindowAxis, WindowGrid, reflect_index


@st.composite
def axes(draw: st.DrawFn) -> WindowAxis:
    window = draw(st.integers(1, 70))
    return WindowAxis(draw(st.integers(1, 300)), window, draw(st.integers(0, window - 1)))


@given(axes())
def test_windows_cover_every_pixel_and_nothing_else(axis: WindowAxis) -> None:
    covered = np.zeros(axis.length, int)
    for start in axis.starts:
        assert 0 <= start <= axis.length - axis.inside
        covered[start : start + axis.inside] += 1
    assert covered.min() >= 1
    assert list(axis.starts) == sorted(set(axis.starts))


@given(axes())
def test_neighbours_share_at_least_the_overlap(axis: WindowAxis) -> None:
    for one, two in zip(axis.starts, axis.starts[1:], strict=False):
        assert one + axis.inside - two >= axis.overlap


@given(axes())
def test_finished_pixels_are_touched_by_no_later_window(axis: WindowAxis) -> None:
    for index in range(len(axis.starts)):
        assert all(start >= axis.finished(index) for start in axis.starts[index + 1 :])
    assert axis.finished(len(axis.starts) - 1) == axis.length


@pytest.mark.parametrize(
    ("length", "starts"), [(1, (0,)), (512, (0,)), (513, (0, 1)), (896, (0, 384)), (1000, (0, 384, 488))]
)
def test_last_window_is_shifted_inward(length: int, starts: tuple[int, ...]) -> None:
    assert WindowAxis(length, 512, 128).starts == starts


@given(st.integers(1, 40), st.integers(1, 200))
def test_reflection_equals_numpy(length: int, extra: int) -> None:
    pixels = np.arange(length)
    np.testing.assert_array_equal(
        pixels[reflect_index(length, length + extra)], np.pad(pixels, (0, extra), mode="reflect")
    )


def test_short_sides_are_padded_to_the_multiple_unless_the_model_is_fixed() -> None:
    assert WindowGrid.cover(31, 700, 512, 128, 32).shape == (32, 512)
    assert WindowGrid.cover(31, 700, 512, 128, 32, fixed=True).shape == (512, 512)
    assert len(WindowGrid.cover(31, 700, 512, 128, 32)) == 2


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ((10, 10, 64, 64), "overlap must be at least 0 and smaller"),
        ((10, 10, 64, -1), "overlap must be at least 0"),
        ((10, 10, 60, 0, 32), "multiple of 32"),
        ((0, 10, 64, 0), "at least 1 px"),
    ],
)
def test_refuses_impossible_grids(numbers: tuple[int, ...], says: str) -> None:
    with pytest.raises(InputError, match=says):
        WindowGrid.cover(*numbers)
