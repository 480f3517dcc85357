"""The house rules that a machine can hold: which room may know which, no cycles, no torch where none is promised."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

FOR_ALL = ("errors", "progress", "stdin", "version")
# What each room may import, itself and those aside.
MAY_IMPORT: dict[str, set[str]] = {
    "weft_geo": set(),
    "errors": set(),
    "progress": set(),
    "stdin": set(),
    "version": set(),
    "weights": set(),
    "geo": set(),
    "samplers": {"geo"},
    "datasets": {"geo", "samplers"},
    "models": {"geo", "datasets", "samplers"},
    "metrics": {"geo", "datasets", "samplers", "models"},
    "trainers": {"geo", "datasets", "samplers", "models", "metrics"},
    "vector": {"geo"},
    "inference": {"geo", "vector", "weights"},
    "cli": {
        "weft_geo",
        "geo",
        "datasets",
        "samplers",
        "models",
        "metrics",
        "trainers",
        "vector",
        "inference",
        "weights",
    },
}
# Doors between the rooms with and without torch: a backend, and the script that made the embedded model.
DOORS = {
    "weft_geo/inference/torch_backend.py": {"models"},
    "weft_geo/weights/train_default.py": {"geo", "datasets", "samplers", "models", "trainers"},
}

TORCH_FREE = ("errors", "progress", "stdin", "version", "weft_geo", "weights", "geo", "vector", "inference", "cli")
TORCH_FREE_FOLDERS = ("weft_geo/datasets/synthetic/",)
LEARNING = {"torch", "torchvision", "torchgeo", "lightning", "timm", "safetensors", "transformers", "scipy"}
# Imports of optional packages that are made where they are used, and survived where they are missing.
OPTIONAL = {
    "weft_geo/inference/torch_backend.py": {"torch"},
    "weft_geo/inference/gpu_lanes.py": {"torch"},
    "weft_geo/inference/torch_windows.py": {"torch"},
    "weft_geo/inference/ray_cluster.py": {"ray"},
    "weft_geo/weights/train_default.py": {"torch", "lightning"},
    "cli/doctor.py": {"torch"},
}


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    """The dotted name that a file is imported by."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[0] == "cli":
        parts[0] = "weft_geo_cli"
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    parts = module.split(".")
    return "cli" if parts[0] == "weft_geo_cli" else parts[1] if len(parts) > 1 else parts[0]


