import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from weft_geo import __version__
from weft_geo.errors import CrsError, InterruptedRunError, PartialRunError, RunError
from weft_geo_cli.main import Application, exit_code, weft_geo
from weft_geo_cli.progress import Console

WEFT_GEO = [sys.executable, "-m", "weft_geo_cli.main"]
COMMANDS = ["predict", "vectorize", "evaluate", "preview", "sample", "info", "models", "export", "doctor"]


def test_version(run):
    assert run("--version").stdout == f"weft-geo {__version__}\n"


def test_help_lists_the_commands_in_the_order_of_use(run):
    text = run("--help").stdout
    places = [text.index(f"\n  {command} ") for command in COMMANDS]
    assert places == sorted(places)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_every_command_is_explained(run, command):
    assert "\\b" not in run(command, "--help").stdout  # what keeps lines apart for click is one character
    for parameter in weft_geo.commands[command].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_help_is_quick_and_imports_no_rasters():
    """Prints the time; the limit of 0.4 s is for people, not for a busy test machine."""
    began = time.perf_counter()
    subprocess.run([*WEFT_GEO, "--help"], check=True, capture_output=True)
    print(f"weft-geo --help: {time.perf_counter() - began:.2f} s")
    code = "import sys, weft_geo_cli.main; print([m for m in ('numpy', 'rasterio', 'onnxruntime') if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert loaded.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict"], "Missing argument 'SCENE...'"),
        (["predict", "a.tif"], "Missing option '-o'"),
        (["predict", "a.tif", "-o", "b.gpkg", "--threshold", "7"], "'--threshold'"),
        (["predict", "a.tif", "-o", "b.gpkg", "--no-such-option"], "No such option"),
        (["no-such-command"], "No such command 'no-such-command'"),
        (["sample", "-o", "here", "--size", "axb"], "768x1024"),
        (["sample", "-o", "here", "--gsd", "nan"], "a ground sampling distance of nan m was asked for"),
        (["predict", "missing.tif", "-o", "b.gpkg", "--model", "missing.onnx"], "missing.onnx does not exist"),
        (["predict", "a.tif", "-o", "b.gpkg", "--model", "no-such-model"], "known: "),
        (["predict", "", "-o", "found"], "a word is empty; is a variable not set? See weft-geo --help"),
        (["sample", "-o", ""], "a word is empty"),
        (["evaluate", "--objects", "a.gpkg", "--truth", "b.gpkg", "--errors="], "--errors= is empty"),
        (["predict", "a.tif", "-o", "b.gpkg", "--mask", "."], ". is a folder; give a file"),
        (["predict", "a.tif", "-o", "b.gpkg", "--probability", "/"], f"{Path('/')} is a folder; give a file"),
        (["explain", "a.tif", "-o", "."], ". must end in .png"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(run, words, message):
    result = run(*words, code=2)
    assert result.stdout == ""
    assert result.stderr.startswith("weft-geo: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CrsError("scene.tif has no CRS"), 2),
        (RunError("the disk is full"), 1),
        (PartialRunError("3 of 5 scenes failed"), 3),
        (InterruptedRunError("stopped"), 130),
        (KeyboardInterrupt(), 130),
        (click.UsageError("no such thing"), 2),
        (FileNotFoundError(2, "No such file", "x.tif"), 1),
        (MemoryError("4 GiB"), 1),
        (ZeroDivisionError("surprise\nin two lines"), 1),
    ],
)
@pytest.mark.parametrize("mode", ["none", "json"])
def test_every_error_is_one_line_and_a_code(capsys, error, code, mode):
    console = Console()
    console.mode = mode
    assert exit_code(error, console) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith('{"event": "error"' if mode == "json" else "weft-geo: ")


def test_ctrl_c_says_what_the_library_knows_of_it():

    @click.group(cls=Application)
    def group():
        pass

    @group.command()
    def stopped():
        error = KeyboardInterrupt()
        error.add_note("what is finished is kept")
        raise error

    result = CliRunner().invoke(group, ["stopped"])
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1].endswith("nothing half-written is left; what is finished is kept")


@pytest.mark.parametrize("words", [("-v", "predict"), ("predict", "-v")])
def test_verbose_shows_where_an_error_came_from(run, words):
    result = run(*words, "a.tif", "-o", "b.gpkg", "--model", "missing.onnx", code=2)
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("weft-geo: ")


