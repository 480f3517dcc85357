import json
import sys
from pathlib import Path

import pytest

from weft_geo.errors import InputError
from weft_geo_cli.scenes import find_scenes, name_outputs


def paths(*names: str) -> tuple[str, ...]:
    """The names as the system writes them."""
    return tuple(str(Path(name)) for name in names)


@pytest.fixture
def folder(tmp_path, monkeypatch, scene):
    """many/ with the scenes a and b, what is no scene, and another folder."""
    monkeypatch.chdir(tmp_path)
    Path("many/below").mkdir(parents=True)
    for name in ("b.tif", "a.TIF", "below/c.tif", ".hidden.vrt"):
        scene(squares=2, name=f"many/{name}")
    for name in ("a.TIF.aux.xml", "notes.txt", "picture.png"):
        Path("many", name).touch()
    return Path("many")


def test_a_folder_stands_for_the_rasters_directly_in_it(run, folder, model, tmp_path):
    run("predict", folder, "-o", "out", "--model", model)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.gpkg", "b.gpkg", "ledger.json"]
    assert "2 scenes cannot go into the one file" in run("predict", folder, "-o", "o.gpkg", code=2).stderr


def test_a_folder_with_one_raster_is_one_scene_and_its_outputs_are_none(run, folder, model):
    for _ in range(2):  # by then its mask lies there too
        run("predict", "many/below", "-o", "o.gpkg", "--mask", "many/below/m.tif", "--overwrite", "--model", model)
    Path("many/below/c.tif").unlink()
    said = run("predict", "many/below", "-o", "o.gpkg", "--overwrite", "--model", model, code=2).stderr
    below = Path("many/below")
    assert f"the folder {below} holds no raster (.tif, .tiff, .jp2, .vrt, .img) but outputs of weft-geo" in said


