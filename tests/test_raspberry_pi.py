"""garmentlite on a Raspberry Pi, as its documentation installs it; 'make test-pi' runs these tests.

$GARMENT_PI names the folder in which the emulated systems are kept. Without it the tests are skipped.
"""

import fcntl
import importlib
import json
import math
import os
import re
import shutil
import struct
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from garmentlite.edge.labels import FASHION_MNIST_LABELS

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "benchmarks"
PAGES = (ROOT / "README.md", ROOT / "docs" / "pi.md")
# What every Raspberry Pi OS has and the installation uses.
BASE = ("ca-certificates", "coreutils", "dash", "git", "grep", "sed")
CLI = "/root/garmentlite-env/bin/cli"
DEFAULT_MODEL = "models/garment-net-photo_int8.tflite"
EQUAL_MODEL = "models/garment-net_int8.tflite"  # its outputs are the same on Arm, bit for bit
FRAMES, IMAGES, CUTS = 5, 500, 3
CACHE = os.environ.get("GARMENT_PI")
IS_CI = os.environ.get("CI", "").lower() == "true"
needs_a_pi = pytest.mark.skipif(not CACHE, reason="$GARMENT_PI is not set ('make test-pi' sets it)")


def installation_of(page: Path) -> str:
    """The block of commands with which a page installs garmentlite on a Raspberry Pi."""
    found = re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (block,) = (block for block in found if "--system-site-packages" in block)
    return block


def without_times(lines: str) -> list[dict]:
    """JSON objects without the keys that differ from machine to machine."""
    documents = [json.loads(line) for line in lines.splitlines()]
    return [{k: v for k, v in one.items() if k != "latency_ms"} for one in documents]


def step_of_probability() -> float:
    """Largest change of a probability if each output of the default model differs by one step at most.

    The odds p / (1 - p) change by a factor of exp(2 steps) at most, and p (1 - p) is at most 1/4.
    """
    from garmentlite.edge.classifier import Classifier

    model = Classifier(ROOT / DEFAULT_MODEL)
    return (math.exp(2 * model.output.scale / model.metadata.temperature) - 1) / 4


def phone_video(path: Path) -> Path:
    """Writes a video whose file says that it is to be turned clockwise by 90 degrees, as phones do.

    Its top left quarter is white before it is turned.
    """
    import cv2

    frame = np.zeros((32, 64, 3), np.uint8)
    frame[:16, :32] = 255
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 5, (64, 32))
    for _ in range(5):
        writer.write(frame)
    writer.release()
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44  # the matrix in the header of the track (ISO/IEC 14496-12)
    content[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 32 << 16, 0, 1 << 30)
    path.write_bytes(content)
    return path


def first_frame(path: Path) -> np.ndarray:
    """The first frame of a video in grey, as garmentlite reads it."""
    from garmentlite.edge.sources.registry import open_source

    with open_source(str(path)) as video:
        return next(iter(video)).bgr[..., 0]


SHOW_FIRST_FRAME = """
import sys
from garmentlite.edge.sources.registry import open_source
with open_source(sys.argv[1]) as video:
    print((next(iter(video)).bgr[..., 0] > 127).tolist())
"""


@pytest.fixture(scope="session")
def arm64_system():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("arm64_system")


@pytest.fixture(scope="session", params=["bookworm", "trixie"])
def pi(request, installed_system):
    """A system of one release in which the block of the documentation was run."""
    return installed_system(request.param)


@pytest.fixture(scope="session")
def installed_system(arm64_system, real_data_dir, material):
    """Installs garmentlite in the system of a release, once.

    Without the tools of emulation the tests are skipped, but fail in continuous integration.
    """
    block = installation_of(PAGES[1])
    packages = [*BASE, *re.search(r"sudo apt install (.*)", block)[1].split()]
    git_folder = ROOT / ".git"
    if git_folder.is_file():  # a worktree
        text = git_folder.read_text("utf-8")
        git_folder = Path(text.removeprefix("gitdir: ").strip()).parent.parent
    bound = [ROOT, git_folder, real_data_dir, material]
    with ExitStack() as locks:

        @cache
        def install(suite):
            locks.enter_context(one_at_a_time(Path(CACHE) / f"{suite}.lock"))
            try:
                arm64_system.require_emulation()
                system = arm64_system.unpacked_system(suite, packages, Path(CACHE), bound)
            except arm64_system.CannotEmulateError as error:
                if IS_CI:
                    raise
                pytest.skip(f"No Raspberry Pi can be emulated here: {error}.")
            except arm64_system.MirrorError as error:
                pytest.skip(f"The mirror of Debian's packages does not answer: {error}")
            home = system.root / "root"
            shutil.rmtree(home)
            home.mkdir()
            core = arm64_system.NATIVE if arm64_system.is_arm64() else "cortex-a72"
            system.run(core, "sh", "-e", "-c", block.replace("ADDRESS", str(ROOT), 1))
            return system

        yield install