def test_library_warnings_are_one_line_each():

    @click.group(cls=Application)
    def group():
        pass

    @group.command()
    def warned():
        warnings.warn("look out\n  here", UserWarning, stacklevel=1)

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        result = CliRunner().invoke(group, ["warned"])
    assert result.exit_code == 0
    assert result.stderr == "warning: look out here\n"


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_with_130_and_nothing_half_written(tmp_path, scene, model, number):
    source = scene(squares=60)
    words = ["predict", source, "-o", tmp_path / "o.gpkg", "--model", model, "--progress", "json"]
    slow = ["--window", "16", "--overlap", "14", "--batch-size", "1"]
    with subprocess.Popen([*WEFT_GEO, *map(str, words), *slow], stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if '"progress"' in line:
                process.send_signal(number)
                break
        rest = process.stderr.read()
    assert process.returncode == 130
    assert "nothing half-written" in rest or "no output was written" in rest
    assert "Traceback" not in rest
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


def test_who_starts_it_may_end_it_by_its_stdin(tmp_path, scene, model):
    """As QGIS does on Windows, where a process without a console hears no signal; Ctrl-C does no more."""
    source = scene(squares=60)
    words = ["predict", source, "-o", tmp_path / "o.gpkg", "--model", model, "--progress", "json"]
    command = [*WEFT_GEO, *map(str, words), "--window", "16", "--overlap", "14", "--batch-size", "1"]
    held = os.environ | {"WEFT_GEO_STOP_WITH_STDIN": "1", "PYTHONUTF8": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", env=held
    ) as process:
        next(line for line in process.stderr if '"progress"' in line)
        process.stdin.close()
        rest = process.stderr.read()
    assert process.returncode == 130
    assert "nothing half-written" in rest
    assert [path.name for path in tmp_path.iterdir()] == [source.name]
    assert subprocess.run([*WEFT_GEO, "models"], stdin=subprocess.DEVNULL, capture_output=True).returncode == 0
    gone = subprocess.run([*WEFT_GEO, "doctor"], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=held)
    assert gone.returncode == 130
    assert gone.stderr.strip() == "weft-geo: interrupted; nothing half-written is left"  # click may end the line first


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_a_closed_pipe_is_no_traceback():
    shell = f"{' '.join(WEFT_GEO)} --help | head -c 1"
    assert "Traceback" not in subprocess.run(["sh", "-c", shell], capture_output=True, text=True).stderr


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("train --images a.tif --labels a.gpkg -o run", "training"),
        ("evaluate x.safetensors --dataset ecssd --data-root data", "a benchmark as a torchgeo dataset"),
        ("explain a.png -o b.png", "building a model"),
    ],
)
def test_what_needs_the_train_extra_says_how_to_get_it(tmp_path, words, what):
    code = (
        "import sys; sys.modules |= dict.fromkeys(('torch', 'timm', 'lightning', 'yaml', 'jsonargparse'))\n"
        "from weft_geo_cli.main import main; main()"
    )
    (tmp_path / "a.png").touch()
    command = [sys.executable, "-c", code, *words.split()]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    needs = f'weft-geo: {what} needs the "train" extra: pip install "weft-geo[train]"\n'
    assert (done.returncode, done.stderr) == (2, needs)
    assert [item.name for item in tmp_path.iterdir()] == ["a.png"]


VECTOR = (
    "threshold",
    "crs",
    "outline",
    "min-area-m2",
    "min-hole-m2",
    "simplify",
    "regularize",
    "max-memory",
    "overwrite",
)
PREDICT = (
    *VECTOR, "model", "window", "overlap", "batch-size", "device", "precision", "bands", "gsd", "tta", "aoi", "mask",
    "probability", "resume", "no-resume", "workers", "engine", "dry-run", "progress", "output",
)  # fmt: skip
TRAIN = ("dataset", "data-root", "images", "labels", "config", "output")
EVALUATE = ("dataset", "data-root", "predictions", "objects", "truth")


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("predict", PREDICT),
        ("vectorize", (*VECTOR, "progress", "output")),
        ("train", TRAIN),
        ("evaluate", EVALUATE),
        ("export", ("output", "check")),
        ("sample", ("output",)),
    ],
)
def test_options_that_programs_rely_on(command, options):
    known = {name for option in weft_geo.commands[command].params for name in (*option.opts, *option.secondary_opts)}
    assert not {f"--{name}" for name in options} - known


def test_no_command_shows_the_help_as_it_is(run):
    assert run(code=2).stderr.splitlines()[:2] == run("--help").stdout.splitlines()[:2]


def test_onnx_runtime_reports_nothing(tmp_path):
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"} | home
    code = "from weft_geo import load_predictor; load_predictor('embedded')"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "words",
    [
        ("preview", "scene.tif", "o.gpkg", "-o", "missing/p.png"),
        ("explain", "scene.tif", "-o", "missing/p.png"),
        ("export", "model.safetensors", "-o", "missing/m.onnx"),
    ],
)
def test_a_missing_folder_is_wrong_input(run, words):
    assert "the folder missing does not exist" in run(*words, code=2).stderr


def test_what_may_not_be_read_is_wrong_input(capsys):
    assert exit_code(PermissionError(13, "Permission denied", "a.tif"), Console()) == 2
    said = "weft-geo: a.tif may not be read or written: Permission denied; give another one, or get the right to\n"
    assert capsys.readouterr().err == said
