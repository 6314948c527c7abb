"""Tests of imports: layers, circles, and modules that must not load heavy packages."""

import ast
import json
import re
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("edge", "train", "convert", "cli")  # each may import those before it
HEAVY = (
    "tensorflow", "keras", "tf_keras", "tensorflow_model_optimization", "jax", "torch", "matplotlib",
)  # fmt: skip
# These are imported inside the functions that need them.
LATE = ("cv2", "PIL", "ai_edge_litert", "paho", "pillow_heif")

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]


def sources():
    """Every module of the package, by its dotted name."""
    paths = [ROOT / "cli.py", *(p for layer in LAYERS[:3] for p in (ROOT / layer).rglob("*.py"))]
    names = {}
    for path in sorted(paths):
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        names[".".join(("garmentlite", *parts))] = path
    return names


SOURCES = sources()


def imports_of(path, *, inside_functions=True):
    """Names of the modules that a file imports; for `from a import b`, both `a` and `a.b`."""
    names = set()

    def visit(node):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if inside_functions or not is_function:
            for child in ast.iter_child_nodes(node):
                visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return names


def names_in(path):
    """The names that a module has at its top, also those under an `if`, `try` or `with`."""
    names = set()

    def visit(node):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            return
        if isinstance(node, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return names


def missing_imports(path):
    """What a script imports from garmentlite, or from scripts beside it, that is not there."""
    missing = set()
    for name in imports_of(path):
        within, _, last = name.rpartition(".")
        is_own = name.partition(".")[0] == "garmentlite"
        if not is_own and not (path.parent / f"{within}.py").exists():
            continue
        if name == "garmentlite" or file_of(name, path.parent):
            continue
        holder = file_of(within, path.parent)
        if holder is None or last not in names_in(holder):
            missing.add(name)
    return missing


def file_of(name, folder):
    """The file of a module of garmentlite, or of a script in the folder; None if there is none."""
    if name.partition(".")[0] == "garmentlite":
        folder, name = ROOT, name.partition(".")[2]
    stem = folder.joinpath(*name.split("."))
    return next(
        (one for one in (stem / "__init__.py", stem.with_suffix(".py")) if one.exists()), None
    )


def packages_of(path):
    return {name.partition(".")[0] for name in imports_of(path)}


def layers_of(path):
    return {
        name.split(".")[1] for name in imports_of(path) if name.startswith("garmentlite.")
    } & set(LAYERS)


def modules_that_load_something_heavy():
    """Those that pyproject.toml lets import a heavy package at their top, and whoever imports them there."""
    heavy = set()
    for name, path in SOURCES.items():
        rules = SETTINGS["ruff"]["lint"]["per-file-ignores"].get(
            path.relative_to(ROOT).as_posix(), []
        )
        if "TID253" in rules:
            heavy.add(name)
    before = None
    while before != heavy:
        before = set(heavy)
        for name, path in SOURCES.items():
            if imports_of(path, inside_functions=False) & heavy and not _only_for_types(
                path, heavy
            ):
                heavy.add(name)
    return heavy


def _only_for_types(path, heavy):
    """Whether a file imports the heavy modules under `if TYPE_CHECKING:` alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    names = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return not names & heavy


HEAVY_MODULES = modules_that_load_something_heavy()
LIGHT = tuple(name for name in SOURCES if name not in HEAVY_MODULES)


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


def test_map_of_edge_names_every_module_and_no_other():
    folder = ROOT / "edge"
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    packages = {f"{path.parent.name}/" for path in folder.glob("*/__init__.py")}
    assert set(re.findall(r"`([a-z_0-9]+/?)`", text)) == modules | packages


def test_import_of_the_light_modules_loads_nothing_heavy(run_python):
    assert loaded_by(run_python, LIGHT) == {name: [] for name in LIGHT}


def test_parts_that_a_device_runs_are_light():
    required = [
        name
        for name in SOURCES
        if name.startswith(("garmentlite.edge", "garmentlite.convert.verify"))
        or name in ("garmentlite.cli", "garmentlite.train.data", "garmentlite.train.collection")
    ]
    assert len(required) > 20
    assert not set(required) & HEAVY_MODULES


@pytest.mark.parametrize(
    ("room", "others"),
    [
        pytest.param(
            "garmentlite.convert.verify",
            {
                "garmentlite.train",
                "garmentlite.train.collection",
                "garmentlite.train.data",
                "garmentlite.train.labelling",
            },
            id="verify",
        ),
        pytest.param(
            "garmentlite.convert.report",
            {
                "garmentlite.convert",
                "garmentlite.convert.verify",
                "garmentlite.convert.format_table",
                "garmentlite.convert.int8_candidates",
                "garmentlite.convert.int8_ways",
                "garmentlite.convert.job",
                "garmentlite.convert.pipeline",
                "garmentlite.convert.run_results",
                "garmentlite.train",
                "garmentlite.train.compare",
                "garmentlite.train.compare_networks",
                "garmentlite.train.data",
                "garmentlite.train.runs",
            },
            id="report",
        ),
    ],
)
def test_rooms_of_convert_import_edge_and_little_else(room, others):
    for name, path in SOURCES.items():
        if name.startswith(room):
            used = {one for one in imports_of(path) if one in SOURCES}
            beyond = {
                one
                for one in used - others
                if not one.startswith((room, "garmentlite.edge"))
                and not (room.endswith("report") and one.startswith("garmentlite.convert.verify."))
            }
            assert not beyond, name


def test_import_of_a_late_package_is_seen(run_python):
    assert loaded_by(run_python, ("garmentlite.edge.labels", "PIL.Image")) == {
        "garmentlite.edge.labels": [],
        "PIL.Image": ["PIL"],
    }


def test_tornado_is_imported_by_the_page_alone(run_python):
    page = {p.relative_to(ROOT).as_posix() for p in SOURCES.values() if "tornado" in packages_of(p)}
    assert page
    assert all(name.startswith("edge/page/") for name in page)
    others = [name for name in LIGHT if not name.startswith("garmentlite.edge.page")]
    code = (
        "import importlib, sys\n"
        "sys.modules['tornado'] = None\n"  # importing it fails
        f"for name in {others!r}:\n"
        "    importlib.import_module(name)"
    )
    result = run_python("-c", code)
    assert (result.returncode, result.stderr) == (0, "")


def test_help_needs_no_heavy_package_and_exits_0(run_python):
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({HEAVY + LATE!r}))\n"  # None there: importing them fails
        "sys.argv = ['cli', '--help']\n"
        "from garmentlite import cli\n"
        "cli.main()"
    )
    result = run_python("-c", code)
    assert result.returncode == 0
    assert "classify" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_go_one_way(layer):
    beyond = set(LAYERS[LAYERS.index(layer) + 1 :])
    for name, path in SOURCES.items():
        if name.split(".")[1:2] == [layer]:
            assert not layers_of(path) & beyond, path


def test_imports_have_no_circle_even_for_types_alone():
    graph = {
        name: (imports_of(path) & set(SOURCES)) - {name} - _parents(name)
        for name, path in SOURCES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other: {' -> '.join(error.args[1])}")


def _parents(name):
    """The packages around a module; importing one of their modules imports their docstring alone."""
    parts = name.split(".")
    return {".".join(parts[:end]) for end in range(1, len(parts))}


@pytest.mark.parametrize(
    ("package", "only"),
    [
        ("ai_edge_litert", {"edge/runtime.py"}),
        # The process of the window runs without garmentlite.
        ("cv2", {"edge/opencv.py", "edge/sinks/window_process.py"}),
        ("paho", {"edge/sinks/mqtt.py"}),
        ("pillow_heif", {"edge/picture_formats.py"}),
        ("tf_keras", {"convert/keras2.py"}),
        ("tensorflow_model_optimization", {"convert/keras2.py"}),
    ],
)
def test_import_of_a_guarded_package_is_in_one_module(package, only):
    assert {
        p.relative_to(ROOT).as_posix() for p in SOURCES.values() if package in packages_of(p)
    } == only


def test_layers_that_the_device_needs_import_its_packages_alone():
    # flatbuffers comes with ai_edge_litert, whose schema is written with it.
    allowed = {"numpy", "PIL", "cv2", "ai_edge_litert", "flatbuffers", "picamera2", "garmentlite"}
    allowed |= {"paho", "pillow_heif", "tornado"}
    for path in (ROOT / "edge").rglob("*.py"):
        foreign = packages_of(path) - allowed - set(sys.stdlib_module_names)
        assert not foreign, path


def test_packages_of_the_wheel_are_the_folders_of_the_layout():
    folders = {name for name, path in SOURCES.items() if path.name == "__init__.py"}
    setuptools = SETTINGS["setuptools"]
    assert set(setuptools["packages"]) == {"garmentlite", "garmentlite.models", *folders}
    without = (
        {p.parent for p in SOURCES.values()} - {ROOT} - {SOURCES[name].parent for name in folders}
    )
    assert not without, "a folder without __init__.py is left out of the wheel"


def test_every_text_file_is_opened_with_an_encoding():
    """Otherwise a file would be read in the encoding of the user's language."""
    without = []
    for path in (*SOURCES.values(), *(ROOT / "benchmarks").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            is_text = node.func.attr in ("read_text", "write_text")
            if is_text and "encoding" not in {keyword.arg for keyword in node.keywords}:
                without.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert without == []


SCRIPTS = sorted(p for folder in ("benchmarks", "examples") for p in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_names_that_a_script_imports_are_there(path):
    """The benchmarks are neither typed nor run by a test."""
    assert missing_imports(path) == set()


def test_names_that_a_script_imports_and_that_are_not_there_are_seen(tmp_path):
    (tmp_path / "sibling.py").write_text("if True:\n    A, b = 1, 2\ndef c():\n    inside = 1\n")
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy.linalg, sibling\n"
        "from numpy import nothing\n"
        "from sibling import A, b, c, inside\n"
        "from garmentlite import Recognizer, Unheard\n"
        "from garmentlite.edge import labels, no_module\n"
        "from garmentlite.edge.labels import FASHION_MNIST_LABELS, UNHEARD\n"
        "def later():\n"
        "    import garmentlite.edge.nothing\n"
    )
    assert missing_imports(script) == {
        "sibling.inside",
        "garmentlite.Unheard",
        "garmentlite.edge.no_module",
        "garmentlite.edge.labels.UNHEARD",
        "garmentlite.edge.nothing",
    }
