"""A model written as C++ source is compiled, run, and compared with the bytes it was made from."""

import re
import shutil
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

from garmentlite.convert import arena
from garmentlite.convert.arena import Arena, UnknownArena, measure_arena, most_arena_bytes
from garmentlite.convert.c_array import (
    file_names,
    identifier,
    resolver_method,
    string_literal,
    to_c_array,
)
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.contents_reader import read_contents
from garmentlite.edge.errors import ModelError
from garmentlite.edge.metadata import attach, split

SHIPPED = Path(__file__).resolve().parent.parent / "models"
FLAGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")
# Every character that C treats in a special way, the trigraphs, a digit behind an escape, other scripts.
AWKWARD_LABELS = (
    'say "hi"',
    "back\\slash",
    "what??/",
    "??=??'",
    "é7",
    "Größe 38",
    "シャツ",
    "%d*/",
)

# Prints the length, a CRC-32 and the constants, and every label as hexadecimal digits.
PROGRAM = """
#include <stdio.h>
#include "{header}"

int main(void) {{
  unsigned long crc = 0xFFFFFFFFUL;
  size_t i;
  int bit;
  const char* sign;
  for (i = 0; i < {prefix}_model_length; i++) {{
    crc ^= {prefix}_model[i];
    for (bit = 0; bit < 8; bit++) crc = (crc & 1UL) ? (crc >> 1) ^ 0xEDB88320UL : crc >> 1;
  }}
  printf("%lu %lu\\n", (unsigned long){prefix}_model_length, crc ^ 0xFFFFFFFFUL);
  printf("%d\\n", (int)((size_t){prefix}_model % 16));
  {border}
  for (i = 0; i < {upper}_NUM_LABELS; i++) {{
    printf("label ");
    for (sign = {prefix}_labels[i]; *sign; sign++) printf("%02x", (unsigned char)*sign);
    printf("\\n");
  }}
  for (i = 0; i < {upper}_NUM_OPERATORS; i++) printf("%s\\n", {prefix}_operators[i]);
  return 0;
}}
"""
BORDER = """printf("%.9g %d %.9g %d\\n", (double){upper}_INPUT_SCALE, {upper}_INPUT_ZERO_POINT,
         (double){upper}_OUTPUT_SCALE, {upper}_OUTPUT_ZERO_POINT);"""


@pytest.fixture(scope="module")
def compiler():
    """Runs a compiler of the given name; skips where it is missing."""

    def run(name, *arguments, cwd):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
        result = subprocess.run(
            [name, *FLAGS, *arguments], cwd=cwd, capture_output=True, text=True, check=False
        )
        assert (result.returncode, result.stderr) == (0, "")

    return run


@pytest.fixture
def build(compiler, tmp_path):
    """Writes a model as C, compiles it and a program that prints what is in it; what that prints."""

    def make(name, flatbuffer, labels, *, language="c99", scaled=True):
        array = to_c_array(name, flatbuffer, labels)
        source, header = file_names(name)
        (tmp_path / source).write_text(array.source)
        (tmp_path / header).write_text(array.header)
        prefix = identifier(name)
        names = {"header": header, "prefix": prefix, "upper": prefix.upper()}
        border = BORDER.format(**names) if scaled else ""
        main = "main.c" if language == "c99" else "main.cc"
        (tmp_path / main).write_text(PROGRAM.format(border=border, **names))
        compiler("g++", "-std=c++11", "-c", source, "-o", "model.o", cwd=tmp_path)
        other = "gcc" if language == "c99" else "g++"
        compiler(other, f"-std={language}", main, "model.o", "-o", "program", cwd=tmp_path)
        printed = subprocess.run([tmp_path / "program"], capture_output=True, text=True, check=True)
        return printed.stdout.splitlines()

    return make


@pytest.fixture(scope="module")
def flatbuffer(dense_model):
    rng = np.random.default_rng(0)
    return dense_model(rng.normal(size=(8, 36)), rng.normal(size=8), io="int8", softmax=True)


