"""Rasters over HTTP and in archives: a server on the loopback that answers ranges, and fails now and then."""

import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import rasterio

from weft_geo.errors import RasterError, RunError
from weft_geo.geo import remote
from weft_geo.geo.ground import Resampling
from weft_geo.geo.raster import open_raster
from weft_geo.geo.remote import is_remote

MakeRaster = Callable[..., Path]


class Server(ThreadingHTTPServer):
    """Serves the files of a folder; every request for which `fails` says so breaks off or answers with a code."""

    daemon_threads = True
    folder: Path
    fails: Callable[[int], str]
    requests = 0


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(False)

    def do_GET(self) -> None:
        self._answer(True)

    def _answer(self, body: bool) -> None:
        self.server.requests += 1
        fault = self.server.fails(self.server.requests)
        if fault == "break":
            self.close_connection = True
            return
        path = self.server.folder / unquote(self.path).strip("/")
        if fault or not path.is_file():
            self.send_response(int(fault or 404))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = path.read_bytes()
        first, last = 0, len(data) - 1
        if wanted := self.headers.get("Range"):
            begin, _, end = wanted.removeprefix("bytes=").partition("-")
            first, last = int(begin), min(int(end or last), last)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        if body:
            self.wfile.write(data[first : last + 1])

    def log_message(self, format: str, *args: object) -> None:
        """The tests' output stays clean."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(remote, "WAITS", (0.01, 0.02, 0.04))
    monkeypatch.setitem(remote.NETWORK_OPTIONS, "GDAL_HTTP_RETRY_DELAY", "0.01")
    with Server(("127.0.0.1", 0), Handler) as http:
        http.folder, http.fails = tmp_path, lambda number: ""
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield http
        http.shutdown()
        thread.join()


def url(server: Server, path: Path) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/{path.name}"


@pytest.mark.parametrize("fault", ["", "503", "break"])
def test_a_server_that_fails_now_and_then(make_raster: MakeRaster, server: Server, fault: str) -> None:
    values = np.random.default_rng(0).integers(0, 256, (3, 1200, 900))
    path = make_raster(values, name=f"far{fault}.tif", tiled=True, blockxsize=256, blockysize=256)
    server.fails = lambda number: fault if number % 3 == 0 else ""
    with open_raster(url(server, path)) as raster:
        for top in range(0, 1200, 100):
            np.testing.assert_array_equal(raster.read((1, 2, 3), top, 0, 100, 900), values[:, top : top + 100])
    assert server.requests > 3


def test_a_server_that_goes_away_is_said_in_one_line(make_raster: MakeRaster, server: Server) -> None:
    path = make_raster(height=3000, width=900, name="gone.tif", tiled=True, blockxsize=256, blockysize=256)
    with open_raster(url(server, path)) as raster:
        server.fails = lambda number: "503"
        with pytest.raises(RunError, match=r"gone\.tif cannot be read in rows 2500 to 2599: .*the server or the netw"):
            raster.read((1,), 2500, 0, 100, 900)


def test_a_file_that_is_not_there(server: Server) -> None:
    with pytest.raises(RasterError, match="cannot be opened as a raster"), open_raster(url(server, Path("none.tif"))):
        pass


def test_a_bucket(make_raster: MakeRaster, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What S3 is asked for with anonymous access: a bucket is a folder of the server then."""
    (server.folder / "bucket").mkdir()
    values = np.random.default_rng(0).integers(0, 256, (3, 300, 200))
    make_raster(values, name="bucket/in S3.tif", tiled=True, blockxsize=64, blockysize=64)
    for name, value in {
        "AWS_S3_ENDPOINT": f"127.0.0.1:{server.server_address[1]}",
        "AWS_HTTPS": "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
        "AWS_NO_SIGN_REQUEST": "YES",
    }.items():
        monkeypatch.setenv(name, value)
    server.fails = lambda number: "503" if number % 3 == 0 else ""
    for path in ("s3://bucket/in S3.tif", "/vsis3/bucket/in S3.tif"):
        with open_raster(path) as raster:
            np.testing.assert_array_equal(raster.read((1, 2, 3), 0, 0, 300, 200), values)


@pytest.mark.parametrize(
    ("code", "meaning"), [("404", "has no such file"), ("403", "the credentials"), ("401", "wants to know who asks")]
)
def test_a_server_that_refuses_is_not_asked_again(
    server: Server, monkeypatch: pytest.MonkeyPatch, code: str, meaning: str
) -> None:
    monkeypatch.setattr(remote, "WAITS", (60.0,))
    server.fails = lambda number: code
    # A name of its own each, since GDAL remembers the answer.
    refused = pytest.raises(RasterError, match=f"cannot be opened as a raster: the server .*{meaning}")
    with refused, open_raster(url(server, Path(f"{code}.tif"))):
        pass
    assert server.requests <= 2


