"""What may import what, and that the light parts load nothing heavy."""

import ast
import json
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("edge", "train", "convert", "cli")  # each may import those before it
HEAVY = (
    "tensorflow",
    "keras",
    "tf_keras",
    "tensorflow_model_optimization",
    "jax",
    "torch",
    "matplotlib",
)
LATE = ("cv2", "PIL", "ai_edge_litert")  # imported where they are first needed
LIGHT = (
    *(f"edge.{path.stem}" for path in sorted((ROOT / "edge").glob("*.py")) if path.stem != "__init__"),
    "convert.c_array", "convert.calibration", "convert.card", "convert.material", "convert.formats",
    "convert.pipeline", "convert.parity", "convert.verify",
    "convert.verify_report", "convert.planning", "convert.photos", "convert.junit",
    "convert.layers", "convert.layers_report", "convert.corruptions",
    "convert.corruptions_report",
    "train.degradation", "train.data", "train.class_weights", "train.augmentation", "train.runs",
    "train.target_recall", "train.compare", "train.keras_file", "train.recipe", "train.segmenter_data",
    "train.photo_set", "train.camera", "train.adapt", "train.tiles", "train.empty_scenes",
    "train.confidence",
    "convert.compare_report", "cli",
)  # fmt: skip


def sources():
    return [
        ROOT / "cli.py",
        *(path for layer in LAYERS[:3] for path in (ROOT / layer).glob("*.py")),
    ]


def imported_by(path):
    """Names of all modules that a file imports, at its top or within functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def packages(path):
    return {name.partition(".")[0] for name in imported_by(path)}


def loaded_by(run_python, modules):
    """The heavy and late packages that each module, imported after those before it, brings along."""
    code = (
        "import importlib, json, sys\n"
        "brought = {}\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        "    loaded = {loaded.partition('.')[0] for loaded in sys.modules}\n"
        f"    brought[name] = sorted(loaded & set({HEAVY + LATE!r}))\n"
        "print(json.dumps(brought))"
    )
    result = run_python("-c", code)
    assert (result.returncode, result.stderr) == (0, "")
    return json.loads(result.stdout)


def test_import_of_the_light_modules_loads_nothing_heavy(run_python):
    assert loaded_by(run_python, LIGHT) == {name: [] for name in LIGHT}


def test_import_of_a_late_package_is_seen(run_python):
    assert loaded_by(run_python, ("edge.labels", "PIL.Image")) == {
        "edge.labels": [],
        "PIL.Image": ["PIL"],
    }


def test_help_needs_no_heavy_package_and_exits_0(run_python):
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({HEAVY + LATE!r}))\n"  # None there: importing them fails
        "sys.argv = ['cli', '--help']\n"
        "import cli\n"
        "cli.main()"
    )
    result = run_python("-c", code)
    assert result.returncode == 0
    assert "classify" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_go_one_way(layer):
    beyond = set(LAYERS[LAYERS.index(layer) + 1 :])
    for path in sources():
        if path.stem == layer or path.parent.name == layer:
            assert not packages(path) & beyond, path


@pytest.mark.parametrize(
    ("package", "only"),
    [
        ("ai_edge_litert", {"edge/runtime.py"}),
        ("tf_keras", {"convert/keras2.py"}),
        ("tensorflow_model_optimization", {"convert/keras2.py"}),
        ("picamera2", {"edge/sources.py"}),
    ],
)
def test_import_of_a_guarded_package_is_in_one_module(package, only):
    found = {path.relative_to(ROOT).as_posix() for path in sources() if package in packages(path)}
    assert found <= only
    assert found == only or package == "picamera2"  # a camera to come


def test_layers_that_the_device_needs_import_its_packages_alone():
    # flatbuffers comes with ai_edge_litert, whose schema is written with it.
    allowed = {"numpy", "PIL", "cv2", "ai_edge_litert", "flatbuffers", "picamera2", "edge"}
    for path in (ROOT / "edge").glob("*.py"):
        foreign = packages(path) - allowed - set(sys.stdlib_module_names)
        assert not foreign, path


@pytest.mark.parametrize("package", LAYERS[:3])
def test_init_files_hold_a_docstring_only(package):
    body = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8")).body
    assert all(isinstance(node, ast.Expr) for node in body)


def test_packages_of_the_wheel_are_the_folders_of_the_layout():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert set(setuptools["packages"]) == {"edge", "train", "convert", "models"}
    assert setuptools["py-modules"] == ["cli"]
    assert {"*.tflite", "*.keras", "*.json"} <= set(setuptools["package-data"]["models"])