@contextmanager
def one_at_a_time(path: Path):
    """Keeps other processes from using the system beside this file while the block runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session", params=["cortex-a72", "cortex-a76"], ids=["pi4", "pi5"])
def on_pi(request, pi, arm64_system):
    """Runs a command of the installed program on the processor of a Raspberry Pi 4 or 5."""
    core = arm64_system.NATIVE if arm64_system.is_arm64() else request.param

    def run(*arguments, **options):
        return pi.run(core, CLI, *map(str, arguments), **options).stdout

    return run


@pytest.fixture(scope="session")
def material(tmp_path_factory):
    """Pictures as PNG and JPEG, whole and cut to odd sizes, to be recognized here and there."""
    from garmentlite.edge.drawn_folder import draw_folder

    folder = tmp_path_factory.mktemp("material")
    draw_folder(folder / "pictures", 1, 0, force=False)
    rng = np.random.default_rng(0)
    for png in sorted((folder / "pictures").glob("*.png")):
        with Image.open(png) as picture:
            picture.save(png.with_suffix(".jpg"), quality=90)
            for number in range(CUTS):
                left, top, right, bottom = rng.integers(1, min(picture.size) // 5, 4)
                cut = picture.crop((left, top, picture.width - right, picture.height - bottom))
                cut.save(png.with_name(f"{png.stem}-cut-{number}.png"))
    return folder


@pytest.fixture(scope="session")
def here(material, real_data_dir):
    """Runs the same commands on this machine; what they printed."""

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "garmentlite.cli", *map(str, arguments)],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    return run


@pytest.fixture(scope="session")
def answers(here, material):
    """The answers of this machine to the pictures; their 28x28 images lie in material/here."""
    return here(
        "classify", material / "pictures", "--json", "--save-inputs", material / "here", "--force"
    )


@pytest.fixture(scope="session")
def comparison(here, on_pi, material, real_data_dir):
    """Compares the outputs of a shipped model on this machine and on the Pi."""
    data = ("--limit", IMAGES, "--data-dir", real_data_dir)

    def compare(model):
        outputs = material / f"{Path(model).stem}.npz"
        if not outputs.exists():
            here("verify", model, "--save-reference", outputs, *data)
        there = f"/root/garmentlite/{model}"
        return json.loads(on_pi("verify", there, "--against", outputs, *data, "--json"))

    return compare


def test_both_pages_install_in_the_same_way():
    first, second = map(installation_of, PAGES)
    assert first == second


def test_video_of_a_phone_stands_upright_here(tmp_path):
    pytest.importorskip("cv2", reason="needs OpenCV (the `headless` extra)")
    frame_u8 = first_frame(phone_video(tmp_path / "phone.mp4"))
    assert frame_u8.shape == (64, 32)
    assert frame_u8[:32, 16:].mean() > 200  # the top left corner, turned clockwise by a quarter
    assert frame_u8[32:].mean() < 50


@needs_a_pi
def test_doctor_finds_nothing_but_a_missing_camera(on_pi):
    findings = json.loads(on_pi("doctor", "--json", check=False))
    faults = [one for one in findings if not one["passed"]]
    assert {one["check"] for one in faults} <= {"cameras"}, faults
    assert "XNNPACK" in {one["check"] for one in findings}


@needs_a_pi
def test_doctor_finds_numpy_2_over_an_opencv_for_numpy_1(pi, arm64_system):
    if pi.root.parent.name != "bookworm":
        pytest.skip("only the OpenCV of bookworm was built for NumPy 1")
    core = arm64_system.NATIVE if arm64_system.is_arm64() else "cortex-a72"
    pip = ("/root/garmentlite-env/bin/pip", "install", "--target", "/root/numpy2")
    pi.run(core, *pip, "numpy>=2")
    done = pi.run(core, "env", "PYTHONPATH=/root/numpy2", CLI, "doctor", "--json", check=False)
    assert (done.returncode, done.stderr) == (1, "")
    faults = {one["check"]: one["found"] for one in json.loads(done.stdout) if not one["passed"]}
    assert set(faults) == {"OpenCV", "answer", "cameras"}
    assert "built for NumPy 1" in faults["OpenCV"]
    assert "numpy<2" in faults["OpenCV"]


@needs_a_pi
def test_card_is_that_of_this_machine(on_pi, here):
    there, own = (json.loads(run("card", "--json")) for run in (on_pi, here))
    del there["file"]["path"], own["file"]["path"]
    assert there == own


@needs_a_pi
def test_pictures_get_the_same_answers_and_28x28_images(on_pi, answers, material, tmp_path_factory):
    seen = material / tmp_path_factory.mktemp("seen").name
    there = on_pi("classify", material / "pictures", "--json", "--save-inputs", seen)
    for one, own in zip(without_times(there), without_times(answers), strict=True):
        shares, own_shares = (
            {each["label"]: each["probability"] for each in answer.pop("top_k")}
            for answer in (one, own)
        )
        for label in shares.keys() & own_shares.keys():
            assert shares[label] == pytest.approx(own_shares[label], abs=step_of_probability())
        assert one.pop("confidence") == pytest.approx(
            own.pop("confidence"), abs=step_of_probability()
        )
        assert one == own
    names = sorted(path.name for path in (material / "here").iterdir())
    found = [one["preparation"]["found"] for one in without_times(answers)]
    assert len(found) == (2 + CUTS) * len(FASHION_MNIST_LABELS)
    # In a picture that was cut to an odd size, there may be no garment any more.
    assert len(names) == sum(found) > 2 * len(FASHION_MNIST_LABELS)
    assert sorted(path.name for path in seen.iterdir()) == names
    for name in names:
        images = [np.asarray(Image.open(folder / name)) for folder in (seen, material / "here")]
        assert np.array_equal(*images), name


@needs_a_pi
def test_outputs_are_equal_bit_for_bit(comparison):
    compared = comparison(EQUAL_MODEL)
    assert compared["images"] == IMAGES
    assert compared["equal"] is True


@needs_a_pi
def test_outputs_of_the_default_model_differ_by_one_step_at_most(comparison):
    compared = comparison(DEFAULT_MODEL)
    assert compared["images"] == IMAGES
    assert compared["changed_answers"] == 0
    assert compared["largest_step"] <= 1


@pytest.fixture(scope="session")
def c_program(pi, material):
    """The words that start the C program of examples/, which is built here for the Pi and its library."""
    compiler = "aarch64-linux-gnu-gcc"
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed (apt install gcc-aarch64-linux-gnu)")
    (library,) = pi.root.glob(
        "root/garmentlite-env/lib/python3*/site-packages/ai_edge_litert/libLiteRt.so"
    )
    program = material / f"classify-{pi.root.parent.name}"
    subprocess.run(
        [
            compiler,
            "-std=c99",
            "-O2",
            ROOT / "examples/c/classify.c",
            library,
            "-lm",
            "-o",
            program,
        ],
        check=True,
    )
    return ("env", f"LD_LIBRARY_PATH=/{library.parent.relative_to(pi.root)}", program)


@needs_a_pi
@pytest.mark.parametrize("core", ["cortex-a72", "cortex-a76"])
def test_c_program_prints_the_logits_of_this_machine(c_program, core, pi, arm64_system, material):
    from garmentlite.edge.classifier import Classifier

    classifier = Classifier(ROOT / EQUAL_MODEL)
    labels = material / "labels.txt"
    labels.write_text("\n".join(classifier.labels), encoding="utf-8")
    images_u8 = np.random.default_rng(0).integers(0, 256, (8, 28, 28), np.uint8)
    paths = [material / f"image-{number}.pgm" for number in range(len(images_u8))]
    for path, image_u8 in zip(paths, images_u8, strict=True):
        Image.fromarray(image_u8).save(path)
    core = arm64_system.NATIVE if arm64_system.is_arm64() else core
    printed = pi.run(core, *map(str, (*c_program, ROOT / EQUAL_MODEL, labels, *paths))).stdout
    rows = [line.split("\t") for line in printed.splitlines()]
    np.testing.assert_array_equal(
        np.array([row[2:] for row in rows], np.float32), classifier.logits(images_u8)
    )


@needs_a_pi
def test_video_of_a_phone_stands_upright(pi, arm64_system, material):
    core = arm64_system.NATIVE if arm64_system.is_arm64() else "cortex-a76"
    path = phone_video(material / "phone.mp4")
    python = "/root/garmentlite-env/bin/python"
    shown = pi.run(core, python, "-c", SHOW_FIRST_FRAME, str(path), folder="/")
    assert shown.stdout == f"{(first_frame(path) > 127).tolist()}\n"


@needs_a_pi
def test_camera_app_answers_to_each_frame(on_pi):
    lines = on_pi("webcam", "--source", "test-pattern", "--headless", "--max-frames", FRAMES)
    answers = [json.loads(line) for line in lines.splitlines()]
    assert len(answers) == FRAMES
    assert all(answer["label"] for answer in answers)
