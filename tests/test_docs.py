"""Tests of README and docs: links have a target, commands and options exist, and examples run."""

import ast
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import typer.main
from PIL import Image

from garmentlite import cli
from garmentlite.edge.drawing import draw_scene
from garmentlite.edge.labels import FASHION_MNIST_LABELS

ROOT = Path(cli.__file__).resolve().parent
README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", ROOT / "ATTRIBUTIONS.md", *sorted(ROOT.glob("docs/*.md"))]
README_LINES = 180
# Commands that take no more than seconds; 'webcam' is one of them if it stops by itself.
QUICK = ("classify", "card", "draw", "plan")
EXECUTED = (README, ROOT / "docs" / "python.md")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


# --- reading a page


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a page that are marked as one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def prose(text: str) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def code_spans(text: str) -> list[str]:
    """What stands between backticks in the prose of a page, on one line."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(text))]


def commands(text: str) -> list[list[str]]:
    """The words of every `cli COMMAND` in the sh blocks of a page, without `cli`."""
    found = []
    for block in blocks(text, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and (words[0] == "cli" or words[0].endswith("/cli")):
                found.append(words[1:])
    return found


def commands_in_prose(text: str) -> list[list[str]]:
    return [shlex.split(span)[1:] for span in code_spans(text) if span.startswith("cli ")]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


# --- what can be wrong with a page


def broken_links(text: str, folder: Path) -> list[str]:
    """Relative links of a page in a folder that lead to no file, or to no heading of a page."""

    def leads_somewhere(target: str) -> bool:
        name, _, anchor = target.partition("#")
        if name and not (folder / name).exists():
            return False
        page = (folder / name).read_text("utf-8") if name and anchor else text
        return not anchor or anchor in anchors(page)

    targets = re.findall(r"\]\(\s*([^)\s]+)\s*\)", prose(text))
    relative = [one for one in targets if not re.match(r"https?://", one)]
    return [one for one in relative if not leads_somewhere(one)]


def unlinked(text: str, pages: list[Path]) -> list[str]:
    """Pages that a text has no link to."""
    return [page.name for page in pages if f"{page.name})" not in text]


def excess_lines(text: str) -> int:
    """How many lines of a README are too many."""
    return max(0, len(text.splitlines()) - README_LINES)


def unknown_words(words: list[str]) -> list[str]:
    """The command, or those of its options, that the program does not have."""
    name, *rest = words
    known = typer.main.get_command(cli.app).commands
    if name.isupper():  # stands for any command
        return []
    if name not in known:
        return [name]
    if name == "service" and rest:  # a group of commands; what follows "--" are options of webcam
        own, _, of_webcam = " ".join(rest).partition(" -- ")
        known = known[name].commands
        name, *rest = own.split()
        if name not in known or unknown_words(["webcam", *of_webcam.split()]):
            return [name, *of_webcam.split()]
    options = {option for one in known[name].params for option in one.opts} | {"--help"}
    return [word for word in rest if re.match(r"--?[a-z]", word) and word not in options]


def missing_targets(text: str) -> list[str]:
    """What the page calls 'make' with and the Makefile does not have."""
    lines = "\n".join([*blocks(text, "sh"), *code_spans(text)])
    targets = re.findall(r"^make ([a-z][\w-]*)", lines, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text("utf-8")
    return [name for name in targets if not re.search(rf"^{name}:", makefile, re.MULTILINE)]


def missing_paths(text: str) -> list[str]:
    """Files and folders of the project that a page names and that are not there."""
    top = r"(?:\.github|benchmarks|convert|docs|edge|examples|models|tests|train)"
    words = re.findall(rf"(?<![\w./-]){top}/[\w./-]*(?![\w./<-])", "\n".join(code_spans(text)))
    return [word for word in words if "NAME" not in word and not (ROOT / word).exists()]


def wrong_syntax(language: str, block: str) -> str:
    """What Python or the shell says of a block that it cannot read; nothing where it can."""
    if language == "sh":
        checked = subprocess.run(
            ["sh", "-n"], input=block, capture_output=True, text=True, check=False
        )
        return checked.stderr
    try:
        ast.parse(block)
    except SyntaxError as error:
        return str(error)
    return ""


def run_python(block: str) -> None:
    exec(compile(block, "example", "exec"), {"__name__": "example"})


# --- the pages


def test_readme_stays_short():
    assert excess_lines(README.read_text("utf-8")) == 0


@each_page
def test_links_lead_to_a_file_and_a_heading(page):
    assert broken_links(page.read_text("utf-8"), page.parent) == []


@each_page
def test_commands_and_options_exist(page):
    text = page.read_text("utf-8")
    for words in commands(text) + commands_in_prose(text):
        assert unknown_words(words) == [], f"cli {shlex.join(words)}"


@each_page
def test_make_targets_exist(page):
    assert missing_targets(page.read_text("utf-8")) == []


@each_page
def test_paths_in_prose_exist(page):
    if page.name == "CHANGELOG.md":
        pytest.skip("a changelog also names what was there once")
    assert missing_paths(page.read_text("utf-8")) == []


@each_page
def test_blocks_can_be_parsed(page):
    text = page.read_text("utf-8")
    for language in ("sh", "python"):
        for block in blocks(text, language):
            assert wrong_syntax(language, block) == "", block


def test_every_page_is_linked_from_the_readme():
    assert unlinked(README.read_text("utf-8"), [page for page in PAGES if page != README]) == []


# --- the examples


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty folder, entered, with the files that the pages name: drawn photographs and the models."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for path in (tmp_path / "photo.jpg", tmp_path / "photos" / "coat.jpg"):
        Image.fromarray(draw_scene("Coat", rng).rgb).save(path)
    (tmp_path / "models").symlink_to(ROOT / "models")
    own = tmp_path / "runs" / "own" / "garment-net_int8.tflite"
    own.parent.mkdir(parents=True)
    for path in (own, tmp_path / "mobilenet.tflite"):
        shutil.copy(ROOT / "models" / "garment-net_int8.tflite", path)
    (tmp_path / "labels.txt").write_text("\n".join(FASHION_MNIST_LABELS), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def is_quick(words: list[str]) -> bool:
    return words[0] in QUICK or (words[0] == "webcam" and "--max-frames" in words)


@pytest.mark.slow
@each_page
def test_quick_commands_run(page, run, workplace):
    for words in commands(page.read_text("utf-8")):
        if is_quick(words):
            run(*words)


@pytest.mark.slow
@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=f"{page.stem}-{number}")
        for page in EXECUTED
        for number, block in enumerate(blocks(page.read_text("utf-8"), "python"))
    ],
)
def test_python_examples_run(block, workplace, monkeypatch, request):
    if "load()" in block:
        folder = request.getfixturevalue("real_data_dir")
        monkeypatch.setenv("FASHION_MNIST_DIR", str(folder))
    run_python(block)


# --- every check can fail


def test_broken_links_names_a_missing_file_and_a_missing_heading(tmp_path):
    (tmp_path / "page.md").write_text("# One heading\n", "utf-8")
    text = "[a](gone.md) [b](page.md#other) [c](#nowhere) [d](page.md#one-heading) [e](page.md)"
    assert broken_links(text, tmp_path) == ["gone.md", "page.md#other", "#nowhere"]


def test_unlinked_names_a_page_without_a_link():
    pages = [Path("docs/one.md"), Path("docs/two.md")]
    assert unlinked("See [one](docs/one.md).", pages) == ["two.md"]


def test_excess_lines_counts_lines_above_the_limit():
    assert excess_lines("line\n" * (README_LINES + 2)) == 2


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        pytest.param("```sh\ncli clasify photo.jpg\n```\n", ["clasify"], id="command"),
        pytest.param("```sh\n~/env/bin/cli classify x --jsn\n```\n", ["--jsn"], id="option"),
        pytest.param("```sh\ncli convert run \\\n    --int9\n```\n", ["--int9"], id="two lines"),
        pytest.param("Use `cli verify\n--layer` for it.", ["--layer"], id="prose"),
        pytest.param("```sh\ncli train -o runs/x --epochs 3  # --not-this\n```\n", [], id="right"),
    ],
)
def test_unknown_words_names_what_the_program_lacks(text, wrong):
    (words,) = commands(text) + commands_in_prose(text)
    assert unknown_words(words) == wrong


def test_missing_targets_names_what_the_makefile_lacks():
    assert missing_targets("```sh\nmake test   # all\nmake tests\n```\n`make dmo`") == [
        "tests",
        "dmo",
    ]


def test_missing_paths_names_what_is_not_there():
    text = (
        "`edge/` `python benchmarks/gone.py` `benchmarks/cards.py` `models/NAME_int8.tflite` "
        "`tests/test_<module>.py`"
    )
    assert missing_paths(text) == ["benchmarks/gone.py"]


@pytest.mark.parametrize(
    ("language", "block"), [("sh", "if true; then\n"), ("python", "def f(:\n")]
)
def test_wrong_syntax_names_the_error(language, block):
    assert wrong_syntax(language, block)


def test_run_python_raises_what_an_example_raises():
    with pytest.raises(ImportError):
        run_python("from garmentlite import NoSuchName\n")


def test_a_quick_command_that_fails_is_seen(run, workplace):
    with pytest.raises(AssertionError):
        run("classify", "no-such-photo.jpg")
