import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from weft_geo.geo.windows import WindowAxis, WindowGrid
from weft_geo.inference.blending import LEVELS, UNIT, RollingBand, axis_weights, to_levels
from weft_geo.inference.columns import split_columns


@st.composite
def axes(draw: st.DrawFn) -> WindowAxis:
    window = draw(st.integers(1, 70))
    return WindowAxis(draw(st.integers(1, 300)), window, draw(st.integers(0, window - 1)))


@st.composite
def grids(draw: st.DrawFn) -> WindowGrid:
    window = draw(st.integers(1, 24))
    return WindowGrid.cover(
        draw(st.integers(1, 60)), draw(st.integers(1, 60)), window, draw(st.integers(0, window - 1))
    )


def blend(grid: WindowGrid, windows: np.ndarray) -> np.ndarray:
    """Blends float [rows, cols, K, h, w] windows; returns [K, height, width]."""
    return levels(grid, windows, 1).astype(np.float32) / np.float32(LEVELS)


def levels(grid: WindowGrid, windows: np.ndarray, blocks: int) -> np.ndarray:
    """The same as uint16 levels, in blocks of columns; each band is left and taken up again after every row."""
    columns = []
    for block in split_columns(grid, blocks):
        strips, carry = [], None
        for row, across in enumerate(windows):
            band = RollingBand(grid, block, windows.shape[2])
            if carry is not None:
                band.restore(row, carry)
            for col in range(block.first, block.end):
                band.add(col, to_levels(across[col]))
            strips.append(band.finish_row())
            carry = band.carry()
        columns.append(np.concatenate(strips, axis=1))
    return np.concatenate(columns, axis=2)


@given(axes())
def test_weights_sum_to_one_at_every_pixel_whatever_the_overlap(axis: WindowAxis) -> None:
    total = np.zeros(axis.length, np.int64)
    weights = axis_weights(axis).astype(np.int64)
    assert weights.min() >= 0
    assert weights.max() <= UNIT
    for start, weight in zip(axis.starts, weights, strict=True):
        total[start : start + axis.inside] += weight
    assert (total == UNIT).all()


def test_triple_overlap_of_the_shifted_last_window() -> None:
    axis = WindowAxis(101, 60, 40)
    assert axis.starts == (0, 20, 40, 41)
    total = np.zeros(101, int)
    for start, weight in zip(axis.starts, axis_weights(axis), strict=True):
        total[start : start + 60] += weight.astype(int)
    assert (total == UNIT).all()


def test_sums_fit_32_bits() -> None:
    assert LEVELS * UNIT * UNIT < 2**32


@given(grids(), st.integers(0, 1000))
def test_a_constant_stays_constant_to_the_last_corner(grid: WindowGrid, thousandths: int) -> None:
    value = np.float32(thousandths / 1000)
    shape = (len(grid.rows.starts), len(grid.cols.starts), 2, *grid.shape)
    out = blend(grid, np.full(shape, value, np.float32))
    assert out.shape == (2, grid.rows.length, grid.cols.length)
    assert (out == value).all()


@given(grids(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_a_blend_stays_between_what_the_windows_say(grid: WindowGrid, seed: int) -> None:
    shape = (len(grid.rows.starts), len(grid.cols.starts), 1, *grid.shape)
    windows = np.random.default_rng(seed).random(shape, np.float32)
    lowest = np.full((grid.rows.length, grid.cols.length), 2.0)
    highest = -lowest
    for top, row in zip(grid.rows.starts, windows, strict=True):
        for left, window in zip(grid.cols.starts, row, strict=True):
            part = np.s_[top : top + grid.rows.inside, left : left + grid.cols.inside]
            inside = window[0, : grid.rows.inside, : grid.cols.inside]
            lowest[part] = np.minimum(lowest[part], inside)
            highest[part] = np.maximum(highest[part], inside)
    out = blend(grid, windows)[0]
    assert (out >= lowest - 1 / LEVELS).all()
    assert (out <= highest + 1 / LEVELS).all()


@given(grids(), grids(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_the_grid_cannot_change_a_position_independent_answer(one: WindowGrid, two: WindowGrid, seed: int) -> None:
    two = WindowGrid(
        WindowAxis(one.rows.length, two.rows.window, two.rows.overlap),
        WindowAxis(one.cols.length, two.cols.window, two.cols.overlap),
    )
    truth = np.random.default_rng(seed).random((1, one.rows.length, one.cols.length), np.float32)
    answers = []
    for grid in (one, two):
        padded = np.pad(truth, ((0, 0), (0, grid.rows.window), (0, grid.cols.window)))
        windows = np.stack(
            [
                np.stack(
                    [
                        padded[:, top : top + grid.rows.window, left : left + grid.cols.window]
                        for left in grid.cols.starts
                    ]
                )
                for top in grid.rows.starts
            ]
        )
        answers.append(blend(grid, windows))
    np.testing.assert_array_equal(*answers)


@given(grids(), st.integers(2, 20), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_blocks_of_columns_leave_no_seam(grid: WindowGrid, blocks: int, seed: int) -> None:
    shape = (len(grid.rows.starts), len(grid.cols.starts), 1, *grid.shape)
    windows = np.random.default_rng(seed).random(shape, np.float32)
    np.testing.assert_array_equal(levels(grid, windows, blocks), levels(grid, windows, 1))


def test_thresholds_of_three_decimals_are_as_exact_after_blending_as_before() -> None:
    grid = WindowGrid.cover(1, 1001, 64, 16)
    thousandths = (np.arange(1001) / 1000).astype(np.float32)
    windows = np.zeros((1, len(grid.cols.starts), 1, 1, 64), np.float32)
    for col, left in enumerate(grid.cols.starts):
        windows[0, col, 0, 0] = thousandths[left : left + 64]
    np.testing.assert_array_equal(blend(grid, windows)[0, 0], thousandths)