# --- what is written


@pytest.mark.parametrize("language", ["c99", "c++11"])
def test_c_array_compiled_without_a_warning_holds_the_bytes_and_the_constants(
    build, flatbuffer, language
):
    lines = build("made_int8", flatbuffer, AWKWARD_LABELS, language=language)
    assert lines[0] == f"{len(flatbuffer)} {zlib.crc32(flatbuffer)}"
    assert lines[1] == "0"  # aligned
    (image,), (answer,) = read_contents(flatbuffer).inputs, read_contents(flatbuffer).outputs
    scales = [np.float32(text) for text in lines[2].split()[::2]]
    assert scales == [np.float32(image.scales[0]), np.float32(answer.scales[0])]  # bit for bit
    assert lines[2].split()[1::2] == ["-128", "-128"]
    labels = [bytes.fromhex(line.split()[1]).decode() for line in lines[3:11]]
    assert labels == list(AWKWARD_LABELS)
    assert lines[11:] == ["AddFullyConnected", "AddSoftmax"]


def test_c_array_of_a_float_model_has_no_scale(build, dense_model):
    flatbuffer = dense_model(np.ones((3, 36)), np.zeros(3), io="float32")
    lines = build("float", flatbuffer, ["a", "b", "c"], scaled=False)
    assert lines[0] == f"{len(flatbuffer)} {zlib.crc32(flatbuffer)}"
    assert "SCALE" not in to_c_array("float", flatbuffer, ["a", "b", "c"]).header


@pytest.mark.slow
def test_c_array_of_the_shipped_model_is_its_flatbuffer(build, shipped_int8):
    flatbuffer, metadata = split(shipped_int8.read_bytes())
    lines = build(shipped_int8.stem, flatbuffer, metadata.labels)
    assert lines[0] == f"{len(flatbuffer)} {zlib.crc32(flatbuffer)}"
    assert lines[-4:] == ["AddConv2D", "AddMaxPool2D", "AddReshape", "AddFullyConnected"]


def test_c_array_of_a_damaged_source_is_seen_by_the_checksum(build, flatbuffer, tmp_path, compiler):
    expected = build("made", flatbuffer, AWKWARD_LABELS)[0]
    source = tmp_path / "made.cc"
    text = source.read_text()
    assert text.count("0x54, 0x46, 0x4c, 0x33") == 1
    source.write_text(text.replace("0x54, 0x46, 0x4c, 0x33", "0x54, 0x46, 0x4c, 0x34"))
    compiler("g++", "-std=c++11", "-c", "made.cc", "-o", "model.o", cwd=tmp_path)
    compiler("gcc", "-std=c99", "main.c", "model.o", "-o", "program", cwd=tmp_path)
    printed = subprocess.run([tmp_path / "program"], capture_output=True, text=True, check=True)
    assert printed.stdout.splitlines()[0] != expected


def test_c_array_twice_is_the_same_text(flatbuffer):
    first, second = (to_c_array("made", flatbuffer, AWKWARD_LABELS) for _ in range(2))
    assert first == second
    assert not re.search(r"20\d\d-", first.header + first.source)  # no date


def test_c_array_of_a_last_line_that_is_not_full_loses_no_byte(flatbuffer):
    for length in (len(flatbuffer), len(flatbuffer) + 1, len(flatbuffer) + 15):
        padded = flatbuffer.ljust(length, b"\xa5")
        text = to_c_array("made", padded, AWKWARD_LABELS).source
        numbers = re.findall(r"0x([0-9a-f]{2}),", text)
        assert bytes.fromhex("".join(numbers)) == padded


@pytest.fixture
def converted_function(tensorflow):
    """Converts a function of one float32 tensor, of the given shape, to the bytes of a model."""

    def convert(function, shape):
        tf = tensorflow
        traced = tf.function(function, jit_compile=False).get_concrete_function(
            tf.TensorSpec(shape, tf.float32)
        )
        return tf.lite.TFLiteConverter.from_concrete_functions([traced]).convert()

    return convert