def test_a_raster_in_an_archive(make_raster: MakeRaster, tmp_path: Path) -> None:
    path = make_raster()
    with zipfile.ZipFile(tmp_path / "scenes.zip", "w") as archive:
        archive.write(path, "inner/scene.tif")
    inside = f"/vsizip/{tmp_path / 'scenes.zip'}/inner/scene.tif"
    with pytest.raises(RasterError, match=f"is an archive; give the raster in it: {re.escape(inside)}$"):
        open_raster(tmp_path / "scenes.zip").__enter__()
    with open_raster(inside) as zipped, open_raster(path) as plain:
        np.testing.assert_array_equal(zipped.whole((1, 2, 3))[0], plain.whole((1, 2, 3))[0])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("https://a/b.tif", True),
        ("s3://a/b.tif", True),
        ("/vsizip//vsicurl/https://a/b.zip/c.tif", True),
        ("/data/https.tif", False),
        ("C:\\s3\\a.tif", False),
        ("/vsizip/a.zip/b.tif", False),
    ],
)
def test_what_is_far_away(path: str, expected: bool) -> None:
    assert is_remote(path) is expected


def test_overviews_are_read_where_they_are_fine_enough(make_raster: MakeRaster) -> None:
    smooth = np.add.outer(np.arange(512), np.arange(512)) / 4
    path = make_raster(np.stack([smooth] * 3))
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4, 8], rasterio.enums.Resampling.average)
        dataset.write(np.full((3, 512, 512), 255, np.uint8))  # now the overviews alone hold the image
        dataset.update_tags(changed="yes")
    overview = {}
    with open_raster(path) as raster:
        for factor in (1.5, 2.0, 5.0):
            with raster.resampled(Resampling(factor, factor, "")) as coarse:
                overview[factor] = coarse.whole((1,))[0][0]
                assert coarse.info.transform.a == pytest.approx(0.5 * 512 / coarse.info.width)
                assert coarse.info.transform.c == 500_000
    assert (overview[1.5] == 255).all()
    rows = (np.arange(102) + 0.5) * 512 / 102 - 0.5
    np.testing.assert_allclose(overview[5.0], np.add.outer(rows, rows) / 4, atol=2)
    assert overview[2.0].max() < 256


VRT = """<VRTDataset rasterXSize="320" rasterYSize="256"><SRS>{crs}</SRS><GeoTransform>{place}</GeoTransform>
<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename>/vsis3/bucket/scene.tif</SourceFilename>
<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"""


