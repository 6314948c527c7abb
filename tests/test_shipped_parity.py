"""Each shipped int8 file recognises every class as well as its float file."""

from __future__ import annotations

import numpy as np
import pytest

from garmentlite.convert.verify.check import verify
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import DataError
from garmentlite.edge.metadata import split
from garmentlite.edge.shipped import FOLDER
from garmentlite.train import data

PAIRS = sorted(path.name.removesuffix("_int8.tflite") for path in FOLDER.glob("*_int8.tflite"))


@pytest.fixture(scope="module")
def fashion_mnist():
    if not all((data.DEBIAN_FOLDER / f"{name}.gz").exists() for name in data.MD5):
        folder = data.cache_folder()
        if not all((folder / f"{name}.gz").exists() for name in data.MD5):
            pytest.skip("Fashion-MNIST is not on this machine; 'cli data' obtains it")
    try:
        return data.load()
    except DataError as error:
        pytest.fail(str(error))


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_shipped_int8_shows_every_class_at_two_points(name, fashion_mnist):
    reference = Classifier(FOLDER / f"{name}_float32.tflite")
    candidate = Classifier(FOLDER / f"{name}_int8.tflite")
    assert reference.metadata.reference_sha256 == candidate.metadata.reference_sha256

    report = verify(reference, candidate, fashion_mnist.x_test, fashion_mnist.y_test)

    assert [row.verdict for row in report.classes] == ["shown"] * 10
    assert [guard.passed for guard in report.guards] == [True] * 7
    assert report.passed


@pytest.mark.parametrize("name", PAIRS)
def test_shipped_int8_on_reference_kernels_differs_by_few_steps(name, fashion_mnist):
    path, images = FOLDER / f"{name}_int8.tflite", fashion_mnist.x_train[:50]
    default, reference = (
        Classifier(path, kernels=kernels).raw_outputs(images).astype(int)
        for kernels in ("default", "reference")
    )
    assert np.abs(default - reference).max() <= 6  # as stated in edge.runtime


@pytest.mark.parametrize("name", PAIRS)
def test_shipped_int8_in_tflite_micro_differs_by_few_steps(name, fashion_mnist):
    # Another implementation, for microcontrollers; 'pip install tflite-micro' where there is a wheel.
    micro = pytest.importorskip("tflite_micro", reason="the tflite-micro package is not installed")
    classifier = Classifier(FOLDER / f"{name}_int8.tflite", kernels="reference")
    flatbuffer, _ = split(classifier.path.read_bytes())
    interpreter = micro.runtime.Interpreter.from_bytes(flatbuffer, arena_size=1 << 22)
    images, outputs = fashion_mnist.x_train[:50], []
    for image in images:
        real = image.reshape(1, *classifier.image_size, 1) / np.float32(255)
        interpreter.set_input(classifier.input.quantize(real), 0)
        interpreter.invoke()
        outputs.append(interpreter.get_output(0)[0].astype(int))
    steps = np.abs(np.array(outputs) - classifier.raw_outputs(images))
    # Seen: one output of 200 differs from the reference kernels, by 1.
    assert steps.max() <= 4
    assert np.mean(steps > 0) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_shipped_metadata_states_the_recalls_that_are_measured(name, fashion_mnist):
    from garmentlite.edge.metrics import confusion_matrix, recall_per_class

    candidate = Classifier(FOLDER / f"{name}_int8.tflite")
    y_pred = candidate.logits(fashion_mnist.x_test).argmax(axis=1)
    recall = recall_per_class(confusion_matrix(fashion_mnist.y_test, y_pred, 10))
    stated = candidate.metadata.measured["test"]["recall_per_class"]
    # The default kernels give the same bytes on every machine, so the same images are right.
    assert recall.tolist() == [stated[label] for label in candidate.labels]