def test_c_array_of_an_operator_that_tflite_micro_lacks_names_it(tensorflow, converted_function):
    flatbuffer = converted_function(lambda x: tensorflow.math.atan2(x, x), (1, 4))
    with pytest.raises(ModelError, match="made needs ATAN2, which TFLite Micro does not have"):
        to_c_array("made", flatbuffer, list("abcd"))


# --- the arena


@pytest.fixture(scope="module")
def tflite_micro():
    """TFLite Micro, as its Python package runs it."""
    return pytest.importorskip(
        "tflite_micro.python.tflite_micro.runtime", reason="tflite-micro is not installed"
    )


def runs_in(tflite_micro, flatbuffer, arena_bytes):
    """Whether TFLite Micro can run a model in an arena of this size."""
    try:
        tflite_micro.Interpreter.from_bytes(flatbuffer, arena_size=arena_bytes).invoke()
    except RuntimeError:
        return False
    return True


@pytest.mark.parametrize("name", [path.stem for path in sorted(SHIPPED.glob("*_int8.tflite"))])
def test_arena_of_a_shipped_model_is_the_smallest_in_which_it_runs(tflite_micro, name):
    flatbuffer, _ = split((SHIPPED / f"{name}.tflite").read_bytes())
    measured = measure_arena(flatbuffer)
    assert runs_in(tflite_micro, flatbuffer, measured.num_bytes)
    assert not runs_in(tflite_micro, flatbuffer, measured.num_bytes - 16)
    header = to_c_array(name, flatbuffer, ["a"] * 10, measured).header
    assert f"{identifier(name).upper()}_ARENA_BYTES {measured.num_bytes}\n" in header
    assert f"measured by tflite-micro {arena.version('tflite-micro')} on" in header


def test_arena_without_tflite_micro_is_not_measured(flatbuffer, monkeypatch):
    monkeypatch.setattr(arena, "PACKAGE", "not-tflite-micro")
    assert measure_arena(flatbuffer).reason == (
        "the Python package not-tflite-micro is not installed; install it and convert again"
    )


def test_arena_of_a_model_that_is_damaged_is_not_measured(tflite_micro, flatbuffer):
    damaged = measure_arena(flatbuffer[: len(flatbuffer) // 2])
    assert damaged.reason.startswith("the model cannot be read (")


def test_arena_of_few_weights_and_large_activations_is_measured(tflite_micro, converted_function):
    """Its activations take several hundred times the bytes of its file."""
    flatbuffer = converted_function(lambda x: x * x + x, (1, 500_000))
    measured = measure_arena(flatbuffer)
    assert isinstance(measured, Arena)
    assert measured.num_bytes > 300 * len(flatbuffer)
    assert measured.num_bytes <= most_arena_bytes(read_contents(flatbuffer))


def test_arena_that_no_microcontroller_has_is_not_measured(tflite_micro, converted_function):
    flatbuffer = converted_function(lambda x: x * x + x, (1, 30_000_000))
    unknown = measure_arena(flatbuffer)
    assert unknown.reason.endswith("cannot run the model in 268.4 MB of memory")


def test_arena_that_takes_too_long_is_not_measured(tflite_micro, flatbuffer, monkeypatch):
    monkeypatch.setattr(arena, "TIMEOUT_S", 0.001)  # no process starts in a millisecond
    assert measure_arena(flatbuffer) == UnknownArena(
        "tflite-micro did not prepare the model within 0.001 s; convert again while the computer has less to "
        "do"
    )


def test_c_array_without_an_arena_says_so_and_defines_none(build, flatbuffer):
    build("made", flatbuffer, AWKWARD_LABELS)  # compiles
    unknown = UnknownArena("the test did not ask for it")
    header = to_c_array("made", flatbuffer, AWKWARD_LABELS, unknown).header
    assert "The size of the arena was not measured, because the test did not ask for it." in header
    assert "#define MADE_ARENA_BYTES" not in header


def test_c_array_with_an_arena_defines_its_size(flatbuffer, compiler, tmp_path):
    array = to_c_array("made", flatbuffer, AWKWARD_LABELS, Arena(4096, "a test"))
    (tmp_path / "made.h").write_text(array.header)
    (tmp_path / "main.c").write_text(
        '#include "made.h"\nstatic char arena[MADE_ARENA_BYTES];\n'
        "int main(void) { return sizeof arena != 4096; }\n"
    )
    compiler("gcc", "-std=c99", "main.c", "-o", "program", cwd=tmp_path)
    subprocess.run([tmp_path / "program"], check=True)


# --- names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("weighted-cnn_int8", "weighted_cnn_int8"),
        ("7segment", "model_7segment"),
        ("__private", "private"),
        ("a--b__c", "a_b_c"),
        ("Größe", "gr_e"),
        ("シャツ", "model"),
        ("", "model"),
        ('a"b\\c\nd', "a_b_c_d"),
        ("Int8", "int8"),
    ],
)
def test_identifier_is_valid_in_c_and_not_reserved_in_cpp(name, expected):
    assert identifier(name) == expected
    assert re.fullmatch(r"[a-z](_?[a-z0-9])*", identifier(name))