def imports(path: Path, module: str, known: set[str]) -> Iterator[str]:
    """Every module that a file imports, wherever in the file, blocks for type checkers aside.

    `from package import name` is the module `package.name` where there is one, else `package`.
    """
    pending: list[ast.AST] = [ast.parse(path.read_text("utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending.extend(node.orelse)
            continue
        pending.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
                base = ".".join([*here[: len(here) - node.level + 1], *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in known else base


FILES = sources("weft_geo", "cli")
MODULES = {module_of(path): path for path in FILES}
GRAPH = {module: set(imports(path, module, set(MODULES))) for module, path in MODULES.items()}


def is_torch_free(path: Path) -> bool:
    return room_of(module_of(path)) in TORCH_FREE or shown(path).startswith(TORCH_FREE_FOLDERS)


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module):
    room = room_of(module)
    allowed = MAY_IMPORT[room] | {room, *FOR_ALL} | DOORS.get(shown(MODULES[module]), set())
    ours = {name for name in GRAPH[module] if name.split(".")[0] in ("weft_geo", "weft_geo_cli", "cli")}
    wrong = sorted(name for name in ours if room_of(name) not in allowed)
    assert not wrong, f"{module} must not know {wrong}"


def test_there_is_no_cycle():
    state: dict[str, str] = {}

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert state.get(module) != "open", f"cycle: {' → '.join([*trail[trail.index(module) :], module])}"
        if module in state:
            return
        state[module] = "open"
        for name in sorted(GRAPH[module] & set(MODULES) - {module}):
            visit(name, (*trail, module))
        state[module] = "closed"

    for module in MODULES:
        visit(module, ())


@pytest.mark.parametrize("path", [path for path in FILES if is_torch_free(path)], ids=shown)
def test_torch_free_rooms_import_what_the_base_install_brings(path):
    declared = {text.split(">")[0].split("[")[0].strip().lower() for text in PROJECT["project"]["dependencies"]}
    allowed = declared | set(sys.stdlib_module_names) | {"weft_geo", "weft_geo_cli"}
    found = {name.split(".")[0] for name in GRAPH[module_of(path)]}
    wrong = sorted(found - allowed - OPTIONAL.get(shown(path), set()))
    assert not wrong, f"{shown(path)} imports {wrong}, which the base install does not bring"


def test_every_declared_dependency_is_used():
    """What nothing imports should not be installed; pyarrow and pyproj count where geopandas needs them."""
    used = {name.split(".")[0] for names in GRAPH.values() for name in names}
    names = {text.split(">")[0].split("[")[0].strip() for text in PROJECT["project"]["dependencies"]}
    provided = packages_distributions()
    modules = {name: {module for module, owners in provided.items() if name in owners} or {name} for name in names}
    assert not sorted(name for name in names if not modules[name] & used)


def test_importing_the_base_brings_no_torch_and_the_root_nothing_at_all():
    code = (
        "import json, sys, time; began = time.perf_counter(); import weft_geo; spent = time.perf_counter() - began;"
        "light = [m for m in ('numpy', 'rasterio', 'torch') if m in sys.modules];"
        "import weft_geo.inference, weft_geo.vector, weft_geo.datasets.synthetic, weft_geo_cli.main;"
        "from weft_geo.models import WeftConfig, model_names;"
        f"heavy = [m for m in {sorted(LEARNING)} if m in sys.modules];"
        "print(json.dumps([spent, light, heavy]))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    spent, light, heavy = json.loads(done.stdout)
    print(f"import weft_geo: {1000 * spent:.1f} ms (to stay under 50)")
    assert light == []
    assert heavy == []


def test_public_names_resolve():
    import weft_geo

    for name in weft_geo.__all__:
        if weft_geo._ROOM_OF.get(name) != "weft_geo.models":
            assert getattr(weft_geo, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = weft_geo.nothing
    assert set(weft_geo._ROOM_OF) | {"__version__"} == set(weft_geo.__all__)
    pytest.importorskip("torch", reason="needs the train extra")
    assert set(weft_geo.__all__) <= set(dir(weft_geo))


def test_without_torch_help_shows_what_there_is():
    code = (
        "import importlib.util, json, pydoc; found = importlib.util.find_spec;"
        "importlib.util.find_spec = lambda name, *more: None if name == 'torch' else found(name, *more);"
        "import weft_geo, weft_geo.models as models; pydoc.render_doc(weft_geo); pydoc.render_doc(models);"
        "print(json.dumps(sorted(set(weft_geo.__all__) - set(dir(weft_geo)))))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert json.loads(done.stdout) == ["Weft", "build_model", "load_checkpoint", "load_official", "save_checkpoint"]


def test_the_package_list_is_what_the_folders_hold():
    listed = PROJECT["tool"]["setuptools"]["packages"]
    folders = {shown(path.parent).replace("/", ".") for path in sources("weft_geo") if path.name == "__init__.py"}
    assert sorted(listed) == sorted(folders | {"weft_geo_cli"})
    homeless = {shown(path) for path in FILES if not (path.parent / "__init__.py").exists()}
    assert not homeless, "files in a folder without __init__.py are not installed"


def test_the_plugin_imports_nothing_of_the_package():
    """It runs inside QGIS' own Python and starts `weft-geo` as a child process."""
    for path in sources("qgis_plugin"):
        ours = [name for name in imports(path, path.stem, set()) if name.split(".")[0] in ("weft_geo", "weft_geo_cli")]
        assert not ours, f"{shown(path)} imports {ours}"


def test_the_walker_sees_every_kind_of_import(tmp_path):
    path = tmp_path / "file.py"
    path.write_text(
        "import a.b\nfrom c import d\nfrom . import near\nfrom .far import x\nfrom ..up import y\n"
        "def f():\n    import inside\n"
        "if TYPE_CHECKING:\n    import for_types\n"
    )
    found = set(imports(path, "pack.room.file", {"c.d", "pack.room.near"}))
    assert found == {"a.b", "c.d", "pack.room.near", "pack.room.far", "pack.up", "inside"}


@pytest.mark.parametrize("room", ["samplers", "trainers"])
def test_without_torch_a_room_that_needs_it_names_the_extra(room):
    code = (
        "import sys; sys.modules['torch'] = None; from weft_geo.errors import MissingExtraError\n"
        f"try: import weft_geo.{room}\n"
        "except MissingExtraError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert 'pip install "weft-geo[train]"' in done.stdout