@pytest.mark.parametrize("words", [("empty",), ("--scenes", "list.txt")])
def test_a_folder_without_rasters_says_so(run, model, tmp_path, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.txt").write_text("empty")
    said = run("predict", *words, "-o", "out", "--model", model, code=2).stderr
    assert "the folder empty holds no raster (.tif, .tiff, .jp2, .vrt, .img); give another one" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_a_raster_stays_one(folder, monkeypatch):
    from contextlib import nullcontext

    Path("cube.zarr").mkdir()
    monkeypatch.setattr("weft_geo_cli.scenes.open_raster", lambda path: nullcontext())
    assert find_scenes(["cube.zarr"], None) == ("cube.zarr",)


PRODUCT = """<n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd">
<n1:General_Info><Product_Info><PROCESSING_LEVEL>Level-2A</PROCESSING_LEVEL><PRODUCT_TYPE>S2MSI2A</PRODUCT_TYPE>
<Query_Options completeSingleTile="true"><PRODUCT_FORMAT>SAFE_COMPACT</PRODUCT_FORMAT></Query_Options>
<Product_Organisation><Granule_List>
<Granule granuleIdentifier="S2A_OPER_MSI_L2A_TL_MTI__20180818T120345_A1_T34VFJ_N02.08">
<IMAGE_FILE>GRANULE/A/IMG_DATA/R10m/T34VFJ_20180818T094031_B02_10m</IMAGE_FILE></Granule></Granule_List>
</Product_Organisation></Product_Info></n1:General_Info></n1:Level-2A_User_Product>"""
GRANULE = """<n1:Level-2A_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-2A_Tile_Metadata.xsd">
<n1:Geometric_Info><Tile_Geocoding><HORIZONTAL_CS_CODE>EPSG:32634</HORIZONTAL_CS_CODE></Tile_Geocoding>
</n1:Geometric_Info></n1:Level-2A_Tile_ID>"""


@pytest.mark.parametrize("command", ["predict", "info"])
def test_the_folder_of_a_sentinel_2_product_leads_to_its_rasters(run, model, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    Path("S2A.SAFE/GRANULE/A").mkdir(parents=True)
    Path("S2A.SAFE/MTD_MSIL2A.xml").write_text(PRODUCT)
    said = run("info", "S2A.SAFE/MTD_MSIL2A.xml", code=2).stderr
    assert "MTD_MSIL2A.xml holds no bands and leads to no raster; are files missing beside it?" in said
    Path("S2A.SAFE/GRANULE/A/MTD_TL.xml").write_text(GRANULE)
    Path("S2A.SAFE/INSPIRE.xml").touch()
    arguments = ["-o", "o.gpkg", "--model", model] if command == "predict" else []
    said = run(command, "S2A.SAFE", *arguments, code=2).stderr
    if command == "info":
        assert said.endswith(f"give {Path('S2A.SAFE/MTD_MSIL2A.xml')}\n")
        said = run(command, "S2A.SAFE/MTD_MSIL2A.xml", code=2).stderr
    product = "S2A.SAFE/MTD_MSIL2A.xml" if command == "info" else Path("S2A.SAFE/MTD_MSIL2A.xml")
    assert f"{product} holds no bands itself but 4 rasters; give one: SENTINEL2_L2A:" in said
    assert ":TCI:EPSG_32634" in said  # the last of them is the one to look at


def test_patterns_that_no_shell_has_expanded(folder, scene):
    assert find_scenes(["many/[b-z]*.tif"], None) == paths("many/b.tif")
    assert find_scenes(["many/**/[b-z]*.tif"], None) == paths("many/b.tif", "many/below/c.tif")
    assert find_scenes(["many/b*"], None) == paths("many/b.tif", "many/below/c.tif")
    scene(name="many/odd[1].tif")
    assert find_scenes(["many/odd[1].tif", "./many//odd[1].tif"], None) == ("many/odd[1].tif",)
    far = ("https://host/a.tif", "https://host//a.tif", "s3://bucket/./a.tif", "s3://bucket/a.tif")  # are four
    assert find_scenes([*far, far[0]], None) == far
    with pytest.raises(InputError, match=r"nothing matches many/\*\.jp2; give rasters that are there"):
        find_scenes(["many/*.jp2"], None)


def test_what_is_far_away_or_not_there_stays_as_it_is():
    words = ("https://host/a.tif?key=1", "/vsizip/x.zip/a[1].tif", 'NETCDF:"a*.nc":band', "gone.tif")
    assert find_scenes(words, None) == words


def test_a_list_of_scenes(run, folder, model, tmp_path):
    (tmp_path / "list.txt").write_text("\ufeff# of May\n\n many/below\nmany/a.TIF\n", encoding="utf-8")
    run("predict", "many/b.tif", "--scenes", "list.txt", "-o", "out", "--model", model)
    ledger = json.loads((tmp_path / "out/ledger.json").read_text())
    assert [entry["scene"] for entry in ledger] == ["many/b.tif", *paths("many/below/c.tif"), "many/a.TIF"]
    there = [Path(scene) for scene in find_scenes(["many"], "list.txt")]
    assert there == [Path("many/a.TIF"), Path("many/b.tif"), Path("many/below/c.tif")]
    (tmp_path / "list.txt").write_text("# none\n")
    assert (
        "list.txt names no scene; write one path a line"
        in run("predict", "--scenes", "list.txt", "-o", "out", code=2).stderr
    )
    (tmp_path / "list.txt").write_bytes(b"II*\0\xff\xfe")
    assert (
        "list.txt cannot be read as a list of scenes: it is no text"
        in run("predict", "--scenes", "list.txt", "-o", "out", code=2).stderr
    )
    assert "No such file" in run("predict", "--scenes", "gone.txt", "-o", "out", code=2).stderr


def test_a_list_of_scenes_on_stdin(folder, model):
    from click.testing import CliRunner

    from weft_geo_cli.main import weft_geo

    words = ["predict", "--scenes", "-", "-o", "o.gpkg", "--model", str(model)]
    result = CliRunner().invoke(weft_geo, words, input="many/b.tif\n")
    assert result.exit_code == 0, result.output
    assert Path("o.gpkg").exists()


def test_no_scene_at_all_names_the_ways_to_give_some(run):
    said = run("predict", "-o", "out", code=2).stderr
    assert "Missing argument 'SCENE...'. Give a raster, a folder of rasters, or a list of them with --scenes" in said


def test_scenes_of_equal_names_are_told_apart_by_their_folders(run, scene, model, tmp_path):
    for place in ("t/a", "t/b/c"):
        (tmp_path / place).mkdir(parents=True)
    scenes = [scene(2, name="t/a/visual.tif"), scene(3, name="t/b/c/visual.tif"), scene(2, name="other.tif")]
    run("predict", *scenes, "-o", "out", "--mask", "masks", "--model", model)
    names = {"a_visual", "b_c_visual", "other"}
    assert {path.stem for path in (tmp_path / "out").glob("*.gpkg")} == names
    assert {path.name for path in (tmp_path / "masks").iterdir()} == {f"{name}_mask.tif" for name in names}


def test_names_of_outputs():
    assert name_outputs(["t/v.tif", "t/a/v.tif", "u.tif"]) == ["v", "a_v", "u"]
    assert name_outputs(["https://h/a/B4.tif", "https://h/b/B4.tif"]) == ["a_B4", "b_B4"]
    with pytest.raises(InputError, match=r"t/a/v\.tif and a_v\.tif would both become a_v"):
        name_outputs(["t/a/v.tif", "t/v.tif", "a_v.tif"])


@pytest.mark.skipif(sys.platform == "win32", reason="its folders have other rights")
@pytest.mark.parametrize("rights", [0o000, 0o111, 0o444])
def test_a_folder_that_may_not_be_looked_into_is_not_said_to_be_empty(ordinary_folder, rights):
    closed = ordinary_folder / "closed"
    closed.mkdir()
    (closed / "a.tif").touch()
    closed.chmod(rights)
    for word in (closed, closed / "*.tif") if rights == 0o000 else (closed,):
        with pytest.raises(InputError, match="closed cannot be looked into: Permission denied; see to it"):
            find_scenes([str(word)], None)
    assert find_scenes([str(closed / "a.tif")], None) == (str(closed / "a.tif"),)  # the others may be read