def test_file_names_hold_nothing_that_ends_an_include():
    assert file_names("weighted-cnn_int8") == ("weighted-cnn_int8.cc", "weighted-cnn_int8.h")
    assert file_names('a"b/c\\d\n') == ("a_b_c_d_.cc", "a_b_c_d_.h")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Shirt", '"Shirt"'),
        ("", '""'),
        ('"', '"\\""'),
        ("\\", '"\\\\"'),
        ("??/", '"\\?\\?/"'),
        ("é1", '"\\303\\2511"'),
        ("\n\x7f\x00", '"\\012\\177\\000"'),
        ("\ud800", '"\\355\\240\\200"'),  # half a character, as JSON may hold
    ],
)
def test_string_literal_escapes_what_c_would_read_otherwise(text, expected):
    assert string_literal(text) == expected


@pytest.mark.parametrize(
    ("operator", "method"),
    [
        ("CONV_2D", "AddConv2D"),
        ("DEPTHWISE_CONV_2D", "AddDepthwiseConv2D"),
        ("FULLY_CONNECTED", "AddFullyConnected"),
        ("MAX_POOL_2D", "AddMaxPool2D"),
        ("AVERAGE_POOL_2D", "AddAveragePool2D"),
        ("RELU6", "AddRelu6"),
        ("PADV2", "AddPadV2"),
        ("BATCH_MATMUL", "AddBatchMatMul"),
        ("CUMSUM", "AddCumSum"),
        ("L2_POOL_2D", "AddL2Pool2D"),
        ("SPACE_TO_BATCH_ND", "AddSpaceToBatchNd"),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", "AddUnidirectionalSequenceLSTM"),
        ("CONV_3D", None),
        ("CUSTOM", None),
    ],
)
def test_resolver_method_is_spelled_as_in_the_header_of_tflite_micro(operator, method):
    assert resolver_method(operator) == method


# --- TFLite Micro itself, where its Python package is installed


@pytest.mark.slow
def test_shipped_flatbuffer_on_tflite_micro_answers_alike_and_needs_the_estimated_arena(
    shipped_int8, tflite_micro, capfd
):
    flatbuffer, _ = split(shipped_int8.read_bytes())
    classifier = Classifier(shipped_int8)
    images = np.random.default_rng(0).integers(0, 256, (8, 28, 28), np.uint8)
    expected = classifier.raw_outputs(images)
    interpreter = tflite_micro.Interpreter.from_bytes(flatbuffer)
    for image, row in zip(images, expected, strict=True):
        real = image[np.newaxis, :, :, np.newaxis] / np.float32(255)
        interpreter.set_input(classifier.input.quantize(real), 0)
        interpreter.invoke()
        answer = interpreter.get_output(0)[0]
        # Kernels round a half in their own way at each of four layers that compute.
        assert np.abs(answer.astype(int) - row).max() <= 4
    capfd.readouterr()
    interpreter.print_allocations()
    head = re.search(r"Arena allocation head (\d+) bytes", capfd.readouterr().err)
    assert int(head.group(1)) == read_contents(flatbuffer).arena_bytes


