"""Your own rasters and polygons as torchgeo data sets, to be intersected: `SceneImages(…) & ScenePolygons(…)`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import shapely
import torch
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from torchgeo.datasets import GeoDataset, RasterDataset

from weft_geo.datasets.areas import Bounds
from weft_geo.datasets.raster_check import require_readable
from weft_geo.datasets.scenes import BANDS, burn_shapes, read_polygons
from weft_geo.errors import CrsError, RasterError, RunError, VectorError
from weft_geo.geo.access import cannot_be_looked_into, is_folder
from weft_geo.geo.contract import MAX_CLASSES, SCENE_SCALE, ModelContract
from weft_geo.geo.normalize import Normalizer, measure_normalizer, select_bands
from weft_geo.geo.raster import Raster, open_raster

Query = tuple[slice, slice, slice]
RASTER_SUFFIXES = (".tif", ".tiff", ".vrt", ".jp2", ".img", ".png", ".jpg")


class SceneImages(RasterDataset):  # type: ignore[misc]  # torchgeo is not type-checked here
    """Rasters of any CRS, type and band order, brought to one CRS and to 0…255.

    Items are "image" float32 [3, h, w] on 0…255, "valid" bool [h, w], False where no raster has an image, and
    "transform" float64 [9], the 3 × 3 numbers of pixel (column, row) → CRS coordinates. Every raster is scaled by its
    own range, decided once (see `weft_geo.geo.normalize`).

    Differs from torchgeo's base: files that cannot be read are refused and not skipped; nodata is known; each query is
    warped straight to its grid, averaging where that is coarser; files are opened for each query, so that worker
    processes share no GDAL handle; items hold tensors alone with every torchgeo, as they do from 0.9 on.

    Args:
        paths: rasters, or folders of them.
        gsd_m: metres a pixel on the ground; None for that of the first raster.
        bands: 1-based numbers of red, green and blue; None to choose by what the raster says.

    Attributes:
        gsd_m: metres a pixel on the ground.

    Raises:
        RasterError, CrsError, ContractError, InputError: a raster is missing, damaged, or lacks a CRS or bands.
    """

    def __init__(
        self, paths: Sequence[str | Path], gsd_m: float | None = None, bands: tuple[int, ...] | None = None
    ) -> None:
        self.scenes = self.list_files(paths)
        self._bands: dict[str, tuple[int, ...]] = {}
        self._normalizers: dict[str, Normalizer] = {}
        self._moments: list[tuple[NDArray[np.float64], NDArray[np.float64], int]] = []
        self._pixels_m: dict[str, float] = {}
        crs = res = None
        for path in self.scenes:
            with open_raster(path) as raster:
                info = raster.info
                if info.crs is None:
                    raise CrsError(
                        f"{path} has no CRS, so polygons cannot be laid over it; assign one first "
                        f"(gdal_edit.py -a_srs EPSG:… {path})"
                    )
                self._pixels_m[path] = info.pixel.mean_m
                if res is None:
                    self.gsd_m = gsd_m or info.pixel.mean_m
                    crs = pyproj.CRS.from_wkt(info.crs.to_wkt())
                    # As `predict` does, which makes pixels square on the ground when it resamples.
                    change = info.resampling(gsd_m or "auto", self.gsd_m)
                    across, down = (1.0, 1.0) if change is None else (change.across, change.down)
                    turn = info.transform
                    res = (math.hypot(turn.a, turn.d) * across, math.hypot(turn.b, turn.e) * down)
                chosen, _ = select_bands(info, BANDS, bands)
                self._bands[path] = chosen
                values, valid = self._look(raster, path)
                own_range = ModelContract(bands=BANDS, scale=SCENE_SCALE)
                self._normalizers[path] = measure_normalizer(raster, chosen, own_range, (values, valid))
                seen = self._normalizers[path](values, valid)[:, valid]
                mean, square = seen.mean(axis=1, dtype=np.float64), np.square(seen, dtype=np.float64).mean(axis=1)
                self._moments.append((mean, square, info.height * info.width))
        super().__init__(self.scenes, crs=crs, res=res)
        if len(self.index) < len(self.scenes):
            lost = sorted(set(self.scenes) - set(self.index.filepath))
            raise RasterError(f"{lost[0]} cannot be brought to {crs}; is its CRS right?")

    @staticmethod
    def list_files(paths: Sequence[str | Path]) -> list[str]:
        """The rasters that are meant by files and folders.

        Raises:
            RasterError: there are none.
        """
        found: list[str] = []
        for path in map(str, paths):
            if is_folder(path):
                if hindrance := cannot_be_looked_into(path):
                    raise RasterError(f"the folder {path} {hindrance}")
                inside = sorted(str(file) for file in Path(path).iterdir() if file.suffix.lower() in RASTER_SUFFIXES)
                if not inside:
                    raise RasterError(f"{path} holds no rasters; expected files of {', '.join(RASTER_SUFFIXES)}")
                found += inside
            else:
                found.append(path)
        if not found:
            raise RasterError("no rasters were given; give at least one")
        return list(dict.fromkeys(found))

    def areas(self) -> list[Bounds]:
        """The rectangle of each raster, in the CRS of the data set."""
        return [tuple(row) for row in self.index.geometry.bounds.to_numpy()]

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation per band on 0…255, of one decimated look at every raster, by area."""
        means, squares, pixels = (np.array(some, float) for some in zip(*self._moments, strict=True))
        weights = pixels / pixels.sum()
        mean = weights @ means
        std = np.sqrt(np.maximum(weights @ squares - mean**2, 1e-6))
        # A band without contrast has nothing to be divided by.
        return tuple(mean.round(2).tolist()), tuple(std.round(2).clip(min=1.0).tolist())

    def __getitem__(self, query: Query) -> dict[str, Any]:
        """An item of the rectangle and resolution that a sampler asks for; rasters listed first lie on top."""
        x, y, _ = self._disambiguate_slice(query)
        transform, height, width = grid_of(x, y)
        box = shapely.box(x.start, y.start, x.stop, y.stop)
        image = np.zeros((BANDS, height, width), np.float32)
        valid = np.zeros((height, width), bool)
        crs = CRS.from_wkt(self.crs.to_wkt())
        pixel_m = self.gsd_m * math.sqrt(x.step * y.step / np.prod(self.res))
        for path in self.index.filepath[self.index.intersects(box).to_numpy()]:
            coarser = pixel_m > self._pixels_m[path] * (1 + 1e-6)
            with open_raster(path) as raster, raster.on_grid(crs, transform, height, width, coarser) as grid:
                values, there = grid.whole(self._bands[path])
            new = there & ~valid
            image[:, new] = self._normalizers[path](values, there)[:, new]
            valid |= there
        place = torch.tensor(transform, dtype=torch.float64)
        return {"image": torch.from_numpy(image), "valid": torch.from_numpy(valid), "transform": place}

    def _look(self, raster: Raster, path: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        try:
            values, valid = raster.sample(self._bands[path])
        except RunError as error:
            require_readable([path])  # names the block
            raise RasterError(str(error)) from error
        if not valid.any():
            raise RasterError(f"{path} holds nothing but nodata; leave it out")
        return values, valid


class ScenePolygons(GeoDataset):  # type: ignore[misc]  # as above
    """Polygon layers as label maps: "mask" int64 [h, w], 0 where there is no polygon, 1…K for the classes.

    Differs from torchgeo's VectorDataset: layers are read once and searched by a spatial index, not read again for
    every chip; a class field may hold words; pixels between touching objects are background (see `burn_shapes`); and
    what is labelled is the whole of the rasters, not the box around the polygons, so that a scene's empty margin is
    known to be empty.

    Args:
        paths: vector layers in any CRS and format that OGR reads.
        images: the rasters that they label.
        class_field: the attribute that holds an object's class; None if there is only one. It bears the name that all
            objects have in their attribute "class", as in layers of `predict`, else "object".
        classes: the classes in their order; None for those that occur, sorted.

    Attributes:
        classes: names of the classes; their numbers are 1, 2, …
        objects: GeoDataFrame of all polygons in the CRS of the rasters, with the column "label".

    Raises:
        VectorError: a layer cannot be read, lacks a CRS or the class field, or a raster has no polygon on it.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        images: SceneImages,
        class_field: str | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:
        self.paths = [str(path) for path in paths]
        crs = CRS.from_wkt(images.crs.to_wkt())
        if class_field is None and classes is not None and len(classes) != 1:
            raise VectorError(f"{len(classes)} classes were given, but no field that says which polygon is which")
        read = [read_polygons(path, crs) for path in self.paths]
        only = classes[0] if class_field is None and classes else _sole_class(read) or "object"
        layers = [_with_class(path, layer, class_field, only) for path, layer in zip(self.paths, read, strict=True)]
        objects = gpd.GeoDataFrame(pd.concat(layers, ignore_index=True), geometry="geometry", crs=images.crs)
        self.classes = _class_names(objects, class_field, classes)
        numbers = {name: number for number, name in enumerate(self.classes, start=1)}
        self.objects = objects[objects["class"].isin(numbers)].reset_index(drop=True)
        self.objects["label"] = self.objects["class"].map(numbers).astype(np.int64)
        for path, area in zip(images.index.filepath, images.index.geometry, strict=True):
            if not len(self.objects.sindex.query(area, predicate="intersects")):
                raise VectorError(
                    f"no polygon of {', '.join(self.paths)} lies on {path}; is it of another place? Leave the raster "
                    "out, or give its labels too"
                )
        # A box for the rasters as a whole; the intersection then leaves them as they are.
        self.index = gpd.GeoDataFrame(
            index=images.index.index[:1], geometry=[shapely.box(*images.index.total_bounds)], crs=images.crs
        )
        self._res = images.res

    def __getitem__(self, query: Query) -> dict[str, Any]:
        """The label map of the rectangle and resolution that a sampler asks for."""
        x, y, _ = self._disambiguate_slice(query)
        transform, height, width = grid_of(x, y)
        near = np.sort(self.objects.sindex.query(shapely.box(x.start, y.start, x.stop, y.stop)))
        chosen = self.objects.iloc[near]
        mask = burn_shapes(chosen.geometry.array, chosen["label"].to_numpy(np.uint8), height, width, transform)
        return {"mask": torch.from_numpy(mask).long()}


def grid_of(x: slice, y: slice) -> tuple[Affine, int, int]:
    """Transform, height and width of the grid that a query means, north up."""
    width, height = max(round((x.stop - x.start) / x.step), 1), max(round((y.stop - y.start) / y.step), 1)
    return Affine(x.step, 0, x.start, 0, -y.step, y.stop), height, width


def _sole_class(layers: Sequence[gpd.GeoDataFrame]) -> str | None:
    """What all objects are in the attribute "class"; None if they do not have it, or are of several."""
    names = {name for layer in layers for name in (layer["class"] if "class" in layer.columns else (None,))}
    name = names.pop() if len(names) == 1 else None
    return name if isinstance(name, str) and name.strip() else None


def _with_class(path: str, layer: gpd.GeoDataFrame, class_field: str | None, only: str) -> gpd.GeoDataFrame:
    if class_field is None:
        return gpd.GeoDataFrame({"class": only}, geometry=layer.geometry, index=layer.index)
    if class_field not in layer.columns:
        fields = ", ".join(str(name) for name in layer.columns if name != layer.geometry.name)
        raise VectorError(f"{path} has no field {class_field!r} for the class; it has {fields or 'none'}")
    values = layer[class_field]
    if values.isna().any():
        raise VectorError(
            f"{int(values.isna().sum())} of {len(values)} polygons of {path} have no {class_field!r}; fill it in, or "
            "delete them"
        )
    whole = pd.api.types.is_float_dtype(values) and (values % 1 == 0).all()
    names = (values.astype(np.int64) if whole else values).astype(str)
    return gpd.GeoDataFrame({"class": names}, geometry=layer.geometry, index=layer.index)


def _class_names(objects: gpd.GeoDataFrame, class_field: str | None, classes: Sequence[str] | None) -> tuple[str, ...]:
    there = set(objects["class"])
    if classes is None:
        names = tuple(sorted(there, key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name)))
        if len(names) > MAX_CLASSES:
            raise VectorError(f"{class_field!r} holds {len(names)} classes; expected at most {MAX_CLASSES}")
        return names
    if missing := [name for name in classes if name not in there]:
        raise VectorError(f"no polygon has {class_field} {missing[0]!r}; there are {', '.join(sorted(there)[:20])}")
    return tuple(classes)
