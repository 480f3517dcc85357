"""Colours of the ground and of roofs, by kind of country. RGB, 0 … 255, as drones and aeroplanes see them."""

from __future__ import annotations

from dataclasses import dataclass

from weft_geo.datasets.synthetic.canvas import Colour


@dataclass(frozen=True)
class Country:
    """What the land looks like.

    Attributes:
        grass: Colours of grass and low plants.
        soil: Colours of bare ground.
        crops: Colours of fields under crop.
        leaves: Colours of tree crowns.
        water: Colours of water.
        tree_density: Trees per 100 m² of open land, before clustering.
    """

    grass: tuple[Colour, ...]
    soil: tuple[Colour, ...]
    crops: tuple[Colour, ...]
    leaves: tuple[Colour, ...]
    water: tuple[Colour, ...]
    tree_density: float


COUNTRIES: dict[str, Country] = {
    "temperate": Country(
        grass=((104, 124, 74), (122, 136, 84), (92, 112, 66), (136, 142, 96)),
        soil=((150, 132, 108), (126, 108, 86), (168, 152, 128)),
        crops=((118, 138, 72), (88, 116, 56), (176, 164, 104), (142, 128, 98)),
        leaves=((62, 86, 46), (50, 74, 40), (78, 100, 52), (88, 96, 58)),
        water=((62, 80, 78), (72, 88, 80), (48, 68, 76)),
        tree_density=0.5,
    ),
    "tropical": Country(
        grass=((108, 122, 72), (96, 118, 58), (128, 132, 88), (116, 118, 82)),
        soil=((178, 148, 118), (164, 132, 100), (192, 168, 136), (158, 138, 116)),
        crops=((98, 126, 62), (142, 132, 92), (168, 144, 108), (84, 110, 58)),
        leaves=((58, 90, 44), (46, 80, 38), (80, 110, 50), (96, 120, 60)),
        water=((84, 106, 92), (96, 108, 86), (52, 92, 98)),
        tree_density=0.8,
    ),
    "laterite": Country(
        grass=((118, 118, 74), (132, 124, 84), (104, 114, 66)),
        soil=((176, 116, 82), (188, 134, 98), (162, 104, 74), (196, 154, 118)),
        crops=((112, 118, 66), (160, 118, 84), (136, 110, 76)),
        leaves=((62, 84, 44), (74, 92, 50), (90, 102, 60)),
        water=((128, 104, 82), (104, 98, 80)),
        tree_density=0.45,
    ),
    "arid": Country(
        grass=((158, 148, 112), (146, 142, 108), (170, 158, 122)),
        soil=((200, 180, 148), (188, 164, 132), (212, 196, 166), (176, 156, 130)),
        crops=((120, 132, 82), (182, 162, 122), (138, 136, 92)),
        leaves=((88, 100, 66), (100, 106, 76), (76, 90, 58)),
        water=((66, 98, 104), (84, 104, 100)),
        tree_density=0.12,
    ),
    "hills": Country(
        grass=((96, 110, 62), (112, 116, 76), (126, 120, 88), (84, 102, 56)),
        soil=((166, 148, 126), (150, 130, 108), (180, 164, 142)),
        crops=((82, 108, 54), (104, 122, 66), (158, 142, 118), (170, 132, 88), (136, 128, 84)),
        leaves=((56, 78, 44), (70, 92, 52), (86, 104, 60)),
        water=((92, 100, 88), (76, 90, 84)),
        tree_density=0.35,
    ),
    "winter": Country(
        grass=((130, 124, 98), (142, 136, 110), (118, 112, 90)),
        soil=((134, 120, 104), (116, 102, 88), (148, 136, 120)),
        crops=((124, 112, 94), (108, 116, 80), (146, 134, 112)),
        leaves=((86, 80, 66), (98, 90, 76), (64, 74, 52)),
        water=((60, 70, 74), (72, 80, 80)),
        tree_density=0.4,
    ),
}

# Each material with its colours; the first ones are the commoner.
ROOF_COLOURS: dict[str, tuple[Colour, ...]] = {
    "concrete": ((176, 170, 160), (196, 188, 176), (158, 152, 146), (186, 172, 152), (206, 202, 196), (140, 136, 130)),
    "metal": (
        (176, 186, 194),
        (196, 204, 210),
        (156, 168, 178),
        (134, 142, 150),
        (212, 216, 218),
        (62, 112, 178),
        (168, 62, 54),
        (88, 128, 112),
        (150, 108, 86),
        (118, 84, 68),
        (120, 150, 176),
    ),
    "tiles": (
        (176, 104, 78),
        (160, 88, 66),
        (190, 124, 94),
        (138, 92, 76),
        (116, 100, 92),
        (98, 96, 98),
        (150, 116, 98),
    ),
    "membrane": ((206, 206, 204), (184, 184, 182), (224, 224, 222), (120, 122, 124), (96, 98, 102), (160, 164, 160)),
    "thatch": ((148, 128, 98), (128, 112, 86), (164, 146, 114), (108, 98, 80)),
}

TARMAC: tuple[Colour, ...] = ((118, 118, 120), (138, 136, 132), (98, 98, 102), (158, 154, 148))
PAVING: tuple[Colour, ...] = ((178, 172, 162), (164, 156, 146), (190, 184, 174), (152, 148, 142))
PAINT: tuple[Colour, ...] = (
    (206, 84, 92),
    (214, 208, 200),
    (176, 70, 60),
    (150, 140, 130),
    (224, 222, 218),
    (120, 116, 112),
)
CAR_PAINT: tuple[Colour, ...] = (
    (228, 228, 226),
    (196, 198, 202),
    (40, 42, 46),
    (92, 96, 102),
    (168, 38, 34),
    (38, 62, 118),
    (140, 138, 128),
    (214, 196, 120),
)
SHIP_PAINT: tuple[Colour, ...] = ((150, 84, 66), (104, 110, 114), (196, 196, 192), (62, 92, 74), (72, 78, 96))
TANKS: tuple[Colour, ...] = ((40, 44, 48), (30, 120, 98), (58, 98, 158), (210, 206, 196))
SOLAR_PANEL: Colour = (44, 54, 84)
GLASS: Colour = (48, 54, 60)
