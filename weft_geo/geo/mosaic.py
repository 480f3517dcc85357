"""Many tiles as one scene: a VRT that places them side by side, without copying a pixel.

Tiles share CRS, pixel size, bands and type, and lie north-up on one grid, to a tenth of a pixel. Where several cover
the same ground, the last one is seen that has an image there. What no tile covers is no image.

The VRT is what gdalbuildvrt would write (https://gdal.org/drivers/raster/vrt.html), which neither rasterio nor its
wheels bring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as Xml

from affine import Affine

from weft_geo.errors import InputError, RasterError, RunError
from weft_geo.geo.access import is_file, is_there
from weft_geo.geo.raster import open_raster
from weft_geo.geo.raster_info import RasterInfo
from weft_geo.geo.remote import gdal_name
from weft_geo.geo.whole_files import written_whole

GRID_TOLERANCE = 0.1
"""Pixels by which a tile may lie off the grid of the first."""

VRT_TYPES = {
    "uint8": "Byte",
    "int8": "Int8",
    "uint16": "UInt16",
    "int16": "Int16",
    "uint32": "UInt32",
    "int32": "Int32",
    "uint64": "UInt64",
    "int64": "Int64",
    "float32": "Float32",
    "float64": "Float64",
}
COLORS = ("red", "green", "blue", "alpha", "gray", "palette")


def write_mosaic(tiles: Sequence[str | Path], path: Path) -> Path:
    """Writes the VRT of some tiles, unless that very one is there.

    Args:
        tiles: Rasters that GDAL opens; later ones cover earlier ones, where they hold an image.
        path: The ``.vrt`` file.

    Returns:
        ``path``.

    Raises:
        RasterError: If a tile cannot be opened.
        InputError: If they do not fit each other; the message says which one does not.
        RunError: If it cannot be written.
    """
    if not tiles:
        raise InputError("a mosaic needs at least one tile")
    infos = []
    for tile in tiles:
        with open_raster(tile) as raster:
            raster.require_one_nodata("a tile of a mosaic; leave it out")
            infos.append(raster.info)
    first = infos[0]
    if first.transform.b or first.transform.d or first.transform.e >= 0:
        raise RasterError(f"{first.name} is rotated or south-up; warp the tiles first (gdalwarp)")
    for info in infos[1:]:
        _check(info, first)
    text = Xml.tostring(_describe(infos), encoding="unicode")
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        try:
            with written_whole(path) as beside:
                beside.write_text(text, encoding="utf-8")
        except OSError as error:
            raise RunError(f"the mosaic {path} cannot be written: {error.strerror}; is the disk full?") from error
    return path


def _check(info: RasterInfo, first: RasterInfo) -> None:
    """Raises InputError unless a tile fits the first one."""

    def differ(what: str, has: object, wanted: object, remedy: str = "tiles of a mosaic must be alike") -> InputError:
        return InputError(f"{info.name} has {what} {has}, but {first.name} {wanted}; {remedy}")

    if info.crs != first.crs:
        warp = [f"warp it first (gdalwarp -t_srs {first.crs} -tr … -tap)"] if first.crs and info.crs else []
        raise differ("the CRS", info.crs, first.crs, *warp)
    if (info.bands, info.dtype) != (first.bands, first.dtype):
        raise differ("bands", f"{info.bands} × {info.dtype}", f"{first.bands} × {first.dtype}")
    if info.colors != first.colors:
        raise differ("band colours", ", ".join(info.colors), ", ".join(first.colors))
    across = ~first.transform @ info.transform
    if not all(math.isclose(a, b, abs_tol=1e-6) for a, b in zip(across[:2] + across[3:5], (1, 0, 0, 1), strict=True)):
        has, wanted = ((tile.transform.a, tile.transform.e) for tile in (info, first))
        raise differ("pixels of", has, wanted, f"warp it first (gdalwarp -tr {wanted[0]:.9g} {-wanted[1]:.9g} -tap)")
    off = max(abs(across.c - round(across.c)), abs(across.f - round(across.f)))
    if off > GRID_TOLERANCE:
        raise InputError(
            f"{info.name} lies {off:.2f} pixels off the grid of {first.name}; warp it first (gdalwarp -tap)"
        )


def _describe(infos: list[RasterInfo]) -> Xml.Element:
    first = infos[0]
    places = [~first.transform @ info.transform for info in infos]
    corners = [(round(place.c), round(place.f)) for place in places]
    left, top = min(x for x, _ in corners), min(y for _, y in corners)
    width = max(x + info.width for (x, _), info in zip(corners, infos, strict=True)) - left
    height = max(y + info.height for (_, y), info in zip(corners, infos, strict=True)) - top
    root = Xml.Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
    if first.crs is not None:
        Xml.SubElement(root, "SRS").text = first.crs.to_wkt()
    transform = first.transform @ Affine.translation(left, top)
    Xml.SubElement(root, "GeoTransform").text = ", ".join(repr(float(value)) for value in transform.to_gdal())
    nodata = first.nodata if all(_same(info.nodata, first.nodata) for info in infos) else None
    spots = [(x - left, y - top) for x, y in corners]
    for number, color in enumerate(first.colors, start=1):
        band = Xml.SubElement(root, "VRTRasterBand", dataType=VRT_TYPES[first.dtype], band=str(number))
        Xml.SubElement(band, "ColorInterp").text = color.capitalize() if color in COLORS else "Undefined"
        if nodata is not None:
            Xml.SubElement(band, "NoDataValue").text = repr(nodata)
        _add_sources(band, infos, spots, str(number), nodata, is_mask=color == "alpha")
    if nodata is None and "alpha" not in first.colors:
        # Gaps, and whatever each tile calls invalid.
        mask = Xml.SubElement(Xml.SubElement(root, "MaskBand"), "VRTRasterBand", dataType="Byte")
        for number in range(1, first.bands + 1):
            # A pixel of a tile with a nodata value has an image if one of its bands has; a mask is that of all bands.
            seen = [(info, spot) for info, spot in zip(infos, spots, strict=True) if number == 1 or _has_nodata(info)]
            if seen:
                tiles, places = map(list, zip(*seen, strict=True))
                _add_sources(mask, tiles, places, f"mask,{number}", None, is_mask=True)
    return root


def _add_sources(
    band: Xml.Element,
    infos: list[RasterInfo],
    spots: list[tuple[int, int]],
    number: str,
    nodata: float | None,
    is_mask: bool,
) -> None:
    """``nodata`` of all tiles, if they have one in common; ``is_mask``: where the band is 0, there is no image."""
    for info, (x, y) in zip(infos, spots, strict=True):
        is_whole = not info.masked and info.nodata is None
        source = Xml.SubElement(band, "SimpleSource" if is_whole else "ComplexSource")
        local = Path(info.path)
        name = str(local.absolute()) if is_there(local) else info.path
        Xml.SubElement(source, "SourceFilename", relativeToVRT="0").text = gdal_name(name)
        Xml.SubElement(source, "SourceBand").text = number
        Xml.SubElement(
            source,
            "SourceProperties",
            RasterXSize=str(info.width),
            RasterYSize=str(info.height),
            DataType="Byte" if number.startswith("mask") else VRT_TYPES[info.dtype],
            BlockXSize=str(info.block_shape[1]),
            BlockYSize=str(info.block_shape[0]),
        )
        for rectangle, left, top in (("SrcRect", 0, 0), ("DstRect", x, y)):
            place = {"xOff": left, "yOff": top, "xSize": info.width, "ySize": info.height}
            Xml.SubElement(source, rectangle, {key: str(value) for key, value in place.items()})
        if nodata is not None:
            Xml.SubElement(source, "NODATA").text = repr(nodata)
        elif not is_whole and is_mask:
            Xml.SubElement(source, "NODATA").text = "0"
        elif not is_whole:
            Xml.SubElement(source, "UseMaskBand").text = "true"
        if is_file(local):
            # So that a tile that has changed makes another mosaic.
            stat = local.stat()
            source.append(Xml.Comment(f"{stat.st_size} bytes, {stat.st_mtime_ns}"))


def _has_nodata(info: RasterInfo) -> bool:
    return info.nodata is not None and not info.masked


def _same(one: float | None, two: float | None) -> bool:
    return one == two or (one is not None and two is not None and math.isnan(one) and math.isnan(two))
