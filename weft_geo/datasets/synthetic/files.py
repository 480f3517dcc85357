"""Write a synthetic scene as files: a georeferenced image and its truth."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import geopandas
import rasterio
from affine import Affine
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.errors import RasterioError
from shapely.affinity import affine_transform

from weft_geo.datasets.synthetic.scene import SyntheticScene
from weft_geo.errors import CrsError, OutputExistsError, RunError
from weft_geo.geo.access import is_there, require_replaceable, require_writable
from weft_geo.geo.lock import lock_outputs
from weft_geo.geo.vector_file import require_plain_name
from weft_geo.geo.whole_files import move_into_place

# Where the scene's middle lies: longitude and latitude in degrees, in UTM zone 45 N.
MIDDLE = (85.52, 27.63)


@dataclass(frozen=True)
class SampleFiles:
    """The files of a sample.

    Attributes:
        scene: The image, a tiled and compressed GeoTIFF.
        truth: The outlines in the scene's CRS, a GeoPackage with the layer `objects`.
        truth_geojson: The same outlines in EPSG:4326.
        objects: How many there are.
    """

    scene: Path
    truth: Path
    truth_geojson: Path
    objects: int


def scene_transform(scene: SyntheticScene, crs: CRS) -> Affine:
    """Place a scene on the earth around MIDDLE, north up.

    Args:
        scene: The scene.
        crs: A projected or geographic CRS.

    Returns:
        Pixel (column, row) to CRS coordinates. The pixel is `gsd_m` in the CRS's own units: metres, feet, or degrees
        of latitude on a sphere of 6,371,008.8 m; in Web Mercator it is so on the map, not on the ground.

    Raises:
        CrsError: The CRS has no place for the scene.
    """
    from pyproj import Transformer

    try:
        x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(*MIDDLE, errcheck=True)
        unit_m = 111_195.08 if crs.is_geographic else crs.axis_info[0].unit_conversion_factor
    except (CRSError, IndexError) as error:
        raise CrsError(
            f"{crs.name} cannot hold the sample scene ({error}); give a UTM zone, EPSG:3857 or EPSG:4326"
        ) from error
    step = scene.gsd_m / unit_m
    height, width = scene.image.shape[1:]
    digits = 9 if crs.is_geographic else 3
    return Affine(step, 0, round(x - step * width / 2, digits), 0, -step, round(y + step * height / 2, digits))


def write_scene(
    scene: SyntheticScene, directory: Path, crs: str = "EPSG:32645", overwrite: bool = False
) -> SampleFiles:
    """Write scene.tif, truth.gpkg and truth.geojson into a directory, which is made where it is missing.

    They come into their places when all three are whole.

    Args:
        scene: What to write.
        directory: Where to.
        crs: The scene's CRS, as anything pyproj understands.
        overwrite: Replace files that are there.

    Returns:
        The files.

    Raises:
        CrsError: The CRS is unknown or cannot hold the scene.
        OutputExistsError: One of the files is there and `overwrite` is False.
        InputError: The folder cannot be written to, or is called what means another to pyogrio.
        OutputBusyError: Another run is writing them.
        RunError: The disk does not take them; what was there stays.
    """
    try:
        system = CRS.from_user_input(crs)
    except CRSError as error:
        raise CrsError(f"{crs!r} is no CRS that PROJ knows; give one such as EPSG:32645") from error
    transform = scene_transform(scene, system)
    files = SampleFiles(
        directory / "scene.tif", directory / "truth.gpkg", directory / "truth.geojson", len(scene.polygons)
    )
    require_plain_name(files.truth)
    require_writable(directory)
    directory.mkdir(parents=True, exist_ok=True)
    # Of a fixed name, so that what a killed run leaves is taken over by the next one.
    making = directory / ".sample.part"
    places = (files.truth, files.truth_geojson, files.scene)
    with lock_outputs(places):
        shutil.rmtree(making, ignore_errors=True)
        for path in places:
            if is_there(path):
                if not overwrite:
                    raise OutputExistsError(f"{path} is already there; overwrite it (--overwrite) or write elsewhere")
                require_replaceable(path)
        making.mkdir()
        try:
            _write_image(scene, making / files.scene.name, system, transform)
            _write_truth(scene, making / files.truth.name, making / files.truth_geojson.name, system, transform)
            for path in places:
                move_into_place(making / path.name, path)
        except (RasterioError, DataSourceError, DataLayerError) as error:
            raise RunError(f"the sample in {directory} could not be written: {error}; is the disk full?") from error
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return files


def _write_image(scene: SyntheticScene, path: Path, crs: CRS, transform: Affine) -> None:
    height, width = scene.image.shape[1:]
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=height,
        width=width,
        count=3,
        dtype="uint8",
        crs=crs.to_wkt(),
        transform=transform,
        tiled=True,
        blockxsize=256,
        blockysize=256,
        compress="deflate",
        predictor=2,
        photometric="RGB",
    ) as target:
        target.write(scene.image)
        target.update_tags(SOFTWARE="weft-geo", SEED=str(scene.seed), GSD_M=str(scene.gsd_m))


def _write_truth(scene: SyntheticScene, layer: Path, geojson: Path, crs: CRS, transform: Affine) -> None:
    matrix = [transform.a, transform.b, transform.d, transform.e, transform.c, transform.f]
    truth = geopandas.GeoDataFrame(
        {"id": range(1, len(scene.polygons) + 1), "class": scene.classes},
        geometry=[affine_transform(polygon, matrix) for polygon in scene.polygons],
        crs=crs,
    )
    truth.to_file(layer, driver="GPKG", layer="objects", engine="pyogrio", VERSION="1.3")  # as GDAL 3.6 reads it
    truth.to_file(geojson, driver="GeoJSON", engine="pyogrio", RFC7946="YES")
