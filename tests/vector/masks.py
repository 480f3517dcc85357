"""Class maps to outline, made up and drawn by hypothesis, and GDAL's own outlines of them."""

import numpy as np
import rasterio.features
import shapely
import shapely.geometry
from hypothesis import strategies as st


def checkerboard(height, width):
    return (np.indices((height, width)).sum(axis=0) % 2).astype(np.uint8)


def spiral(side):
    mask = np.zeros((side, side), np.uint8)
    r, c, dr, dc = 0, 0, 0, 1
    mask[r, c] = 1
    while True:
        turned = False
        while True:
            r2, c2 = r + 2 * dr, c + 2 * dc
            if not (0 <= r2 < side and 0 <= c2 < side) or mask[r2, c2]:
                break
            mask[r + dr, c + dc] = mask[r2, c2] = 1
            r, c, turned = r2, c2, True
        if not turned:
            return mask
        dr, dc = dc, -dr


def nested_rings(side):
    depth = np.minimum.reduce(np.indices((side, side)), axis=0)
    return (np.minimum(depth, np.flip(depth)) % 2 == 0).astype(np.uint8)


def diagonals(height, width):
    rows, cols = np.indices((height, width))
    return (((rows + cols) % 4 == 0) | ((rows - cols) % 5 == 0)).astype(np.uint8)


def comb(height, width):
    mask = np.zeros((height, width), np.uint8)
    mask[:, ::2] = 1
    mask[-1] = 1
    return mask


PATTERNS = {
    "checkerboard": checkerboard(9, 12),
    "spiral": spiral(23),
    "nested rings": nested_rings(17),
    "diagonals": diagonals(14, 19),
    "comb": comb(13, 17),
    "comb upside down": comb(13, 17)[::-1].copy(),
    "one pixel": np.eye(1, 9, 4, dtype=np.uint8).repeat(5, axis=0) * np.eye(5, 1, -2, dtype=np.uint8),
    "only pixel": np.ones((1, 1), np.uint8),
    "ones": np.ones((7, 11), np.uint8),
    "zeros": np.zeros((7, 11), np.uint8),
    "one row": np.array([[1, 1, 0, 1, 0, 0, 1]], np.uint8),
    "one column": np.array([[1, 1, 0, 1, 0, 0, 1]], np.uint8).T.copy(),
    "pinched shell": np.array([[0, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8),
    "figure of eight": np.array([[1, 0], [0, 1]], np.uint8),
    "hole of two diagonal pixels": np.pad(np.array([[0, 1], [1, 0]], np.uint8), 1, constant_values=1),
}


@st.composite
def class_maps(draw, classes=3, side=14):
    """Noise of any density, blocks of it, or a pattern under a random one."""
    height, width = draw(st.integers(1, side)), draw(st.integers(1, side))
    k = draw(st.integers(1, classes))
    seed = draw(st.integers(0, 2**32 - 1))
    density = draw(st.sampled_from([0.1, 0.3, 0.5, 0.6, 0.8, 0.95, 1.0]))
    block = draw(st.sampled_from([1, 1, 2, 3]))
    rng = np.random.default_rng(seed)
    coarse = (-(-height // block), -(-width // block))
    values = rng.integers(1, k + 1, coarse) * (rng.random(coarse) < density)
    return np.kron(values, np.ones((block, block)))[:height, :width].astype(np.uint8)


@st.composite
def patterned_maps(draw, side=24):
    """A pattern with a name, of any size, turned or mirrored, whole or with its background swapped for its objects."""
    height, width = draw(st.integers(1, side)), draw(st.integers(1, side))
    one = np.zeros((height, width), np.uint8)
    one[draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))] = 1
    patterns = {
        "checkerboard": checkerboard(height, width),
        "spiral": spiral(height),
        "nested rings": nested_rings(width),
        "diagonals": diagonals(height, width),
        "comb": comb(height, width),
        "single pixel": one,
        "all": np.ones_like(one),
        "one row": checkerboard(1, width),
        "one column": checkerboard(height, 1),
    }
    mask = patterns[draw(st.sampled_from(sorted(patterns)))]
    mask = np.rot90(mask, draw(st.integers(0, 3)))
    return np.ascontiguousarray(1 - mask if draw(st.booleans()) else mask)


def gdal_objects(classes, connectivity):
    """(class, valid geometry in pixel coordinates) of each object, as GDAL has it."""
    shapes = rasterio.features.shapes(classes, mask=classes > 0, connectivity=connectivity)
    return [
        (int(value), shapely.make_valid(shapely.geometry.shape(item), method="structure")) for item, value in shapes
    ]


def discs(side, number, radius, value=255):
    """A square mask of number × number discs."""
    mask = np.zeros((side, side), np.uint8)
    rows, cols = np.indices((side, side)) + 0.5
    pitch = side / number
    for i in range(number):
        for j in range(number):
            mask[np.hypot(rows - (i + 0.5) * pitch, cols - (j + 0.5) * pitch) <= radius] = value
    return mask