@pytest.mark.parametrize("fault", ["", "503"])
def test_a_scene_in_a_bucket(
    make_raster: MakeRaster, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """GDAL's own client of S3 signs its requests and finds the server by AWS' own variables."""
    signed: list[str] = []

    def fails(number: int) -> str:
        return fault if number % 2 else ""

    class Bucket(Handler):
        def _answer(self, body: bool) -> None:
            signed.append(self.headers.get("Authorization", "none"))
            super()._answer(body)

    values = np.random.default_rng(0).integers(1, 255, (3, 256, 320)).astype(np.uint8)
    tiles = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
    (tmp_path / "bucket").mkdir()
    make_raster(values, name="bucket/scene.tif", **tiles)
    server.fails, server.RequestHandlerClass = fails, Bucket
    for name, value in {
        "AWS_S3_ENDPOINT": f"127.0.0.1:{server.server_address[1]}",
        "AWS_HTTPS": "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    vrt = tmp_path / "scene.vrt"
    with rasterio.Env(GDAL_NUM_THREADS="2"):  # as the engine has it; GDAL then swallows failures of a server
        with open_raster("s3://bucket/scene.tif") as raster:
            np.testing.assert_array_equal(raster.read((1, 2, 3), 0, 0, 256, 320), values)
            vrt.write_text(
                VRT.format(
                    place=str(raster.info.transform.to_gdal()).strip("()"), crs=raster.info.required_crs.to_wkt()
                )
            )
        with open_raster(vrt) as raster:
            rows = [raster.read((1,), top, 0, 64, 320) for top in range(0, 256, 64)]
            np.testing.assert_array_equal(np.concatenate(rows, axis=1), values[:1])
    assert signed
    assert all(line.startswith("AWS4-HMAC-SHA256 Credential=somebody/") for line in signed)


def test_what_lies_elsewhere_is_known_behind_vrts_of_vrts(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    inner, outer, itself = tmp_path / "inside" / "tile.vrt", tmp_path / "all.vrt", tmp_path / "itself.vrt"
    inner.write_text('<SourceFilename relativeToVRT="0">/vsicurl/http://example.org/a.tif</SourceFilename>')
    outer.write_text('<SourceFilename relativeToVRT="1">inside/tile.vrt</SourceFilename>')
    itself.write_text('<SourceFilename relativeToVRT="1">itself.vrt</SourceFilename>')
    assert [is_remote(str(vrt)) for vrt in (inner, outer, itself)] == [True, True, False]


SIDE_BY_SIDE = """<VRTDataset rasterXSize="192" rasterYSize="64"><SRS>EPSG:32633</SRS>
<GeoTransform>500000, 0.5, 0, 5000000, 0, -0.5</GeoTransform>
<VRTRasterBand dataType="Byte" band="1">{sources}</VRTRasterBand></VRTDataset>"""
SOURCE = """<SimpleSource><SourceFilename relativeToVRT="0">{name}</SourceFilename><SourceBand>1</SourceBand>
<SourceProperties RasterXSize="96" RasterYSize="64" DataType="Byte" BlockXSize="96" BlockYSize="64"/>
<SrcRect xOff="0" yOff="0" xSize="96" ySize="64"/><DstRect xOff="{left}" yOff="0" xSize="96" ySize="64"/>
</SimpleSource>"""


def side_by_side(path: Path, *names: str) -> Path:
    sources = [SOURCE.format(name=name, left=96 * number) for number, name in enumerate(names)]
    path.write_text(SIDE_BY_SIDE.format(sources="".join(sources)))
    return path


@pytest.mark.parametrize("code", ["404", "break"])
@pytest.mark.parametrize("change", [None, 0.5])
def test_a_far_tile_that_cannot_be_opened_is_not_black_the_second_time(
    make_raster: MakeRaster, server: Server, tmp_path: Path, code: str, change: float | None
) -> None:
    names = [f"/vsicurl/{url(server, make_raster(7, name=f'{side}-{code}-{change}.tif'))}" for side in ("l", "r")]
    vrt = side_by_side(tmp_path / "both.vrt", *names)
    with ExitStack() as stack:
        grid = stack.enter_context(open_raster(vrt))
        if change is not None:
            grid = stack.enter_context(grid.resampled(Resampling(change, change, "")))
        if change is None:
            grid.read((1,), 0, 0, 64, 96)  # of the left one; a warped block takes both
        server.fails = lambda number: code
        for _ in range(3):
            with pytest.raises(RunError, match=r"both\.vrt cannot be read"):
                grid.read((1,), 0, 0, grid.info.height, grid.info.width)


def test_a_far_tile_that_is_not_there_is_said_at_once(
    make_raster: MakeRaster, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "WAITS", (60.0,))
    names = [f"/vsicurl/{url(server, path)}" for path in (make_raster(7, name="there.tif"), Path("missing.tif"))]
    with (
        open_raster(side_by_side(tmp_path / "both.vrt", *names)) as raster,
        pytest.raises(RunError, match="Of what it is read from, the server has no such file"),
    ):
        raster.read((1,), 0, 0, 64, 192)


def test_a_tile_that_another_vrt_lacked_is_not_black(make_raster: MakeRaster, tmp_path: Path) -> None:
    there = make_raster(7)
    with open_raster(side_by_side(tmp_path / "whole.vrt", str(there), str(there))) as whole:
        whole.read((1,), 0, 0, 64, 192)
        for number in range(3):
            lacking = side_by_side(tmp_path / f"{number}.vrt", str(there), str(tmp_path / "none.tif"))
            with open_raster(lacking) as raster, pytest.raises(RunError, match="cannot be read in rows 0 to 63"):
                raster.read((1,), 0, 0, 64, 192)


@pytest.mark.parametrize(
    "path",
    [
        "/vsizip//vsis3/bucket/a.zip/b.tif",
        "zip+s3://bucket/a.zip!b.tif",
        "/vsis3_streaming/bucket/a.tif",
        "/vsiadls/a/b.tif",
    ],
)
def test_archives_and_other_stores_are_far_away(path: str) -> None:
    assert is_remote(path)


def test_a_vrt_in_a_vrt_may_lead_far_away(tmp_path: Path) -> None:
    side_by_side(tmp_path / "inner & far.vrt", "/vsicurl/https://a/b.tif")
    outer = tmp_path / "outer.vrt"
    source = '<SourceFilename relativeToVRT="{}">{}inner &amp; far.vrt</SourceFilename>'
    for relative, folder in ((1, ""), (0, f"{tmp_path}/")):
        outer.write_text(source.format(relative, folder))
        remote._has_remote_sources.cache_clear()
        assert is_remote(str(outer))
    side_by_side(tmp_path / "near.vrt", "b.tif", "near.vrt")  # names itself, as no VRT should
    assert not is_remote(str(tmp_path / "near.vrt"))


def test_an_address_in_the_metadata_of_a_vrt_is_no_source(tmp_path: Path) -> None:
    """A VRT repeats what its tile says of itself; far away, masks and world files beside tiles are not seen."""
    vrt = tmp_path / "scene.vrt"
    software = '<Metadata><MDI key="TIFFTAG_SOFTWARE">https://example.org</MDI></Metadata>'
    source = "<SourceFilename>{}</SourceFilename>"
    for name, expected in (("near.tif", False), ("https://example.org/far.tif", True)):
        vrt.write_text(f"<VRTDataset>{software}{source.format(name)}{software}</VRTDataset>")
        remote._has_remote_sources.cache_clear()
        assert is_remote(str(vrt)) is expected
