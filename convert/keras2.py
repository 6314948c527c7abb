"""Builds and fine-tunes quantization-aware networks, which needs Keras 2.

tensorflow-model-optimization accepts only Keras 2 models (model-optimization#1119), which `tf_keras`
provides. It is imported in this module alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

# tensorflow-model-optimization requires this before TensorFlow is imported.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from garmentlite.convert.folding import Operation
from garmentlite.edge.callbacks import OnProgress, ignore_progress
from garmentlite.train.augmentation import Augmentation, augment
from garmentlite.train.data import as_input


def build_twin(operations: Sequence[Operation]) -> tf_keras.Model:
    """Builds the folded network as a Keras 2 model with the same weights.

    Args:
        operations: As `convert.folding.fold` gives them.

    Returns:
        A model from float32 (N, H, W, C) to logits.
    """
    results: dict[str, tf.Tensor] = {}
    inputs = None
    for operation in operations:
        if operation.kind == "input":
            inputs = tf_keras.Input(operation.options["shape"], name=operation.name)
            results[operation.name] = inputs
            continue
        sources = [results[name] for name in operation.inputs]
        layer = _layer_of(operation)
        results[operation.name] = layer(sources if len(sources) > 1 else sources[0])
        if operation.kernel is not None:
            layer.set_weights(operation.weights)
    # The name is written into the file. Keras would count it up, so that it would differ from call to call.
    return tf_keras.Model(inputs, results[operations[-1].name], name="folded")


def _layer_of(operation: Operation) -> tf_keras.layers.Layer:
    name, options = operation.name, operation.options
    activation = "relu" if operation.relu else None
    if operation.kind == "conv":
        kernel, _ = operation.weights
        return tf_keras.layers.Conv2D(
            kernel.shape[-1], kernel.shape[:2], activation=activation, name=name, **options
        )
    if operation.kind == "depthwise_conv":
        kernel, _ = operation.weights
        return tf_keras.layers.DepthwiseConv2D(
            kernel.shape[:2],
            depth_multiplier=kernel.shape[-1],
            activation=activation,
            name=name,
            **options,
        )
    if operation.kind == "dense":
        _, bias = operation.weights
        return tf_keras.layers.Dense(len(bias), activation=activation, name=name)
    plain = {
        "add": tf_keras.layers.Add,
        "max_pool": tf_keras.layers.MaxPooling2D,
        "average_pool": tf_keras.layers.AveragePooling2D,
        "global_average_pool": tf_keras.layers.GlobalAveragePooling2D,
        "flatten": tf_keras.layers.Flatten,
        "relu": tf_keras.layers.ReLU,
    }
    return plain[operation.kind](name=name, **options)


def predict_logits(model: tf_keras.Model, x: np.ndarray, batch_size: int = 500) -> np.ndarray:
    """Computes the float32 logits, shape (N, C), of float32 images (N, H, W, 1) in [0, 1]."""
    steps = [
        model(x[start : start + batch_size], training=False).numpy()
        for start in range(0, len(x), batch_size)
    ]
    return np.concatenate(steps)


def quantization_aware(
    twin: tf_keras.Model, x_range: np.ndarray, output_range: tuple[float, float]
) -> tf_keras.Model:
    """Adds fake quantization to the twin, with activation ranges that are measured on images.

    By default each range starts at +-6 and follows a slow moving average; 63% of the start is still in it
    after an epoch. So each range is set to that of the float twin's activations before the first step.

    Args:
        twin: Folded float model; not changed.
        x_range: float32 images, shape (N, H, W, 1), in [0, 1], that set the ranges.
        output_range: Smallest and largest logit that the int8 output can represent.

    Returns:
        A quantization-aware model with the twin's weights.
    """
    # Names are written into the file. With counters reset, the same network gives the same bytes each time.
    tf_keras.backend.reset_uids()
    model = tfmot.quantization.keras.quantize_model(twin)
    ranges = _activation_ranges(twin, x_range)
    for layer in twin.layers:
        if isinstance(layer, tf_keras.layers.AveragePooling2D | tf_keras.layers.MaxPooling2D):
            # Input and output of a pooling kernel share one scale. With another range, the converter would
            # insert an operator that changes the scale and rounds once more.
            source = layer.input._keras_history.layer.name
            # The input, which is pixel / 255, has no entry.
            ranges[layer.name] = ranges.get(source, (0.0, 1.0))
    ranges[twin.layers[-1].name] = output_range
    model(x_range[:1], training=True)  # weight ranges are set in a training pass only
    for layer in model.layers:
        variables = {v.name.split("/")[-1].split(":")[0]: v for v in layer.variables}
        if f"{layer.name}_min" in variables:  # the input, which is pixel / 255
            variables[f"{layer.name}_min"].assign(0.0)
            variables[f"{layer.name}_max"].assign(1.0)
        wrapped = getattr(layer, "layer", None)
        for kind in ("output", "post_activation"):
            if wrapped is not None and f"{kind}_min" in variables:
                low, high = ranges[wrapped.name]
                variables[f"{kind}_min"].assign(min(low, 0.0))
                variables[f"{kind}_max"].assign(high)
    return model


def shift_last_bias(model: tf_keras.Model, shift: np.ndarray) -> None:
    """Adds `shift`, shape (C,), to the bias of a quantization-aware model's last layer, in place."""
    bias = model.layers[-1].layer.bias
    bias.assign_add(shift)


