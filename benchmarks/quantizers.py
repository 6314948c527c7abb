"""Compares this project's ways to int8 with Google's ai-edge-quantizer, on the same network and images.

    pip install ai-edge-quantizer
    python benchmarks/quantizers.py runs/weighted-cnn

Every way gets the same calibration images, and is compared with the float network on validation images; the
test set is not read. ai-edge-quantizer works on the float32 file, the ways of the project on the network.

Prints a table in Markdown, then one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

THEIRS = "ai_edge_quantizer"


def their_way(float32: bytes, recipe_name: str, x_calibration) -> bytes:
    """Quantizes the float32 file by one of ai-edge-quantizer's own recipes."""
    from ai_edge_quantizer import quantizer, recipe

    from garmentlite.edge.runtime import make_interpreter

    ((signature, names),) = make_interpreter(float32).get_signature_list().items()
    (name,) = names["inputs"]
    work = quantizer.Quantizer(float32, getattr(recipe, recipe_name)())
    result = None
    if work.need_calibration:
        # One thread: the sums of the ranges are then taken in one order.
        batches = [{name: image[None]} for image in x_calibration]
        result = work.calibrate({signature: batches}, num_threads=1)
    return bytes(work.quantize(result, enable_progress_report=False).quantized_model)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a run's folder or a .keras file")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument(
        "--label", default="Shirt", help="the class whose images are counted (Shirt)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without-fine-tuning", action="store_true", help="saves minutes")
    arguments = parser.parse_args()
    if find_spec(THEIRS) is None:
        sys.exit("ai-edge-quantizer is not installed; run: pip install ai-edge-quantizer")

    from garmentlite.convert import export, folding, int8, material
    from garmentlite.convert.export_task import RANGE_IMAGES
    from garmentlite.convert.int8_candidates import compare
    from garmentlite.convert.network import load_network
    from garmentlite.convert.source import find_source
    from garmentlite.edge.contents_reader import read_contents
    from garmentlite.edge.labels import class_id_of
    from garmentlite.train.data import as_input, load
    from garmentlite.train.prediction import predict_logits

    source = find_source(arguments.run, None)
    model = load_network(source.path).model
    operations = folding.fold(model)
    images = material.from_fashion_mnist(load(arguments.data_dir))
    training, validation, seed = images.training, images.validation, arguments.seed
    logits = predict_logits(model, validation.images_u8)
    training_logits = predict_logits(model, training.images_u8)
    float32 = export.to_float32(model)
    x_calibration = as_input(training.sample(RANGE_IMAGES, seed).images_u8)
    class_id = class_id_of(arguments.label, images.labels)

    def range_cut(epochs: int) -> bytes:
        weights = source.class_weights(images.labels)
        changes = source.augmentation
        return int8.range_cut(
            operations, training, training_logits, weights, changes, seed, epochs=epochs
        )

    ways: dict[str, Callable[[], bytes]] = {
        "float32, for size": lambda: float32,
        "post-training (TensorFlow's converter)": lambda: int8.post_training(
            operations, training, seed
        ),
        "ai-edge-quantizer, static int8": lambda: their_way(
            float32, "static_wi8_ai8", x_calibration
        ),
        "post-training, bias corrected": lambda: int8.post_training_corrected(
            operations, training, seed
        ),
        "output range cut, ties evened": lambda: range_cut(0),
        "the same, fine-tuned (QAT)": lambda: range_cut(1),
        "int8 weights (TensorFlow's converter)": lambda: export.to_int8_weights(model),
        "ai-edge-quantizer, int8 weights": lambda: their_way(
            float32, "dynamic_wi8_afp32", x_calibration
        ),
    }
    if arguments.without_fine_tuning:
        del ways["the same, fine-tuned (QAT)"]
    print(
        f"| way | input type | changed | accuracy | {arguments.label} lost/gained | kB | seconds |"
    )
    print("|---|---|---|---|---|---|---|")
    results = []
    for way, make in ways.items():
        start = time.perf_counter()
        flatbuffer = make()
        seconds = time.perf_counter() - start
        one = compare(way, flatbuffer, logits, validation)
        input_type = read_contents(flatbuffer).input_type
        print(
            f"| {way} | {input_type} | {one.changed} | {one.accuracy_change * 100:+.2f} | "
            f"{one.lost[class_id]}/{one.gained[class_id]} | {len(flatbuffer) / 1000:,.0f} | "
            f"{seconds:.0f} |",
            flush=True,
        )
        results.append(
            one.as_document(images.labels) | {"input_type": input_type, "bytes": len(flatbuffer)}
        )
    print(f"\nchanged: answers unlike the float network's, of {one.images:,} validation images.")
    print(json.dumps({"run": str(arguments.run), "ways": results}))


if __name__ == "__main__":
    main()
