"""Vectorising a raster of discs: weft-geo beside rasterio and a GeoDataFrame, and beside GDAL's own gdal_polygonize.py.

    python benchmarks/vectorize.py [--size 4096] [--discs 4096] [--raster MASK] [--tile SIDE] [--sparse] [--rows ROWS]

Each run is a process of its own; wall time and peak resident memory are printed, and their ratios. GDAL's own program
runs from file to file where it is installed.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

RUNS = ("weft-geo", "rasterio + GeoDataFrame", "gdal_polygonize.py")


def draw_discs(path: Path, size: int, discs: int) -> None:
    """A uint8 mask, 0 and 255, of discs of 6 to 22 pixels radius on a jittered grid."""
    import rasterio
    from affine import Affine
    from rasterio.windows import Window

    rng = np.random.default_rng(1)
    side = round(discs**0.5)
    pitch = size // side
    radius = rng.uniform(0.1, 0.35, (side, side)) * pitch
    centre = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), axis=-1) * pitch + pitch / 2
    centre += rng.uniform(-0.1, 0.1, centre.shape) * pitch
    profile: dict[str, Any] = {"driver": "GTiff", "count": 1, "height": size, "width": size, "dtype": "uint8"}
    profile |= {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "zlevel": 1}
    profile |= {"crs": "EPSG:32636", "transform": Affine(0.3, 0, 500_000, 0, -0.3, 5_000_000)}
    with rasterio.open(path, "w", **profile) as target:
        for i in range(side + (size % pitch > 0)):
            band = np.zeros((min(pitch, size - i * pitch), size), np.uint8)
            if i < side:
                rows = np.arange(i * pitch, i * pitch + len(band))[:, None] + 0.5
                for j in range(side):
                    cols = np.arange(j * pitch, (j + 1) * pitch)[None] + 0.5
                    inside = np.hypot(rows - centre[i, j, 0], cols - centre[i, j, 1]) <= radius[i, j]
                    band[:, j * pitch : (j + 1) * pitch] = inside * np.uint8(255)
            target.write(band, 1, window=Window(0, i * pitch, size, len(band)))


def draw_towns(path: Path, rows: int, cols: int, towns: int) -> None:
    """A sparse mask: towns of 484 discs on 2,530 × 2,530 pixels, and no block in the file where there is none."""
    import rasterio
    from affine import Affine
    from rasterio.windows import Window

    rng = np.random.default_rng(1)
    side, pitch = 22, 115
    centre = np.arange(pitch)[:, None] - pitch / 2 + 0.5, np.arange(pitch)[None] - pitch / 2 + 0.5
    profile: dict[str, Any] = {"driver": "GTiff", "count": 1, "height": rows, "width": cols, "dtype": "uint8"}
    profile |= {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "zlevel": 1}
    profile |= {"sparse_ok": True, "crs": "EPSG:32636", "transform": Affine(0.3, 0, 500_000, 0, -0.3, 5_000_000)}
    places = np.stack(np.meshgrid(np.arange(rows // 2560), np.arange(cols // 2560)), axis=-1).reshape(-1, 2) * 2560
    with rasterio.open(path, "w", **profile) as target:
        for top, left in rng.permutation(places)[:towns].tolist():
            radius = rng.uniform(6, 45, (side, side))
            discs = [[np.hypot(*centre) <= radius[i, j] for j in range(side)] for i in range(side)]
            town = np.block(discs) * np.uint8(255)
            target.write(town, 1, window=Window(left, top, side * pitch, side * pitch))


def tile_mask(source: Path, path: Path, side: int) -> None:
    """A real mask repeated until it fills a square."""
    import rasterio
    from rasterio.windows import Window

    with rasterio.open(source) as mask:
        block, crs, transform = mask.read(1), mask.crs, mask.transform
    profile: dict[str, Any] = {"driver": "GTiff", "count": 1, "height": side, "width": side, "dtype": "uint8"}
    profile |= {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "zlevel": 1}
    wide = np.tile(block, (1, -(-side // block.shape[1])))[:, :side]
    with rasterio.open(path, "w", crs=crs, transform=transform, **profile) as target:
        for top in range(0, side, len(block)):
            rows = wide[: side - top]
            target.write(rows, 1, window=Window(0, top, side, len(rows)))


def run_weft_geo(raster: Path, out: Path) -> int:
    from weft_geo.vector import vectorize_raster

    return vectorize_raster(raster, out, overwrite=True)


def run_rasterio(raster: Path, out: Path) -> int:
    import geopandas
    import rasterio
    import rasterio.features
    from shapely.geometry import shape

    with rasterio.open(raster) as source:
        array = source.read(1)
        shapes = rasterio.features.shapes(array, mask=array > 0, connectivity=8, transform=source.transform)
        frame = geopandas.GeoDataFrame(geometry=[shape(item) for item, _ in shapes], crs=source.crs)
    frame.to_file(out, layer="objects")
    return len(frame)


def run_gdal(raster: Path, out: Path) -> int:
    import pyogrio

    command = ["gdal_polygonize.py", "-q", "-8", "-mask", str(raster), str(raster), "-f", "GPKG", str(out), "objects"]
    subprocess.run(command, check=True)
    return int(pyogrio.read_info(out)["features"])


def child(name: str, raster: Path, out: Path) -> None:
    begin = time.perf_counter()
    count = dict(zip(RUNS, (run_weft_geo, run_rasterio, run_gdal), strict=True))[name](raster, out)
    seconds = time.perf_counter() - begin
    who = resource.RUSAGE_CHILDREN if name == RUNS[2] else resource.RUSAGE_SELF
    peak = resource.getrusage(who).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"objects": count, "seconds": seconds, "megabytes": peak / 1e6}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=4096, help="side of the raster of discs, pixels")
    parser.add_argument("--discs", type=int, help="how many (default: one every 64 × 64 pixels)")
    parser.add_argument("--sparse", action="store_true", help="a sparse mask of towns, 40 on 100,000 × 100,000 pixels")
    parser.add_argument("--rows", type=int, help="rows of the sparse mask (default: as many as columns)")
    parser.add_argument("--raster", type=Path, help="a mask of your own in place of the discs")
    parser.add_argument("--tile", type=int, help="repeat that mask to fill a square of this side")
    parser.add_argument("--only", choices=RUNS, help="one of them")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child[0], Path(options.child[1]), Path(options.child[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        raster = options.raster or Path(folder) / "mask.tif"
        if options.sparse:
            rows = options.rows or options.size
            draw_towns(raster, rows, options.size, max(1, round(40 * rows * options.size / 1e10)))
        elif options.raster is None:
            draw_discs(raster, options.size, options.discs or (options.size // 64) ** 2)
        elif options.tile:
            raster = Path(folder) / "tiled.tif"
            tile_mask(options.raster, raster, options.tile)
        results = {}
        for k, name in enumerate(RUNS):
            if options.only in (None, name) and (name != RUNS[2] or shutil.which(name)):
                command = [sys.executable, __file__, "--child", name, str(raster), str(Path(folder) / f"out{k}.gpkg")]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                results[name] = json.loads(done.stdout)
                print("{0:26} {objects:8d} objects {seconds:8.2f} s {megabytes:8.0f} MB".format(name, **results[name]))
        for name in RUNS[1:]:
            if name in results and RUNS[0] in results:
                ours, theirs = results[RUNS[0]], results[name]
                time_ratio, memory_ratio = theirs["seconds"] / ours["seconds"], theirs["megabytes"] / ours["megabytes"]
                print(f"{name} takes {time_ratio:.1f} × the time and {memory_ratio:.1f} × the memory")


if __name__ == "__main__":
    main()
