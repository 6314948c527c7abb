"""Compares ways to int8 for one network by the answers that each one changes.

    python benchmarks/int8_ablation.py runs/weighted-cnn

Counts validation images; the test set is not read. The two naive ways follow the usual tutorials: the
network with its batch-norm, quantized by tensorflow-model-optimization as it comes, its activation ranges
starting at +-6, one epoch of Adam, towards the labels or towards the float logits.

Prints a table in Markdown, then one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot

from garmentlite.convert import export, folding, int8, keras2, material
from garmentlite.convert.int8_candidates import compare
from garmentlite.convert.network import load_network
from garmentlite.convert.source import find_source
from garmentlite.edge.contents_reader import read_contents
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.train.augmentation import augment
from garmentlite.train.data import as_input, load
from garmentlite.train.prediction import predict_logits

HARD = ("T-shirt/top", "Pullover", "Coat", "Shirt")  # the classes that are taken for each other
NAIVE_RATE = 1e-4  # of Adam; a tenth of training's, as tutorials have it


def naive_twin(model):
    """Copies the Keras 3 network to a Keras 2 model with its batch-norm and without dropout."""
    keras = keras2.tf_keras
    inputs = keras.Input(model.input_shape[1:])
    x = inputs
    copies = []
    for layer in model.layers[1:]:
        kind = type(layer).__name__
        if kind == "Dropout":
            continue
        settings = layer.get_config()
        if kind == "Conv2D":
            copy = keras.layers.Conv2D(
                settings["filters"], settings["kernel_size"], padding="same", use_bias=False
            )
        elif kind == "Dense":
            copy = keras.layers.Dense(settings["units"], use_bias=settings["use_bias"])
        elif kind == "BatchNormalization":
            copy = keras.layers.BatchNormalization(
                momentum=settings["momentum"], epsilon=settings["epsilon"]
            )
        elif kind == "MaxPooling2D":
            copy = keras.layers.MaxPooling2D()
        else:
            copy = getattr(keras.layers, kind)()
        x = copy(x)
        copies.append((copy, layer))
    twin = keras.Model(inputs, x)
    for copy, layer in copies:
        if layer.weights:
            copy.set_weights([np.asarray(weight) for weight in layer.weights])
    return twin


def fine_tune_naively(model, training, class_weights, augmentation, teacher, seed: int):
    """Trains one quantization-aware epoch as tutorials do, towards the labels if teacher is None."""
    student = tfmot.quantization.keras.quantize_model(naive_twin(model))
    optimizer = keras2.tf_keras.optimizers.Adam(NAIVE_RATE)

    step = keras2.training_step(student, optimizer, training=True)
    order = np.random.default_rng(seed).permutation(len(training.y))
    for place in range(0, len(order) - 127, 128):
        chosen = order[place : place + 128]
        rng = np.random.default_rng([seed, place])
        x = as_input(augment(training.images_u8[chosen], augmentation, rng))
        y = training.y[chosen]
        target = tf.one_hot(y, 10) if teacher is None else tf.nn.softmax(teacher(x))
        step(x, target, class_weights[y])
    return _int8_as_far_as_it_goes(student)


def _int8_as_far_as_it_goes(student) -> bytes:
    """Converts without insisting on integers: the naive network keeps float operators."""
    converter = export.converter_for(student)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return export.convert_quietly(converter)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a run's folder")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    source = find_source(arguments.run, None)
    model = load_network(source.path).model
    operations = folding.fold(model)
    data = load(arguments.data_dir)
    images = material.from_fashion_mnist(data)
    training, validation = images.training, images.validation
    logits = predict_logits(model, validation.images_u8)
    teacher_twin = keras2.build_twin(operations)
    weights = source.class_weights(FASHION_MNIST_LABELS)
    changes, seed = source.augmentation, arguments.seed

    def teacher(x):
        return keras2.predict_logits(teacher_twin, x)

    def naive(target):
        return fine_tune_naively(model, training, weights, changes, target, seed)

    training_logits = predict_logits(model, training.images_u8)

    def ours(epochs: int):
        return int8.range_cut(
            operations, training, training_logits, weights, changes, seed, epochs=epochs
        )

    ways = {
        "naive QAT, on labels": lambda: naive(None),
        "naive QAT, on float logits": lambda: naive(teacher),
        "folded, post-training": lambda: int8.post_training(operations, training, seed),
        "folded, post-training, bias corrected": lambda: int8.post_training_corrected(
            operations, training, seed
        ),
        "folded, output range cut, ties evened": lambda: ours(0),
        "the same, one epoch of distillation": lambda: ours(1),
    }
    hard = [FASHION_MNIST_LABELS.index(label) for label in HARD]
    print("| way to int8 | float tensors | changed | accuracy | " + " | ".join(HARD) + " |")
    print("|---|---|---|---|" + "---|" * len(HARD))
    results = []
    for way, make in ways.items():
        start = time.perf_counter()
        flatbuffer = make()
        one = compare(way, flatbuffer, logits, validation)
        floats = read_contents(flatbuffer).tensor_types.get("float32", 0)
        cells = [f"{one.lost[i]}/{one.gained[i]}" for i in hard]
        print(
            f"| {way} | {floats} | {one.changed} | {one.accuracy_change * 100:+.2f} | "
            + " | ".join(cells)
            + " |",
            flush=True,
        )
        results.append(
            one.as_document(FASHION_MNIST_LABELS)
            | {"float_tensors": floats, "seconds": round(time.perf_counter() - start)}
        )
    print(f"\nlost/gained of 600 validation images a class; changed of {one.images:,}.")
    print(json.dumps({"run": str(arguments.run), "ways": results}))


if __name__ == "__main__":
    main()
