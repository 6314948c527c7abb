"""Everything that needs Keras 2: the folded twin, its quantization-aware fine-tuning.

tensorflow-model-optimization takes Keras 2 models only (model-optimization#1119), which live on as
`tf_keras`. It is imported here and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

# Must be set before TensorFlow is imported; the package itself insists on it.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from garmentlite.convert.folding import Operation
from garmentlite.train.augmentation import Augmentation, augment
from garmentlite.train.data import as_input

OnStep = Callable[[int, int], None]  # step (from 1), steps in all


def build_twin(operations: Sequence[Operation]) -> tf_keras.Model:
    """The folded network as a Keras 2 model with the same weights.

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
    # Named, since the name goes into the file: counted up by Keras, it would differ from twin to twin.
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
    """Float32 logits, shape (N, C), of float32 images (N, H, W, 1) in [0, 1]."""
    steps = [
        model(x[start : start + batch_size], training=False).numpy()
        for start in range(0, len(x), batch_size)
    ]
    return np.concatenate(steps)


def quantization_aware(
    twin: tf_keras.Model, x_calibration: np.ndarray, output_range: tuple[float, float]
) -> tf_keras.Model:
    """The twin with fake quantization in place, its activation ranges taken from a calibration pass.

    Left alone, every range starts at +-6 and follows a slow average of which 63% is still there after an
    epoch; so each one is set to what the float twin really shows before the first step is taken.

    Args:
        twin: Folded float model; not changed.
        x_calibration: float32 images, shape (N, H, W, 1), in [0, 1].
        output_range: Smallest and largest logit that the int8 output can show.

    Returns:
        A quantization-aware model with the twin's weights.
    """
    # Names go into the file. Counted from the start, the same network gives the same bytes each time.
    tf_keras.backend.reset_uids()
    model = tfmot.quantization.keras.quantize_model(twin)
    ranges = _activation_ranges(twin, x_calibration)
    for layer in twin.layers:
        if isinstance(layer, tf_keras.layers.AveragePooling2D | tf_keras.layers.MaxPooling2D):
            # A pool's kernel has one scale for both sides: with a range of its own, an operator that only
            # changes the scale, and rounds once more, would be put before it.
            source = layer.input._keras_history.layer.name
            ranges[layer.name] = ranges.get(source, (0.0, 1.0))  # none of the input: pixel / 255
    ranges[twin.layers[-1].name] = output_range
    model(x_calibration[:1], training=True)  # weight ranges are taken on a training pass only
    for layer in model.layers:
        variables = {v.name.split("/")[-1].split(":")[0]: v for v in layer.variables}
        if f"{layer.name}_min" in variables:  # the input: pixel / 255 and nothing else
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
    """Smallest and largest result of every layer over some images."""
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
    on_step: OnStep = lambda step, steps: None,
) -> None:
    """Fine-tunes a quantization-aware model towards the float logits of the same augmented images.

    The loss is the cross entropy between the two distributions, weighted as training was: the labels
    play no part, since the aim is to stay the classifier that was trained, not to become a better one.

    Args:
        student: Quantization-aware model; changed in place.
        images_u8: uint8 training images, shape (N, H, W).
        teacher_logits: Gives the float logits of float32 images (B, H, W, 1).
        sample_weights: Weight of each image, shape (N,).
        augmentation: As in training.
        epochs: Passes over the images.
        learning_rate: Of Adam at the start; it falls to 0 along a cosine.
        seed: Of order and augmentation.
        batch_size: Images a step.
        on_step: Called after every step.
    """
    batch_size = min(batch_size, len(images_u8))
    steps_per_epoch = len(images_u8) // batch_size
    steps = epochs * steps_per_epoch
    schedule = tf_keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    optimizer = tf_keras.optimizers.Adam(schedule)

    # In inference mode the ranges stay where calibration put them; there is nothing else in the network
    # that would behave differently.
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
    """One step of Adam or the like down the weighted cross entropy, as a function to be called.

    Args:
        student: Changed in place.
        optimizer: What takes the step.
        training: Whether the student runs in training mode, in which quantizers move their ranges.

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
