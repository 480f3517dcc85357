"""A whole synthetic scene: what is where, and the exact truth of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import rasterio.features
from numpy.typing import NDArray
from shapely.geometry import Polygon

from weft_geo.datasets.synthetic.buildings import build_up
from weft_geo.datasets.synthetic.camera import expose
from weft_geo.datasets.synthetic.canvas import Canvas, Sun
from weft_geo.datasets.synthetic.clutter import park_cars, scatter
from weft_geo.datasets.synthetic.ground import choose_land, paint_land, paint_streets, paint_walls, paint_water
from weft_geo.datasets.synthetic.layout import SETTLEMENTS, lay_out
from weft_geo.datasets.synthetic.noise import NoiseBank
from weft_geo.datasets.synthetic.palette import COUNTRIES
from weft_geo.datasets.synthetic.plants import plant
from weft_geo.datasets.synthetic.ships import float_ships
from weft_geo.errors import InputError

CLASSES = ("building", "ship")

# Objects per million pixels: keeps the time to draw a scene bounded where parcels are tiny.
_BUILDINGS_PER_MPX, _TREES_PER_MPX, _THINGS_PER_MPX, _CARS_PER_MPX, _SHIPS_PER_MPX = 300, 800, 150, 60, 18


@dataclass(frozen=True)
class SyntheticScene:
    """A drawn scene and its truth.

    Attributes:
        image: uint8 [3, H, W], RGB.
        polygons: Outlines in pixel coordinates: x = column, y = row, pixel (r, c) spans c … c + 1 and r … r + 1.
            They are valid, inside the image, single (holes where there is a courtyard), and more than two pixels apart.
        classes: The class of each polygon, from CLASSES.
        gsd_m: Ground sampling distance, metres per pixel.
        seed: What it was drawn from.
    """

    image: NDArray[np.uint8]
    polygons: list[Polygon]
    classes: list[str]
    gsd_m: float
    seed: int

    def mask(self, *names: str) -> NDArray[np.uint8]:
        """Rasterise the truth.

        Args:
            names: Classes to keep; all of them when none is given.

        Returns:
            uint8 [H, W], 1 where a pixel's centre lies in an object, else 0.
        """
        kept = [(p, 1) for p, name in zip(self.polygons, self.classes, strict=True) if not names or name in names]
        shape = self.image.shape[1:]
        if not kept:
            return np.zeros(shape, np.uint8)
        mask: NDArray[np.uint8] = rasterio.features.rasterize(kept, out_shape=shape, fill=0, dtype="uint8")
        return mask


def draw_scene(
    height: int, width: int, seed: int, gsd_m: float = 0.3, *, settlement: str | None = None, country: str | None = None
) -> SyntheticScene:
    """Draw an aerial scene with buildings, streets, fields, trees, cars, shadows, and now and then water with ships.

    The same arguments always give the same scene.

    Args:
        height: Rows, at least 16.
        width: Columns, at least 16.
        seed: Any integer ≥ 0.
        gsd_m: Ground sampling distance, metres per pixel, 0.05 … 2.
        settlement: One of layout.SETTLEMENTS, or None for a random one.
        country: One of palette.COUNTRIES, or None for a random one.

    Returns:
        The image and its exact truth polygons.

    Raises:
        InputError: The size or the ground sampling distance is out of range.
        KeyError: An unknown settlement or country.
    """
    if height < 16 or width < 16:
        raise InputError(f"a scene of {height} x {width} pixels was asked for; it must be at least 16 x 16")
    if not 0.05 <= gsd_m <= 2:
        raise InputError(f"a ground sampling distance of {gsd_m} m was asked for; it must lie in 0.05 … 2")
    rng = np.random.default_rng(seed)
    settlement = settlement or str(rng.choice(list(SETTLEMENTS), p=[0.22, 0.24, 0.14, 0.18, 0.1, 0.12]))
    land_of = COUNTRIES[country or str(rng.choice(list(COUNTRIES)))]
    azimuth, elevation = rng.uniform(0, 2 * math.pi), math.radians(rng.uniform(28, 70))
    layout = lay_out(rng, SETTLEMENTS[settlement], height, width, gsd_m)
    canvas = Canvas(
        gsd_m,
        Sun(math.cos(azimuth), math.sin(azimuth), elevation),
        NoiseBank(rng, height, width, gsd_m),
        np.empty((3, height, width), np.float32),
    )
    mpx = height * width / 1e6
    paint_land(rng, layout, choose_land(rng, layout, land_of), canvas)
    paint_streets(rng, layout, land_of, canvas)
    water = np.full((height, width), -1e4, np.float32)
    harbour = settlement == "industry" and rng.random() < 0.4
    if harbour or rng.random() < 0.12:
        water = paint_water(rng, layout, land_of, canvas, straight=harbour)
    polygons = build_up(rng, canvas, layout, math.ceil(_BUILDINGS_PER_MPX * mpx))
    classes = ["building"] * len(polygons)
    paint_walls(rng, layout, canvas, water)
    scatter(rng, canvas, layout, water, int(_THINGS_PER_MPX * mpx * rng.uniform(0, 1)))
    park_cars(rng, canvas, layout, water, math.ceil(_CARS_PER_MPX * mpx))
    if (water > 1).any():
        ships = float_ships(rng, canvas, water, layout.angle, math.ceil(_SHIPS_PER_MPX * mpx * rng.uniform(0, 1.5)))
        polygons, classes = polygons + ships, classes + ["ship"] * len(ships)
    plant(rng, canvas, land_of, water, math.ceil(_TREES_PER_MPX * mpx))
    image = np.clip(np.rint(expose(rng, canvas)), 0, 255).astype(np.uint8)
    return SyntheticScene(image, polygons, classes, gsd_m, seed)