def _activation_ranges(
    twin: tf_keras.Model, x: np.ndarray, batch_size: int = 500
) -> dict[str, tuple[float, float]]:
    """Measures the smallest and largest activation of each layer over some images."""
    layers = [layer for layer in twin.layers if not isinstance(layer, tf_keras.layers.InputLayer)]
    every_result = tf_keras.Model(twin.inputs, [layer.output for layer in layers])
    low, high = np.full(len(layers), np.inf), np.full(len(layers), -np.inf)
    for start in range(0, len(x), batch_size):
        for i, result in enumerate(every_result(x[start : start + batch_size], training=False)):
            low[i] = min(low[i], float(tf.reduce_min(result)))
            high[i] = max(high[i], float(tf.reduce_max(result)))
    return {layer.name: (low[i], high[i]) for i, layer in enumerate(layers)}


def distil(
    student: tf_keras.Model,
    images_u8: np.ndarray,
    teacher_logits: Callable[[np.ndarray], np.ndarray],
    sample_weights: np.ndarray,
    augmentation: Augmentation,
    *,
    epochs: int,
    learning_rate: float,
    seed: int,
    batch_size: int = 128,
    on_step: OnProgress = ignore_progress,
) -> None:
    """Fine-tunes a quantization-aware model towards the float network's logits of the same augmented images.

    The loss is the cross entropy between the two distributions, weighted as in training. The labels are not
    used, because the aim is to keep the trained classifier, not to improve it.

    Args:
        student: Quantization-aware model; changed in place.
        images_u8: uint8 training images, shape (N, H, W).
        teacher_logits: Computes the float logits of float32 images (B, H, W, 1).
        sample_weights: Weight of each image, shape (N,).
        augmentation: The augmentation of the training.
        epochs: Number of epochs.
        learning_rate: Learning rate of Adam at the start; it falls to 0 along a cosine.
        seed: Seed of order and augmentation.
        batch_size: Number of images in a step.
        on_step: Called with (step, steps) after each step.
    """
    batch_size = min(batch_size, len(images_u8))
    steps_per_epoch = len(images_u8) // batch_size
    steps = epochs * steps_per_epoch
    schedule = tf_keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    optimizer = tf_keras.optimizers.Adam(schedule)

    # In inference mode the ranges stay as they were set; nothing else in the network depends on the mode.
    train_step = training_step(student, optimizer, training=False)

    for step in range(steps):
        epoch, place = divmod(step, steps_per_epoch)
        order = np.random.default_rng([seed, epoch]).permutation(len(images_u8))
        chosen = order[place * batch_size : (place + 1) * batch_size]
        rng = np.random.default_rng([seed, epoch, place])
        x = as_input(augment(images_u8[chosen], augmentation, rng))
        target = tf.nn.softmax(teacher_logits(x))
        train_step(x, target, tf.constant(sample_weights[chosen], tf.float32))
        on_step(step + 1, steps)


def training_step(
    student: tf_keras.Model, optimizer: tf_keras.optimizers.Optimizer, *, training: bool
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], None]:
    """Makes a function that takes one optimizer step on the weighted cross entropy.

    Args:
        student: The model; changed in place.
        optimizer: The optimizer.
        training: Whether the student runs in training mode, in which quantizers update their ranges.

    Returns:
        A function of images (B, H, W, 1), target distributions (B, C) and weights (B,).
    """

    @tf.function(jit_compile=False)
    def step(x: tf.Tensor, target: tf.Tensor, weights: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            logits = student(x, training=training)
            losses = tf.nn.softmax_cross_entropy_with_logits(target, logits)
            loss = tf.reduce_mean(losses * weights)
        variables = student.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    return step