# --- the command


@pytest.fixture
def model_file(flatbuffer, metadata_of, tmp_path):
    path = tmp_path / "models" / "made_int8.tflite"
    path.parent.mkdir()
    path.write_bytes(attach(flatbuffer, metadata_of(labels=list(AWKWARD_LABELS))))
    return path


def test_convert_of_a_tflite_file_writes_its_c_array_beside_it(run, model_file, flatbuffer):
    printed = run("convert", model_file, "--c-array").stdout
    source, header = (model_file.with_suffix(end) for end in (".cc", ".h"))
    assert printed == f"For TFLite Micro: {source} and {header}\n"
    assert source.read_text() == to_c_array("made_int8", flatbuffer, AWKWARD_LABELS).source
    measured = measure_arena(flatbuffer)
    is_known = isinstance(measured, Arena)
    assert ("#define MADE_INT8_ARENA_BYTES" in header.read_text()) == is_known
    assert f"MODEL_LENGTH {len(flatbuffer)}\n" in header.read_text()  # without the metadata


def test_convert_to_a_c_array_overwrites_nothing_without_force(run, model_file, tmp_path):
    (tmp_path / "other.h").write_text("mine")
    options = ("convert", model_file, "--c-array", "-o", tmp_path, "--name", "other")
    assert "other.h is already there" in run(*options, expect=2).stderr
    assert not (tmp_path / "other.cc").exists()
    run(*options, "--force")
    assert "OTHER_MODEL_LENGTH" in (tmp_path / "other.h").read_text()


def test_convert_to_a_c_array_says_that_the_arena_was_not_measured(run, model_file, monkeypatch):
    monkeypatch.setattr(arena, "PACKAGE", "not-tflite-micro")
    said = run("convert", model_file, "--c-array").stderr
    assert "The size of the arena was not measured, because the Python package not-" in said


@pytest.mark.parametrize("options", [[], ["--int8"], ["--int8", "--c-array"]])
def test_convert_of_a_tflite_file_to_anything_else_says_what_can_be_made(run, model_file, options):
    error = run("convert", model_file, *options, expect=2).stderr
    assert "is already a .tflite file, so the only option that applies is --c-array" in error


def test_convert_to_a_c_array_of_a_changed_file_is_refused(run, model_file, flatbuffer):
    content = bytearray(model_file.read_bytes())
    content[len(flatbuffer) - 1] ^= 1
    model_file.write_bytes(bytes(content))
    error = run("convert", model_file, "--c-array", expect=2).stderr
    assert "was changed after it was made" in error


@pytest.mark.slow
def test_convert_to_int8_with_c_array_writes_that_of_the_int8_file(
    run, trained_keras, made_data_dir, tmp_path
):
    folder = tmp_path / "out"
    options = (
        "convert",
        trained_keras,
        "-o",
        folder,
        "--data-dir",
        made_data_dir,
        "--int8",
        "--ptq",
    )
    folder.mkdir()
    (folder / "tiny_int8.h").write_text("mine")
    assert "tiny_int8.h already there" in run(*options, "--c-array", expect=2).stderr
    assert [path.name for path in folder.iterdir()] == ["tiny_int8.h"]  # said before the work
    run(*options, "--c-array", "--force")
    flatbuffer, metadata = split((folder / "tiny_int8.tflite").read_bytes())
    array = to_c_array("tiny_int8", flatbuffer, metadata.labels, measure_arena(flatbuffer))
    assert (folder / "tiny_int8.cc").read_text() == array.source
    assert (folder / "tiny_int8.h").read_text() == array.header
