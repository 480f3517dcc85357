import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest

from weft_geo.inference.backends import NAMED_MODELS
from weft_geo_cli.doctor import BASE, EXTRAS, _version


def test_doctor_finds_what_predicting_needs(run):
    findings = json.loads(run("doctor", "--json").stdout)
    assert {finding["level"] for finding in findings} <= {"ok", "missing"}
    assert {"weft-geo", "geospatial", "model", "devices", "this folder"} <= {finding["topic"] for finding in findings}
    assert "+ geospatial   GDAL" in run("doctor").stdout


def test_doctor_looks_for_all_that_an_installation_asks_for():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def named(requirements):
        asked = [line for line in requirements if "sys_platform" not in line]
        return sorted(re.split(r"[<>=;]", line)[0].lower() for line in asked)

    assert sorted(BASE) == named(project["dependencies"])
    for extra, names in EXTRAS.items():
        assert sorted(names) == named(project["optional-dependencies"][extra])


def test_doctor_takes_another_build_of_opencv_for_it(monkeypatch):
    def version(name):
        if name == "opencv-python":
            return "4.12"
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    assert _version("opencv-python-headless") == "opencv-python 4.12"
    assert _version("peft") is None


def test_doctor_names_what_hides_the_data_of_proj(tmp_path):
    """A broken environment variable, as other software leaves behind, is found and named."""
    code = "import sys; sys.argv = ['weft-geo', 'doctor']; from weft_geo_cli.main import main; main()"
    environment = {"PROJ_DATA": str(tmp_path), "PROJ_LIB": str(tmp_path), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert "Traceback" not in done.stderr
    if done.returncode:
        assert f"unset PROJ_DATA={tmp_path}" in done.stdout


def test_models_lists_every_name(run):
    report = json.loads(run("models", "--json").stdout)
    assert [model["name"] for model in report["shipped"]] == list(NAMED_MODELS)
    assert all(model["installed"] for model in report["shipped"])
    text = run("models").stdout
    assert "embedded" in text
    if find_spec("torch"):
        assert "weft-large" in report["trainable"]


@pytest.mark.parametrize("words", [["models"], ["datasets"], ["datasets", "show", "eorssd"], ["train", "--help"]])
def test_what_only_tells_of_names_loads_no_torch(words):
    code = (
        "import sys; from weft_geo_cli.main import weft_geo\n"
        f"try: weft_geo.main({words})\n"
        "finally: print([name for name in ('torch', 'torchvision', 'timm', 'lightning') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_without_torch_models_says_how_to_get_what_can_be_trained():
    code = (
        "import sys; sys.modules |= dict.fromkeys(['torch', 'timm']); from weft_geo_cli.main import weft_geo;"
        "weft_geo.main(['models'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "embedded     building" in done.stdout
    assert 'not installed: pip install "weft-geo[train]"' in done.stdout
    assert "weft-large" not in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--images", "a.tif", "--labels", "b.gpkg", "-o", "run"],
        ["export", "part.safetensors", "-o", "m.onnx"],
        ["explain", "a.tif", "-o", "x.png", "--model", "part.safetensors"],
        ["predict", "a.tif", "-o", "x.gpkg", "--model", "part.safetensors"],
    ],
)
def test_without_torch_what_needs_it_names_the_extra(words, tmp_path):
    (tmp_path / "part.safetensors").touch()
    code = (
        "import sys; sys.modules |= dict.fromkeys(['torch', 'timm']); from weft_geo_cli.main import weft_geo;"
        f"weft_geo.main({words})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.endswith('needs the "train" extra: pip install "weft-geo[train]"\n')


@pytest.mark.slow
def test_an_exported_checkpoint_keeps_its_contract(run, tmp_path):
    torch = pytest.importorskip("torch")
    from weft_geo.geo.contract import ModelContract
    from weft_geo.models import Weft, WeftConfig, save_checkpoint

    torch.manual_seed(0)
    shape = {"embed_dim": 32, "depth": 4, "num_heads": 2, "stage_ends": (1, 2, 3, 4), "injection_heads": 2}
    small = {
        "expert_kernel_sizes": (1, 3),
        "top_k": 1,
        "inner_channels": 16,
        "decoder_dim": 32,
        "num_queries": 4,
        "decoder_layers": 2,
        "pixel_layers": 1,
    }
    config = WeftConfig(classes=("roof",), train_trunk=True, last_stage_enhancers=1, **shape, **small)
    contract = ModelContract(classes=("roof",), window=64, overlap=16, gsd_m=0.5, mean=128.0, std=64.0, name="small")
    save_checkpoint(Weft(config, contract), tmp_path / "small.safetensors", adapter_only=False)
    assert "differs from torch by" in run("export", "small.safetensors", "-o", "small.onnx", "--check").stderr
    assert "--overwrite" in run("export", "small.safetensors", "-o", "small.onnx", code=2).stderr
    report = json.loads(run("info", "small.onnx", "small.safetensors", "--json").stdout)
    exported, trained = (report[f"small{suffix}"]["contract"] for suffix in (".onnx", ".safetensors"))
    kept = ("bands", "classes", "window", "gsd_m", "scale", "mean", "std", "name", "threshold")
    assert [exported[key] for key in kept] == [trained[key] for key in kept]


@pytest.mark.slow
def test_an_adapter_and_its_trunk_become_a_model_that_predicts(run, tmp_path):
    pytest.importorskip("torch")
    from weft_geo.models import build_model, save_checkpoint

    whole = build_model("weft-tiny", train_trunk=False)
    for run_folder, name in (("part", "adapter"), ("full", "model")):
        (tmp_path / run_folder).mkdir()
        save_checkpoint(whole, tmp_path / run_folder / f"{name}.safetensors", adapter_only=name == "adapter")
    words = ("predict", "x.tif", "-o", "o.gpkg", "--model")
    assert "weft-geo export --trunk makes one file of both" in run(*words, "part/adapter.safetensors", code=2).stderr
    assert "weft-geo export part --trunk FILE -o model.onnx makes one" in run(*words, "part", code=2).stderr
    (tmp_path / "empty").mkdir()
    assert "empty holds no model" in run(*words, "empty", code=2).stderr
    assert "give the trunk it was trained on" in run("export", "part", "-o", "m.onnx", code=2).stderr
    assert "differs from torch by" in run("export", "part", "-o", "m.onnx", "--trunk", "full", "--check").stderr
    run("sample", "-o", "demo", "--size", "256")
    run("predict", "demo/scene.tif", "-o", "o.gpkg", "--model", "m.onnx", "--window", "256")
    run("predict", "demo/scene.tif", "-o", "again.gpkg", "--model", "full", "--window", "256")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gone.safetensors", "-o", "m.onnx"], "gone.safetensors does not exist"),
        (["gone.safetensors", "-o", "m.pth"], "must end in .onnx"),
    ],
)
def test_export_refusals(run, words, message):
    assert message in run("export", *words, code=2).stderr


def test_the_checkpoint_of_the_package_is_known_by_the_names_of_its_model(run, monkeypatch):
    pytest.importorskip("torch", reason="needs the train extra")
    from weft_geo.models import checkpoint, export

    assert set(checkpoint.EMBEDDED) == set(NAMED_MODELS)
    report = export.ExportReport(Path("m.onnx"), 5_000_000, None)
    monkeypatch.setattr(export, "export_onnx", lambda model, path, check: report)
    for name in NAMED_MODELS:
        assert f"{name} → m.onnx (5.0 MB)" in run("export", name, "-o", "m.onnx").stderr


def test_doctor_says_whether_cuda_starts_where_it_should(monkeypatch):
    from weft_geo_cli.doctor import _devices

    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: providers)
    (_, cuda) = _devices()
    assert cuda.level == "missing"
    assert "could not start CUDA for device cuda; it needs a driver, and CUDA and cuDNN" in cuda.text


def test_doctor_goes_on_where_there_is_no_temporary_folder(run, monkeypatch):
    def none():
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr("tempfile.gettempdir", none)
    said = run("doctor").stdout
    assert (
        "- temporary    there is none: No usable temporary directory found in ['/tmp']; let TMPDIR name another" in said
    )
